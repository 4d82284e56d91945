package lex

import "testing"

// PostgreSQL's keys are in testdata/pgquery.jsonl; see
// TestAgreesWithTheServersParser. These are about parameters and names on
// SQLite.
func TestKeyOnSQLite(t *testing.T) {
	param := func(n int) Key { return Key{Found: true, Param: n} }
	name := func(s string) Key { return Key{Found: true, ParamName: s} }
	literal := func(s string) Key { return Key{Found: true, Literal: s} }
	for _, c := range []struct {
		query string
		want  Key
	}{
		{"INSERT INTO t (a, id) VALUES (?, ?)", param(2)},
		{"INSERT INTO t (a, ID) VALUES (?7, ?)", param(8)},
		{"INSERT INTO t (id, a) VALUES (?12, ?)", param(12)},
		{"INSERT INTO t (id) VALUES (:id)", name("id")},
		{"INSERT INTO t (id) VALUES (@Id)", name("Id")},
		{"INSERT INTO t (id) VALUES ($id)", name("id")},
		{"INSERT INTO t (id) VALUES ($a::b(c;))", name("a::b(c;)")},
		{"INSERT INTO t (a, id) VALUES ($1, $2)", param(2)},
		{"INSERT INTO t (a, id) VALUES ($2, $1)", Key{}}, // in this order drivers differ
		{"INSERT INTO t (a, id) VALUES (:a, ?)", Key{}},  // the ordinal depends on :a
		{"INSERT INTO t (a, id) VALUES (:a, ?2)", param(2)},
		{"INSERT INTO t (id) VALUES ('a''b')", literal("a'b")},
		{"INSERT INTO t ([id]) VALUES (5)", literal("5")},
		{"INSERT INTO t (`Id`) VALUES (-5)", literal("-5")},
		{"INSERT INTO t (id) VALUES (007)", literal("7")},
		{"INSERT INTO t (id) VALUES (-0)", literal("0")},
		{"INSERT INTO t (id) VALUES (-07)", literal("-7")},
		{"INSERT INTO t (id) VALUES (CAST('7' AS INTEGER))", Key{Found: true, Literal: "7", Type: Integer}},
		{"INSERT INTO t (id) VALUES (CAST(? AS text))", param(1)},
		{"INSERT INTO t (id) VALUES (CAST(? AS varchar(3)))", Key{}},
		{"INSERT INTO t (id) VALUES (CAST(? AS REAL))", Key{}},
		{"INSERT INTO t (id) VALUES (x'00')", Key{}},
		{"INSERT INTO t (id) VALUES (5.0)", Key{}},
		{"INSERT INTO t (id) VALUES (0x10)", Key{}},
		{"INSERT INTO t (id) VALUES (?99999999999)", Key{}},
		{"INSERT INTO t (id) VALUES (?), (?)", Key{}},
		{"INSERT INTO t (id) VALUES (?) ON CONFLICT (ID) DO UPDATE SET a = 1", param(1)},
		{"INSERT INTO t (id) VALUES (?) ON CONFLICT DO UPDATE SET a = 1", Key{}},
		{"INSERT INTO t (id) VALUES (?) ON CONFLICT (id) DO UPDATE SET a = 1 ON CONFLICT (b) DO UPDATE SET a = 2", Key{}},
		{"REPLACE INTO t (id) VALUES (?)", param(1)},
		{"UPDATE t SET a = ? WHERE id = ?", param(2)},
		{"UPDATE t SET a = ? WHERE id == ?", param(2)},
		{"UPDATE t SET a = ? WHERE T.Id = ?", param(2)},
		{"UPDATE t SET a = ? WHERE main.t.id = ? LIMIT 1", param(2)},
		{"UPDATE t SET a = ? WHERE id IS ?", Key{}},
		{"UPDATE t SET a = ? WHERE id = ? COLLATE NOCASE", Key{}},
		{"DELETE FROM t WHERE `t`.`id` = 1", literal("1")},
		{"DELETE FROM t AS u WHERE t.id = 1", Key{}},
		{"DELETE FROM t WHERE ((((((((id = 1))))))))", literal("1")},
		{"DELETE FROM t WHERE (((((((((id = 1)))))))))", Key{}}, // deeper than is looked into
		{"DELETE FROM t WHERE id = ? AND a = ? ORDER BY b", param(1)},
	} {
		if got := one(t, SQLite, c.query).Key; got != c.want {
			t.Errorf("%s\n got %+v\nwant %+v", c.query, got, c.want)
		}
	}
}

// One SQLite driver gives each statement of a string the arguments from the
// first on, another those that are left; so the second one's are not known.
func TestKeyInALaterStatement(t *testing.T) {
	for _, c := range []struct {
		dialect Dialect
		query   string
		want    Key
	}{
		{SQLite, "SELECT ?; DELETE FROM t WHERE id = ?", Key{}},
		{SQLite, "SELECT ?; DELETE FROM t WHERE id = ?1", Key{}},
		{SQLite, "SELECT :a; DELETE FROM t WHERE id = :b", Key{Found: true, ParamName: "b"}},
		{SQLite, "SELECT 1; DELETE FROM t WHERE id = ?", Key{Found: true, Param: 1}},
		{Postgres, "SELECT $1; DELETE FROM t WHERE id = $2", Key{Found: true, Param: 2}},
	} {
		sts := Parse(c.dialect, c.query, "id", nil)
		if len(sts) != 2 || sts[1].Key != c.want {
			t.Errorf("%v: %s\n got %+v\nwant key %+v", c.dialect, c.query, sts, c.want)
		}
	}
}

func TestKeyColumn(t *testing.T) {
	for _, c := range []struct {
		column, query string
		found         bool
	}{
		{"user_id", "DELETE FROM t WHERE user_id = 1", true},
		{"user_id", "DELETE FROM t WHERE User_ID = 1", true},
		{"user_id", `DELETE FROM t WHERE "User_ID" = 1`, false},
		{"User_ID", `DELETE FROM t WHERE "User_ID" = 1`, true},
		{"id", "DELETE FROM t WHERE user_id = 1", false},
		{"", "DELETE FROM t WHERE id = 1", false},
		{"", `DELETE FROM t WHERE "" = 1`, false},
	} {
		if sts := Parse(Postgres, c.query, c.column, nil); sts[0].Key.Found != c.found {
			t.Errorf("%s with the key column %q: %+v", c.query, c.column, sts[0].Key)
		}
	}
}
