package lex

import (
	"reflect"
	"testing"
)

func TestMySQLStatements(t *testing.T) {
	orders := []Table{{Name: "orders"}}
	seven := Key{Found: true, Literal: "7"}
	for query, want := range map[string][]Statement{
		"SELECT 1":                    {{}},
		"(SELECT 1) UNION (SELECT 2)": {{}},
		"INSERT INTO orders (id, v) VALUES (7, 'it\\'s; COMMIT')":          {{Kind: Write, Tables: orders, Key: seven}},
		"INSERT orders VALUES (\"a\"\"b;\", 'x\\\\')":                      {{Kind: Write, Tables: orders}},
		"insert ignore into `orders` set v = 1, id = 7":                    {{Kind: Write, Tables: orders}},
		"insert into `orders` set v = 1, id = 7":                           {{Kind: Write, Tables: orders, Key: seven}},
		"INSERT INTO orders SET id = 7 + 1":                                {{Kind: Write, Tables: orders}},
		"INSERT INTO orders (id) VALUES (?) RETURNING id":                  {{Kind: Write, Tables: orders, Key: Key{Found: true, Param: 1}, Returning: true}},
		"INSERT INTO orders (id) VALUES (7) ON DUPLICATE KEY UPDATE v = 1": {{Kind: Write, Op: Upsert, Tables: orders}},
		"REPLACE INTO shop.orders (id) VALUES (7)":                         {{Kind: Write, Op: Upsert, Tables: []Table{{"shop", "orders"}}, Key: seven, Moves: true}},
		"UPDATE LOW_PRIORITY orders o SET v = 1 WHERE o.id = 7":            {{Kind: Write, Op: Update, Tables: orders, Key: seven}},
		"UPDATE orders SET v = 1 WHERE id = 7 || v = 2":                    {{Kind: Write, Op: Update, Tables: orders}},
		"UPDATE orders SET v = 1 WHERE id = 7 AND a XOR b":                 {{Kind: Write, Op: Update, Tables: orders}},
		"UPDATE orders, items SET orders.v = 1":                            {{Kind: Opaque, Verb: "UPDATE"}},
		"UPDATE orders JOIN items USING (id) SET orders.v = 1":             {{Kind: Opaque, Verb: "UPDATE"}},
		"DELETE FROM orders WHERE id = 7 LIMIT 1":                          {{Kind: Write, Op: Delete, Tables: orders, Key: seven}},
		"DELETE orders FROM orders JOIN items":                             {{Kind: Opaque, Verb: "DELETE"}},
		"DELETE FROM orders, items USING orders JOIN items":                {{Kind: Opaque, Verb: "DELETE"}},
		"WITH x AS (SELECT 1) UPDATE orders SET v = 1 WHERE id = 7":        {{Kind: Write, Op: Update, Tables: orders, Key: seven}},
		"WITH x AS (SELECT 1) SELECT * FROM x":                             {{}},
		"LOAD DATA LOCAL INFILE 'f' REPLACE INTO TABLE orders":             {{Kind: Write, Op: Upsert, Tables: orders}},
		"TRUNCATE orders": {{Kind: Write, Op: Truncate, Tables: orders, Commits: true}},
		"CREATE TABLE IF NOT EXISTS orders (a int)":                   {{Kind: Schema, Verb: "CREATE TABLE", Tables: orders, Commits: true, Conditional: true}},
		"CREATE TEMPORARY TABLE orders (a int)":                       {{Kind: Schema, Verb: "CREATE TABLE", Tables: orders, Temporary: true}},
		"DROP TEMPORARY TABLE orders":                                 {{Kind: Schema, Verb: "DROP TABLE", Tables: orders, Temporary: true}},
		"CREATE INDEX i ON orders (a)":                                {{Kind: Schema, Verb: "CREATE INDEX", Tables: []Table{{Name: "i"}}, On: orders[0], Commits: true}},
		"RENAME TABLE orders TO o, a TO b":                            {{Kind: Schema, Verb: "RENAME TABLE", Tables: []Table{{Name: "orders"}, {Name: "o"}, {Name: "a"}, {Name: "b"}}, Commits: true}},
		"GRANT SELECT ON orders TO app":                               {{Kind: Schema, Verb: "GRANT", Commits: true}},
		"LOCK TABLES orders WRITE":                                    {{Commits: true}},
		"UNLOCK TABLES":                                               {{EndsUnseen: true}},
		"SET autocommit = 0":                                          {{EndsUnseen: true}},
		"SET @a = 1, @@session.autocommit = 0":                        {{EndsUnseen: true}},
		"SET NAMES utf8mb4":                                           {{Modes: true}},
		"SET @old = @@sql_mode, sql_mode = ''":                        {{Modes: true}},
		"SET autocommit = 0, @@session.sql_mode = ''":                 {{EndsUnseen: true, Modes: true}},
		"SET CHARACTER SET gbk":                                       {{Modes: true}},
		"SET time_zone = 'UTC'":                                       {{}},
		"SET STATEMENT max_statement_time = 1 FOR DELETE FROM orders": {{Kind: Opaque, Verb: "SET", EndsUnseen: true}},
		"BEGIN":                        {{Kind: Begin}},
		"begin work; ROLLBACK":         {{Kind: Begin}, {Kind: Rollback}},
		"START TRANSACTION READ ONLY":  {{Kind: Begin}},
		"START SLAVE":                  {{EndsUnseen: true}},
		"COMMIT AND CHAIN":             {{Kind: Commit, Chain: true}},
		"ROLLBACK WORK TO SAVEPOINT A": {{Kind: RollbackTo, Name: "a"}},
		"RELEASE SAVEPOINT `a``b`":     {{Kind: Release, Name: "a`b"}},
		"BEGIN NOT ATOMIC DELETE FROM orders; ROLLBACK; END":        {{Kind: Opaque, Verb: "BEGIN", EndsUnseen: true}},
		"IF 1 THEN COMMIT; END IF":                                  {{Kind: Opaque, Verb: "IF", EndsUnseen: true}},
		"CALL p()":                                                  {{Kind: Opaque, Verb: "CALL", EndsUnseen: true}},
		"XA START 'x'":                                              {{Kind: Opaque, Verb: "XA", EndsUnseen: true}},
		"ANALYZE UPDATE orders SET v = 1":                           {{Kind: Opaque, Verb: "ANALYZE", EndsUnseen: true}},
		"EXPLAIN DELETE FROM orders":                                {{}},
		"# DELETE FROM a\nDELETE FROM orders -- ; COMMIT\n":         {{Kind: Write, Op: Delete, Tables: orders}},
		"DELETE FROM orders WHERE v = 1--1; COMMIT":                 {{Kind: Write, Op: Delete, Tables: orders}, {Kind: Commit}},
		"/*!40101 SET time_zone = 'UTC' */; /*M!100100 ROLLBACK */": {{}, {Kind: Rollback}},
		"SELECT 'a\x00b'; COMMIT":                                   {{}, {Kind: Commit}},
		"CREATE TRIGGER g BEFORE INSERT ON orders FOR EACH ROW BEGIN SET @a = 1; COMMIT; END": {{Kind: Schema, Verb: "CREATE TRIGGER", Tables: []Table{{Name: "g"}}, Commits: true, EndsUnseen: true}},
	} {
		if got := Parse(MySQL, query, "id", nil); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", query, got, want)
		}
	}
}

