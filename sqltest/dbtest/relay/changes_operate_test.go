package relay_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// operator is a store that knows where the sink's row changes are.
func (c *captured) operator(env string) *relay.Store {
	c.Helper()
	s, err := relay.New(hooks.Postgres, &relay.Options{Environment: env, Changes: map[string]relay.Changes{name: changes.NewSource(nil)}})
	c.must(err)
	return s
}

// stateBy is how the sink stands, as a store says.
func (c *captured) stateBy(s *relay.Store) relay.State {
	c.Helper()
	states, err := s.States(ctx, c.db)
	c.must(err)
	if len(states) != 1 {
		c.Fatalf("%+v", states)
	}
	return states[0]
}

// refuse has the sink name these as refused, and accept all others.
func (c *captured) refuse(why error, names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = make(map[string]error)
	for _, name := range names {
		c.refused[name] = why
	}
}

// ahead sets the clock of relays ahead of the database's, so that what is replayed is due.
func (c *captured) ahead() { c.clock.set(time.Now().Add(time.Hour)) }

// times are how often the sink has got each entry that it was called with, by its ID.
func (c *captured) times() map[uuid.UUID]int {
	times := make(map[uuid.UUID]int)
	for _, e := range c.seen() {
		times[e.ID]++
	}
	return times
}

// TestChangesAreCounted: what waits of transactions that have only changes, from where the cursor is, even within a transaction; but
// not what is in flight, and nothing that goes to no forwarder.
func TestChangesAreCounted(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		operator := c.operator("")
		behind := func(want int64) {
			t.Helper()
			if st := c.stateBy(operator); st.Behind != want || st.Oldest.IsZero() != (want == 0) || st.EventsOnlyReason != "" {
				t.Errorf("%+v, want %d behind", st, want)
			}
		}
		behind(0)
		since := c.now()
		c.run("INSERT INTO t VALUES ('r1'), ('r2'), ('r3'), ('r4'), ('r5')")
		open := c.begin()
		open.exec("INSERT INTO t VALUES ('open')")
		behind(5)
		if st := c.stateBy(operator); st.Oldest.Format("2006-01-02 15:04:05.999999") < since[:26] {
			t.Errorf("the oldest is of %v, and nothing was recorded before %s", st.Oldest, since)
		}
		c.restored(1000, 2000)
		behind(5)
		cfg := relay.Config{Targets: []relay.Target{c.target()}, Batch: 2}
		_, err := relay.CatchUp(ctx, c.store, c.db, cfg, relay.Share{Steps: 1})
		c.must(err)
		behind(3)
		c.commit("a", "b")
		open.commit()
		behind(6)
		c.drain(c.begins(relay.Config{}))
		behind(0)
	}, dbtest.PQ)
}

// TestEventsOnly: a store that cannot count row changes says why, of a forwarder that gets some.
func TestEventsOnly(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		c.commit("a")
		c.row("r1")
		if st := c.stateBy(c.store); st.Behind != 1 || st.EventsOnlyReason != "" {
			t.Errorf("%+v before a program says that the forwarder gets changes", st)
		}
		c.run("ALTER TABLE threadline.audit_changes RENAME TO away")
		if st := c.stateBy(c.operator("")); st.Behind != 1 || !strings.Contains(st.EventsOnlyReason, "there are no tables of row changes in schema threadline") {
			t.Errorf("%+v without the tables", st)
		}
		c.run("ALTER TABLE threadline.away RENAME TO audit_changes")
		c.begins(relay.Config{})
		c.until("the program says that the forwarder gets changes", func() bool { return strings.Contains(c.stateBy(c.store).EventsOnlyReason, "Options.Changes") })
		for what, o := range map[string]map[string]relay.Changes{"is nil": {name: nil}} {
			if _, err := relay.New(hooks.Postgres, &relay.Options{Changes: o}); err == nil || !strings.Contains(err.Error(), what) {
				t.Errorf("%v, want %s", err, what)
			}
		}
	}, dbtest.PQ)
}

