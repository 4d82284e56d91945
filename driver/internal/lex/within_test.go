package lex

import (
	"reflect"
	"strings"
	"testing"
)

// What PostgreSQL makes of statements within others is in testdata/pgquery.jsonl.

// A WITH clause is looked into to a limit; what is deeper may write.
func TestWithinLimit(t *testing.T) {
	nest := func(depth int) string {
		return strings.Repeat("WITH a AS (", depth) + "DELETE FROM t" + strings.Repeat(") SELECT 1", depth)
	}
	deletes := Statement{Kind: Write, Also: []Target{{Table: Table{Name: "t"}, Op: Delete}}}
	if got := one(t, Postgres, nest(maxNesting)); !reflect.DeepEqual(got, deletes) {
		t.Errorf("%d levels are %+v", maxNesting, got)
	}
	for _, depth := range []int{maxNesting + 2, 1 << 18} {
		if got, want := one(t, Postgres, nest(depth)), (Statement{Kind: Write, Partial: true}); !reflect.DeepEqual(got, want) {
			t.Errorf("%d levels are %+v", depth, got)
		}
	}
}

// The brackets of a WITH clause end what is in them, whatever else is open.
func TestWithinBrackets(t *testing.T) {
	for _, query := range []string{
		"WITH a AS (DELETE FROM b WHERE id = 1) DELETE FROM t WHERE id = 2",
		"WITH a AS (DELETE FROM b WHERE (id = 1) DELETE FROM t WHERE id = 2",
		"WITH a AS (DELETE FROM) DELETE FROM t WHERE id = 2",
		"WITH a AS (UPDATE b SET) DELETE FROM t WHERE id = 2",
		"WITH a AS () DELETE FROM t WHERE id = 2",
		"WITH a AS (INSERT INTO b (id) VALUES (7) DELETE FROM t WHERE id = 2",
	} {
		for _, d := range both {
			if sts := Parse(d, query+"; COMMIT", "id", nil); len(sts) != 2 || sts[1].Kind != Commit {
				t.Errorf("%v: %s; COMMIT is %+v", d, query, sts)
			}
		}
	}
}
