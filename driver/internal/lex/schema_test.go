package lex

import (
	"reflect"
	"testing"
)

func TestSchema(t *testing.T) {
	named := func(verb string, tables ...Table) Statement {
		return Statement{Kind: Schema, Verb: verb, Tables: tables}
	}
	with := func(st Statement, change func(*Statement)) Statement {
		change(&st)
		return st
	}
	temporary := func(st *Statement) { st.Temporary = true }
	conditional := func(st *Statement) { st.Conditional = true }
	noBlock := func(st *Statement) { st.NoBlock = true }
	concurrent := func(st *Statement) { st.NoBlock, st.Concurrent = true, true }
	on := func(table string) func(*Statement) {
		return func(st *Statement) { st.On = Table{Name: table} }
	}
	tt, st, v := Table{Name: "t"}, Table{Schema: "s", Name: "t"}, Table{Name: "v"}
	for _, c := range []struct {
		query string
		on    []Dialect
		want  Statement
	}{
		{"CREATE TABLE t (id int)", both, named("CREATE TABLE", tt)},
		{"create table if not exists s.t (id int)", both, with(named("CREATE TABLE", st), conditional)},
		{"CREATE TEMP TABLE t (a)", both, with(named("CREATE TABLE", tt), temporary)},
		{"CREATE TEMPORARY VIEW v AS SELECT 1", both, with(named("CREATE VIEW", v), temporary)},
		{"CREATE TABLE pg_temp.t (a int)", both[:1], with(named("CREATE TABLE", Table{"pg_temp", "t"}), temporary)},
		{"CREATE TABLE Temp.t (a int)", both[1:], with(named("CREATE TABLE", Table{"Temp", "t"}), temporary)},
		{"CREATE UNLOGGED TABLE t (a int)", both[:1], named("CREATE TABLE", tt)},
		{"CREATE VIRTUAL TABLE t USING fts5(a)", both[1:], named("CREATE TABLE", tt)},
		{"CREATE OR REPLACE VIEW v AS SELECT 1", both[:1], named("CREATE VIEW", v)},
		{"CREATE MATERIALIZED VIEW v AS SELECT 1", both[:1], named("CREATE VIEW", v)},
		{"CREATE INDEX v ON t (a)", both, with(named("CREATE INDEX", v), on("t"))},
		{"CREATE UNIQUE INDEX IF NOT EXISTS v ON t (a)", both, with(with(named("CREATE INDEX", v), on("t")), conditional)},
		{"CREATE INDEX ON t (a)", both[:1], with(named("CREATE INDEX"), on("t"))},
		{"CREATE INDEX CONCURRENTLY v ON t (a)", both[:1], with(with(named("CREATE INDEX", v), on("t")), concurrent)},
		{"DROP TABLE IF EXISTS t, s.t CASCADE", both[:1], with(named("DROP TABLE", tt, st), conditional)},
		{"CREATE TABLE IF NOT EXISTS t (a int)", both, with(named("CREATE TABLE", tt), conditional)},
		{"CREATE TABLE if (a int)", both[:1], named("CREATE TABLE", Table{Name: "if"})},
		{"DROP INDEX CONCURRENTLY v", both[:1], with(named("DROP INDEX", v), concurrent)},
		{"DROP TRIGGER v ON t", both[:1], with(named("DROP TRIGGER", v), on("t"))},
		{"DROP TRIGGER v", both[1:], named("DROP TRIGGER", v)},
		{"ALTER TABLE t ADD COLUMN a int", both, named("ALTER TABLE", tt)},
		{"ALTER TABLE ONLY t DETACH PARTITION v CONCURRENTLY", both[:1], with(named("ALTER TABLE", tt), concurrent)},
		{"CREATE DATABASE v", both[:1], with(named("CREATE DATABASE", v), noBlock)},
		{"DROP DATABASE v", both[:1], with(named("DROP DATABASE", v), noBlock)},
		{"ALTER DATABASE v SET a = 1", both[:1], named("ALTER DATABASE", v)},
		{"ALTER DATABASE v SET TABLESPACE t", both[:1], with(named("ALTER DATABASE", v), noBlock)},
		{"CREATE TABLESPACE v LOCATION '/a'", both[:1], with(named("CREATE TABLESPACE", v), noBlock)},
		{"DROP TABLESPACE v", both[:1], with(named("DROP TABLESPACE", v), noBlock)},
		{"ALTER SYSTEM SET a = 1", both[:1], with(named("ALTER SYSTEM"), noBlock)},
		{"DROP SUBSCRIPTION v", both[:1], with(named("DROP SUBSCRIPTION", v), noBlock)},
		{"CREATE SCHEMA v", both[:1], named("CREATE SCHEMA", v)},
		{"CREATE SCHEMA AUTHORIZATION v", both[:1], named("CREATE SCHEMA")},
		{"CREATE FUNCTION v() RETURNS int RETURN 1", both[:1], named("CREATE FUNCTION", v)},
		{"CREATE USER MAPPING FOR a SERVER b", both[:1], named("CREATE USER")},
		{"CREATE FOREIGN TABLE t (a int) SERVER v", both[:1], named("CREATE TABLE", tt)},
		{"GRANT SELECT ON t TO r", both[:1], named("GRANT", tt)},
		{"GRANT ALL ON TABLE s.t TO r", both[:1], named("GRANT", st)},
		{"GRANT USAGE ON SCHEMA s TO r", both[:1], named("GRANT")},
		{`GRANT USAGE ON SCHEMA "s" TO r`, both[:1], named("GRANT")},
		{"GRANT a TO b", both[:1], named("GRANT")},
		{"REVOKE SELECT ON t FROM r", both[:1], named("REVOKE", tt)},
		{"COMMENT ON TABLE t IS 'a'", both[:1], named("COMMENT", tt)},
		{"COMMENT ON COLUMN t.a IS 'a'", both[:1], named("COMMENT")},
		{"IMPORT FOREIGN SCHEMA a FROM SERVER b INTO c", both[:1], named("IMPORT")},
		{"GRANT a TO b", both[1:], Statement{Kind: Opaque, Verb: "GRANT"}},
		{"CREATE", both, named("CREATE")},
		{"DROP", both, named("DROP")},
	} {
		for _, d := range c.on {
			if got := one(t, d, c.query); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%v: %s\n got %+v\nwant %+v", d, c.query, got, c.want)
			}
		}
	}
}

func TestRenamed(t *testing.T) {
	for _, c := range []struct {
		query string
		on    []Dialect
		want  Table
	}{
		{"ALTER TABLE t RENAME TO v", both, Table{Name: "v"}},
		{"ALTER TABLE IF EXISTS ONLY s.t RENAME TO V", both[:1], Table{"s", "v"}},
		{"ALTER VIEW t RENAME TO v", both[:1], Table{Name: "v"}},
		{"ALTER TABLE t SET SCHEMA s", both[:1], Table{"s", "t"}},
		{"ALTER TABLE t RENAME COLUMN a TO b", both, Table{}},
		{"ALTER TABLE t RENAME a TO b", both, Table{}},
		{"ALTER TABLE t RENAME CONSTRAINT a TO b", both, Table{}},
		{"ALTER TABLE t SET (a = 1)", both, Table{}},
	} {
		for _, d := range c.on {
			if got := one(t, d, c.query); got.To != c.want {
				t.Errorf("%v: %s renames to %v, want %v", d, c.query, got.To, c.want)
			}
		}
	}
}
