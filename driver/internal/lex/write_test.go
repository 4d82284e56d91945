package lex

import (
	"reflect"
	"testing"
)

// What PostgreSQL makes of writes is in testdata/pgquery.jsonl; see
// TestAgreesWithTheServersParser. These are SQLite's own.
func TestWritesOfSQLite(t *testing.T) {
	users := []Table{{Name: "Users"}}
	for _, c := range []struct {
		query string
		want  Statement
	}{
		{"INSERT INTO Users VALUES (1)", Statement{Kind: Write, Op: Insert, Tables: users}},
		{"INSERT INTO Users VALUES (1) RETURNING *", Statement{Kind: Write, Op: Insert, Tables: users, Returning: true, ReturnsKey: true}},
		{"insert into main.[a b] default values", Statement{Kind: Write, Op: Insert, Tables: []Table{{"main", "a b"}}}},
		{"INSERT INTO `a``b` VALUES (1)", Statement{Kind: Write, Op: Insert, Tables: []Table{{Name: "a`b"}}}},
		{`INSERT INTO "A""b" VALUES (1)`, Statement{Kind: Write, Op: Insert, Tables: []Table{{Name: `A"b`}}}},
		{"INSERT INTO 'a' VALUES (1)", Statement{Kind: Write, Op: Insert, Tables: []Table{{Name: "a"}}}},
		{"INSERT OR IGNORE INTO Users VALUES (1)", Statement{Kind: Write, Op: Insert, Tables: users}},
		{"INSERT OR ABORT INTO Users VALUES (1)", Statement{Kind: Write, Op: Insert, Tables: users}},
		{"INSERT OR FAIL INTO Users VALUES (1)", Statement{Kind: Write, Op: Insert, Tables: users}},
		{"INSERT OR REPLACE INTO Users VALUES (1)", Statement{Kind: Write, Op: Upsert, Tables: users, Moves: true}},
		{"REPLACE INTO Users VALUES (1)", Statement{Kind: Write, Op: Upsert, Tables: users, Moves: true}},
		{"INSERT OR ROLLBACK INTO Users VALUES (1)", Statement{Kind: Write, Op: Insert, Tables: users, EndsUnseen: true}},
		{"UPDATE OR ROLLBACK Users SET a = 1", Statement{Kind: Write, Op: Update, Tables: users, EndsUnseen: true}},
		{"UPDATE OR REPLACE Users SET a = 1", Statement{Kind: Write, Op: Update, Tables: users, Moves: true}},
		{"UPDATE OR IGNORE Users AS u SET a = 1 RETURNING a", Statement{Kind: Write, Op: Update, Tables: users, Returning: true}},
		{"UPDATE Users INDEXED BY i SET a = 1", Statement{Kind: Write, Op: Update, Tables: users}},
		{"UPDATE Users NOT INDEXED SET a = 1", Statement{Kind: Write, Op: Update, Tables: users}},
		{"DELETE FROM Users ORDER BY a LIMIT 1", Statement{Kind: Write, Op: Delete, Tables: users}},
		{"INSERT INTO Users SELECT * FROM a WHERE true ON CONFLICT DO UPDATE SET a = 1", Statement{Kind: Write, Op: Upsert, Tables: users}},
		{"INSERT INTO Users VALUES (1) ON CONFLICT (a) DO NOTHING ON CONFLICT (b) DO UPDATE SET a = 1", Statement{Kind: Write, Op: Upsert, Tables: users}},
		{"WITH a AS (SELECT 1) REPLACE INTO Users SELECT * FROM a", Statement{Kind: Write, Op: Upsert, Tables: users, Moves: true}},
		{"WITH RECURSIVE a(x) AS NOT MATERIALIZED (SELECT 1) DELETE FROM Users", Statement{Kind: Write, Op: Delete, Tables: users}},

		{"TRUNCATE Users", Statement{Kind: Opaque, Verb: "TRUNCATE"}},
		{"INSERT Users VALUES (1)", Statement{Kind: Opaque, Verb: "INSERT"}},
		{"INSERT INTO ?", Statement{Kind: Opaque, Verb: "INSERT"}},
		{"UPDATE Users", Statement{Kind: Opaque, Verb: "UPDATE"}},
		{"DELETE Users", Statement{Kind: Opaque, Verb: "DELETE"}},
		{"MERGE INTO Users", Statement{Kind: Opaque, Verb: "MERGE"}},
	} {
		if got := one(t, SQLite, c.query); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s\n got %+v\nwant %+v", c.query, got, c.want)
		}
	}
}

