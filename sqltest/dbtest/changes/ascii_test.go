package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// TestAnyBytes: in a database of encoding SQL_ASCII, whose texts may be any bytes, writes succeed and are kept to the byte, also in names
// and keys.
func TestAnyBytes(t *testing.T) {
	shared := dbtest.Shared(t)
	for _, e := range dbtest.PostgresEngines() {
		t.Run(e.Name, func(t *testing.T) {
			dsn := shared.Encoded(t, "SQL_ASCII")
			w := &world{T: t, e: e, db: dbtest.Open(t, e.Driver, dsn), dsn: dsn}
			w.store = changes.NewStore(w.db, hooks.Postgres, nil)
			w.must(w.installer().Migrate(ctx))
			w.exec("CREATE TABLE t (k text PRIMARY KEY, v text)")
			w.capture(capture.Table{Name: "t"})
			const latin, both = "E'\\xe9'", "E'\\xe9 \\xc3\\xa9 \\\\ \" ( \\xff'"
			w.exec("INSERT INTO t VALUES ("+latin+", "+both+"), ('ascii', "+both+")", "UPDATE t SET v = "+latin)
			at := w.clock()
			w.exec("UPDATE t SET k = "+both+" WHERE k = "+latin, "DELETE FROM t WHERE k = 'ascii'")
			if got := w.text("SELECT string_agg(op, '' ORDER BY lsn) FROM threadline.audit_changes"); got != "IIUUUD" {
				t.Errorf("kept: %s", got)
			}
			if n := w.text("SELECT count(*) FROM threadline.audit_gaps"); n != "0" {
				t.Errorf("%s gaps", n)
			}
			// PostgreSQL gives such texts to no session that asks for UTF8, as lib/pq does.
			page, err := w.store.Page(ctx, changes.Query{})
			if e.Driver == dbtest.PQ.Driver {
				if err == nil || !strings.Contains(err.Error(), "read them with client_encoding SQL_ASCII") {
					t.Errorf("a page in UTF8: %v", err)
				}
				return
			}
			if err != nil || len(page.Changes) != 6 {
				t.Errorf("a page has %d changes: %v", len(page.Changes), err)
			}
			history, err := w.store.History(ctx, "t", "\xe9")
			if err != nil || len(history) != 3 || *history[0].Fields[1].New.Text != "\xe9 \xc3\xa9 \\ \" ( \xff" || history[2].Key[0] != *history[0].Fields[1].New.Text {
				t.Errorf("the history is %v, %v", history, err)
			}
			row, err := w.store.RowAsOf(ctx, "t", at, "\xe9")
			if err != nil || *row.Values[1].Text != "\xe9" {
				t.Errorf("the row was %v, %v", row, err)
			}
			u, err := undo.RowAsOf(ctx, w.store, "t", at, "ascii")
			w.must(err)
			if len(u.Refusals) != 1 || !strings.Contains(u.String(), "are not UTF-8") {
				t.Errorf("the undo is %s", u)
			}
		})
	}
}