// TestChangesLag: a lag is reported also where nothing but changes waits, with their number.
func TestChangesLag(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		c.run("INSERT INTO t SELECT i FROM pg_catalog.generate_series(1, 12) i")
		c.clock.pass(time.Minute)
		c.sink.whole = errTransient
		c.begins(relay.Config{Batch: 5})
		c.until("it is behind", func() bool { return len(c.sink.told(hooks.NoticeLag)) > 0 })
		c.sink.set(func(s *sink) {
			i := slices.IndexFunc(s.notices, func(n hooks.Notice) bool { return n.Kind == hooks.NoticeLag })
			if n := s.notices[i]; n.Count != 12 || n.Duration < 50*time.Second {
				t.Errorf("%d wait for %v, want 12 for about a minute", n.Count, n.Duration)
			}
		})
	}, dbtest.PQ)
}

// time is one that now has returned.
func (c *captured) time(text string) time.Time {
	c.Helper()
	at, err := time.Parse("2006-01-02 15:04:05.999999-07", text)
	c.must(err)
	return at
}

// looks has a target delivered to, once, all that there is for it.
func (c *captured) looks(t relay.Target) {
	c.Helper()
	_, err := relay.CatchUp(ctx, c.store, c.db, relay.Config{Targets: []relay.Target{t}, Clock: c.clock}, relay.Share{})
	c.must(err)
}

// TestChangesAreReplayed: by time, position and ID, once more, as what they were, behind the events of their transaction; with dry
// they are only counted, and so many come.
func TestChangesAreReplayed(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		operator := c.operator("")
		c.row("before")
		from := c.now()
		c.row("r1")
		both := c.begin()
		both.exec("INSERT INTO t VALUES ('r2')")
		both.record("a")
		both.commit()
		c.restored(-3, -1) // and these have times before
		c.ahead()
		c.looks(c.target())
		c.want("before r1 a r2")
		first := c.seen()
		at := c.time(from)
		to := time.Now().Add(time.Hour)
		for _, test := range []struct {
			what string
			sel  relay.Selection
			want string
		}{
			{"a time", relay.Selection{From: at}, "r1 a r2"},
			{"a time with what was restored", relay.Selection{To: to}, "before r1 a r2"},
			{"no time", relay.Selection{To: at.Add(-time.Hour)}, ""},
			{"positions", relay.Selection{Positions: []journal.Position{first[0].Position, first[2].Position}}, "before a"},
			{"an ID", relay.Selection{IDs: []uuid.UUID{first[3].ID}}, "r2"},
			{"IDs", relay.Selection{IDs: []uuid.UUID{first[1].ID, first[2].ID}}, "r1 a"},
			{"an ID and a time", relay.Selection{IDs: []uuid.UUID{first[0].ID, first[1].ID}, From: at}, "r1"},
			{"none that is discarded", relay.Selection{From: at, Discarded: true}, ""},
		} {
			c.sink.set(func(s *sink) { s.got = nil })
			test.sel.Forwarder = name
			dry, err := operator.Replay(ctx, c.db, test.sel, true)
			c.must(err)
			if got := c.sink.all(); got != "" {
				t.Errorf("%s: a count has delivered [%s]", test.what, got)
			}
			n, err := operator.Replay(ctx, c.db, test.sel, false)
			c.must(err)
			if want := int64(len(strings.Fields(test.want))); n != want || dry != want {
				t.Errorf("%s: %d are replayed, and %d counted, want %d", test.what, n, dry, want)
			}
			c.looks(c.target())
			if left := c.failures(false); len(left) > 0 {
				t.Errorf("%s: not delivered: %+v", test.what, left)
			}
			c.want(test.want)
		}
		as := make(map[uuid.UUID]journal.Entry)
		for _, e := range first {
			as[e.ID] = e
		}
		for _, e := range c.seen() {
			if was := as[e.ID]; was.Tx != e.Tx || was.Position != e.Position || string(was.Change) != string(e.Change) {
				t.Errorf("%+v, and it was %+v", e, was)
			}
		}
		gone := journal.ChangePosition(1, 1)
		_, err := operator.Replay(ctx, c.db, relay.Selection{Forwarder: name, Positions: []journal.Position{gone}}, true)
		if err == nil || !strings.Contains(err.Error(), "there is no row change at position "+gone.Text()) {
			t.Errorf("of a position without a change: %v", err)
		}
		unknown := uuid.NewSHA1(uuid.Nil, nil)
		_, err = operator.Replay(ctx, c.db, relay.Selection{Forwarder: name, IDs: []uuid.UUID{first[0].ID, unknown}}, true)
		if err == nil || !strings.Contains(err.Error(), "no entry has the ID "+unknown.String()+": ") {
			t.Errorf("of an ID that neither an event nor a change has: %v", err)
		}
		c.begins(relay.Config{})
		c.until("it says that the forwarder gets changes", func() bool { return c.stateBy(c.store).EventsOnlyReason != "" })
		for _, sel := range []relay.Selection{{From: at}, {IDs: []uuid.UUID{first[0].ID}}, {Positions: []journal.Position{first[0].Position}}} {
			sel.Forwarder = name
			if n, err := c.store.Replay(ctx, c.db, sel, true); n != 0 || err == nil || !strings.Contains(err.Error(), "Options.Changes") {
				t.Errorf("%+v without the source: %d, %v", sel, n, err)
			}
		}
	}, dbtest.PQ)
}

