package relay

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// answering is a server that answers each statement that looks for what has arrived with
// arrived, and heartbeats with no change. It notes when.
type answering struct {
	mu           sync.Mutex
	arrived      bool
	err          error
	looks, beats []time.Time
}

func (a *answering) Connect(context.Context) (driver.Conn, error) {
	return answeringConn{server: a}, nil
}
func (a *answering) Driver() driver.Driver { return nil }

type answeringConn struct {
	driver.Conn
	server *answering
}

func (answeringConn) Close() error { return nil }

// ExecContext answers.
func (c answeringConn) ExecContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	a := c.server
	a.mu.Lock()
	defer a.mu.Unlock()
	if !strings.HasPrefix(query, "SELECT 1 WHERE") {
		if strings.Contains(query, "INSERT INTO \"aftercommit\".workers") {
			a.beats = append(a.beats, time.Now())
		}
		return driver.RowsAffected(0), nil
	}
	a.looks = append(a.looks, time.Now())
	if a.arrived {
		return driver.RowsAffected(1), a.err
	}
	return driver.RowsAffected(0), a.err
}

// TestPoller: it looks once for all workers that rest, less and less often down to Poll, and
// wakes them if something has arrived, or if it cannot look.
func TestPoller(t *testing.T) {
	for name, answer := range map[string]*answering{"something": {arrived: true}, "an error": {err: errors.New("no answer")}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := New(hooks.Postgres, nil)
				if err != nil {
					t.Fatal(err)
				}
				server := &answering{}
				db := sql.OpenDB(server)
				defer db.Close()
				r := newRelay(s, db, Config{Targets: []Target{{Name: "a"}, {Name: "b"}}})
				r.held = 2
				r.member.beat, r.unserved.looked = time.Now().Add(time.Hour), time.Now() // what is tested are the looks
				l := newPoller(r)
				r.poller = l
				go l.run(t.Context())
				defer close(r.stopping)
				time.Sleep(time.Second)
				for _, w := range r.workers {
					l.add(w, expected{cursor: cursor{name: w.target.Name, done: "1:1:"}, entries: true}, 0)
				}
				began := time.Now()
				time.Sleep(3 * time.Second)
				synctest.Wait()
				server.mu.Lock()
				var pauses []time.Duration
				for _, at := range server.looks {
					pauses = append(pauses, at.Sub(began).Round(time.Millisecond))
					began = at
				}
				server.looks, server.arrived, server.err = nil, answer.arrived, answer.err
				server.mu.Unlock()
				ms := time.Millisecond
				for i, want := range []time.Duration{20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 400 * ms, 400 * ms} {
					if i >= len(pauses) || pauses[i] != want {
						t.Fatalf("it looks after %v, want %v at %d", pauses, want, i)
					}
				}
				for _, w := range r.workers {
					select {
					case <-w.wake:
						t.Fatal("a worker is woken for nothing")
					default:
					}
				}
				time.Sleep(time.Second)
				for _, w := range r.workers {
					select {
					case <-w.wake:
					default:
						t.Errorf("%s is not woken", w.target.Name)
					}
					if !w.news.Load() {
						t.Errorf("%s is not told that there is news", w.target.Name)
					}
				}
			})
		})
	}
}

// TestWakeWithoutALease: a commit of a process without a lease has it look at once for one that
// it may take, if its last look was not just before. While it has all its leases a commit wakes
// the workers, and costs no look.
func TestWakeWithoutALease(t *testing.T) {
	const lease, poll = 11 * time.Second, 400 * time.Millisecond
	for name, test := range map[string]struct {
		held   int
		rested time.Duration // since the last heartbeat
		looks  []time.Duration
	}{
		"without":                         {rested: 3 * time.Second, looks: []time.Duration{0}},
		"without, and it has just looked": {rested: poll / 2, looks: []time.Duration{2*poll - poll/2}},
		"with one of two":                 {held: 1, rested: 3 * time.Second, looks: []time.Duration{0}},
		"with both":                       {held: 2, rested: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := New(hooks.Postgres, nil)
				if err != nil {
					t.Fatal(err)
				}
				server := &answering{}
				db := sql.OpenDB(server)
				defer db.Close()
				r := newRelay(s, db, Config{Targets: []Target{{Name: "a"}, {Name: "b"}}, Lease: lease, Poll: poll})
				r.poller, r.held = newPoller(r), test.held
				for _, w := range r.workers[:test.held] {
					w.alert.Store(true)
				}
				began := time.Now()
				r.member = membership{began: began.Add(-time.Hour), beat: began, pace: fastest, processes: 2, known: new(int64)}
				r.unserved.looked = began
				go r.poller.run(t.Context())
				defer close(r.stopping)
				time.Sleep(test.rested)
				committed := time.Now()
				r.Wake()
				time.Sleep(began.Add(lease/renewals).Sub(committed) - time.Millisecond) // when a holder looks anyway
				synctest.Wait()
				server.mu.Lock()
				defer server.mu.Unlock()
				var looks []time.Duration
				for _, at := range server.beats {
					looks = append(looks, at.Sub(committed))
				}
				if !slices.Equal(looks, test.looks) {
					t.Errorf("it looks %v after the commit, want %v", looks, test.looks)
				}
				for i, w := range r.workers {
					if got, want := len(w.wake) > 0, i < test.held; got != want {
						t.Errorf("worker %d is woken: %v, want %v", i, got, want)
					}
				}
			})
		})
	}
}

// TestHeartbeatComesForward: what makes a heartbeat due sooner has the poller look sooner, though
// it waits already: else a process that has lost its lease would learn for a third of a lease
// neither what others have nor that it may take another.
func TestHeartbeatComesForward(t *testing.T) {
	const lease, poll = time.Hour, 400 * time.Millisecond
	for name, change := range map[string]func(r *Relay){
		"a lease is lost": func(r *Relay) { r.removeLease() },
		"a lease is given up": func(r *Relay) {
			r.share = 0
			r.releaseExcess("a")
		},
		"a heartbeat fails": func(r *Relay) {
			err := errors.New("no answer")
			r.noteFailure(&err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := New(hooks.Postgres, nil)
				if err != nil {
					t.Fatal(err)
				}
				server := &answering{}
				db := sql.OpenDB(server)
				defer db.Close()
				r := newRelay(s, db, Config{Targets: []Target{{Name: "a"}}, Lease: lease, Poll: poll})
				r.poller, r.held = newPoller(r), 1
				now := time.Now()
				r.member = membership{began: now, beat: now, pace: fastest, processes: 1, known: new(int64)}
				r.unserved.looked = now
				go r.poller.run(t.Context())
				defer close(r.stopping)
				time.Sleep(10 * time.Second)
				change(r)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				server.mu.Lock()
				defer server.mu.Unlock()
				if len(server.beats) == 0 {
					t.Error("it has not sent a heartbeat within ten seconds")
				}
			})
		})
	}
}
