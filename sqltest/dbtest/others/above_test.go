package others_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"slices"
	"strings"
	"testing"
	"time"

	xsam "github.com/XSAM/otelsql"
	"github.com/luna-duclos/instrumentedsql"
	"github.com/ngrok/sqlmw"
	"github.com/qustavo/sqlhooks/v2"
	sqldblogger "github.com/simukti/sqldb-logger"
	nhat "go.nhat.io/otelsql"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest/others"
)

// above are the ways to open an audited database through another wrapper: by the
// audited name, by what sql.DB.Driver returns, or by the connector.
var above = map[string]func(w *world) (*sql.DB, error){
	"database/sql, by the driver": func(w *world) (*sql.DB, error) {
		c, err := w.connector()
		return sql.OpenDB(c), err
	},
	"XSAM/otelsql, Open": func(w *world) (*sql.DB, error) { return xsam.Open(w.name, w.dsn) },
	"XSAM/otelsql, Register": func(w *world) (*sql.DB, error) {
		name, err := xsam.Register(w.name)
		w.must(err)
		return sql.Open(name, w.dsn)
	},
	"XSAM/otelsql, OpenDB": func(w *world) (*sql.DB, error) {
		c, err := w.connector()
		return xsam.OpenDB(c), err
	},
	"XSAM/otelsql, WrapDriver": byDriver(func(d sqldriver.Driver) sqldriver.Driver { return xsam.WrapDriver(d) }),
	"nhatthm/otelsql, Register": func(w *world) (*sql.DB, error) {
		name, err := nhat.Register(w.name)
		w.must(err)
		return sql.Open(name, w.dsn)
	},
	"nhatthm/otelsql, Wrap": byDriver(func(d sqldriver.Driver) sqldriver.Driver { return nhat.Wrap(d) }),
	"sqlmw":                 byDriver(func(d sqldriver.Driver) sqldriver.Driver { return sqlmw.Driver(d, sqlmw.NullInterceptor{}) }),
	"sqlhooks":              byDriver(func(d sqldriver.Driver) sqldriver.Driver { return sqlhooks.Wrap(d, others.NoHooks{}) }),
	"instrumentedsql":       byDriver(func(d sqldriver.Driver) sqldriver.Driver { return instrumentedsql.WrapDriver(d) }),
	"sqldb-logger": func(w *world) (*sql.DB, error) {
		return sqldblogger.OpenDriver(w.dsn, dbtest.Open(w, w.name, w.dsn).Driver(), quiet{}), nil
	},
	"dd-trace-go, Open": func(w *world) (*sql.DB, error) {
		return traceOpen(dbtest.Open(w, w.name, "").Driver(), w.dsn)
	},
	"dd-trace-go, OpenDB": func(w *world) (*sql.DB, error) {
		c, err := w.connector()
		return sql.OpenDB(traceConnector{c}), err
	},
}

// byDriver registers wrap over the audited driver.
func byDriver(wrap func(sqldriver.Driver) sqldriver.Driver) func(w *world) (*sql.DB, error) {
	return func(w *world) (*sql.DB, error) {
		return sql.Open(dbtest.Wrap(w, w.name, wrap), w.dsn)
	}
}

// connector opens that of the audited driver, as tracers do.
func (w *world) connector() (sqldriver.Connector, error) {
	return dbtest.Open(w, w.name, w.dsn).Driver().(sqldriver.DriverContext).OpenConnector(w.dsn)
}

// TestRelayAboveOurs: a relay, or workers, over an audited database would feed
// themselves, and are refused through whatever wraps it.
func TestRelayAboveOurs(t *testing.T) {
	for name, open := range above {
		t.Run(name, func(t *testing.T) {
			dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
				w := newWorld(t, e, "")
				db := w.adopt(open(w))
				w.refusesToDeliver(db)
			})
		})
	}
}

// refusesToDeliver fails unless a Hub refuses db because it is audited.
func (w *world) refusesToDeliver(db *sql.DB) {
	w.Helper()
	hub := forward.New(&forward.Options{Logger: zap.NewNop(), Queue: noQueue{}})
	hub.Register(sqltest.NewRecorder(), forward.Async)
	c, stop := context.WithTimeout(ctx(), dbtest.Patience)
	defer stop()
	for name, deliver := range map[string]func(context.Context, *sql.DB, hooks.Dialect) error{"Relay": hub.Relay, "Work": hub.Work} {
		if err := deliver(c, db, w.e.Dialect); err == nil || !strings.Contains(err.Error(), "audited itself") || !strings.Contains(err.Error(), "base driver") {
			w.Errorf("Hub.%s over an audited database: %v", name, err)
		}
	}
}

