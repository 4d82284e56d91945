package lex

import "testing"

// TestPath: what changes the meaning of names, and what only looks like that.
func TestPath(t *testing.T) {
	for _, c := range []struct {
		query string
		want  bool
	}{
		{"SET search_path = a, public", true},
		{"set search_path to a", true},
		{`SET "search_path" = a`, true},
		{"SET LOCAL search_path = a", true},
		{"SET SESSION search_path = a", true},
		{"SET SCHEMA 'a'", true},
		{"SET LOCAL SCHEMA 'a'", true},
		{"SET ROLE a", true},
		{"SET LOCAL ROLE a", true},
		{"SET SESSION AUTHORIZATION a", true},
		{"RESET search_path", true},
		{"RESET ALL", true},
		{"RESET ROLE", true},
		{"RESET SESSION AUTHORIZATION", true},
		{"DISCARD ALL", true},
		{"DISCARD TEMP", true},
		{"DEALLOCATE ALL", true},
		{"DEALLOCATE PREPARE ALL", true},
		{"SELECT set_config('search_path', 'a', true)", true},
		{"SELECT pg_catalog.set_config('search_path', 'a', false)", true},
		{"SELECT set_config('app.tenant', '1', true), set_config('Search_Path', 'a', true)", true},
		{"SELECT set_config($1, $2, true)", true},
		{"WITH t AS (SELECT 1) SELECT set_config('role', 'a', true) FROM t", true},
		{"/* tenant */ SELECT set_config('search_path', 'a', true)", true},
		{"SELECT (set_config('search_path', 'a', true))", true},
		{"SELECT/**/set_config('search_path', 'a', true)", true},
		{"SELECT/* /* */ */set_config('search_path', 'a', true)", true},
		{"SELECT--\nset_config('search_path', 'a', true)", true},
		{"SELECT ALL set_config('search_path', 'a', true)", true},
		{"SELECT DISTINCT(set_config('search_path', 'a', true))", true},
		{`SELECT "set_config"('search_path', 'a', true)`, true},
		{`SELECT "pg_catalog"."set_config"('search_path', 'a', true)`, true},
		{`SELECT U&"set\005fconfig"('search_path', 'a', true)`, true},
		{`SET U&"search\005fpath" = a`, true},
		{`SET LOCAL u&"role" = a`, true},
		{`RESET U&"role"`, true},
		{"UPDATE pg_settings SET setting = 'a' WHERE name = 'search_path'", true},
		{"UPDATE ONLY pg_catalog.pg_settings s SET setting = 'a'", true},

		{"SELECT (set_config('app.tenant', 'search_path', true))", false},
		{"SELECT alls, distincts FROM t", false},
		{"SET statement_timeout = 1", false},
		{"SET LOCAL app.tenant = 'search_path'", false},
		{"SET TRANSACTION READ ONLY", false},
		{"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", false},
		{"RESET statement_timeout", false},
		{"DEALLOCATE a", false},
		{"SELECT set_config('app.tenant', 'search_path', true)", false},
		{"SELECT set_config FROM t", false},
		{"SELECT pg_catalog.now()", false},
		{"SHOW search_path", false},
	} {
		stmts := Parse(Postgres, c.query, "id", nil)
		if len(stmts) != 1 || stmts[0].Kind != Read || stmts[0].Path != c.want {
			t.Errorf("%s: %+v, want one Read with Path %v", c.query, stmts, c.want)
		}
		if c.want && Plain(c.query) {
			t.Errorf("%s is plain", c.query)
		}
	}
	for _, query := range []string{"ATTACH 'a.db' AS a", "DETACH a"} {
		if stmts := Parse(SQLite, query, "id", nil); len(stmts) != 1 || !stmts[0].Path {
			t.Errorf("%s: %+v, want Path", query, stmts)
		}
	}
}

// Later transactions of the session may begin otherwise.
func TestDefaults(t *testing.T) {
	for query, want := range map[string]bool{
		"SET default_transaction_isolation = 'serializable'":                      true,
		"SET SESSION default_transaction_read_only TO on":                         true,
		"RESET default_transaction_read_only":                                     true,
		"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE": true,
		"SET TRANSACTION READ ONLY":                                               false,
		"SET transaction_read_only = on":                                          false,
	} {
		stmts := Parse(Postgres, query, "id", nil)
		if len(stmts) != 1 || stmts[0].Defaults != want {
			t.Errorf("%s: %+v, want Defaults %v", query, stmts, want)
		}
	}
}
