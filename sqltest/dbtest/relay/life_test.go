package relay_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ngrok/sqlmw"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

const leastPID = "(SELECT pg_catalog.min(pid) FROM pg_catalog.pg_stat_get_activity(NULL) WHERE usesysid IS NULL)"

// otherPIDs has statements see another least pid of the server's own processes, as after a
// wrap of pids, where an autovacuum worker has the least one for as long as it works.
type otherPIDs struct {
	sqlmw.NullInterceptor
	on   *atomic.Bool
	seen *atomic.Int32
}

func (o otherPIDs) rewrite(query string) string {
	if strings.Contains(query, leastPID) {
		o.seen.Add(1)
		if o.on.Load() {
			return strings.ReplaceAll(query, leastPID, "1")
		}
	}
	return query
}

func (o otherPIDs) ConnExecContext(c context.Context, conn driver.ExecerContext, query string, args []driver.NamedValue) (driver.Result, error) {
	return conn.ExecContext(c, o.rewrite(query), args)
}

func (o otherPIDs) ConnQueryContext(c context.Context, conn driver.QueryerContext, query string, args []driver.NamedValue) (context.Context, driver.Rows, error) {
	rows, err := conn.QueryContext(c, o.rewrite(query), args)
	return c, rows, err
}

// TestOtherPIDs: where only the pids change, as they do for a while and back again, the
// relay reads its cursor anew. What was delivered meanwhile comes once more, to a sink in
// the same database once in all; nothing fails, is skipped or changes its order.
func TestOtherPIDs(t *testing.T) {
	for _, same := range []bool{false, true} {
		dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
			w := newWorld(t, e)
			pids := otherPIDs{on: new(atomic.Bool), seen: new(atomic.Int32)}
			bare := w.db
			w.db = dbtest.Open(t, dbtest.Wrap(t, e.Driver, func(d driver.Driver) driver.Driver { return sqlmw.Driver(d, pids) }), w.dsn)
			l := newLedger(w)
			target := w.target()
			if same {
				target = l.target()
			}
			deliver := target.Deliver
			var calls atomic.Int32
			target.Deliver = func(c context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
				if n := calls.Add(1); n%3 == 1 { // the next one is not disturbed, so that it goes on
					pids.on.Store(!pids.on.Load())
				}
				return deliver(c, db, entries)
			}
			names := strings.Fields("a b c d e f g h i j")
			r := w.start(relay.Config{Targets: []relay.Target{target}, Batch: 1})
			for _, n := range names {
				w.commit(n)
			}
			w.drain(r)
			w.db = bare
			got := strings.Fields(w.sink.all())
			if same {
				got = strings.Fields(l.rows())
			}
			var once []string
			for i, n := range got {
				if i == 0 || got[i-1] != n {
					once = append(once, n)
				}
			}
			if strings.Join(once, " ") != strings.Join(names, " ") || same && len(once) != len(got) {
				t.Errorf("delivered %v", got)
			}
			if !same && len(got) == len(names) || pids.seen.Load() == 0 {
				t.Errorf("%d statements have seen pids, and nothing came again: is this how a server's life is told apart?", pids.seen.Load())
			}
			if s := w.state(); s.Retrying+s.Discarded > 0 || len(w.sink.told(hooks.NoticeFailed)) > 0 {
				t.Errorf("%+v, want no failures", s)
			}
		}, dbtest.PostgresEngines()...)
	}
}
