package journal_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// base opens connections of the base driver.
type base struct {
	drv driver.Driver
	dsn string
}

func (b base) Connect(context.Context) (driver.Conn, error) { return b.drv.Open(b.dsn) }
func (b base) Driver() driver.Driver                        { return b.drv }

// hubRig is a Hub with one forwarder, driven as the driver would drive it.
type hubRig struct {
	*rig
	hub *forward.Hub
	h   hooks.Handler

	mu      sync.Mutex
	writes  []hooks.Write
	notices []hooks.Notice
	got     []journal.Entry
	conns   []string // what the forwarder read over its connection
	fail    error
}

func newHubRig(t *testing.T, e dbtest.Engine) *hubRig {
	t.Helper()
	dsn := e.DSN(t)
	r := &hubRig{rig: &rig{e: e, db: dbtest.Open(t, e.Driver, dsn), j: newJournal(t, e.Dialect, nil)}}
	r.hub = forward.New(&forward.Options{
		Logger: zap.NewNop(), Observer: hooks.ObserverFunc(r.observe), Application: "shop", Host: "h1", Timeout: dbtest.Patience,
	})
	r.hub.Register(r, forward.Sync)
	h, err := r.hub.Open(hooks.Database{
		Driver: "db-audited", Dialect: e.Dialect, Connector: base{r.db.Driver(), dsn},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.h = h
	t.Cleanup(func() {
		if err := r.hub.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	r.connected(t, func() error { return h.Connect(ctx, r.conn) })
	r.exec("CREATE TABLE orders (id integer primary key)")
	return r
}

func (r *hubRig) observe(n hooks.Notice) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notices = append(r.notices, n)
}

// Forward notes what it gets, and that the lent connection works.
func (r *hubRig) Forward(ctx context.Context, entries []journal.Entry) error {
	var one string
	if err := forward.Conn(ctx).QueryRowContext(ctx, "SELECT 'lent'").Scan(&one); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, entries...)
	r.conns = append(r.conns, one)
	return r.fail
}

func (r *hubRig) told() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	words := make([]string, len(r.notices))
	for i, n := range r.notices {
		words[i] = string(n.Kind)
		if n.Reason != "" {
			words[i] += ":" + n.Reason
		}
	}
	r.notices = nil
	return strings.Join(words, " ")
}

func (r *hubRig) want(forwarded, told string) {
	r.t.Helper()
	if got := actions(r.got); got != forwarded {
		r.t.Errorf("forwarded %q, want %q", got, forwarded)
	}
	if got := r.told(); got != told {
		r.t.Errorf("observers were told %q, want %q", got, told)
	}
}

// begin opens a transaction on s that has flushed a list of events.
func (r *hubRig) begin(s *session, tx int64, list []hooks.Event) {
	r.t.Helper()
	s.exec("BEGIN")
	r.flushed(s, tx, list)
}

func (r *hubRig) flushed(s *session, tx int64, list []hooks.Event) {
	r.t.Helper()
	w := hooks.Write{Key: newKey(), Events: list}
	r.writes = append(r.writes, w)
	written, err := r.h.Flush(ctx, hooks.Flush{Conn: sqltest.Lent(s.conn), Events: list, Key: w.Key, Tx: tx, Must: true, Timeout: dbtest.Patience})
	if !written || err != nil {
		r.t.Fatalf("Flush = %v, %v", written, err)
	}
}

func (r *hubRig) end(outcome hooks.Outcome, conn *sql.DB, tx int64, list []hooks.Event) hooks.Outcome {
	return r.h.End(ctx, hooks.Ended{Outcome: outcome, Events: list, Writes: r.writesOf(list), Tx: tx, Conn: sqltest.Lent(conn)})
}

// writesOf are the flushes that wrote the events of a transaction.
func (r *hubRig) writesOf(list []hooks.Event) []hooks.Write {
	return slices.DeleteFunc(slices.Clone(r.writes), func(w hooks.Write) bool { return !slices.Contains(ids(list), w.Events[0].ID) })
}

func TestForwardedFromTheJournal(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newHubRig(t, e)
		list := events(3)
		r.begin(r.session, 1, list)
		r.exec("COMMIT")
		if got := r.end(hooks.Committed, r.conn, 1, list); got != hooks.Committed {
			t.Errorf("End = %v", got)
		}
		r.want(actions(r.entries()), "logged delivered")
		for i, entry := range r.got {
			if entry.Key != r.writes[0].Key || entry.Ordinal != i || entry.ID != list[i].ID || entry.Application != "shop" || entry.Host != "h1" || entry.Tx.ID == 0 {
				t.Errorf("entry %+v", entry)
			}
		}
	})
}