// TestMySQLModes: what a backslash and a double quote mean, sql_mode says.
func TestMySQLModes(t *testing.T) {
	for _, c := range []struct {
		query     string
		mode      string
		commits   bool
		ambiguous bool
	}{
		{`INSERT INTO a VALUES ('\'); COMMIT; -- ')`, "", false, true},
		{`INSERT INTO a VALUES ('\'); COMMIT; -- ')`, "STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES", true, true},
		{`INSERT INTO "a" VALUES (1)`, "ANSI,ANSI_QUOTES", false, true},
		{`INSERT INTO a VALUES ("\n", 'it''s')`, "", false, false},
		{`INSERT INTO a VALUES ("x", "it's"); COMMIT`, "", true, false},
	} {
		stmts := Parse(MySQLDialect(c.mode), c.query, "id", nil)
		commits := len(stmts) > 1 && stmts[1].Kind == Commit
		if commits != c.commits {
			t.Errorf("%s in %q: a COMMIT %v, want %v", c.query, c.mode, commits, c.commits)
		}
		if got := AmbiguousMySQL(c.query, "id", Parse(MySQL, c.query, "id", nil)); got != c.ambiguous {
			t.Errorf("%s: ambiguous %v, want %v", c.query, got, c.ambiguous)
		}
	}
	ansi := Parse(MySQLDialect("ANSI_QUOTES"), `INSERT INTO "a" VALUES (1)`, "id", nil)
	if len(ansi) != 1 || ansi[0].Kind != Write || ansi[0].Tables[0].Name != "a" {
		t.Errorf("a name in double quotes: %+v", ansi)
	}
}

// TestMySQLConditional: what the server's version decides on.
func TestMySQLConditional(t *testing.T) {
	for query, want := range map[string]bool{
		"/*!40101 SET time_zone = 'UTC' */":        false,
		"/*!40101 SET NAMES utf8 */":               true,
		"SELECT /*! STRAIGHT_JOIN */ 1":            false,
		"DELETE FROM a /*!99999 ; COMMIT */":       true,
		"/*!40101 SET autocommit = 0 */":           true,
		"/*! INSERT INTO a */ SELECT 1":            true,
		"SELECT '/*!'":                             false,
		"/*!50003 CREATE */ /*!50020 TRIGGER g */": true,
	} {
		if got := Conditional(MySQL, query, "id", Parse(MySQL, query, "id", nil)); got != want {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
		if Plain(query) && want {
			t.Errorf("%s counts as plain", query)
		}
	}
}
