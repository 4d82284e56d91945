package relay

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// heartbeat shows that the process lives and, if something has changed, learns its share and
// wakes the workers. It does nothing before the time.
func (r *Relay) heartbeat(ctx context.Context, q querier) error {
	changed, err := r.sendHeartbeat(ctx, q)
	if err == nil && changed {
		err = r.refreshMembers(ctx, q)
	}
	if err == nil {
		err = r.lookForUnserved(ctx, q)
	}
	return err
}

// sendHeartbeat is heartbeat without what follows a change. It is one statement, for which the
// isolation level and access mode of q do not matter.
func (r *Relay) sendHeartbeat(ctx context.Context, q querier) (changed bool, err error) {
	r.mu.Lock()
	now := time.Now()
	if r.silent || now.Before(r.heartbeatDue()) {
		defer r.mu.Unlock()
		if r.held > 0 { // what it has is renewed by others
			return false, nil
		}
		return false, r.member.failed
	}
	known := r.member.known
	r.member.sent(now, nil) // so that no other goroutine sends it too
	r.mu.Unlock()
	defer r.noteFailure(&err)
	own := r.registers()
	return r.store.sendHeartbeat(ctx, q, r.cfg.Holder, &own, r.cfg.Lease, r.maxLease(), known)
}

// noteFailure schedules another heartbeat soon after one that has failed.
func (r *Relay) noteFailure(err *error) {
	if *err != nil {
		r.mu.Lock()
		r.member.sent(time.Now(), *err)
		r.mu.Unlock()
		r.poller.reschedule()
	}
}

// heartbeatDue returns when the next heartbeat is due. The caller holds r.mu.
func (r *Relay) heartbeatDue() time.Time {
	return r.member.due(&r.cfg, r.store.d.pollsTogether(), r.held, len(r.workers))
}

// untilHeartbeat returns how long it is until then.
func (r *Relay) untilHeartbeat(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(0, r.heartbeatDue().Sub(now))
}

// refreshMembers learns which processes there are, and what that changes.
func (r *Relay) refreshMembers(ctx context.Context, q querier) (err error) {
	defer r.noteFailure(&err)
	own := r.registers()
	if err = r.store.deleteDead(ctx, q, r.cfg.Holder, r.cfg.Lease, r.maxLease()); err != nil {
		return err
	}
	c, err := r.store.count(ctx, q, r.cfg.Holder, &own, r.cfg.Lease, r.maxLease())
	if err != nil {
		return err
	}
	with := own.equally(c.processes - 1)
	if c.unlike > 0 {
		var others []registered
		if others, err = r.store.others(ctx, q, r.cfg.Holder); err != nil {
			return err
		}
		with = own.sharedWith(others)
		r.compare(others)
	}
	share := with.share()
	if !r.store.d.registersForwarders() {
		share = (c.forwarders + c.processes - 1) / c.processes
	}
	r.mu.Lock()
	r.sharing, r.share = with, share
	r.member.processes = c.processes
	r.member.known = &c.hash
	r.mu.Unlock()
	if r.poller != nil {
		r.poller.reschedule()
		r.poller.wakeAll()
	}
	return nil
}

// invalidateMembers has the next heartbeat read everything again: a lease was free, and this
// process did not get it.
func (r *Relay) invalidateMembers() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.member.known = nil
}

// heartbeatSoon has the next heartbeat follow soon: there may be something to take, or to show.
func (r *Relay) heartbeatSoon() {
	r.mu.Lock()
	r.member.soon = true
	r.mu.Unlock()
	r.poller.reschedule()
}

// counts are what a process learns of others.
type counts struct {
	processes int // that live, at least one
	unlike    int // that have registered something else
	// forwarders are all that are not retired. They count only where processes do not
	// register what they have.
	forwarders int
	hash       int64 // by membershipHash
}

