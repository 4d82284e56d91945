package relay

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
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
// places that divide the backlog ever more finely, to get past a long run of bad
// entries; and a sweep, so that none is left out. It begins at random, so that processes
// that live for a short time do not all try the same ones.
type rotation struct {
	turn, split uint32
	newest      spot
	// swept is where the sweep is, and end where it begins again: what arrives
	// meanwhile does not make it longer.
	swept, end spot
}

func newRotation() rotation { return rotation{split: rand.Uint32()} }

// pick is where to look for an entry to try: from the spot from on. If that has no key, share
// says how far into its row.
type pick struct {
	from   spot
	share  float64
	sweeps bool // the sweep goes on behind the entry
}

// next returns where to look, in a backlog whose numbers begin with low, and whose last entry
// is at high.
func (r *rotation) next(low int64, high spot) pick {
	numbers := high.number - low + 1
	r.turn++
	switch r.turn % 3 {
	case 0:
		switch {
		case r.end == spot{}:
			r.end = high
			return pick{from: spot{number: low + rand.N(numbers)}, share: rand.Float64(), sweeps: true}
		case r.swept.compare(r.end) >= 0:
			r.swept, r.end = spot{number: low}, high
		}
		return pick{from: r.swept, sweeps: true}
	case 1:
		if high != r.newest {
			r.newest = high
			return pick{from: high}
		}
	}
	r.split++
	const ofAll = 32 // bits
	part := float64(numbers) * float64(bits.Reverse32(r.split)) / (1 << ofAll)
	return pick{from: spot{number: low + int64(part)}, share: part - float64(int64(part))}
}

// first returns the index of the first entry that the pick means, of a row's.
func (p *pick) first(row []candidate) int {
	if p.share > 0 && row[0].at.number == p.from.number && p.from.key == uuid.Nil {
		return int(p.share * float64(len(row)))
	}
	i := slices.IndexFunc(row, func(a candidate) bool { return a.at.compare(p.from) >= 0 })
	if i < 0 {
		return len(row)
	}
	return i
}

// findProof looks for an entry that the sink accepts, and reports whether it has found one.
// The first that waits has failed alone.
func (w *worker) findProof(ctx context.Context, trailing string, alone journal.Position, late bool) (up bool, err error) {
	low, high, err := w.store().waiting(ctx, w.conn, w.cursor, trailing)
	if err != nil || high == (spot{}) {
		return false, err
	}
	calls := firstProbes
	if w.fresh.open {
		calls = laterProbes
	}
	if late {
		calls = 1 // each may take the whole timeout
	}
	tried := map[journal.Position]bool{alone: true}
	for n := 0; n < picks*calls && calls > 0; n++ {
		p := w.rotation.next(low, high)
		next, err := w.waitingFrom(ctx, trailing, low, p, tried)
		if err != nil || next == nil {
			return false, err
		}
		entry := next.entry
		if p.sweeps {
			w.rotation.swept = spot{next.at.number, next.at.key, next.at.ordinal + 1}
		}
		tried[entry.Position] = true
		if err = w.complete(ctx, []candidate{*next}); err != nil {
			return false, err
		}
		if entry.Unreadable != "" || next.isForeign() {
			continue
		}
		r, err := w.probe(ctx, *entry)
		if r.doubtful(1) {
			w.evidence.failedAlone(entry.Position)
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
	case r.acceptedAll():
		if w.ahead == nil {
			w.ahead = make(map[journal.Position]bool)
		}
		w.ahead[e.Position] = true
		w.notify(hooks.Notice{Kind: hooks.NoticeDelivered, Events: []uuid.UUID{e.ID}, Duration: time.Since(start), Attempt: 1})
	}
	return r, w.interrupted(ctx, r)
}

// waiting returns the least number of what c has yet to pass, and the spot of its last entry,
// zero if there is nothing. It reads neither the backlog nor what is old: the sink may be down
// for long.
func (s *Store) waiting(ctx context.Context, q querier, c *cursor, trailing string) (low int64, high spot, err error) {
	for _, from := range s.streams() {
		first, last, err := s.waitingIn(ctx, q, from, c, trailing)
		if err != nil {
			return 0, spot{}, err
		}
		if last != (spot{}) && (high == spot{} || first < low) {
			low = first
		}
		if last.compare(high) > 0 {
			high = last
		}
	}
	return low, high, nil
}

func (s *Store) waitingIn(ctx context.Context, q querier, in stream, c *cursor, trailing string) (low int64, high spot, err error) {
	pending := " FROM " + s.pending(in, c, trailing) + s.d.after(s.d.low(c))
	axis := s.d.axis()
	var last journal.Row
	err = q.QueryRowContext(ctx, "SELECT low."+axis+", high."+axis+", high.key, high.events FROM"+
		" (SELECT e."+axis+pending+" ORDER BY "+in.order+" LIMIT 1) low,"+
		" (SELECT e."+axis+", e.key, e.events"+pending+" ORDER BY "+in.backwards+" LIMIT 1) high").
		Scan(&low, &last.Seq, &last.Key, &last.Events)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, spot{}, nil
	}
	last.Tx.ID = last.Seq
	high = s.d.spot(&last)
	high.ordinal = last.Events - 1
	return low, high, wrap("look for what to try", c.name, err)
}