// What a savepoint took back after the flush is not in the journal, so it is not
// forwarded, whatever COMMIT said.
func TestPhantomsAreNotForwarded(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newHubRig(t, e)
		list := events(2)
		r.begin(r.session, 1, list[:1])
		r.exec("SAVEPOINT s")
		r.flushed(r.session, 1, list[1:])
		r.exec("ROLLBACK TO s")
		r.exec("COMMIT")
		r.end(hooks.Committed, r.conn, 1, list)
		r.want("order.step_0", "logged rolled_back delivered")
	})
}

func TestCommittedInNameOnly(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newHubRig(t, e)
		list := events(1)
		r.begin(r.session, 1, list)
		r.exec("ROLLBACK")
		r.end(hooks.Committed, r.conn, 1, list)
		r.want("", "rolled_back")
	})
}

func TestUnknownIsSettledByTheRows(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for _, test := range []struct {
			sql             string
			outcome         hooks.Outcome
			forwarded, told string
		}{
			{"COMMIT", hooks.Committed, "order.step_0", "settled:committed logged delivered"},
			{"ROLLBACK", hooks.RolledBack, "", "settled:rolled back rolled_back"},
		} {
			t.Run(test.sql, func(t *testing.T) {
				r := newHubRig(t, e)
				list := events(1)
				r.begin(r.session, 1, list)
				r.exec(test.sql)
				if got := r.end(hooks.Unknown, r.conn, 1, list); got != test.outcome {
					t.Errorf("End = %v, want %v", got, test.outcome)
				}
				r.want(test.forwarded, test.told)
			})
		}
	})
}

// As long as the transaction is in progress somewhere, no row means nothing.
func TestUnknownInProgress(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for _, test := range []struct{ sql, forwarded, told string }{
			{"COMMIT", "order.step_0", "settled:committed logged delivered"},
			{"ROLLBACK", "", "settled:rolled back rolled_back"},
		} {
			t.Run(test.sql, func(t *testing.T) {
				r := newHubRig(t, e)
				list := events(1)
				elsewhere := newSession(t, r.db)
				r.begin(elsewhere, 1, list)
				if got := r.end(hooks.Unknown, r.conn, 1, list); got != hooks.Unknown {
					t.Errorf("End = %v", got)
				}
				if err := r.hub.Settle(ctx); err != nil {
					t.Fatal(err)
				}
				r.want("", "unknown")
				elsewhere.exec(test.sql)
				if err := r.hub.Settle(ctx); err != nil || r.hub.Pending() != 0 {
					t.Errorf("Settle: %v, %d pending", err, r.hub.Pending())
				}
				r.want(test.forwarded, test.told)
			})
		}
	})
}

// The connection broke in COMMIT. The next commit on that database finds out.
// TestUnknownInProgressByAnEarlierFlush: the last flush was taken back, and one
// before it stands.
func TestUnknownInProgressByAnEarlierFlush(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newHubRig(t, e)
		list := events(2)
		other := newSession(t, r.db)
		r.begin(other, 1, list[:1])
		other.exec("SAVEPOINT s")
		r.flushed(other, 2, list[1:])
		other.exec("ROLLBACK TO s")
		got := r.h.End(ctx, hooks.Ended{Outcome: hooks.Unknown, Events: list, Writes: r.writesOf(list), Tx: 1, Conn: sqltest.Lent(r.conn)})
		if got != hooks.Unknown {
			t.Errorf("End = %v while the transaction is in progress, want unknown", got)
		}
		r.want("", "unknown")
		other.exec("COMMIT")
		if err := r.hub.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		r.want("order.step_0", "settled:committed logged rolled_back delivered")
	}, dbtest.PostgresEngines()...)
}

