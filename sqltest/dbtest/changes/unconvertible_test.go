package changes_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// encoded makes a database of an encoding.
func (w *world) encoded(encoding string) *world {
	w.Helper()
	name := strings.ReplaceAll(dbtest.Name("encoded"), "-", "_")
	w.exec("CREATE DATABASE " + name + " ENCODING '" + encoding + "' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
	other := w.elsewhere(w.dsn + " dbname=" + name)
	other.e = w.e
	other.must(other.installer().Migrate(ctx))
	return other
}

// TestUnconvertible: a change that cannot be read as UTF-8, or has a character that the archive lacks, stops no other.
func TestUnconvertible(t *testing.T) {
	with(t, func(w *world) {
		make := func(app *world, bad string) {
			app.exec("CREATE TABLE t (id int PRIMARY KEY, a text)")
			app.capture(capture.Table{Name: "t"})
			app.exec("INSERT INTO t VALUES (1, 'a'), (2, "+bad+"), (3, 'b')", "INSERT INTO t VALUES (4, 'c')")
		}
		for _, tt := range []struct{ from, bad, to string }{{"WIN1252", "chr(129)", "UTF8"}, {"UTF8", "'€'", "LATIN1"}} {
			app, archive := w.encoded(tt.from), w.encoded(tt.to)
			make(app, tt.bad)
			entries := app.changed()
			for range 2 {
				err := changes.NewSource(nil).Copy(ctx, app.db, entries, archive.store)
				var partial *forward.PartialError
				if !errors.As(err, &partial) || len(partial.Failed) != 1 || partial.Failed[entries[1].ID] == nil {
					t.Errorf("from %s to %s: %v", tt.from, tt.to, err)
				}
			}
			if keys := archive.text("SELECT string_agg(key, ' ' ORDER BY xid, lsn) FROM threadline.audit_changes"); keys != "(1) (3) (4)" {
				t.Errorf("from %s, the archive has %s", tt.from, keys)
			}
		}
		// To another system.
		app := w.encoded("WIN1252")
		var got []string
		c := app.copyTo(w.e.DSN(t), func(hub *forward.Hub) {
			hub.Register(picky(func(e journal.Entry) error {
				if e.Change != nil {
					got = append(got, e.Target.ID)
				}
				return nil
			}), forward.Async, forward.WithChanges(changes.NewSource(nil)))
		})
		make(app, "chr(129)")
		until, cancel := context.WithTimeout(ctx, dbtest.Patience)
		defer cancel()
		app.must(c.hub.Drain(until))
		if s := strings.Join(got, " "); s != "1 3 4" {
			t.Errorf("the forwarder got %s", s)
		}
	}, dbtest.PQ)
}
