package others_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"

	xsam "github.com/XSAM/otelsql"
	"github.com/luna-duclos/instrumentedsql"
	"github.com/ngrok/sqlmw"
	"github.com/qustavo/sqlhooks/v2"
	nhat "go.nhat.io/otelsql"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest/others"
)

// below are wrappers of the base driver that is then audited.
var below = map[string]func(sqldriver.Driver) sqldriver.Driver{
	"XSAM/otelsql":    func(d sqldriver.Driver) sqldriver.Driver { return xsam.WrapDriver(d) },
	"nhatthm/otelsql": func(d sqldriver.Driver) sqldriver.Driver { return nhat.Wrap(d) },
	"sqlmw":           func(d sqldriver.Driver) sqldriver.Driver { return sqlmw.Driver(d, sqlmw.NullInterceptor{}) },
	"sqlhooks":        func(d sqldriver.Driver) sqldriver.Driver { return sqlhooks.Wrap(d, others.NoHooks{}) },
	"instrumentedsql": func(d sqldriver.Driver) sqldriver.Driver { return instrumentedsql.WrapDriver(d) },
	"dd-trace-go":     func(d sqldriver.Driver) sqldriver.Driver { return traceDriver{d} },
}

// traceDriver is dd-trace-go's way as a driver.
type traceDriver struct{ sqldriver.Driver }

func (d traceDriver) Open(dsn string) (sqldriver.Conn, error) {
	return traceConnector{traceDSN{d.Driver, dsn}}.Connect(context.Background())
}

// TestBelow: whatever is wrapped by the audited name, the trail is the same.
func TestBelow(t *testing.T) {
	for name, wrap := range below {
		t.Run(name, func(t *testing.T) {
			dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
				w := newWorld(t, e, dbtest.Wrap(t, e.Driver, wrap), driver.WithDialect(e.Dialect))
				db := dbtest.Open(t, w.name, w.dsn)
				w.play(db)
				w.wantPlayed()
				bare := w.adopt(sql.Open(dbtest.Wrap(t, e.Driver, wrap), w.dsn))
				same := *w
				same.bare = bare
				w.wantRaw(db, same.connType())
			})
		})
	}
}

// TestBelowIsRecognised: a wrapper that shows what it wraps needs no dialect; of
// others the error says what to do.
func TestBelowIsRecognised(t *testing.T) {
	shows := map[string]bool{"sqlhooks": true, "dd-trace-go": true}
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for name, wrap := range below {
			t.Run(name, func(t *testing.T) {
				hub, _ := newHub(t, nil)
				audited := dbtest.Name(e.Driver)
				driver.Register(audited, dbtest.Wrap(t, e.Driver, wrap), hub)
				db, err := sql.Open(audited, e.DSN(t))
				if err == nil {
					_ = db.Close()
				}
				switch {
				case shows[name] && err != nil:
					t.Error(err)
				case !shows[name] && (err == nil || !strings.Contains(err.Error(), "driver.WithDialect")):
					t.Errorf("error %v, want one that names driver.WithDialect", err)
				}
			})
		}
	})
}

// TestClaimIsChecked: a dialect that the driver contradicts is refused, by the
// driver or, where that hides, by its connections.
func TestClaimIsChecked(t *testing.T) {
	other := map[hooks.Dialect]hooks.Dialect{hooks.Postgres: hooks.SQLite, hooks.SQLite: hooks.Postgres}
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for name, base := range map[string]string{"bare": e.Driver, "otelsql": dbtest.Wrap(t, e.Driver, below["XSAM/otelsql"])} {
			hub, _ := newHub(t, nil)
			audited := dbtest.Name(e.Driver)
			driver.Register(audited, base, hub, driver.WithDialect(other[e.Dialect]))
			db, err := sql.Open(audited, e.DSN(t))
			if err == nil {
				if name != "bare" {
					err = db.PingContext(ctx())
				}
				_ = db.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "but") || !strings.Contains(err.Error(), string(e.Dialect)) {
				t.Errorf("%s: error %v, want one that says what the driver speaks", name, err)
			}
		}
	})
}

// TestOpenRowsBelow: while rows are open the catalog is not asked, which would cost
// the app the rest of them on pgx.
func TestOpenRowsBelow(t *testing.T) {
	for _, name := range []string{"XSAM/otelsql", "sqlhooks", "dd-trace-go"} { // which show what they wrap
		wrap := below[name]
		t.Run(name, func(t *testing.T) {
			dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
				wrapped := dbtest.Wrap(t, e.Driver, wrap)
				w := newWorld(t, e, wrapped, driver.WithDialect(e.Dialect))
				read := func(name string) (n int, err error) {
					tx, err := dbtest.Open(t, name, w.dsn).BeginTx(ctx(), nil)
					w.must(err)
					defer func() { _ = tx.Rollback() }()
					rows, err := tx.QueryContext(ctx(), "SELECT generate_series(1, 100000)")
					w.must(err)
					_, _ = tx.ExecContext(ctx(), "UPDATE orders SET note = 'x'")
					for rows.Next() {
						n++
					}
					return n, errors.Join(rows.Err(), rows.Close())
				}
				bare, bareErr := read(wrapped)
				got, err := read(w.name)
				if shown := fmt.Sprint(got, err); shown != fmt.Sprint(bare, bareErr) {
					t.Errorf("read %s, without the driver %d %v", shown, bare, bareErr)
				}
			}, dbtest.PostgresEngines()...)
		})
	}
}
