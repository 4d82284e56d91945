package changes_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// liteKey is a row, and the texts by which it is asked for.
type liteKey struct {
	declared, value string   // as SQL has them
	key             string   // of the row's changes
	also            []string // other texts that find it
	not             []string // and such as do not
}

// liteKeyKinds have keys of each storage class and affinity.
var liteKeyKinds = []liteKey{
	{"INTEGER", "7", "7", nil, []string{"7.0", "+7", "07", " 7", ""}},
	{"INTEGER", "-9223372036854775808", "-9223372036854775808", nil, []string{"-9223372036854775807"}},
	{"REAL", "0.1", "0.1", []string{"0.10", "1e-1", "0.10000000000000001"}, []string{"0.2", "0.1x"}},
	{"REAL", "5", "5.0", []string{"5", "5.00", "5e0"}, []string{"5.1", "'5.0'"}},
	{"REAL", "-0.0", "0.0", []string{"0", "-0.0", "0e9"}, []string{"0.5"}},
	{"REAL", "1e300", "1e+300", []string{"1e300", "1.0e+300"}, []string{"1e301"}},
	{"REAL", "5e-324", "5e-324", []string{"4.9406564584124654e-324"}, []string{"0"}},
	{"REAL", "1.7976931348623157e308", "1.7976931348623157e+308", nil, []string{"9e999"}},
	{"REAL", "9e999", "9e999", []string{"Inf", "1e999"}, []string{"-9e999", "1.7976931348623157e+308"}},
	{"REAL", "-9e999", "-9e999", []string{"-Inf"}, []string{"9e999"}},
	{"REAL", "0.1 + 0.2", "0.30000000000000004", nil, []string{"0.3"}},
	{"", "9007199254740993", "9007199254740993", nil, []string{"9007199254740992"}},
	{"", "9223372036854775807 + 1.0", "9.223372036854776e+18", []string{"9223372036854775808"}, []string{"9223372036854775807"}},
	{"NUMERIC", "'1.50'", "1.5", []string{"1.50"}, []string{"1.51"}},
	{"NUMERIC", "'2.0'", "2", nil, []string{"2.0"}},
	{"TEXT", "7", "7", nil, []string{"7.0"}},
	{"TEXT", "'007'", "007", nil, []string{"7"}},
	{"TEXT", "'1.0'", "1.0", nil, []string{"1", "1.00"}},
	{"TEXT", "'9e999'", "9e999", nil, []string{"Inf"}},
	{"TEXT", "'X''00'''", "X'00'", nil, []string{"X'0000'"}},
	{"TEXT", "'true'", "true", nil, []string{"1"}},
	{"BOOLEAN", "TRUE", "1", nil, []string{"true", "TRUE"}},
	{"BLOB", "x'0aff'", "X'0AFF'", []string{"X'0aff'", "x'0aff'"}, []string{"0AFF"}},
	{"BLOB", "x''", "X''", nil, []string{""}},
	{"TEXT", "''", "", nil, []string{"X''"}},
	{"TEXT COLLATE NOCASE", "'Ab'", "Ab", nil, []string{"ab", "AB"}},
	{"TEXT COLLATE RTRIM", "'a  '", "a  ", nil, []string{"a", "a "}},
	{"TEXT", "'a '", "a ", nil, []string{"a", "a  "}},
	{"TEXT", `'(,"\'''`, `(,"\'`, nil, []string{`(,"\`}},
	{"TEXT", "CAST(x'610062' AS TEXT)", "a\x00b", nil, []string{"a", "a\x00"}},
	{"TEXT", "CAST(x'fffe' AS TEXT)", "\xff\xfe", nil, []string{"\xff"}},
}

// TestSQLiteKeyKinds: a row is found by its key, whatever that is, in its history, by a query, as of a time and to undo it.
func TestSQLiteKeyKinds(t *testing.T) {
	w := lite(t)
	w.exec("PRAGMA synchronous = OFF")
	for _, k := range liteKeyKinds {
		for _, table := range []string{"t (k " + k.declared + " PRIMARY KEY, l DEFAULT 0.25, a)", "t (k " + k.declared + ", l DEFAULT 0.25, a, PRIMARY KEY (l, k)) WITHOUT ROWID"} {
			w.exec("DROP TABLE IF EXISTS t", "DELETE FROM threadline_audit_changes", "DELETE FROM threadline_audit_values", "DELETE FROM threadline_audit_captures", "DELETE FROM threadline_audit_shapes", "CREATE TABLE "+table)
			w.capture(capture.Table{Name: "t"})
			w.exec("INSERT INTO t (k, a) VALUES (31, 'other'), ("+k.value+", 'x')", "UPDATE t SET a = 'y' WHERE a = 'x'")
			w.wantLiteKey(k, strings.Contains(table, "(l, k)"))
		}
	}
}

// wantLiteKey asks for the row of a key in each way.
func (w *world) wantLiteKey(k liteKey, several bool) {
	w.Helper()
	at := w.liteClock()
	w.exec("UPDATE t SET a = 'z' WHERE a = 'y'")
	whole := func(text string) []string {
		if several {
			return []string{"0.25", text}
		}
		return []string{text}
	}
	for _, text := range append([]string{k.key}, k.also...) {
		key := whole(text)
		history, err := w.store.History(ctx, "t", key...)
		w.must(err)
		if len(history) != 3 || !slices.Equal(history[0].Key, whole(k.key)) {
			w.Errorf("%s %s by %q: the history is %v", k.declared, k.value, key, history)
		}
		row, err := w.store.RowAsOf(ctx, "t", at, key...)
		if err != nil || *row.Values[2].Text != "y" || !slices.Equal(row.Key, whole(k.key)) {
			w.Errorf("%s %s by %q: it was %v, %v", k.declared, k.value, key, row, err)
		}
		if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
			continue // which no query may have
		}
		page := w.page(changes.Query{Tables: []string{"t"}, Key: key, OldestFirst: true})
		if len(page.Changes) != 3 || len(history) > 0 && !slices.Equal(page.Changes[0].Key, history[0].Key) {
			w.Errorf("%s %s by %q: a page is %v", k.declared, k.value, key, page.Changes)
		}
		page = w.page(changes.Query{Tables: []string{"t"}, Not: []changes.Query{{Tables: []string{"t"}, Key: key}}})
		if len(page.Changes) != 1 || page.Changes[0].Key[len(key)-1] == k.key {
			w.Errorf("%s %s but %q: a page is %v", k.declared, k.value, key, page.Changes)
		}
	}
	for _, text := range k.not {
		key := whole(text)
		history, err := w.store.History(ctx, "t", key...)
		w.must(err)
		if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
			key = whole("none")
		}
		page := w.page(changes.Query{Tables: []string{"t"}, Key: key})
		but := w.page(changes.Query{Tables: []string{"t"}, Not: []changes.Query{{Tables: []string{"t"}, Key: key}}})
		row, err := w.store.RowAsOf(ctx, "t", at, key...)
		if len(history) > 0 || len(page.Changes) > 0 || len(but.Changes) != 4 || !errors.Is(err, changes.ErrNotYet) {
			w.Errorf("%s %s by %q: %v, %v, %v; %v, %v", k.declared, k.value, key, history, page.Changes, but.Changes, row, err)
		}
		if _, err = undo.RowAsOf(ctx, w.store, "t", at, key...); !errors.Is(err, changes.ErrNoChange) {
			w.Errorf("%s %s by %q: its undo: %v", k.declared, k.value, key, err)
		}
	}
	for _, text := range append([]string{k.key}, k.also...) {
		undo, err := undo.RowAsOf(ctx, w.store, "t", at, whole(text)...)
		w.must(err)
		w.must(w.liteRun(0, undo))
		if a := w.text("SELECT group_concat(a, ' ') FROM (SELECT a FROM t ORDER BY a)"); a != "other y" {
			w.Errorf("%s %s by %q: it is undone to %q by\n%s", k.declared, k.value, text, a, undo)
		}
		w.exec("UPDATE t SET a = 'z' WHERE a = 'y'")
	}
}

// TestSQLiteKeyClasses: rows that have had the same text as a key, in different storage classes, are all in its history; which one is
// meant is asked for where there is more than one answer.
func TestSQLiteKeyClasses(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE t (k PRIMARY KEY, a)")
	w.capture(capture.Table{Name: "t"})
	w.exec("INSERT INTO t VALUES (5, 'integer')", "INSERT INTO t VALUES ('5', 'text')")
	both := w.liteClock()
	w.exec("DELETE FROM t WHERE a = 'integer'", "INSERT INTO t VALUES (5.0, 'real')")
	real := w.liteClock()
	w.exec("DELETE FROM t WHERE a = 'text'")
	one := w.liteClock()
	w.exec("UPDATE t SET a = 'changed'")
	texts := func(list []changes.Change) (text string) {
		for _, c := range list {
			text += string(c.Op) + " " + c.Key[0] + ", "
		}
		return text
	}
	for key, want := range map[string]string{"5": "insert 5, insert 5, delete 5, insert 5.0, delete 5, update 5.0, ", "5.0": "insert 5.0, update 5.0, "} {
		history, err := w.store.History(ctx, "t", key)
		w.must(err)
		if got := texts(history); got != want {
			t.Errorf("the history of %s is %s, want %s", key, got, want)
		}
		if got := texts(w.page(changes.Query{Tables: []string{"t"}, Key: []string{key}, OldestFirst: true}).Changes); got != want {
			t.Errorf("a page of %s is %s, want %s", key, got, want)
		}
	}
	for _, at := range []struct {
		name, key, want string
	}{{"both", "5", "several rows"}, {"both", "5.0", changes.ErrNotYet.Error()}, {"real", "5", "several rows"}, {"real", "5.0", "k: 5.0; a: real"}, {"one", "5", "k: 5.0; a: real"}} {
		row, err := w.store.RowAsOf(ctx, "t", map[string]time.Time{"both": both, "real": real, "one": one}[at.name], at.key)
		if got := fmt.Sprint(row, err); !strings.Contains(got, at.want) {
			t.Errorf("%s as of %s: %s, want %s", at.key, at.name, got, at.want)
		}
	}
	if _, err := undo.RowAsOf(ctx, w.store, "t", one, "5"); err == nil || !strings.Contains(err.Error(), "several rows") {
		t.Errorf("the undo of rows of two storage classes: %v", err)
	}
	undo, err := undo.RowAsOf(ctx, w.store, "t", one, "5.0")
	w.must(err)
	w.must(w.liteRun(0, undo))
	if a := w.text("SELECT a FROM t"); a != "real" {
		t.Errorf("it is undone to %s", a)
	}
}
