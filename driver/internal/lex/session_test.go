package lex

import "testing"

func TestSession(t *testing.T) {
	tests := []struct {
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
		{MySQL, "USE x", "USE"},
		{MySQL, "INSERT INTO t SET a = 1", ""},
	}
	for _, test := range tests {
		if got := Session(test.dialect, test.query); got != test.want {
			t.Errorf("%s: %q, want %q", test.query, got, test.want)
		}
	}
}
