package lex

import (
	"strings"
	"testing"
)

func TestPlain(t *testing.T) {
	for _, c := range []struct {
		query string
		want  bool
	}{
		{"SELECT 1", true},
		{"select * from t where a = 'b'", true},
		{"\n\t SeLeCt\n1", true},
		{"SELECT", true},
		{"SELECT*FROM t", true},
		{"SELECT(1)", true},
		{"SELECT id FROM t FOR UPDATE", true},
		{"SELECT set_conf FROM t", true},
		{"SELECT s.id, p.id FROM s, p", true},
		{"PRAGMA QUERY_ONLY(1)", false},
		{"SHOW all", true},
		{"VALUES (1)", true},
		{"TABLE t", true},
		{"FETCH 1 FROM c", true},
		{"PRAGMA user_version", true},
		{"-- name: GetUser :one\nSELECT 1", true},
		{"/* app:shop */ /* more */ SELECT 1", true},
		{"/*/ odd */ SELECT 1", true},

		{"", false},
		{"  ", false},
		{"SET search_path = a", false},
		{"RESET ALL", false},
		{"SELECT set_config('search_path', $1, true)", false},
		{"select\n\tpg_catalog.set_config('search_path', $1, true)", false},
		{"-- tenant\nSELECT set_config('search_path', $1, true)", false},
		{"SELECT 1;", false},
		{"SELECT 1; COMMIT", false},
		{"SELECT ';'", false},
		{"-- a;b\nSELECT 1", false},
		{"-- SELECT 1", false},
		{"-- a\rCOMMIT\nSELECT 1", false}, // PostgreSQL's comment ends at \r
		{"/* a /* b */ COMMIT */ SELECT 1", false},
		{"/* a", false},
		{"/ SELECT", false},
		{"- SELECT", false},
		{"SELECTION", false},
		{"SELECT_", false},
		{"SELECT$", false},
		{"SELECTé", false},
		{"SEL", false},
		{"SETTLE", false},
		{"WITH a AS (SELECT 1) SELECT 1", false},
		{"EXPLAIN SELECT 1", false},
		{"INSERT INTO t VALUES (1)", false},
		{"BEGIN", false},
		{"COMMIT", false},
		{"ROLLBACK", false},
		{"RELEASE a", false},
		{"SAVEPOINT a", false},
		{"START TRANSACTION", false},
		{"PREPARE TRANSACTION 'a'", false},
		{"TRUNCATE t", false},
		{"VACUUM", false},
		{"REPLACE INTO t VALUES (1)", false},
		{"(SELECT 1)", false},
		{"\uFEFFSELECT 1", false},
	} {
		if got := Plain(c.query); got != c.want {
			t.Errorf("Plain(%q) = %v, want %v", c.query, got, c.want)
		}
	}
}

// What Plain lets pass, Parse must find to be one statement that reads; only
// SELECT INTO is beyond it.
func FuzzPlain(f *testing.F) {
	for _, q := range []string{"SELECT 1", "-- a\nSHOW a", "/* a */ VALUES (1)", "/* /* */ TABLE t", "s\x05lect"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		if !Plain(query) || strings.IndexByte(query, 0) >= 0 {
			return // a NUL ends the query, and may leave nothing of it
		}
		for _, d := range []Dialect{Postgres, SQLite} {
			sts := Parse(d, query, "id", nil)
			if len(sts) != 1 {
				t.Fatalf("%q passes as plain, and is %d statements", query, len(sts))
			}
			known := sts[0].Kind == Read || sts[0].Verb == "SELECT INTO" || d == SQLite && sts[0].Kind == Opaque
			if !known {
				t.Fatalf("%q passes as plain, and is %+v", query, sts[0])
			}
		}
	})
}

func TestPlainAllocatesNothing(t *testing.T) {
	query := "-- name: List :many\nSELECT " + strings.Repeat("a, ", 1000) + "b FROM t"
	if n := testing.AllocsPerRun(100, func() { Plain(query) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