// TestReplayWithoutPrograms: while no program says whether a forwarder gets row changes, and the store does not know, what may include some
// is not replayed without them.
func TestReplayWithoutPrograms(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		from := c.time(c.now())
		c.commit("a")
		c.row("r1")
		c.ahead()
		c.looks(c.target())
		c.want("a r1")
		without, err := relay.New(hooks.Postgres, &relay.Options{EventsOnly: []string{name}})
		c.must(err)
		for _, sel := range []relay.Selection{{From: from}, {IDs: []uuid.UUID{c.seen()[1].ID}}, {Positions: []journal.Position{c.seen()[1].Position}}} {
			sel.Forwarder = name
			for _, dry := range []bool{true, false} {
				if n, err := c.store.Replay(ctx, c.db, sel, dry); n != 0 || !errors.Is(err, relay.ErrChangesUnknown) {
					t.Errorf("%+v: %d, %v", sel, n, err)
				}
			}
		}
		for _, test := range []struct {
			s    *relay.Store
			sel  relay.Selection
			want int64
		}{
			{c.store, relay.Selection{IDs: []uuid.UUID{c.seen()[0].ID}}, 1},
			{c.store, relay.Selection{Discarded: true}, 0},
			{without, relay.Selection{From: from}, 1},
			{c.operator(""), relay.Selection{From: from}, 2},
		} {
			test.sel.Forwarder = name
			if n, err := test.s.Replay(ctx, c.db, test.sel, true); n != test.want || err != nil {
				t.Errorf("%+v: %d, %v, want %d", test.sel, n, err, test.want)
			}
		}
		c.start(relay.Config{Targets: []relay.Target{c.world.target()}})
		c.until("a program says that the forwarder gets none", func() bool {
			n, err := c.store.Replay(ctx, c.db, relay.Selection{Forwarder: name, From: from}, true)
			return n == 1 && err == nil
		})
	}, dbtest.PQ)
}

// TestChangesNotReached are not replayed: they come anyway.
func TestChangesNotReached(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		c.run("INSERT INTO t VALUES ('r1'), ('r2'), ('r3')")
		_, err := relay.CatchUp(ctx, c.store, c.db, relay.Config{Targets: []relay.Target{c.target()}, Batch: 1}, relay.Share{Steps: 2})
		c.must(err)
		c.want("r1 r2")
		n, err := c.operator("").Replay(ctx, c.db, relay.Selection{Forwarder: name, To: time.Now().Add(time.Hour)}, false)
		c.must(err)
		if n != 2 {
			t.Errorf("%d are replayed, want the two that have come", n)
		}
	}, dbtest.PQ)
}