func TestUnknownWithoutConn(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newHubRig(t, e)
		list, next := events(1), []hooks.Event{event("order.next")}
		r.begin(r.session, 1, list)
		r.exec("COMMIT")
		if got := r.end(hooks.Unknown, nil, 1, list); got != hooks.Unknown {
			t.Errorf("End = %v", got)
		}
		r.want("", "unknown")
		r.begin(r.session, 2, next)
		r.exec("COMMIT")
		r.end(hooks.Committed, r.conn, 2, next)
		r.want("order.next order.step_0", "logged delivered settled:committed logged delivered")
	})
}

func TestPreparedIsSettledAfterwards(t *testing.T) {
	c := dbtest.Start(t, &dbtest.Options{Settings: []string{"max_prepared_transactions=2"}})
	r := newHubRig(t, dbtest.PQ.With("pq", c.Database))
	list := events(1)
	r.begin(r.session, 1, list)
	r.exec("PREPARE TRANSACTION 'g'")
	got := r.h.End(ctx, hooks.Ended{Outcome: hooks.Unknown, Prepared: true, Events: list, Writes: r.writesOf(list), Tx: 1, Conn: sqltest.Lent(r.conn)})
	if got != hooks.Unknown {
		t.Errorf("End = %v", got)
	}
	if err := r.hub.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	r.want("", "unknown:prepared")
	r.exec("COMMIT PREPARED 'g'")
	if err := r.hub.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	r.want("order.step_0", "settled:committed logged delivered")
}

// It committed, but on a connection that cannot be used: PostgreSQL has a pool
// beside the app's, SQLite waits.
func TestCommittedWithoutConn(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newHubRig(t, e)
		list := events(1)
		r.begin(r.session, 1, list)
		r.exec("COMMIT")
		r.end(hooks.Committed, nil, 1, list)
		if e.Dialect == hooks.SQLite {
			r.want("", "")
			if err := r.hub.Settle(ctx); err != nil {
				t.Fatal(err)
			}
		}
		r.want("order.step_0", "logged delivered")
		if r.hub.Pending() != 0 {
			t.Error("it is still pending")
		}
	})
}

// The committing connection dies before the entries are read back.
func TestConnThatDies(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newHubRig(t, e)
		list := events(1)
		r.begin(r.session, 1, list)
		r.exec("COMMIT")
		dead := newSession(t, r.db)
		_ = dead.conn.Close()
		if got := r.end(hooks.Committed, dead.conn, 1, list); got != hooks.Committed {
			t.Errorf("End = %v", got)
		}
		if r.hub.Pending() != 1 {
			t.Fatalf("Pending = %d, want 1", r.hub.Pending())
		}
		if err := r.hub.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		r.want("order.step_0", "logged delivered")
	})
}

// A database that cannot be asked is an error, and no reason to take its
// transactions for rolled back: that in memory is gone, as far as Settle sees.
func TestSettleOfWhatIsOutOfReach(t *testing.T) {
	e := dbtest.SQLite.With("memory", func(testing.TB) string { return ":memory:" })
	r := newHubRig(t, e)
	list := events(1)
	r.begin(r.session, 1, list)
	r.exec("COMMIT")
	r.end(hooks.Unknown, nil, 1, list)
	if err := r.hub.Settle(ctx); err == nil || r.hub.Pending() != 1 {
		t.Errorf("err = %v, Pending = %d; want an error and 1", err, r.hub.Pending())
	}
	r.want("", "unknown")
}

// Without forwarders nothing is read back.
func TestJournalAlone(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		dsn := e.DSN(t)
		db := dbtest.Open(t, e.Driver, dsn)
		hub := forward.New(&forward.Options{Logger: zap.NewNop()})
		h, err := hub.Open(hooks.Database{Dialect: e.Dialect, Connector: base{db.Driver(), dsn}})
		if err != nil {
			t.Fatal(err)
		}
		dead := newSession(t, db)
		_ = dead.conn.Close()
		h.End(ctx, hooks.Ended{Outcome: hooks.Committed, Events: events(2), Conn: sqltest.Lent(dead.conn)})
		if s := hub.Status(ctx); s.Logged != 2 || s.Pending != 0 {
			t.Errorf("status %+v", s)
		}
	})
}
