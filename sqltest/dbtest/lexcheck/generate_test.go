package lexcheck

import "strings"

// corpus is every statement that is asked about.
func corpus() []string {
	all := append([]string{}, statements...)
	all = append(all, product(inserts)...)
	all = append(all, product(updates)...)
	all = append(all, product(deletes)...)
	all = append(all, product(conditionsOfKey)...)
	all = append(all, product(controls)...)
	all = append(all, product(names)...)
	return append(all, scripts()...)
}

// product joins one alternative of each place, in all ways.
func product(places [][]string) []string {
	all := []string{""}
	for _, alternatives := range places {
		next := make([]string, 0, len(all)*len(alternatives))
		for _, a := range all {
			for _, b := range alternatives {
				next = append(next, strings.TrimSpace(a+" "+b))
			}
		}
		all = next
	}
	return all
}

var inserts = [][]string{
	{"INSERT INTO t", "WITH c AS (SELECT 1) INSERT INTO s.t AS a", `WITH c AS (DELETE FROM o RETURNING *) INSERT INTO "T"`},
	{"", "(id, x)", "(x, id)"},
	{"VALUES ($1, 'a')", "VALUES (1, 2), (3, 4)", "OVERRIDING USER VALUE VALUES (1, 2)", "SELECT 1, 2 FROM o JOIN p ON o.a = p.a"},
	{"", "ON CONFLICT DO NOTHING", "ON CONFLICT (id) DO UPDATE SET x = 1 WHERE t.x > 2", "ON CONFLICT ON CONSTRAINT k DO UPDATE SET x = (SELECT 1)"},
	{"", "RETURNING id"},
}

var updates = [][]string{
	{"UPDATE t", "UPDATE ONLY s.t", "UPDATE t *", "UPDATE t AS a", "WITH c AS (SELECT 1) UPDATE t a", "UPDATE ONLY (t)"},
	{"SET x = 1", "SET (x, y) = (SELECT 1, 2), z = a IS DISTINCT FROM b"},
	{"", "FROM o"},
	{"", "WHERE id = $1", "WHERE t.id = 5", "WHERE a.id = 5 AND x", "WHERE CURRENT OF c"},
	{"", "RETURNING *"},
}

var deletes = [][]string{
	{"DELETE FROM t", "DELETE FROM ONLY s.t", "DELETE FROM t a", "WITH RECURSIVE c(n) AS (SELECT 1) DELETE FROM t"},
	{"", "USING o"},
	{"", "WHERE id = $2::uuid", "WHERE s.t.id = 'x'", "WHERE (a.id = 5)"},
	{"", "RETURNING id"},
}

var conditionsOfKey = [][]string{
	{"DELETE FROM t WHERE"},
	{"", "x = 1 AND", "x = 1 OR", "NOT", "x BETWEEN 1 AND", "x BETWEEN 1 AND 2 AND", "(x = 1 OR y) AND", "CASE WHEN x AND y THEN z END AND"},
	{
		"id = $1", "(id = 5)", "((id = -7) AND y)", "id = 'a''b'", "id = $1 + 1", "id = CAST($1 AS int)", "id <> 1",
		"id = ANY ($1)", "id = (SELECT 1)", "id = E'x'", "id = $q$x$q$", "id = f(1)", "id = o.id", "(id = 1 OR id = 2)",
		"(id = 3) IS NULL", "id=1.5", "id =-1", "(id, x) = (1, 2)", "\"id\" = 5", "ID = 5", "\"ID\" = 5", "x = id",
		"(SELECT x FROM o WHERE x AND id = 5)", "EXISTS (SELECT 1 WHERE x AND id = 5)", "id = $1::varchar(10)", "id = NULL",
		"CASE WHEN x AND id = 5 AND y THEN z END",
	},
	{"", "AND y = 2", "OR y = 2"},
}

var controls = [][]string{
	{"COMMIT", "END", "ROLLBACK", "ABORT"},
	{"", "WORK", "TRANSACTION"},
	{"", "AND CHAIN", "AND NO CHAIN"},
}

var names = [][]string{
	{"SAVEPOINT", "ROLLBACK TO", "RELEASE", "DELETE FROM"},
	{
		"a", "Ab", `"Ab"`, `"a""b"`, `"a;b"`, "é", "Éa", "a$1", "_a", `U&"d\0061t\+000061"`, `U&"d!0061" UESCAPE '!'`,
		strings.Repeat("x", 70), `"` + strings.Repeat("é", 40) + `"`, strings.Repeat("aé€", 20), "update", "savepoint1", "begin",
	},
}

// scripts are statements in one string, with what may hide a semicolon.
func scripts() []string {
	pieces := []string{
		"SELECT ';'", "SELECT E'\\';'", "SELECT $$;$$", "SELECT $a$;$$;$a$", `SELECT ";" FROM t`, "SELECT 1 -- ;",
		"/* ; /* ; */ ; */ BEGIN", "SELECT E'a'\n'\\';'", "SELECT U&';'", "SELECT B'1', X'1', N';'", "SELECT 'a'\n';'",
		"", "COMMIT", "SELECT a[1:2], b -> 'c;' #>> '{d}'", "SELECT 1 @- -1", "SELECT -1 /* ; */ - 1",
		"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 2; END",
		"CREATE FUNCTION f() RETURNS int RETURN 1",
		"CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b)",
	}
	var all []string
	for _, a := range pieces {
		for _, b := range pieces {
			all = append(all, a+"\n;"+b)
		}
	}
	return all
}