// TestDeadChangesAreReplayed: by when they were captured, by position, and all of a reason, without a source too; each comes once.
func TestDeadChangesAreReplayed(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		c.refuse(permanent{errTransient}, "r1", "r2", "r3", "r4", "a")
		c.run("INSERT INTO t VALUES ('r1'), ('r2'), ('good')")
		between := c.now()
		c.row("r3")
		c.commit("a", "b")
		c.row("r4")
		r := c.begins(relay.Config{})
		c.drain(r)
		c.until("they are discarded", func() bool { return len(c.failures(true)) == 5 })
		c.must(r.Stop(ctx))
		c.refuse(nil)
		c.ahead()
		at := c.time(between)
		failed := c.failures(true)
		position := func(id string) (p journal.Position) {
			for _, e := range c.seen() {
				if e.Target.ID == id {
					p = e.Position
				}
			}
			return p
		}
		if i := slices.IndexFunc(failed, func(f relay.Failed) bool { return f.Position == position("r1") }); i < 0 || failed[i].EventID == uuid.Nil || failed[i].Reason != "error" {
			t.Errorf("r1 is not among %+v", failed)
		}
		operator := c.operator("")
		replay := func(s *relay.Store, sel relay.Selection, want int64) {
			t.Helper()
			sel.Forwarder = name
			if n, err := s.Replay(ctx, c.db, sel, false); n != want || err != nil {
				t.Errorf("%d, %v, want %d", n, err, want)
			}
		}
		if n, err := c.store.Replay(ctx, c.db, relay.Selection{Forwarder: name, Discarded: true, To: at}, false); n != 0 || err == nil || !strings.Contains(err.Error(), "Options.Changes") {
			t.Errorf("by time without the source: %d, %v", n, err)
		}
		replay(operator, relay.Selection{Discarded: true, To: at}, 2)
		replay(operator, relay.Selection{Reason: "other", From: at}, 0)
		replay(operator, relay.Selection{Discarded: true, Positions: []journal.Position{position("r1"), position("r3")}}, 1)
		replay(c.store, relay.Selection{Reason: "error"}, 2)
		before := c.times()
		c.drain(c.begins(relay.Config{}))
		c.until("they are settled", func() bool { return len(c.failures(true))+len(c.failures(false)) == 0 })
		got := strings.Fields(c.sink.all())
		slices.Sort(got)
		if all := strings.Join(got, " "); all != "a b good r1 r2 r3 r4" {
			t.Errorf("delivered %s", all)
		}
		for id, n := range c.times() {
			if n > before[id]+1 {
				t.Errorf("%s has come %d times more", id, n-before[id])
			}
		}
	}, dbtest.PQ)
}

// TestChangesOfACopy: Resume with replay also replays the changes that a copy has made, and with what the cursor may not have passed,
// and continues; without, it skips and counts them. A store that cannot read them replays nothing.
func TestChangesOfACopy(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		r := c.begins(relay.Config{})
		c.row("r1")
		c.drain(r)
		c.must(r.Stop(ctx))
		c.row("r2")
		c.commit("a")
		c.restored(-3, -1)
		copied := c.operator("staging")
		c.ahead()
		r = c.startBy(copied)
		c.until("it waits", func() bool { return r.Trouble(name) != nil })
		if st := c.stateBy(copied); !st.Elsewhere || st.Behind < 2 {
			t.Errorf("%+v, want r2 and a to wait for a decision", st)
		}
		plain, err := relay.New(hooks.Postgres, &relay.Options{Environment: "staging"})
		c.must(err)
		if _, err = plain.Resume(ctx, c.db, name, true); err == nil || !strings.Contains(err.Error(), "Options.Changes") {
			t.Errorf("without the source: %v", err)
		}
		waits := c.stateBy(copied).Behind
		n, err := copied.Resume(ctx, c.db, name, true)
		c.must(err)
		if n != waits {
			t.Errorf("%d are replayed, and %d had waited", n, waits)
		}
		c.row("r3")
		c.drain(r)
		c.until("what is replayed is delivered", func() bool { return len(c.failures(false)) == 0 })
		for _, want := range []string{"r2", "a", "r3"} {
			if !contains(c.sink.all(), want) {
				t.Errorf("%s is not among what was delivered: %s", want, c.sink.all())
			}
		}
		if contains(c.sink.all(), "restored") {
			t.Errorf("what was captured elsewhere is among what was delivered: %s", c.sink.all())
		}
		c.must(r.Stop(ctx))

		c.row("r4")
		c.commit("b")
		n, err = c.operator("testing").Resume(ctx, c.db, name, false)
		c.must(err)
		if n < 2 {
			t.Errorf("%d are skipped, want r4 and b at least", n)
		}
		c.row("r5")
		c.drain(c.startBy(c.operator("testing")))
		if all := c.sink.all(); contains(all, "r4") || contains(all, "b") || !contains(all, "r5") {
			t.Errorf("delivered %s", all)
		}
	}, dbtest.PQ)
}

