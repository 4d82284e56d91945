package changes_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// TestNotCompiled: no question has its statements compiled by the server. A role that asks sees changes only in a session that
// has turned that off.
func TestNotCompiled(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 'x')", "UPDATE t SET a = 'y'")
		now, list := w.clock(), w.all(changes.Query{})
		w.exec("DROP ROLE IF EXISTS changes_quick", "CREATE ROLE changes_quick", "GRANT USAGE ON SCHEMA threadline TO changes_quick", "GRANT SELECT ON ALL TABLES IN SCHEMA threadline TO changes_quick",
			"GRANT SELECT ON t TO changes_quick", "ALTER TABLE threadline.audit_changes ENABLE ROW LEVEL SECURITY",
			"CREATE POLICY compiled ON threadline.audit_changes USING (pg_catalog.current_setting('jit') = 'off')")
		w.db.SetMaxOpenConns(1)
		defer w.exec("RESET ROLE", "DROP OWNED BY changes_quick CASCADE", "DROP ROLE changes_quick")
		w.exec("SET ROLE changes_quick", "SET jit = on")
		if got := w.text("SELECT count(*) FROM threadline.audit_changes"); got != "0" {
			t.Fatalf("the policy lets a session that compiles see %s changes", got)
		}
		for what, ask := range map[string]func() (int, error){
			"History": func() (int, error) { l, err := w.store.History(ctx, "t", "1"); return len(l), err },
			"Page": func() (int, error) {
				p, err := w.store.Page(ctx, changes.Query{Tables: []string{"t"}})
				return len(p.Changes), err
			},
			"Page, the oldest first": func() (int, error) {
				p, err := w.store.Page(ctx, changes.Query{OldestFirst: true})
				return len(p.Changes), err
			},
			"Transaction": func() (int, error) {
				tx, err := w.store.Transaction(ctx, list[0].XID, list[0].TxStartedAt, 10)
				return 1 + len(tx.Changes), err
			},
			"RowAsOf":  func() (int, error) { r, err := w.store.RowAsOf(ctx, "t", now, "1"); return len(r.Values), err },
			"RowAfter": func() (int, error) { r, err := w.store.RowAfter(ctx, list[0]); return len(r.Values), err },
			"TableAsOf": func() (n int, err error) {
				for _, err = range w.store.TableAsOf(ctx, "t", now) {
					n += 2
				}
				return n, err
			},
			"undo.Change": func() (int, error) { u, err := undo.Change(ctx, w.store, list[0]); return 1 + len(u.Statements), err },
		} {
			if n, err := ask(); n != 2 || err != nil {
				t.Errorf("%s: %d, %v", what, n, err)
			}
		}
		if got := w.text("SHOW jit"); got != "on" {
			t.Errorf("the session has jit %s afterwards", got)
		}
	})
}