// TestStartAboveOurs: relay.Start, which has no error to return, delivers nothing there.
func TestStartAboveOurs(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, "")
		db := dbtest.Open(t, w.name, w.dsn)
		store, err := relay.New(e.Dialect, nil)
		w.must(err)
		const name = "sink/default"
		target := relay.Target{Name: name, MaxAttempts: 1, Deliver: func(context.Context, *sql.DB, []journal.Entry) (r relay.Result) {
			t.Error("it has called the sink")
			return r
		}}
		r := relay.Start(store, db, relay.Config{Targets: []relay.Target{target}})
		for deadline := time.Now().Add(dbtest.Patience); r.Trouble(name) == nil && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		if got := r.Trouble(name); got == nil || !strings.Contains(got.Error(), "audited itself") {
			t.Errorf("trouble: %v", got)
		}
		w.must(r.Stop(ctx()))
	})
}

// noQueue is a Queue that is never reached.
type noQueue struct{ forward.Queue }

// TestAbove: whatever wraps the audited name, the trail is the same.
func TestAbove(t *testing.T) {
	for name, open := range above {
		t.Run(name, func(t *testing.T) {
			dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
				w := newWorld(t, e, "")
				db := w.adopt(open(w))
				w.play(db)
				w.wantPlayed()
			})
		})
	}
}

// shows are those of above that let driver.Raw find the audited connection.
var shows = []string{
	"database/sql, by the driver", "XSAM/otelsql, Open", "sqlhooks", "sqldb-logger", "dd-trace-go, Open",
}

// TestRawThrough: driver.Raw looks through the wrappers that show what they
// wrap.
func TestRawThrough(t *testing.T) {
	for _, name := range shows {
		t.Run(name, func(t *testing.T) {
			dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
				w := newWorld(t, e, "")
				db := w.adopt(above[name](w))
				w.wantRaw(db, w.connType())
			})
		})
	}
}

// connType is the type of the base driver's connections.
func (w *world) connType() (name string) {
	w.Helper()
	conn, err := w.bare.Conn(ctx())
	w.must(err)
	defer conn.Close()
	w.must(conn.Raw(func(dc any) error {
		name = typeOf(dc)
		return nil
	}))
	return name
}

// TestDriver: sql.DB.Driver is the audited one, and driver.Base what it wraps.
func TestDriver(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, "")
		want := typeOf(w.bare.Driver())
		named := dbtest.Open(t, w.name, w.dsn)
		c, err := w.connector()
		w.must(err)
		hub, _ := newHub(t, elsewhere)
		again, err := driver.WrapConnector(c, hub)
		w.must(err)
		for what, d := range map[string]sqldriver.Driver{
			"a name": named.Driver(), "a connector": c.Driver(), "nested": again.Driver(), "bare": w.bare.Driver(),
			"sqlhooks above": sqlhooks.Wrap(named.Driver(), others.NoHooks{}),
		} {
			if got := typeOf(driver.Base(d)); got != want {
				t.Errorf("%s: Base is a %s, want %s", what, got, want)
			}
		}
		if typeOf(named.Driver()) == want {
			t.Error("Driver() is the base driver, with which connections can be opened past the trail")
		}
	})
}

// baseOf are those of above that let driver.Base find the audited driver from
// what sql.DB.Driver returns.
var baseOf = []string{
	"database/sql, by the driver", "sqlhooks", "sqldb-logger", "dd-trace-go, Open", "dd-trace-go, OpenDB",
}

// TestBaseThrough: driver.Base looks through a wrapper if that shows what it wraps,
// and returns it as it is if it does not.
func TestBaseThrough(t *testing.T) {
	for name, open := range above {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, dbtest.SQLite, "")
			db := w.adopt(open(w))
			d := db.Driver()
			want := typeOf(d)
			if slices.Contains(baseOf, name) {
				want = typeOf(w.bare.Driver())
			}
			if got := typeOf(driver.Base(d)); got != want {
				t.Errorf("Base is a %s, want %s", got, want)
			}
		})
	}
}
