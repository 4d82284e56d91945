package lex

import (
	"reflect"
	"strings"
	"testing"
)

// kinds parses a string and names what is in it.
func kinds(d Dialect, query string) string {
	var names []string
	for _, st := range Parse(d, query, "id", nil) {
		names = append(names, kindNames[st.Kind])
	}
	return strings.Join(names, ", ")
}

// How PostgreSQL splits is in testdata/pgquery.jsonl, too; here are SQLite, and
// what PostgreSQL refuses.
func TestSplit(t *testing.T) {
	for _, c := range []struct {
		query string
		on    []Dialect
		want  string
	}{
		{"", both, ""},
		{" ;; -- a\n ; /* b */", both, ""},
		{"BEGIN; SELECT 1; COMMIT;", both, "begin, read, commit"},
		{"SELECT ';', 'a'';'; COMMIT", both, "read, commit"},
		{`SELECT ";", "a"";"; COMMIT`, both, "read, commit"},
		{"SELECT 1 -- ;\n; COMMIT", both, "read, commit"},
		{"SELECT 1 -- ;\r; COMMIT", both[1:], "read"},
		{"SELECT 1 -- ;\r; COMMIT", both[:1], "read, commit"},
		{"/* ; */ BEGIN; COMMIT", both, "begin, commit"},
		{"/* /* */ BEGIN; COMMIT /* */ */", both[1:], "begin, commit"},
		{"/* /* */ BEGIN; */ COMMIT", both[:1], "commit"},
		{"SELECT 1 /* ; COMMIT", both, "read"},
		{"SELECT 'a; COMMIT", both, "read"},
		{"SELECT [;], `;`, x';'; COMMIT", both[1:], "read, commit"},
		{"SELECT [a]]; COMMIT", both[1:], "read, commit"}, // ]] is no ] in a name
		{"SELECT E'\\'; COMMIT; SELECT '", both[1:], "read, commit, read"},
		{"SELECT E'\\'; COMMIT; SELECT '", both[:1], "read"},
		{"SELECT $$;$$; COMMIT", both[:1], "read, commit"},
		{"SELECT $a$;$$;$b$;$a$; COMMIT", both[:1], "read, commit"},
		{"SELECT a$b$; COMMIT; $b$", both[:1], "read, commit, opaque"}, // $ belongs to the name
		{"SELECT $1$; COMMIT", both[:1], "read, commit"},
		{"SELECT :a(;), $b::c(;); COMMIT", both[1:], "read, commit"},
		{"SELECT (1; COMMIT", both, "read, commit"},
		{"SELECT 1 @-- ;\n1; COMMIT", both[:1], "read, commit"},
		{"SELECT 1 @/* ; */1; COMMIT", both[:1], "read, commit"},
		{"SELECT 1; COMMIT\x00; ROLLBACK", both, "read, commit"},
		{"\uFEFFCOMMIT; \uFEFFCOMMIT", both[1:], "commit, commit"},
		{"\vCOMMIT", both[:1], "commit"},

		{"CREATE TRIGGER a AFTER INSERT ON t BEGIN DELETE FROM b; SELECT CASE WHEN 1 THEN 2 END; END; COMMIT", both[1:], "schema, commit"},
		{"CREATE TEMP TRIGGER IF NOT EXISTS a.b BEFORE UPDATE OF c ON t WHEN new.a BEGIN SELECT 1; END; COMMIT", both[1:], "schema, commit"},
		{"CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; -- ; END;\nSELECT 2; END; COMMIT", both[1:], "schema, commit"},
		{"CREATE TRIGGER a; COMMIT", both[1:], "schema, commit"},
		{"CREATE TRIGGER a AFTER INSERT ON t EXECUTE FUNCTION begin(); COMMIT", both[:1], "schema, commit"},
		{"CREATE TABLE trigger (a); BEGIN; END; COMMIT", both, "schema, begin, commit, commit"},
		{"CREATE FUNCTION f() RETURNS int BEGIN; COMMIT", both[:1], "schema, commit"},
		{"CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT 1; SELECT a.case, b AS end; END; COMMIT", both[:1], "schema, commit"},
		{"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); COMMIT", both[:1], "schema, commit"},
	} {
		for _, d := range c.on {
			if got := kinds(d, c.query); got != c.want {
				t.Errorf("%v: %q is %q, want %q", d, c.query, got, c.want)
			}
		}
	}
}

