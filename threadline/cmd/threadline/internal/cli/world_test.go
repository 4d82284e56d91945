package cli

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

var ctx = context.Background()

// world is a shop whose orders are captured, and the program that asks about it.
type world struct {
	*testing.T
	dsn string
	db  *sql.DB // audited
	hub *forward.Hub
	// refuses says that the sink accepts nothing more, ever.
	refuses *atomic.Bool
}

// newWorld has two orders by alice, one of which bob has refunded and psql has changed since.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dsn: dbtest.Postgres(t), refuses: &atomic.Bool{}}
	t.Setenv("DATABASE_URL", w.dsn)
	w.hub = forward.New(&forward.Options{Logger: zap.NewNop()})
	w.hub.Register(threadline.NewForwarder(nil), forward.Async)
	w.hub.Register(sink{w.refuses}, forward.Async, forward.WithChanges(changes.NewSource(nil)))
	name := dbtest.Name("postgres")
	driver.Register(name, "postgres", w.hub, driver.Capture(driver.AllTables()))
	w.db = dbtest.Open(t, name, w.dsn)
	w.exec(w.db, "CREATE TABLE orders (id int PRIMARY KEY, status text, total numeric(10,2), card text)")
	w.want(exitOK, "migrate", "up")
	w.want(exitOK, "triggers", "apply", "orders:mask=card", "--execute")
	w.as("alice", "order.placed", "INSERT INTO orders VALUES (41, 'new', 10, '4111'), (42, 'new', 12.50, '4242')")
	w.as("bob", "order.refunded", "UPDATE orders SET status = 'refunded' WHERE id = 42")
	bare := dbtest.Open(t, "postgres", w.dsn)
	w.exec(bare, "UPDATE orders SET total = 0, card = '4000' WHERE id = 42")
	if err := w.hub.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	return w
}

// sink is a forwarder that gets row changes, too.
type sink struct{ refuses *atomic.Bool }

func (s sink) Forward(context.Context, []journal.Entry) error {
	if s.refuses.Load() {
		return forward.Permanent("full", errors.New("there is no room"))
	}
	return nil
}

func (w *world) exec(db *sql.DB, queries ...string) {
	w.Helper()
	for _, q := range queries {
		if _, err := db.ExecContext(ctx, q); err != nil {
			w.Fatal(err)
		}
	}
}

// as changes the shop as a user, for a reason that is recorded.
func (w *world) as(user, action, query string) {
	w.Helper()
	by := hooks.WithActor(ctx, hooks.Actor{Type: hooks.User, ID: user})
	tx, err := w.db.BeginTx(by, nil)
	if err != nil {
		w.Fatal(err)
	}
	if _, err = tx.ExecContext(by, query); err != nil {
		w.Fatal(err)
	}
	if err = hooks.Record(by, tx, hooks.Event{Action: action, Target: hooks.Target{Type: "order", ID: "42"}, Reason: "as asked"}); err != nil {
		w.Fatal(err)
	}
	if err = tx.Commit(); err != nil {
		w.Fatal(err)
	}
}

// ran is what the program has printed.
type ran struct {
	out, err string
	code     int
}

func run(t *testing.T, args ...string) ran {
	t.Helper()
	var out, errOut bytes.Buffer
	code := Run(ctx, args, strings.NewReader(""), &out, &errOut)
	return ran{out.String(), errOut.String(), code}
}

// want runs the program, wants an exit code, and returns what it has printed to stdout.
func (w *world) want(code int, args ...string) string {
	w.Helper()
	r := run(w.T, args...)
	if r.code != code {
		w.Fatalf("threadline %s: exit code %d, want %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), r.code, code, r.out, r.err)
	}
	return r.out
}

// decode reads the JSON that the program prints.
func decode[T any](w *world, code int, args ...string) (answer T) {
	w.Helper()
	d := json.NewDecoder(strings.NewReader(w.want(code, append(args, "--json")...)))
	if err := d.Decode(&answer); err != nil {
		w.Fatalf("threadline %s: %v", strings.Join(args, " "), err)
	}
	return answer
}

func wantIn(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}
