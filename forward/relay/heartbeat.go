package relay

import (
	"context"
	"fmt"
	"time"
)

// heartbeat shows that the process lives, and learns its share.
func (r *Relay) heartbeat(ctx context.Context, q querier) error {
	r.mu.Lock()
	due := !r.silent && time.Since(r.beat) > r.cfg.Lease/3
	if due {
		r.beat = time.Now()
	}
	r.mu.Unlock()
	if !due {
		return nil
	}
	own := r.registers()
	c, err := r.store.beat(ctx, q, r.cfg.Holder, own.text(), r.cfg.Lease)
	if err != nil {
		return err
	}
	with := own.equally(c.processes - 1)
	if c.unlike > 0 {
		others, err := r.store.others(ctx, q, r.cfg.Holder)
		if err != nil {
			return err
		}
		with = own.sharedWith(others)
		r.compare(others)
	}
	share := with.share()
	if !r.store.d.compares() {
		share = (c.forwarders + c.processes - 1) / c.processes
	}
	r.mu.Lock()
	r.sharing, r.share = with, share
	r.mu.Unlock()
	return r.lookForUnserved(ctx, q)
}

// counts are what a heartbeat counts.
type counts struct {
	processes int // that live, at least one
	unlike    int // that have registered something else
	// forwarders are all that are not retired. They count only where processes do not
	// register what they have.
	forwarders int
}

// beat notes that holder lives, and has registered own.
func (s *Store) beat(ctx context.Context, q querier, holder, own string, lease time.Duration) (c counts, err error) {
	columns, values, sets := "name, seen_at", s.quote(holder)+", "+s.d.now(), "seen_at = excluded.seen_at"
	unlike, forwarders := "0", "(SELECT "+s.d.fn("count")+"(*) FROM "+s.prefix+"forwarders WHERE retired_at IS NULL)"
	if s.d.compares() {
		mine := s.quote(own)
		columns, values, sets = columns+", forwarders", values+", "+mine, sets+", forwarders = excluded.forwarders"
		unlike, forwarders = "(SELECT "+s.d.fn("count")+"(*) FROM "+s.prefix+"workers WHERE forwarders <> "+mine+")", "0"
	}
	_, err = q.ExecContext(ctx, "INSERT INTO "+s.prefix+"workers ("+columns+") VALUES ("+values+") ON CONFLICT (name) DO UPDATE SET "+sets)
	if err != nil {
		return c, fmt.Errorf("relay: send a heartbeat: %w", err)
	}
	if _, err = q.ExecContext(ctx, "DELETE FROM "+s.prefix+"workers WHERE seen_at < "+s.d.later(-lease)); err != nil {
		return c, fmt.Errorf("relay: delete processes without a heartbeat: %w", err)
	}
	err = q.QueryRowContext(ctx, "SELECT (SELECT "+s.d.fn("count")+"(*) FROM "+s.prefix+"workers), "+unlike+", "+forwarders).
		Scan(&c.processes, &c.unlike, &c.forwarders)
	if err != nil {
		return c, fmt.Errorf("relay: count processes and forwarders: %w", err)
	}
	c.processes = max(c.processes, 1)
	return c, nil
}

// leave forgets a process that stops.
func (s *Store) leave(ctx context.Context, q querier, holder string) error {
	_, err := q.ExecContext(ctx, "DELETE FROM "+s.prefix+"workers WHERE name = "+s.quote(holder))
	return err
}
