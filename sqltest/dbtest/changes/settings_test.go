package changes_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestSettings: settings of a session make no write fail and lose no change.
func TestSettings(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text, at timestamptz, m money)")
		w.db.SetMaxOpenConns(1)
		for _, set := range []string{
			"plpgsql.extra_errors = 'all'", "plpgsql.extra_warnings = 'all'", "plpgsql.variable_conflict = 'use_column'", "plpgsql.check_asserts = off", "search_path = ''", "search_path = pg_temp",
			"standard_conforming_strings = off", "backslash_quote = off", "transform_null_equals = on", "array_nulls = off", "row_security = off", "check_function_bodies = off", "jit_above_cost = 0", "plan_cache_mode = force_generic_plan",
			"enable_indexscan = off", "lock_timeout = '1ms'", "statement_timeout = '60s'", "default_transaction_isolation = 'serializable'", "client_min_messages = error", "lc_messages = 'C'", "xmloption = document",
			"client_encoding = 'UTF8'", "lc_monetary = 'C'", "extra_float_digits = -15", "application_name = E'\\'\"'",
		} {
			w.exec("TRUNCATE threadline.audit_changes, threadline.audit_gaps", "SET "+set)
			w.capture(capture.Table{Name: "public.t"})
			w.exec("INSERT INTO public.t VALUES (1, 'x', now(), 1.5)", "UPDATE public.t SET a = repeat('y', 3000), m = 2", "DELETE FROM public.t")
			w.exec("RESET ALL")
			if got := w.changes() + w.text("SELECT count(*) FROM threadline.audit_gaps") + w.text("SELECT string_agg(op::text, '' ORDER BY lsn) FROM threadline.audit_changes WHERE shape_id IS NOT NULL"); got != "30IUD" {
				w.Errorf("SET %s: changes, gaps, operations: %s", set, got)
			}
		}
	})
}

// TestPublished: a publication of all tables hinders neither capture nor deleting.
func TestPublished(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY)")
		w.capture(capture.Table{Name: "t"})
		w.exec("CREATE PUBLICATION everything FOR ALL TABLES", "INSERT INTO t VALUES (1)", "DELETE FROM threadline.audit_changes", "DELETE FROM threadline.audit_gaps", "DROP PUBLICATION everything")
	})
}

// TestReplica: with session_replication_role = replica nothing is captured, as the README says.
func TestReplica(t *testing.T) {
	each(t, func(w *world) {
		w.db.SetMaxOpenConns(1)
		w.exec("CREATE TABLE t (id int PRIMARY KEY)")
		w.capture(capture.Table{Name: "t"})
		w.exec("SET session_replication_role = replica", "INSERT INTO t VALUES (1)", "RESET session_replication_role", "INSERT INTO t VALUES (2)")
		if n := w.changes(); n != "1" {
			w.Errorf("%s changes", n)
		}
	})
}
