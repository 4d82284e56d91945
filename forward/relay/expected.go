package relay

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// expected is what a worker that rests waits for, beside what it knows the time of.
type expected struct {
	cursor cursor
	// entries says that those beyond the cursor are waited for. They are not while the sink is
	// suspended, or if they are left to calls within Commit.
	entries bool
	// before is when the first failure is due that the worker knows of, zero if it knows none.
	before time.Time
}

// arrived is an expression for whether there is something to do for e: entries, failures that
// are due earlier because an operator has asked for a replay, or a lease that is lost.
func (s *Store) arrived(e *expected) string {
	c := &e.cursor
	terms := []string{"NOT " + s.held(c)}
	sooner := "EXISTS (SELECT 1 FROM " + s.prefix + "retries WHERE forwarder = " + s.quote(c.name) + " AND state = '" + stateRetrying + "'"
	if !e.before.IsZero() {
		sooner += " AND next_at < " + s.time(e.before)
	}
	terms = append(terms, sooner+s.mine()+")")
	if e.entries {
		terms = append(terms, s.d.arrived(s, c))
	}
	return strings.Join(terms, " OR ")
}

// anyArrived reports whether there is something to do for one of all. It is a statement
// without an answer, which drivers execute in one transaction and one round trip.
func anyArrived(ctx context.Context, q querier, all map[*worker]*watch) (bool, error) {
	terms := make([]string, 0, len(all))
	for w, v := range all {
		terms = append(terms, w.store().arrived(&v.expected))
	}
	n, err := affected(ctx, q, "SELECT 1 WHERE "+strings.Join(terms, " OR "))
	if err != nil {
		return false, fmt.Errorf("relay: look for what has arrived: %w", err)
	}
	return n > 0, nil
}
