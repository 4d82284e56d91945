package relay

import (
	"context"
	"database/sql"
	"math/bits"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

const (
	// firstProbes and laterProbes are how many entries are tried, beside the first
	// one that waits, before a sink is suspended and after each pause.
	firstProbes = 4
	laterProbes = 2
	// picks is how many entries to look at for a probe: a filter may leave them out.
	picks = 4
)

// rotation chooses which waiting entry to try when the first does not show whether the
// sink is up. It takes turns between the newest, in case the app has been fixed since;
// positions that divide the backlog ever more finely, to get past a long run of bad
// entries; and a sweep, so that none is left out. It begins at random, so that processes
// that live for a short time do not all try the same ones.
type rotation struct {
	turn, split uint32
	newest      int64
	// swept is where the sweep is, and end where it begins again: what arrives
	// meanwhile does not make it longer.
	swept, end int64
}

func newRotation() rotation { return rotation{split: rand.Uint32()} }

// next returns a position from low to high, both included, and whether it is that of
// the sweep.
func (r *rotation) next(low, high int64) (seq int64, sweeps bool) {
	r.turn++
	switch r.turn % 3 {
	case 0:
		switch {
		case r.end == 0:
			r.swept, r.end = low-1+rand.N(high-low+1), high
		case r.swept >= r.end:
			r.swept, r.end = low-1, high
		}
		return r.swept + 1, true
	case 1:
		if high != r.newest {
			r.newest = high
			return high, false
		}
	}
	r.split++
	const ofAll = 32 // bits
	return low + int64(float64(high-low+1)*float64(bits.Reverse32(r.split))/(1<<ofAll)), false
}

// seek looks for an entry that the sink accepts, and reports whether it has found one.
// The first that waits has failed alone.
func (w *worker) seek(ctx context.Context, trailing string, alone uuid.UUID, late bool) (up bool, err error) {
	s, c := w.relay.store, w.cursor
	low, high, err := s.waiting(ctx, w.conn, c, trailing)
	if err != nil || high == 0 {
		return false, err
	}
	calls := firstProbes
	if w.fresh.open {
		calls = laterProbes
	}
	if late {
		calls = 1 // each may take the whole timeout
	}
	tried := []uuid.UUID{alone}
	for id := range w.ahead {
		tried = append(tried, id)
	}
	for n := 0; n < picks*calls && calls > 0; n++ {
		from, sweeps := w.rotation.next(low, high)
		entry, err := s.waitingFrom(ctx, w.conn, c, trailing, low, from, tried)
		if err != nil || entry == nil {
			return false, err
		}
		if sweeps {
			w.rotation.swept = entry.Seq
		}
		tried = append(tried, entry.ID)
		if entry.Unreadable != "" {
			continue
		}
		r, err := w.probe(ctx, *entry)
		if r.doubtful(1) {
			w.evidence.alone(entry.ID)
		}
		switch {
		case err != nil:
			return false, err
		case r.proves(1):
			w.recovered(w.evidence.last)
			return true, nil
		case r.late():
			return false, nil
		case r.Filtered == 0:
			calls--
		}
	}
	return false, nil
}

// probe tries one entry ahead of the cursor. In the same database that is rolled back, so
// that the entry is delivered once, when the cursor comes to it.
func (w *worker) probe(ctx context.Context, e journal.Entry) (r Result, err error) {
	start := time.Now()
	if err = w.prepare(ctx); err != nil {
		return r, err
	}
	if r, err = w.call(ctx, []journal.Entry{e}); err != nil {
		return r, err
	}
	switch {
	case w.target.SameDatabase:
		if !r.Hung {
			if err = w.rollback(ctx); err != nil {
				return r, err
			}
		}
	case r.taken():
		if w.ahead == nil {
			w.ahead = make(map[uuid.UUID]bool)
		}
		w.ahead[e.ID] = true
		w.notify(hooks.Notice{Kind: hooks.NoticeDelivered, Events: []uuid.UUID{e.ID}, Duration: time.Since(start), Attempt: 1})
	}
	return r, w.interrupted(ctx, r)
}

// waiting returns the range of what c has yet to pass, zero if there is nothing. It reads
// neither the backlog nor what is old: the sink may be down for long.
func (s *Store) waiting(ctx context.Context, q querier, c *cursor, trailing string) (low, high int64, err error) {
	var l, h sql.NullInt64
	err = q.QueryRowContext(ctx, "SELECT low, (SELECT e.seq FROM "+s.events()+" e WHERE e.seq >= low AND "+s.pending(c, trailing)+
		" ORDER BY e.seq DESC LIMIT 1) FROM (SELECT "+s.d.low(s, c)+" AS low) n").Scan(&l, &h)
	if err != nil || !h.Valid {
		return 0, 0, wrap("look for what to try", c.name, err)
	}
	return l.Int64, h.Int64, nil
}

// pending selects the entries e that c has yet to pass.
func (s *Store) pending(c *cursor, trailing string) string {
	return "(" + strings.Join(s.d.behind(c), " OR ") + ")" + s.d.until(trailing)
}

// waitingFrom returns the first entry from seq on that c has yet to pass, or else the
// first from low on, without those that were tried; nil if there is none.
func (s *Store) waitingFrom(ctx context.Context, q querier, c *cursor, trailing string, low, seq int64, tried []uuid.UUID) (*journal.Entry, error) {
	where := s.pending(c, trailing) + " AND e.id NOT IN (" + idList(tried) + ")"
	if trailing != "" {
		where += s.unsettled(c.name)
	} else {
		where += s.handedOver(c.name)
	}
	for _, from := range []int64{seq, low} {
		entries, err := s.journal.Select(ctx, q, "e WHERE e.seq >= "+itoa(from)+" AND "+where+" ORDER BY seq LIMIT 1")
		if err != nil {
			return nil, wrap("read what to try", c.name, err)
		}
		if len(entries) > 0 {
			return &entries[0], nil
		}
	}
	return nil, nil //nolint:nilnil // there is none
}