func TestParseAppends(t *testing.T) {
	dst := Parse(Postgres, "BEGIN", "id", []Statement{{Kind: Opaque}})
	if len(dst) != 2 || dst[0].Kind != Opaque || dst[1].Kind != Begin {
		t.Errorf("got %+v", dst)
	}
}

// Deep and long input must neither overflow a stack nor take more than linear
// time; a quadratic step shows as a test that does not end.
func TestParseOfHostileInput(t *testing.T) {
	const n = 1 << 15
	for _, piece := range []string{
		"(", "[", ")", "'", "''", "E'\\", "$a$", "$a", "/*", "*/", "--", "-- a\n", "WITH a AS (", "WITH ", "EXPLAIN ANALYZE ",
		"DELETE FROM t WHERE (", "a.", "a AND ", "CASE ", "BETWEEN ", "x AND id = 5 OR ", "$1::a", ":a(", "?", "\"", "`", "E'a'\n",
		"CREATE TRIGGER a BEGIN ", "CREATE FUNCTION f() BEGIN ATOMIC ", ";", "+-", "+", "U&\"a\" UESCAPE ", "1e+", "CAST(", "COPY (",
		"WITH a AS (DELETE FROM t), ", "CREATE TABLE t AS (", "CREATE TABLE t AS WITH a AS (", "MERGE INTO t USING ", "INTO TEMP ",
	} {
		for _, head := range []string{"", "DELETE FROM t WHERE ", "INSERT INTO t (id) VALUES ("} {
			for _, d := range both {
				Parse(d, head+strings.Repeat(piece, n/len(piece)), "id", nil)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, q := range []string{
		"SELECT 1; COMMIT", "INSERT INTO t (id) VALUES ($1, ?) ON CONFLICT (id) DO UPDATE SET a = 1 RETURNING id",
		"UPDATE t a SET b = 1 FROM c WHERE (a.id = $1 AND x BETWEEN 1 AND 2) OR y", "DELETE FROM [a b] WHERE `id` = :a",
		"WITH a AS (DELETE FROM t) SELECT E'\\'' 'b'\n'c'", "CREATE TRIGGER a ON t BEGIN SELECT 1; END; END",
		"CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN 1 THEN 2 END; END", "SELECT $a$;$a$ /* /* */ */ -- x",
		"ROLLBACK TRANSACTION a TO SAVEPOINT b", "PREPARE TRANSACTION 'a'", `SAVEPOINT U&"\0061" UESCAPE '!'`,
		"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "EXPLAIN (ANALYZE off) DELETE FROM t", "TRUNCATE a, b CASCADE",
	} {
		f.Add(q, "COMMIT")
		f.Add("BEGIN", q)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, d := range both {
			first := Parse(d, a, "id", nil)
			second := Parse(d, b, "id", nil)
			if !reflect.DeepEqual(first, Parse(d, a, "id", nil)) {
				t.Fatalf("%v: %q is not the same twice", d, a)
			}
			if !closed(d, a) {
				continue
			}
			got := Parse(d, a+"\n;"+b, "id", nil)
			if want := append(first, second...); !same(got, want) {
				t.Fatalf("%v: %q and %q together\n got %+v\nwant %+v", d, a, b, got, want)
			}
		}
	})
}

// closed reports whether a statement can follow query: no quote, comment or
// body is open at its end.
func closed(d Dialect, query string) bool {
	if strings.IndexByte(query, 0) >= 0 {
		return false
	}
	p := parser{scan: scanner{src: query, dialect: d}, key: "id"}
	for p.open() {
		p.statement()
		p.close()
	}
	return !p.scan.broken
}

// same compares statements, but for their keys: on SQLite those of later
// statements depend on earlier ones.
func same(a, b []Statement) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		x.Key, y.Key = Key{}, Key{}
		if !reflect.DeepEqual(x, y) {
			return false
		}
	}
	return true
}
