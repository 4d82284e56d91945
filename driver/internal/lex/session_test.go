package lex

import "testing"

// sessions are statements, and the words of what in them changes the session.
var sessions = []struct {
	dialect Dialect
	query   string
	want    string
}{
	{Postgres, "SET search_path = x", "SET"},
	{Postgres, "/* a */ set role x", "SET"},
	{Postgres, "SET SESSION AUTHORIZATION x", "SET"},
	{Postgres, "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET"},
	{Postgres, "SET LOCAL search_path = x; SELECT 1", ""},
	{Postgres, "SET TRANSACTION READ ONLY", ""},
	{Postgres, "SET CONSTRAINTS ALL DEFERRED", ""},
	{Postgres, "SELECT 1; RESET ALL", "RESET"},
	{Postgres, "LISTEN x", "LISTEN"},
	{Postgres, "NOTIFY x", ""},
	{Postgres, "DISCARD ALL", "DISCARD"},
	{Postgres, "PREPARE x AS SELECT 1", "PREPARE"},
	{Postgres, "PREPARE TRANSACTION 'x'", ""},
	{Postgres, "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "DECLARE … WITH HOLD"},
	{Postgres, "DECLARE c CURSOR FOR SELECT 1", ""},
	{Postgres, "CREATE TEMP TABLE t (id int)", "CREATE TEMPORARY"},
	{Postgres, "CREATE LOCAL TEMPORARY VIEW v AS SELECT 1", "CREATE TEMPORARY"},
	{Postgres, "CREATE TABLE t (id int)", ""},
	{Postgres, "SELECT 1 INTO TEMP t", "INTO TEMPORARY"},
	{Postgres, "WITH x AS (SELECT pg_catalog.pg_advisory_lock(1)) SELECT * FROM x", "pg_advisory_lock"},
	{Postgres, `SELECT "pg_try_advisory_lock"(1)`, "pg_try_advisory_lock"},
	{Postgres, "SELECT pg_advisory_xact_lock(1)", ""},
	{Postgres, "SELECT set_config('role', 'x', false)", "set_config"},
	{Postgres, "SELECT set_config('role', 'x', $1)", "set_config"},
	{Postgres, "SELECT set_config('role', f('x', false), true)", ""},
	{Postgres, "INSERT INTO t VALUES ('SET x; pg_advisory_lock(1)')", ""},
	{Postgres, "UPDATE t SET a = 1; UPDATE t SET b = 1", ""},
	{Postgres, "SELECT 1 FROM pg_locks", ""},
	{Postgres, "SELECT set_config('role', 'x', NOT true)", "set_config"},
	{Postgres, "SELECT set_config('role', 'x', false AND true)", "set_config"},
	{Postgres, "SELECT set_config('role', set_config('a', 'b', false), true)", "set_config"},
	{Postgres, "SELECT set_config('role', 'x', /* a */ TRUE )", ""},
	{Postgres, "SELECT set_config('role', 'x', is_local => true)", ""},
	{Postgres, "SELECT set_config(is_local := true, setting_name := 'role', new_value := 'x')", ""},
	{Postgres, "SELECT set_config(is_local => false, setting_name => 'role', new_value => CASE WHEN true THEN 'x' END)", "set_config"},
	{Postgres, "SELECT set_config('role', is_local => false AND true, new_value => 'x')", "set_config"},
	{Postgres, "SELECT set_config(f('a', 'b', true), 'x', f(true))", "set_config"},
	{Postgres, `SELECT U&"set\005fconfig"('role', 'x', false)`, "set_config"},
	{Postgres, `SELECT U&"set!005fconfig" UESCAPE '!' ('role', 'x', false)`, "set_config"},
	{Postgres, `SELECT U&"a\005fb" FROM t`, ""},
	{Postgres, "CREATE TABLE x AS SELECT set_config('role', 'x', false)", "set_config"},
	{Postgres, "COPY (SELECT set_config('role', 'x', false)) TO STDOUT", "set_config"},
	{Postgres, "UPDATE pg_settings SET setting = 'x' WHERE name = 'role'", "UPDATE pg_settings"},
	{Postgres, `WITH w AS (UPDATE ONLY pg_catalog."pg_settings" SET setting = 'x' RETURNING 1) SELECT * FROM w`, "UPDATE pg_settings"},
	{Postgres, "SELECT setting FROM pg_settings", ""},
	{Postgres, "UPDATE t SET a = s.setting FROM pg_settings s", ""},
	{Postgres, "CREATE TABLE pg_temp.t (id int)", "pg_temp.t"},
	{Postgres, "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "pg_temp.f"},
	{Postgres, "SELECT 1 AS a INTO pg_temp.t", "pg_temp.t"},
	{Postgres, "DROP TABLE pg_temp_3.t", "pg_temp_3.t"},
	{Postgres, `CREATE VIEW "pg_temp".v AS SELECT 1`, "pg_temp.v"},
	{Postgres, "CREATE FUNCTION f() RETURNS int SET search_path = pg_catalog, pg_temp LANGUAGE sql AS 'SELECT 1'", ""},
	{Postgres, "SELECT to_regclass('pg_temp.t')", ""},
	{Postgres, "CREATE OR REPLACE TEMP VIEW v AS SELECT 1", "CREATE TEMPORARY"},
	{Postgres, "CREATE OR REPLACE LOCAL TEMPORARY VIEW v AS SELECT 1", "CREATE TEMPORARY"},
	{Postgres, "EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1", "CREATE TEMPORARY"},
	{Postgres, "SELECT 1 INTO LOCAL TEMP t", "INTO TEMPORARY"},
	{Postgres, "INSERT INTO temp VALUES (1)", ""},
	{Postgres, "INSERT INTO temp (a) SELECT temp FROM t", ""},
	{Postgres, "SELECT pg_advisory_unlock_all()", "pg_advisory_unlock_all"},
	{Postgres, "SELECT pg_try_advisory_lock_shared(1)", "pg_try_advisory_lock_shared"},
	{Postgres, "SELECT pg_try_advisory_xact_lock_shared(1)", ""},
	{Postgres, "SELECT setseed(0.5)", "setseed"},
	{Postgres, "SELECT pg_replication_origin_session_setup('x')", "pg_replication_origin_session_setup"},
	{Postgres, "CLOSE ALL", "CLOSE ALL"},
	{Postgres, "CLOSE c", ""},
	{Postgres, "DECLARE c CURSOR FOR SELECT pg_advisory_lock(1)", "pg_advisory_lock"},
	{SQLite, "CREATE TABLE temp.t (id int)", "temp.t"},
	{SQLite, "CREATE TABLE IF NOT EXISTS TEMP.t (id int)", "TEMP.t"},
	{SQLite, "CREATE TABLE 'temp'.t (id int)", "temp.t"},
	{SQLite, "CREATE TRIGGER [temp].t AFTER INSERT ON main.t BEGIN SELECT 1; END", "temp.t"},
	{SQLite, "CREATE TEMP TRIGGER t AFTER INSERT ON main.t BEGIN SELECT 1; END", "CREATE TEMPORARY"},
	{SQLite, "DROP VIEW temp.v", "temp.v"},
	{SQLite, "INSERT OR IGNORE INTO temp.t VALUES (1)", "temp.t"},
	{SQLite, "UPDATE OR IGNORE temp.t SET a = 1", "temp.t"},
	{SQLite, "DELETE FROM temp.t", "temp.t"},
	{SQLite, "SELECT temp.a FROM temp WHERE temp.a = 1", ""},
	{SQLite, "UPDATE temp SET a = 1", ""},
	{SQLite, "PRAGMA busy_timeout = 5; PRAGMA foreign_keys = off", "PRAGMA foreign_keys"},
	{SQLite, "PRAGMA foreign_keys = off", "PRAGMA foreign_keys"},
	{SQLite, "PRAGMA main.query_only(1)", "PRAGMA query_only"},
	{SQLite, "PRAGMA table_info(t)", ""},
	{SQLite, "PRAGMA synchronous", ""},
	{SQLite, "PRAGMA busy_timeout = 5", ""},
	{SQLite, "ATTACH 'x' AS y", "ATTACH"},
	{SQLite, "CREATE TEMP TABLE t (id int)", "CREATE TEMPORARY"},
	{SQLite, "BEGIN IMMEDIATE", ""},
	{MySQL, "SET autocommit = 0", "SET"},
	{MySQL, "SET TRANSACTION READ ONLY", ""},
	{MySQL, "SELECT GET_LOCK('x', 1)", "get_lock"},
	{MySQL, "SELECT RELEASE_LOCK('x')", "release_lock"},
	{MySQL, "SELECT release_all_locks()", "release_all_locks"},
	{MySQL, "CREATE OR REPLACE TEMPORARY TABLE t (id int)", "CREATE TEMPORARY"},
	{MySQL, "PREPARE x FROM 'SELECT 1'", "PREPARE"},
	{MySQL, "UNLOCK TABLES", "UNLOCK"},
	{MySQL, "USE x", "USE"},
	{MySQL, "INSERT INTO t SET a = 1", ""},
}

func TestSession(t *testing.T) {
	for _, s := range sessions {
		if got, _ := Session(s.dialect, s.query); got != s.want {
			t.Errorf("%s: %q, want %q", s.query, got, s.want)
		}
	}
}

func TestSessionWaits(t *testing.T) {
	for query, want := range map[string]bool{
		"PRAGMA busy_timeout = 5": true, "PRAGMA main.busy_timeout(5)": true, "SELECT 1; PRAGMA busy_timeout = 5": true,
		"PRAGMA busy_timeout": false, "PRAGMA table_info(t)": false,
	} {
		if _, got := Session(SQLite, query); got != want {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
}
