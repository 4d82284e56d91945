package relay_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// process is a relay of one target that is stopped and started again and again.
type process struct {
	w      *world
	holder string
	rng    *rand.Rand
	lease  time.Duration
	sink   restless
	calm   bool

	mu     sync.Mutex
	die    chan struct{} // closed to end this life at once
	deaths int

	refused []string
}

// restless is a sink that may end the process it is called in.
type restless interface {
	target(p *process) relay.Target
}

var batches = []int{1, 2, 3, 7, 500}

// run lives some lives, until stop is closed.
func (p *process) run(stop <-chan struct{}) error {
	for {
		die := make(chan struct{})
		p.mu.Lock()
		p.die = die
		batch, life := batches[p.rng.IntN(len(batches))], 5+p.rng.IntN(100)
		p.mu.Unlock()
		target := p.sink.target(p)
		r := relay.Start(p.w.store, p.w.db, relay.Config{
			Targets: []relay.Target{target}, Holder: p.holder, Batch: batch, Lease: p.lease, Poll: 5 * time.Millisecond,
			Notify: p.hear,
		})
		over := false
		select {
		case <-stop:
			over = true
		case <-die:
		case <-time.After(time.Duration(life) * time.Millisecond):
		}
		if err := stopUnless(r, die); err != nil {
			return err
		}
		// What has died cannot give its lease back. It works no more, so that
		// the others need not wait.
		if err := expire(p.w, target.Name, p.holder); err != nil || over {
			return err
		}
	}
}

// hear keeps what is told of refused entries: they come later, and so out of
// order.
func (p *process) hear(n hooks.Notice) {
	if n.Kind != hooks.NoticeFailed {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = append(p.refused, fmt.Sprintf("%s refused %d, attempt %d: %s: %v", n.Forwarder, len(n.Events), n.Attempt, n.Reason, n.Err))
}

// stopUnless stops r in order, or at once if it is to die.
func stopUnless(r *relay.Relay, die <-chan struct{}) error {
	c, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-die:
			cancel()
		case <-c.Done():
		}
	}()
	if err := r.Stop(c); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// chance is true once in n times, and never for a process that is not to die.
func (p *process) chance(n int) bool {
	if p.calm {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rng.IntN(n) == 0
}

// end ends this life, in the middle of a delivery.
func (p *process) end(c context.Context) relay.Result {
	p.mu.Lock()
	select {
	case <-p.die:
	default:
		close(p.die)
		p.deaths++
	}
	p.mu.Unlock()
	<-c.Done()
	return dead
}

var dead = relay.Result{Err: &relay.Failure{Reason: "dead", Err: errors.New("the process has ended")}}

// memory takes entries beside the database. It ends the process only before it
// has taken any, so that nothing comes twice.
type memory struct {
	name string
	mu   sync.Mutex
	got  []delivered
}

// delivered is an entry that came.
type delivered struct {
	event string
	seq   string // its place in the journal
	apart bool   // in no order with others
}

func (m *memory) target(p *process) relay.Target {
	return relay.Target{Name: m.name, MaxAttempts: 5, Deliver: func(c context.Context, _ *sql.DB, entries []journal.Entry) relay.Result {
		switch {
		case c.Err() != nil:
			return dead
		case p.chance(20):
			return p.end(c)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, e := range entries {
			m.got = append(m.got, delivered{event: e.Target.ID, seq: place(&e)})
		}
		return relay.Result{}
	}}
}

// table takes entries into a table of the same database. Its process may end, or
// be overtaken, at any time.
type table struct {
	name string

	mu     sync.Mutex
	stolen int
}

func (t *table) create(w *world) {
	w.Helper()
	n := "n bigserial PRIMARY KEY"
	if w.e.Dialect == hooks.SQLite {
		n = "n INTEGER PRIMARY KEY AUTOINCREMENT"
	}
	_, err := w.db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS delivered ("+n+", forwarder text, event text, seq text)")
	w.must(err)
}

func (t *table) target(p *process) relay.Target {
	return relay.Target{Name: t.name, MaxAttempts: 5, SameDatabase: true, Deliver: func(c context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
		switch {
		case c.Err() != nil:
			return dead
		case p.chance(30):
			return p.end(c)
		case p.chance(12) && p.w.e.Dialect == hooks.Postgres:
			t.steal(p)
		}
		rows := make([]string, len(entries))
		for i, e := range entries {
			rows[i] = fmt.Sprintf("('%s', '%s', '%s')", t.name, e.Target.ID, place(&e))
		}
		if _, err := db.ExecContext(c, "INSERT INTO delivered (forwarder, event, seq) VALUES "+strings.Join(rows, ", ")); err != nil {
			return relay.Result{Err: &relay.Failure{Reason: "error", Err: err}}
		}
		if p.chance(30) {
			return p.end(c)
		}
		return relay.Result{}
	}}
}

// steal ends the lease of the caller, and waits a while for another process to
// take it.
func (t *table) steal(p *process) {
	var fence, now int64
	query := "SELECT fence FROM aftercommit.cursors WHERE name = '" + t.name + "'"
	if p.w.db.QueryRowContext(ctx, query).Scan(&fence) != nil || expire(p.w, t.name, p.holder) != nil {
		return
	}
	for range 200 {
		if p.w.db.QueryRowContext(ctx, query).Scan(&now) != nil {
			return
		}
		if now != fence {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.stolen++
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// expire ends the lease that holder has, as if it had not been heard of.
func expire(w *world, name, holder string) error {
	_, err := w.db.ExecContext(ctx, "UPDATE "+w.own("cursors")+" SET lease_until = '2000-01-01T00:00:00.000000Z' WHERE name = '"+name+"' AND holder = '"+holder+"'")
	return err
}

// own returns a table of the journal's schema.
func (w *world) own(table string) string {
	if w.e.Dialect == hooks.SQLite {
		return "aftercommit_" + table
	}
	return "aftercommit." + table
}

func (t *table) read(w *world) (got []delivered) {
	w.Helper()
	rows, err := w.db.QueryContext(ctx, "SELECT event, seq FROM delivered WHERE forwarder = '"+t.name+"' ORDER BY n")
	w.must(err)
	defer rows.Close()
	for rows.Next() {
		var d delivered
		w.must(rows.Scan(&d.event, &d.seq))
		got = append(got, d)
	}
	w.must(rows.Err())
	return got
}
