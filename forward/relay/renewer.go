package relay

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// renewer renews all leases of a process, beside its workers: a step of theirs may
// take any time, and their connections are busy meanwhile.
type renewer struct {
	relay *Relay
	over  chan struct{} // closed when run has returned

	mu     sync.Mutex
	leases map[*lease]struct{}
	failed bool // the last attempt

	behind atomic.Int32 // attempts that have not returned
}

// Renewals per lease, when all is well and after a failure.
const (
	renewals             = 3
	renewalsAfterFailure = 10
)

// mostBehind is how many attempts may be left behind. More than one, because the next
// has another connection, which may work.
const mostBehind = 3

var errBehind = errors.New("relay: the database does not answer: earlier attempts to renew the leases have not returned")

func newRenewer(r *Relay) *renewer {
	return &renewer{relay: r, over: make(chan struct{}), leases: make(map[*lease]struct{})}
}

func (k *renewer) add(l *lease) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.leases[l] = struct{}{}
}

// remove reports whether the lease was still to be renewed.
func (k *renewer) remove(l *lease) bool {
	if k == nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	_, there := k.leases[l]
	delete(k.leases, l)
	return there
}

// works reports whether leases are renewed while a worker's connection is busy.
func (k *renewer) works() bool {
	if k == nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.failed
}

// run renews until ctx ends.
func (k *renewer) run(ctx context.Context) {
	defer close(k.over)
	ttl := k.relay.cfg.Lease
	pause := ttl / renewals
	for {
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = ttl / renewals
		if !k.tick(ctx) {
			pause = ttl / renewalsAfterFailure
		}
	}
}

// tick makes one attempt, and reports whether all leases were renewed that are
// still this process's. The others are lost.
func (k *renewer) tick(ctx context.Context) bool {
	ttl := k.relay.cfg.Lease
	start := time.Now()
	due, earliest := k.due(start)
	if len(due) == 0 {
		return true // whether it works shows with the next lease
	}
	// If the process was stopped, all may have run out and still be its own.
	limit := min(max(earliest.Sub(start), ttl/renewalsAfterFailure), ttl/renewals)
	found, err := k.attemptWithin(ctx, limit, due)
	k.mu.Lock()
	k.failed = err != nil
	k.mu.Unlock()
	all := err == nil
	for _, l := range due {
		state, held := found[l.name]
		switch {
		case err == nil && !held:
			k.lose(l, errLost)
			continue
		case state.renewed:
			l.extended(start.Add(ttl))
			continue
		case state.locked:
			all = false
		}
		if l.ranOut(time.Now()) {
			k.lose(l, errors.Join(errRanOut, err))
		}
	}
	return all
}

// due returns the leases to renew, and when the first of all runs out.
func (k *renewer) due(now time.Time) (due []*lease, earliest time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	earliest = now.Add(k.relay.cfg.Lease)
	for l := range k.leases {
		if until := l.runsOut(); until.Before(earliest) {
			earliest = until
		}
		due = append(due, l)
	}
	return due, earliest
}

func (k *renewer) lose(l *lease, why error) {
	if !k.remove(l) { // its worker has given it back meanwhile
		return
	}
	l.lose(why)
	l.rouse()
	k.relay.cfg.Log.Info("aftercommit: a lease is over before its time: a call that is running is cancelled, and what it has not written comes again, from the process that takes the lease next",
		zap.String("forwarder", l.name), zap.Error(why))
}

// attemptWithin is attempt, left behind if it does not return.
func (k *renewer) attemptWithin(ctx context.Context, limit time.Duration, leases []*lease) (map[string]renewal, error) {
	if k.behind.Load() >= mostBehind {
		return nil, errBehind
	}
	k.behind.Add(1)
	return within(ctx, limit, func(ctx context.Context) (map[string]renewal, error) {
		defer k.behind.Add(-1)
		return k.attempt(ctx, leases)
	})
}

// attempt renews those of leases whose worker makes progress, and shows that the
// process lives.
func (k *renewer) attempt(ctx context.Context, leases []*lease) (found map[string]renewal, err error) {
	r := k.relay
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { r.giveBack(conn, NothingLeft, err) }()
	if len(leases) > 0 {
		if found, err = r.store.renewAll(ctx, conn, leases, r.cfg.Lease); err != nil {
			return nil, err
		}
	}
	select {
	case <-r.stopping: // the workers delete the row that a heartbeat would insert again
		return found, nil
	default:
		err = r.heartbeat(ctx, conn)
		return found, err
	}
}

// renewal is what became of a lease that is held.
type renewal struct {
	renewed bool
	locked  bool // by another transaction
}

// renewAll renews leases in one statement, and waits for no lock. A lease that is
// missing in its answer is lost.
func (s *Store) renewAll(ctx context.Context, q querier, leases []*lease, ttl time.Duration) (found map[string]renewal, err error) {
	var all, live []string
	now := time.Now()
	for _, l := range leases {
		row := "(" + s.quote(l.name) + ", " + itoa(l.fence) + ")"
		all = append(all, row)
		if !l.stuck(now, ttl) {
			live = append(live, row)
		}
	}
	which := func(rows []string) string {
		if len(rows) == 0 {
			return "false"
		}
		return hasHolder + " AND (name, fence) IN (" + strings.Join(rows, ", ") + ")"
	}
	// The answer has each lease's index and not its name, which the database may store
	// in another form.
	number := "CASE name"
	for i, l := range leases {
		number += " WHEN " + s.quote(l.name) + " THEN " + itoa(int64(i))
	}
	table := s.prefix + "cursors"
	rows, err := q.QueryContext(ctx, "WITH mine AS (SELECT name FROM "+table+" WHERE "+which(live)+s.d.skipLocked()+"),"+
		" renewed AS (UPDATE "+table+" f SET lease_until = "+s.d.later(ttl)+" FROM mine WHERE f.name = mine.name RETURNING f.name)"+
		" SELECT "+number+" END, EXISTS (SELECT 1 FROM renewed r WHERE r.name = f.name), "+which(live)+" FROM "+table+" f WHERE "+which(all))
	if err != nil {
		return nil, fmt.Errorf("relay: renew leases: %w", err)
	}
	defer rows.Close()
	found = make(map[string]renewal)
	for rows.Next() {
		var (
			i              int
			renewed, lives bool
		)
		if err := rows.Scan(&i, &renewed, &lives); err != nil {
			return nil, fmt.Errorf("relay: renew leases: %w", err)
		}
		found[leases[i].name] = renewal{renewed: renewed, locked: lives && !renewed}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("relay: renew leases: %w", err)
	}
	return found, nil
}

// within returns what f does within limit. On a network that swallows everything
// some drivers do not return when their context has ended: then f is left behind.
func within[T any](ctx context.Context, limit time.Duration, f func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	done := make(chan answer, 1)
	go func() {
		defer cancel()
		value, err := f(ctx)
		done <- answer{value, err}
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
	}
	const grace = 50 * time.Millisecond // for a driver that does return, and says why
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case a := <-done:
		return a.value, a.err
	case <-late.C:
		var none T
		return none, ctx.Err()
	}
}

// canRenew reports whether a renewer has a connection for itself in db. Where it does
// not, or on SQLite, where it would fight the app for the file's lock, a worker
// extends its lease over its own connection before each call.
func canRenew(s *Store, db *sql.DB) bool {
	return s.d.skipLocked() != "" && db.Stats().MaxOpenConnections != 1
}