// startBy starts a relay of a store.
func (c *captured) startBy(s *relay.Store) *relay.Relay {
	c.Helper()
	was := c.store
	c.store = s
	defer func() { c.store = was }()
	return c.begins(relay.Config{})
}

// without is a target of the same name in a version of the program that does not ask for changes.
func (c *captured) without() relay.Target {
	t := c.target()
	t.Changes = nil
	return t
}

// TestChangesOfANewerVersion: what a newer version has yet to try again of changes, one that does not get them leaves alone, does not
// look for again and again, and takes for no reason to work; and delivers the events that are to be tried again.
func TestChangesOfANewerVersion(t *testing.T) {
	eachCaptured(t, func(c *captured) {
		c.refuse(errTransient, "bad", "a")
		c.row("bad")
		c.commit("a")
		c.row("good")
		r := c.begins(relay.Config{})
		c.drain(r)
		c.until("both are to be tried again", func() bool { return len(c.failures(false)) == 2 })
		c.must(r.Stop(ctx))
		c.refuse(nil)
		c.run("UPDATE aftercommit.retries SET next_at = first_at")

		p := dbtest.NewProxy(t, dbtest.Shared(t).Addr())
		looks := p.Watch(func(query string) bool { return strings.Contains(query, "SELECT 1 WHERE") })
		due := p.Watch(func(query string) bool { return strings.Contains(query, "min(next_at)") })
		db := dbtest.Open(t, c.e.Driver, dbtest.Via(c.dsn, p.Addr()))
		older := relay.Start(c.store, db, relay.Config{Targets: []relay.Target{c.without()}, Lease: lasting, Poll: time.Millisecond})
		c.until("the event is delivered", func() bool { return contains(c.sink.all(), "a") })
		c.until("it is settled", func() bool { return len(c.failures(false)) == 1 })
		before, asked := len(looks.Queries()), len(due.Queries())
		c.until("it has looked for more", func() bool { return len(looks.Queries()) > before+20 })
		if n := len(due.Queries()) - asked; n > 10 {
			t.Errorf("in 20 looks it has %d times taken the change for what it can try", n)
		}
		c.must(older.Stop(ctx))
		fence := c.fence()
		c.ahead()
		c.looks(c.without())
		if n := c.fence(); n != fence {
			t.Error("CatchUp has taken the lease for it")
		}
		if n, gone := len(c.failures(false)), c.failures(true); n != 1 || len(gone) > 0 {
			t.Fatalf("%d changes are to be tried again, and discarded are %+v", n, gone)
		}
		c.begins(relay.Config{})
		c.until("the change is delivered", func() bool { return contains(c.sink.all(), "bad") })
		c.until("it is settled", func() bool { return len(c.failures(false)) == 0 })
	}, dbtest.PQ)
}

// TestChangesOnSQLite are refused.
func TestChangesOnSQLite(t *testing.T) {
	_, err := relay.New(hooks.SQLite, &relay.Options{Changes: map[string]relay.Changes{name: changes.NewSource(nil)}})
	if err == nil || !strings.Contains(err.Error(), "on PostgreSQL only") {
		t.Error(err)
	}
}
