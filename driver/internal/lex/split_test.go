package lex

import (
	"reflect"
	"testing"
)

func TestSplitCuts(t *testing.T) {
	for query, want := range map[string][]string{
		"":                   nil,
		" ; -- nothing\n ;":  nil,
		"SELECT 1":           {"SELECT 1"},
		"A; B":               {"A;", " B"},
		"A;;B;":              {"A;", ";B;"},
		"/* x;y */ A 'b;c';": {"/* x;y */ A 'b;c';"},
		"CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; DELETE FROM c; END; A; -- end": {
			"CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; DELETE FROM c; END;", " A;",
		},
		"A; B\x00; C": {"A;", " B"},
	} {
		if got := Split(SQLite, query); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
		if stmts := Parse(SQLite, query, "", nil); len(stmts) != len(want) {
			t.Errorf("%q: Parse finds %d statements", query, len(stmts))
		}
	}
}
