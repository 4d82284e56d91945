package cli

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/health"
)

// TestDoctor: what is wrong is named, with a command; the command mends it.
func TestDoctor(t *testing.T) {
	w := newWorld(t)
	for _, r := range decode[[]health.Result](w, exitOK, "doctor") {
		if r.Status != health.OK {
			t.Errorf("all is well: %s", r)
		}
	}
	bare := dbtest.Open(t, "postgres", w.dsn)
	w.exec(bare, "ALTER TABLE orders DISABLE TRIGGER ALL")
	wantIn(t, w.want(exitFinding, "doctor"), "problem  row changes: public.orders: triggers are missing or disabled\n", "→ threadline triggers apply public.orders:mask=card --execute")
	w.want(exitOK, "triggers", "apply", "public.orders:mask=card", "--execute")
	w.want(exitOK, "doctor")

	w.refuses.Store(true)
	w.as("carol", "order.shipped", "UPDATE orders SET status = 'shipped' WHERE id = 41")
	if err := w.hub.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	wantIn(t, w.want(exitFinding, "doctor"), "problem  forwarder cli.sink/default: it will not get 3 entries, which are dead letters\n", "threadline forwarders replay cli.sink/default --dead-letters --execute")
	w.refuses.Store(false)
	w.want(exitOK, "forwarders", "replay", "cli.sink/default", "--dead-letters", "--execute")
	w.want(exitOK, "doctor")

	w.exec(bare, "UPDATE aftercommit.cursors SET place = 'elsewhere'")
	wantIn(t, w.want(exitFinding, "doctor"), "problem  forwarder threadline.Forwarder/default: it belongs to another database")
}

// TestDoctorWithoutTables: an empty database, and a server that is down.
func TestDoctorWithoutTables(t *testing.T) {
	noDatabase(t)
	t.Setenv("DATABASE_URL", dbtest.Postgres(t))
	w := &world{T: t}
	wantIn(t, w.want(exitFinding, "doctor"), "problem  timeline: ", "threadline migrate up")
	t.Setenv("DATABASE_URL", "postgres://127.0.0.1:1/x?sslmode=disable")
	if r := run(t, "doctor"); r.code != exitUnreachable || !strings.Contains(r.err, "is the server running") {
		t.Errorf("no server: %d, %s", r.code, r.err)
	}
}
