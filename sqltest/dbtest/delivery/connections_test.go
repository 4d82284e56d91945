package delivery_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestConnectionLimit: the server allows the app's role no more than the app's
// own connection. The start says so, the app goes on, and what waited is
// delivered once the relay gets in.
func TestConnectionLimit(t *testing.T) {
	each(t, func(w *world) {
		role := dbtest.Name("app")
		for _, query := range []string{
			`CREATE ROLE "` + role + `" LOGIN CONNECTION LIMIT 1`, `GRANT ALL ON orders TO "` + role + `"`,
			`DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO "` + role + `"', current_database()); END $$`,
		} {
			w.must(w.bare.ExecContext(ctx, query))
		}
		w.Cleanup(func() { w.must(w.bare.ExecContext(ctx, `DROP OWNED BY "`+role+`"; DROP ROLE "`+role+`"`)) })
		a, err := w.try(w.dsn+" user="+role, forward.Options{}, nil)
		w.must(err)
		if got := a.warnings(); !strings.Contains(got, "allows this role too few connections") {
			t.Errorf("warnings: %s", got)
		}
		a.place(1, 2)
		w.until("the relay says that it waits", func() bool { return strings.Contains(a.warnings(), "delivery waits") })
		a.place(3)
		w.want("")
		w.must(w.bare.ExecContext(ctx, `ALTER ROLE "`+role+`" CONNECTION LIMIT -1`))
		a.drain()
		w.want("1 2 3")
		w.must(a.db.Close())
		w.must(a.hub.Close(ctx))
	})
}

// TestEnoughConnections: where the limits are wide enough nothing is said.
func TestEnoughConnections(t *testing.T) {
	each(t, func(w *world) {
		if got := w.start(forward.Options{}, nil).warnings(); strings.Contains(got, "connections") {
			t.Errorf("warnings: %s", got)
		}
	})
}

// scarce is a pool of one connection: a second one is waited for.
type scarce struct {
	sqldriver.Connector
	free chan struct{}
}

func (c scarce) Connect(ctx context.Context) (sqldriver.Conn, error) {
	select {
	case <-c.free:
		return c.Connector.Connect(ctx)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestScarceConnector: a connector whose connections are used up does not keep
// the relay waiting in silence, nor the app.
func TestScarceConnector(t *testing.T) {
	each(t, func(w *world) {
		core, logs := observer.New(zapcore.WarnLevel)
		hub := forward.New(&forward.Options{Logger: zap.New(core), Timeout: 50 * time.Millisecond})
		hub.Register(w.sink, forward.Async)
		var base sqldriver.Connector
		var err error
		if w.e.Name == dbtest.PGX.Name {
			base, err = (&stdlib.Driver{}).OpenConnector(w.dsn)
		} else {
			base, err = pq.NewConnector(w.dsn)
		}
		w.must(err)
		one := scarce{base, make(chan struct{}, 1)}
		one.free <- struct{}{}
		c, err := driver.WrapConnector(one, hub)
		w.must(err)
		a := &app{world: w, hub: hub, db: sql.OpenDB(c), logs: logs}
		defer a.db.Close()
		a.place(1)
		w.until("the relay says that it gets no connection", func() bool { return strings.Contains(a.errors(), "no connection beside the app's within 50ms") })
		a.place(2)
		w.must(a.db.Close())
		if err := hub.Close(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// errors returns the errors of the log.
func (a *app) errors() string {
	var all []string
	for _, l := range a.logs.All() {
		if err, ok := l.ContextMap()["error"].(string); ok {
			all = append(all, err)
		}
	}
	return strings.Join(all, "\n")
}