// Statements that PostgreSQL's parser refuses may be anything but a Read, which
// would hide them.
func TestWhatPostgreSQLRefuses(t *testing.T) {
	for _, query := range []string{
		"REPLACE INTO t VALUES (1)", "INSERT t VALUES (1)", "INSERT INTO 't' VALUES (1)", "UPDATE t", "UPDATE SET a = 1",
		"DELETE t", "TRUNCATE", "TRUNCATE t,", "INSERT OR REPLACE INTO t VALUES (1)", `UPDATE U&"\zzzz" SET a = 1`,
		`DELETE FROM U&"a" UESCAPE 5`, "WITH", "WITH a", "WITH a AS (SELECT 1)", "'a'", "5", "$1", "FROM t", "UPSERT INTO t",
	} {
		if st := one(t, Postgres, query); st.Kind != Opaque {
			t.Errorf("%s is %+v, want Opaque", query, st)
		}
	}
}

// TestReturnsKey: only the column itself counts, and the end of the list is not
// read past.
func TestReturnsKey(t *testing.T) {
	for list, want := range map[string]bool{
		"id": true, "*": true, "t.*": true, "t.id": true, "a, id": true, "f(a, id), id, b": true, `"id"`: true, "/* x */ id -- y\n": true,
		"a": false, "a AS id": false, "a id": false, "id AS a": false, "id + 1": false, "f(id)": false, "(id)": false, "f(a, id)": false, "-id": false, "id[1]": false, "": false,
	} {
		for _, d := range []Dialect{Postgres, SQLite} {
			stmts := Parse(d, "INSERT INTO t (a) VALUES (1) RETURNING "+list+"; COMMIT", "id", nil)
			if len(stmts) != 2 || !stmts[0].Returning || stmts[0].ReturnsKey != want || stmts[1].Kind != Commit {
				t.Errorf("%s: %q gives %+v", d, list, stmts)
			}
		}
	}
}

// TestMoves: a statement that may set the key's column says so.
func TestMoves(t *testing.T) {
	for query, want := range map[string]bool{
		"UPDATE t SET id = 2 WHERE id = 1":                                                          true,
		"UPDATE t SET a = 1, id = 2":                                                                true,
		"UPDATE t SET (a, id) = (1, 2) WHERE a = 1":                                                 true,
		"UPDATE t SET a = 1 WHERE id = 1":                                                           false,
		"UPDATE t SET a = 1 RETURNING id":                                                           false,
		"UPDATE t AS id SET a = 1":                                                                  false,
		"DELETE FROM t WHERE id = 1":                                                                false,
		"WITH w AS (SELECT id FROM b) UPDATE t SET a = 1":                                           false,
		"UPDATE t SET a = b.id FROM b":                                                              false,
		"INSERT INTO t (id) VALUES (9) ON CONFLICT (id) DO UPDATE SET id = 12":                      true,
		"INSERT INTO t (id) VALUES (9) ON CONFLICT (id) DO UPDATE SET (a, id) = (1, 12)":            true,
		"INSERT INTO t (id) VALUES (9) ON CONFLICT (id) DO UPDATE SET a = 1, id = 12 WHERE t.a = 1": true,
		"INSERT INTO t (id) VALUES (9) ON CONFLICT (id) DO UPDATE SET a = excluded.id WHERE id > 1": false,
		"INSERT INTO t (id) VALUES (9) ON CONFLICT (id) DO UPDATE SET a = 1 RETURNING id":           false,
		"INSERT INTO t (id) VALUES (9) ON CONFLICT (id) DO NOTHING":                                 false,
	} {
		for _, d := range both {
			if got := one(t, d, query); got.Moves != want {
				t.Errorf("%v: %s moves: %v", d, query, got.Moves)
			}
		}
	}
}