// pending is a stream, and selects its rows e with entries that c has yet to pass.
func (s *Store) pending(in stream, c *cursor, trailing string) string {
	pending := in.from + " e WHERE " + s.d.unpassed(c) + " AND e.events > 0" + s.d.until(trailing)
	if in.long {
		pending += known
	}
	return pending
}

// known leaves out changes of transactions whose numbers this server has not given yet: they were restored from another server, and may
// be very many.
const known = " AND e.xid < pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())"

// waitingFrom returns the entry that p points to. If that was tried, accepted or acknowledged, it
// returns the next one that was not, or else the first one from low on; nil if there is none.
func (w *worker) waitingFrom(ctx context.Context, trailing string, low int64, p pick, tried map[journal.Position]bool) (*candidate, error) {
	const most = 16 // rows, each of which may be large
	s, c := w.store(), w.cursor
	where := s.without(tried, w.ahead)
	if trailing != "" || c.shared {
		where += s.unacknowledged(c.name)
	}
	for _, from := range []spot{p.from, {number: low}} {
		for range most {
			rows, err := s.firstOf(ctx, w.conn, c, trailing, where+s.d.after(from))
			if err != nil {
				return nil, wrap("read what to try", c.name, err)
			}
			if len(rows) == 0 {
				break
			}
			var u unpacker
			row := u.entries(&rows[0], s.d.spot(&rows[0]))
			acknowledged, err := s.acknowledged(ctx, w.conn, c.name, []uuid.UUID{rows[0].Key})
			if err != nil {
				return nil, err
			}
			out := func(a *candidate) bool {
				at := a.entry.Position
				return a.at.compare(c.at) <= 0 || tried[at] || w.ahead[at] || acknowledged[at]
			}
			for i := p.first(row); i < len(row); i++ {
				if !out(&row[i]) {
					return &row[i], nil
				}
			}
			from = s.d.spot(&rows[0]).endOfRow()
		}
		p = pick{from: spot{number: low}}
	}
	return nil, nil //nolint:nilnil // there is none
}

// firstOf returns the first row of all streams that c has yet to pass and that more selects, nil if there is none.
func (s *Store) firstOf(ctx context.Context, q querier, c *cursor, trailing, more string) (first []journal.Row, err error) {
	for _, from := range s.streams() {
		rows, err := s.journal.Rows(ctx, q, s.pending(from, c, trailing)+more+" ORDER BY "+from.order+" LIMIT 1")
		if err != nil {
			return nil, err
		}
		if len(rows) > 0 && (first == nil || s.d.spot(&rows[0]).compare(s.d.spot(&first[0])) < 0) {
			first = rows
		}
	}
	return first, nil
}

// without leaves out the rows e of which all entries are in these sets.
func (s *Store) without(sets ...map[journal.Position]bool) string {
	found := make(map[uuid.UUID]int)
	for _, set := range sets {
		for at := range set {
			found[at.Key]++
		}
	}
	if len(found) == 0 {
		return ""
	}
	rows := make([]string, 0, len(found))
	for key, n := range found {
		rows = append(rows, fmt.Sprintf("(%s, %d)", s.d.uuid(key), n))
	}
	return " AND NOT ((e.key, e.events) IN (VALUES " + strings.Join(rows, ", ") + "))"
}
