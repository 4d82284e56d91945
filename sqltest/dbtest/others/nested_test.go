package others_test

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"strings"
	"testing"

	xsam "github.com/XSAM/otelsql"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/ngrok/sqlmw"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// captured are those of played that no Record has made.
func captured() (lines []string) {
	for _, l := range played {
		if !strings.HasPrefix(l, "order.noted") {
			lines = append(lines, l)
		}
	}
	return lines
}

// elsewhere is a journal beside the default one.
var elsewhere = &journal.Options{Schema: "outer_trail"}

// nest audits the audited driver once more, under another name, with a Hub and a
// journal of its own. between, if any, wraps what is below.
func nest(w *world, between func(sqldriver.Driver) sqldriver.Driver, opts ...driver.Option) (db *sql.DB, outer *sqltest.Recorder) {
	w.Helper()
	base := w.name
	if between != nil {
		base = dbtest.Wrap(w, base, between)
		opts = append(opts, driver.WithDialect(w.e.Dialect))
	}
	name := dbtest.Name(w.e.Driver)
	outer = w.register(name, base, elsewhere, opts...)
	return dbtest.Open(w, name, w.dsn), outer
}

// TestNested: each Hub has its events once, and what the app records is the
// outer's.
func TestNested(t *testing.T) {
	for name, between := range map[string]func(sqldriver.Driver) sqldriver.Driver{
		"directly":             nil,
		"with otelsql between": func(d sqldriver.Driver) sqldriver.Driver { return xsam.WrapDriver(d) },
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
				w := newWorld(t, e, "")
				db, outer := nest(w, between)
				w.play(db)
				w.want(nil, w.recorder, captured())
				w.want(elsewhere, outer, played)
				w.wantRaw(db, w.connType())
			})
		})
	}
}

// TestNestedStatus: what is asked of the base connection gets it, past the inner
// one.
func TestNestedStatus(t *testing.T) {
	w := newWorld(t, dbtest.PGX, "")
	db, outer := nest(w, nil, driver.WithTxStatus(func(base sqldriver.Conn) driver.TxStatus {
		return driver.TxStatus(base.(*stdlib.Conn).Conn().PgConn().TxStatus())
	}))
	w.play(db)
	w.want(nil, w.recorder, captured())
	w.want(elsewhere, outer, played)
}

// TestNestedHidden: where a wrapper between hides the inner one, that takes the
// outer's tables for the app's, but what it says of the app is the same.
func TestNestedHidden(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, "", driver.Capture(driver.Tables("orders")))
		db, outer := nest(w, func(d sqldriver.Driver) sqldriver.Driver { return sqlmw.Driver(d, sqlmw.NullInterceptor{}) })
		w.play(db)
		w.want(nil, w.recorder, captured())
		w.want(elsewhere, outer, played)
	})
}

// TestNestedTwice: one Hub would have each event twice.
func TestNestedTwice(t *testing.T) {
	hub, _ := newHub(t, nil)
	inner, outer := dbtest.Name("sqlite"), dbtest.Name("sqlite")
	driver.Register(inner, "sqlite", hub)
	driver.Register(outer, inner, hub)
	db, err := sql.Open(outer, dbtest.SQLite.DSN(t))
	if err == nil {
		_ = db.Close()
	}
	if err == nil || !strings.Contains(err.Error(), inner) || !strings.Contains(err.Error(), "twice") {
		t.Errorf("error %v, want one that says why, and names %s", err, inner)
	}
}

// TestNestedSameJournal: two Hubs with one journal would have each event twice in
// it, also with a third between them.
func TestNestedSameJournal(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, "")
		between, outer := dbtest.Name(e.Driver), dbtest.Name(e.Driver)
		w.register(between, w.name, elsewhere)
		w.register(outer, between, nil)
		for _, name := range []string{w.name, between} {
			w.must(w.adopt(sql.Open(name, w.dsn)).PingContext(ctx()))
		}
		db, err := sql.Open(outer, w.dsn)
		if err == nil {
			_ = db.Close()
		}
		if err == nil || !strings.Contains(err.Error(), w.name) || !strings.Contains(err.Error(), "journal.Options{Schema") {
			t.Errorf("error %v, want one that names %s and the remedy", err, w.name)
		}
		hub := forward.New(&forward.Options{Logger: zap.NewNop(), NoJournal: true})
		without := dbtest.Name(e.Driver)
		driver.Register(without, w.name, hub)
		w.must(w.adopt(sql.Open(without, w.dsn)).PingContext(ctx()))
	})
}

// TestNestedRefused: where one of the two cannot write, neither has an event, and
// the transaction does not commit.
func TestNestedRefused(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for schema, prefix := range map[string]string{"aftercommit": "inner", "outer_trail": "outer"} {
			t.Run(prefix, func(t *testing.T) {
				w := newWorld(t, e, "")
				db, outer := nest(w, nil)
				w.must(db.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (100)")) // both have their tables now
				w.recorder.Reset()
				outer.Reset()
				if e.Dialect == hooks.SQLite {
					w.must(w.bare.ExecContext(ctx(), "CREATE TRIGGER broken BEFORE INSERT ON "+schema+"_journal BEGIN SELECT RAISE(ABORT, 'broken'); END"))
				} else {
					w.must(w.bare.ExecContext(ctx(), "ALTER TABLE "+schema+".journal RENAME TO gone"))
				}
				tx, err := db.BeginTx(ctx(), nil)
				w.must(err)
				w.must(tx.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (1)"))
				if err := tx.Commit(); err == nil {
					t.Error("Commit says nil")
				}
				if _, err := db.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (2)"); err == nil {
					t.Error("Exec says nil")
				}
				var n int
				w.must(w.bare.QueryRowContext(ctx(), "SELECT count(*) FROM orders").Scan(&n))
				if n != 1 {
					t.Errorf("%d orders, want the first alone", n)
				}
				w.recorder.None(t)
				outer.None(t)
				w.must(db.PingContext(ctx()))
			})
		}
	})
}

// TestNestedOff: with the outer mode off, what the app records is the inner's.
func TestNestedOff(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, "")
		db, _ := nest(w, nil, driver.WithMode(hooks.Off))
		w.play(db)
		w.wantPlayed()
	})
}