// TestMovesByOtherNames: the key's column has other names than its own.
func TestMovesByOtherNames(t *testing.T) {
	moves := map[Dialect][]string{
		SQLite: {
			"rowid = 2", "a = 1, OID = 2", "_rowid_ = 2", "'id' = 2", "'ID' = 2", `"rowid" = 2`, "[oid] = 2", "'rowid' = 2", "(a, rowid) = (1, 2)", "(a, 'id') = (1, 2)",
		},
		Postgres: {`U&"id" = 2`, `U&"\0069d" = 2`, `U&"!0069d" UESCAPE '!' = 2`, `(a, U&"id") = (1, 2)`},
		MySQL:    {"t.id = 2", "`t`.`id` = 2", "a = 1, d.t.id = 2"},
	}
	for d, sets := range moves {
		for _, set := range sets {
			queries := []string{"UPDATE t SET " + set + " WHERE id = 1"}
			if d != MySQL {
				queries = append(queries, "INSERT INTO t (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET "+set)
			}
			for _, query := range queries {
				if got := one(t, d, query); !got.Moves || got.Key.Literal != "1" {
					t.Errorf("%d: %s gives %+v, want one that moves 1", d, query, got)
				}
			}
		}
	}
	for d, sets := range map[Dialect][]string{
		SQLite:   {"a = 1", "'a' = 1", "x'6964' = 1"},
		Postgres: {"rowid = 1", "oid = 1", "a.id = 1"},
		MySQL:    {"rowid = 1", "t.a = 1", "d.id.a = 1"},
	} {
		for _, set := range sets {
			if one(t, d, "UPDATE t SET "+set+" WHERE id = 1").Moves {
				t.Errorf("%d: SET %s does not set the key", d, set)
			}
		}
	}
}

// TestKeyByOtherNames: an INSERT that gives the key two values has none.
func TestKeyByOtherNames(t *testing.T) {
	for columns, want := range map[string]string{
		"('id', n) VALUES (7, 8)":          "7",
		"(n, 'ID') VALUES (7, 8)":          "8",
		"(n, id) VALUES (7, 8)":            "8",
		"(id, rowid) VALUES (7, 8)":        "",
		"(oid, id) VALUES (7, 8)":          "",
		"(id, '_rowid_') VALUES (7, 8)":    "",
		"(id, n, id) VALUES (7, 1, 8)":     "",
		"('id', n, [id]) VALUES (7, 1, 8)": "",
		"(rowid) VALUES (7)":               "",
		"VALUES (7, 8)":                    "",
	} {
		if got := one(t, SQLite, "INSERT INTO t "+columns); got.Key.Literal != want {
			t.Errorf("%s has the key %+v, want %q", columns, got.Key, want)
		}
	}
	if got := one(t, Postgres, "INSERT INTO t (rowid, id) VALUES (7, 8)"); got.Key.Literal != "8" {
		t.Errorf("PostgreSQL has no other names: %+v", got.Key)
	}
}

// TestCommands: the first column has the table's name.
func TestCommands(t *testing.T) {
	for query, want := range map[string]bool{
		"INSERT INTO f (f) VALUES ('optimize')":                true,
		"INSERT INTO main.f ([F], rank) VALUES ('merge', 500)": true,
		"INSERT INTO f(f, rowid, a) VALUES ('delete', 1, 'x')": true,
		"INSERT INTO f (a, f) VALUES (1, 2)":                   false,
		"INSERT INTO f SELECT f FROM b":                        false,
		"INSERT INTO f VALUES ('optimize')":                    false,
	} {
		if got := one(t, SQLite, query); got.Command != want {
			t.Errorf("%s is a command: %v", query, got.Command)
		}
		if one(t, Postgres, "INSERT INTO f (f) VALUES ('optimize')").Command {
			t.Error("PostgreSQL has no commands")
		}
	}
}