// sendHeartbeat notes that holder lives, and has registered own. It reports whether the
// membershipHash is another than known.
func (s *Store) sendHeartbeat(ctx context.Context, q querier, holder string, own *registered, lease, maxLease time.Duration, known *int64) (changed bool, err error) {
	columns, values, sets := "name, seen_at", s.quote(holder)+", "+s.d.now(), "seen_at = excluded.seen_at"
	if s.d.registersForwarders() {
		columns, values, sets = columns+", forwarders", values+", "+s.quote(own.text()), sets+", forwarders = excluded.forwarders"
	}
	n, err := affected(ctx, q, s.d.heartbeat("INSERT INTO "+s.prefix+"workers ("+columns+") VALUES ("+values+") ON CONFLICT (name) DO UPDATE SET "+sets,
		s.membershipHash(holder, own, lease, maxLease), known))
	if err != nil {
		return false, fmt.Errorf("relay: send a heartbeat: %w", err)
	}
	return n > 0, nil
}

// deleteDead deletes processes that have died: those without a heartbeat, and those that have not
// renewed a lease; and those whose heartbeat a clock ahead has sent, who send another if they
// live.
func (s *Store) deleteDead(ctx context.Context, q querier, holder string, lease, maxLease time.Duration) error {
	me := s.quote(holder)
	_, err := q.ExecContext(ctx, "DELETE FROM "+s.prefix+"workers WHERE seen_at < "+s.d.later(-memberFor*lease)+" OR seen_at > "+s.d.later(maxLease)+
		" OR name <> "+me+" AND seen_at < "+s.d.later(-lease/2)+
		" AND name IN (SELECT holder FROM "+s.prefix+"cursors WHERE holder <> "+me+" AND lease_until < "+s.d.now()+")")
	if err != nil {
		return fmt.Errorf("relay: delete processes without a heartbeat: %w", err)
	}
	return nil
}

// count counts the processes, and has the membershipHash.
func (s *Store) count(ctx context.Context, q querier, holder string, own *registered, lease, maxLease time.Duration) (c counts, err error) {
	all := "(SELECT " + s.d.fn("count") + "(*) FROM " + s.prefix
	unlike, forwarders := "0", all+"cursors WHERE retired_at IS NULL)"
	if s.d.registersForwarders() {
		unlike, forwarders = all+"workers WHERE forwarders <> "+s.quote(own.text())+")", "0"
	}
	err = q.QueryRowContext(ctx, "SELECT "+all+"workers), "+unlike+", "+forwarders+", "+s.membershipHash(holder, own, lease, maxLease)).
		Scan(&c.processes, &c.unlike, &c.forwarders, &c.hash)
	if err != nil {
		return c, fmt.Errorf("relay: count processes and forwarders: %w", err)
	}
	c.processes = max(c.processes, 1)
	return c, nil
}

// membershipHash is an expression that hashes what the other processes have registered, and who may
// take own's forwarders. The fence shows a lease that was taken and given back meanwhile.
func (s *Store) membershipHash(holder string, own *registered, lease, maxLease time.Duration) string {
	if !s.d.pollsTogether() {
		return "0"
	}
	names := make([]string, 0, len(own.Forwarders))
	for name := range own.Forwarders {
		names = append(names, s.quote(name))
	}
	slices.Sort(names)
	names = append(names, "NULL") // there may be none
	list := func(what, from string) string {
		return "(SELECT " + s.d.fn("string_agg") + "(" + s.d.fn("concat") + "(t.name, ' ', " + what + "), ' ' ORDER BY t.name) FROM " + s.prefix + from + ")"
	}
	return s.d.hash(list("t.forwarders", "workers t WHERE t.name <> "+s.quote(holder)+" AND t.seen_at >= "+s.d.later(-memberFor*lease)+" AND t.seen_at <= "+s.d.later(maxLease)) + ", " +
		list("t.retired_at IS NULL, ' ', CASE WHEN t.holder IS NULL THEN CASE WHEN t.lease_until IS NULL THEN 'free' ELSE 'offered' END"+
			" WHEN t.lease_until < "+s.d.now()+" THEN 'over' WHEN t.lease_until > "+s.d.later(maxLease)+" THEN 'far' ELSE 'held' END, ' ', t.fence, ' ', t.place", "cursors t WHERE t.name IN ("+strings.Join(names, ", ")+")"))
}

// unregister deletes a process that stops.
func (s *Store) unregister(ctx context.Context, q querier, holder string) error {
	_, err := q.ExecContext(ctx, "DELETE FROM "+s.prefix+"workers WHERE name = "+s.quote(holder))
	return err
}
