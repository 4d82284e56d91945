package relay

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/eventjson"
)

// Programs of an earlier version write to a table of their own, with a row for each event, and
// their relays deliver from it. While both versions run, either relay does: the one of an
// earlier version as long as it has its lease, and else this one, which moves the entries to
// the table journal and has them tried again there, for the forwarder alone. A row that was
// moved is one that every cursor has passed.
//
// Earlier versions are 1 to 4 on PostgreSQL, and 1 and 2 on SQLite. Delete this file, earlier_*.go,
// history.go, takeover.go, journal/old.go and journal/moved.go when they are no longer supported;
// moved rows must have been purged by then. Register, Replay, Resume, Retire, States and Purge
// call what is in them.

// earlier is what differs between the dialects about the tables of earlier versions.
type earlier interface {
	// present selects whether there are any.
	present(s *Store) string
	// history selects the name of the table with the events, also where journal.Swap has renamed
	// it; no row if there is none.
	history(s *Store) string
	table(s *Store) string
	// columns are those of a cursor.
	columns() string
	// beginTick begins a tick of a cursor, up to trailing or else to now, if there is anything in it.
	beginTick(ctx context.Context, q querier, s *Store, c *earlierCursor, trailing string) (found bool, err error)
	// within selects what is left of the tick, up to high.
	within(c *earlierCursor, high int64) string
	// advance sets the columns of a cursor.
	advance(c *earlierCursor, seq int64, last bool) string
	// reached selects the rows e that a cursor has passed, and behind those that it has not, in
	// parts that have none in common.
	reached(c *earlierCursor) string
	behind(c *earlierCursor) []string
	// passed selects the rows e that the cursor of the forwarder f has passed.
	passed() string
	// skip sets the columns of a cursor to now, and adopt makes rows that were restored from
	// elsewhere this database's own; "" if they are.
	skip(s *Store) string
	adopt(s *Store) string
	// target has the columns of a row that is moved, and values what is in them, before events.
	target() string
	values(s *Store, e *journal.Entry, tx, recorded string) string
	key(e *journal.Entry) uuid.UUID
	// keyOf is the same for a row e.
	keyOf() string
}

// earlierCursor is how far a forwarder is in the table of earlier versions: there the place in
// a tick is a seq, which is beyond seq and not beyond high.
type earlierCursor struct {
	name       string
	done, tick string
	high, seq  int64
}

// dest is what the dialect's columns are scanned into.
func (c *earlierCursor) dest() []any { return []any{&c.done, &c.tick, &c.high, &c.seq} }

// seqOf is that of an entry in the table of earlier versions.
func seqOf(e *journal.Entry) int64 { return int64(e.Ordinal) }

// reasonMoved marks a retry that is no failure: the entry was moved and has not been tried here.
const reasonMoved = "moved"

// hasEarlier reports whether there are tables of an earlier version.
func (s *Store) hasEarlier(ctx context.Context, q querier) (has bool, err error) {
	err = q.QueryRowContext(ctx, "SELECT "+s.d.earlier().present(s)).Scan(&has)
	if err != nil {
		return false, fmt.Errorf("relay: look for the tables of an earlier version: %w", err)
	}
	return has, nil
}

// takeOver moves entries that a forwarder has yet to get from the table of earlier versions, and
// what it has refused of it, at most limit of each, and returns how many. It moves nothing while
// a relay of an earlier version has the forwarder. It is called in a transaction that fails if
// the forwarder's lease is lost.
func (s *Store) takeOver(ctx context.Context, q querier, name, place, trailing string, maxLease time.Duration, limit int) (n int, err error) {
	c, err := s.lockEarlier(ctx, q, name, place, maxLease)
	if err != nil || c == nil {
		return 0, err
	}
	refused, err := s.moveFailures(ctx, q, name, limit)
	if err != nil {
		return 0, err
	}
	n, err = s.moveEntries(ctx, q, c, trailing, limit)
	return n + refused, err
}

// maxEarlierLease is how long leases of earlier versions last, unless this process's own may last
// longer. One that ends later was given by a clock that was ahead.
const maxEarlierLease = 10 * time.Minute

// freeEarlier selects the cursor, if a relay of an earlier version does not have its lease.
func (s *Store) freeEarlier(name, place string, maxLease time.Duration) string {
	return " FROM " + s.prefix + "forwarders WHERE name = " + s.quote(name) + " AND retired_at IS NULL AND place = " + s.quote(place) +
		" AND (holder IS NULL OR lease_until < " + s.d.now() + " OR lease_until > " + s.d.later(max(maxEarlierLease, maxLease)) + ")"
}

// owesEarlier reports whether takeOver would find something. It writes nothing.
func (s *Store) owesEarlier(ctx context.Context, q querier, name, place, trailing string, maxLease time.Duration) (owes bool, err error) {
	d := s.d.earlier()
	c := &earlierCursor{name: name}
	err = q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1"+s.refusedEarlier(name)+"), "+d.columns()+s.freeEarlier(name, place, maxLease)).
		Scan(append([]any{&owes}, c.dest()...)...)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil || owes || c.tick != "":
		return true, err
	}
	return d.beginTick(ctx, q, s, c, trailing)
}

// lockEarlier returns the cursor, nil if there is none here or a relay of an earlier version
// has its lease. It takes the lease from one that has let it run out.
func (s *Store) lockEarlier(ctx context.Context, q querier, name, place string, maxLease time.Duration) (*earlierCursor, error) {
	d := s.d.earlier()
	table := s.prefix + "forwarders"
	c := &earlierCursor{name: name}
	err := q.QueryRowContext(ctx, "UPDATE "+table+" SET holder = NULL, lease_until = NULL, fence = fence + 1 WHERE name = (SELECT name"+s.freeEarlier(name, place, maxLease)+s.d.skipLocked()+
		") RETURNING "+d.columns()).Scan(c.dest()...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // as documented
	}
	return c, err
}

// moveEntries moves what follows c.
func (s *Store) moveEntries(ctx context.Context, q querier, c *earlierCursor, trailing string, limit int) (int, error) {
	d := s.d.earlier()
	if c.tick == "" {
		if found, err := d.beginTick(ctx, q, s, c, trailing); err != nil || !found {
			return 0, err
		}
	}
	entries, err := s.nextEarlier(ctx, q, c, limit)
	if err != nil {
		return 0, err
	}
	failures := make([]movedEntry, len(entries))
	for i := range entries {
		failures[i] = movedEntry{entry: &entries[i], state: stateRetrying, reason: reasonMoved}
		if what := entries[i].Unreadable; what != "" {
			failures[i].state, failures[i].attempts, failures[i].reason = stateDiscarded, 1, ReasonUnreadable
			failures[i].text = fmt.Sprintf("relay: the entry with seq %d of the table of earlier versions cannot be read (%s): dismiss it", seqOf(&entries[i]), what)
		}
	}
	if err = s.move(ctx, q, c.name, failures); err != nil {
		return 0, err
	}
	seq, last := c.high, len(entries) < limit
	if !last {
		seq = seqOf(&entries[len(entries)-1])
		last = seq == c.high
	}
	_, err = q.ExecContext(ctx, "UPDATE "+s.prefix+"forwarders SET moved_at = "+s.d.now()+", "+d.advance(c, seq, last)+" WHERE name = "+s.quote(c.name))
	return len(entries), err
}

// nextEarlier reads what follows c, except what the forwarder has accepted within Commit. The
// range of seq grows as in [Store.stretch].
func (s *Store) nextEarlier(ctx context.Context, q querier, c *earlierCursor, limit int) (entries []journal.Entry, err error) {
	const spread = 8
	d, left := s.d.earlier(), c.high-c.seq
	settled := " AND NOT EXISTS (SELECT 1 FROM " + s.prefix + "settled t WHERE t.forwarder = " + s.quote(c.name) + " AND t.event_id = e.id)"
	for width := min(spread*int64(limit), left); ; {
		entries, err = s.journal.Earlier(ctx, q, d.table(s)+" e WHERE "+d.within(c, c.seq+width)+settled+" ORDER BY seq LIMIT "+itoa(int64(limit)))
		if err != nil || len(entries) == limit || width == left {
			return entries, err
		}
		if width > left/spread {
			width = left
		} else {
			width *= spread
		}
	}
}

// movedEntry is an entry that is moved, and what was noted of it.
type movedEntry struct {
	entry                   *journal.Entry
	state, reason, text     string
	attempts                int
	nextAt, firstAt, lastAt time.Time
	known                   bool // the times are
}

// moveFailures moves what the forwarder has refused.
func (s *Store) moveFailures(ctx context.Context, q querier, name string, limit int) (int, error) {
	found, ids, err := s.earlierFailures(ctx, q, name, limit)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	entries, err := s.journal.Earlier(ctx, q, s.d.earlier().table(s)+" WHERE id IN ("+idList(ids)+") ORDER BY seq")
	if err != nil {
		return 0, err
	}
	failures := make([]movedEntry, len(entries))
	for i := range entries {
		failures[i] = found[entries[i].ID]
		failures[i].entry = &entries[i]
	}
	if err = s.move(ctx, q, name, failures); err != nil {
		return 0, err
	}
	_, err = q.ExecContext(ctx, "DELETE FROM "+s.prefix+"failures WHERE forwarder = "+s.quote(name)+" AND event_id IN ("+idList(ids)+")")
	return len(ids), err
}

// refusedEarlier selects failures f that are to be moved, and of those that are gone from the table
// the ones that would be tried again, to be forgotten: all others say something.
func (s *Store) refusedEarlier(name string) string {
	return " FROM " + s.prefix + "failures f LEFT JOIN " + s.d.earlier().table(s) + " e ON e.id = f.event_id WHERE f.forwarder = " + s.quote(name) +
		" AND (e.id IS NOT NULL OR f.state = '" + stateRetrying + "')"
}

// earlierFailures are those that refusedEarlier selects.
func (s *Store) earlierFailures(ctx context.Context, q querier, name string, limit int) (found map[uuid.UUID]movedEntry, ids []uuid.UUID, err error) {
	rows, err := q.QueryContext(ctx, "SELECT f.event_id, f.state, f.attempts, f.next_at, "+s.d.read("f.reason")+", "+s.d.read("f.error")+", f.first_at, f.last_at"+
		s.refusedEarlier(name)+" ORDER BY e.seq LIMIT "+itoa(int64(limit)))
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	found = make(map[uuid.UUID]movedEntry)
	for rows.Next() {
		f := movedEntry{known: true}
		var text string
		if err := rows.Scan(&text, &f.state, &f.attempts, moment{&f.nextAt}, s.d.scan(&f.reason), s.d.scan(&f.text), moment{&f.firstAt}, moment{&f.lastAt}); err != nil {
			return nil, nil, err
		}
		id, err := uuid.Parse(text)
		if err != nil {
			continue // on SQLite, an entry that has no event's ID
		}
		found[id], ids = f, append(ids, id)
	}
	return found, ids, rows.Err()
}

// move writes entries of the table of earlier versions to the table journal, unless another
// forwarder's relay has, and that this one is to get them.
func (s *Store) move(ctx context.Context, q querier, forwarder string, failures []movedEntry) error {
	if len(failures) == 0 {
		return nil
	}
	entries := make([]*journal.Entry, len(failures))
	for i := range failures {
		entries[i] = failures[i].entry
	}
	if err := s.moveRows(ctx, q, entries); err != nil {
		return err
	}
	d, name := s.d.earlier(), s.quote(forwarder)
	retries := make([]string, len(failures))
	for i := range failures {
		f := &failures[i]
		at := func(t time.Time) string { return s.timeOrNow(t, f.known) }
		retries[i] = fmt.Sprintf("(%s, %s, 0, %s, '%s', %d, %s, %s, %s, %s, %s)", name, s.d.uuid(d.key(f.entry)), eventID(f.entry.ID), f.state, f.attempts,
			at(f.nextAt), s.quote(f.reason), s.quote(f.text), at(f.firstAt), at(f.lastAt))
	}
	_, err := q.ExecContext(ctx, "INSERT INTO "+s.prefix+"retries (forwarder, key, ordinal, event_id, state, attempts, next_at, reason, error, first_at, last_at) VALUES "+
		strings.Join(retries, ", ")+" ON CONFLICT (forwarder, key, ordinal) DO NOTHING")
	return err
}

// moveRows writes entries to the table journal. That alone delivers them to no forwarder.
func (s *Store) moveRows(ctx context.Context, q querier, entries []*journal.Entry) error {
	rows := make([]string, len(entries))
	for i, e := range entries {
		row, err := s.movedRow(e)
		if err != nil {
			return err
		}
		rows[i] = row
	}
	_, err := q.ExecContext(ctx, s.d.holdPurges(s)+"INSERT INTO "+s.events()+" ("+s.d.earlier().target()+", events, format, document, personal) VALUES "+strings.Join(rows, ", ")+" ON CONFLICT (key) DO NOTHING")
	return besidePurge(err)
}

func (s *Store) timeOrNow(t time.Time, known bool) string {
	if !known || t.IsZero() {
		return "(SELECT " + s.d.now() + ")"
	}
	return s.time(t)
}

// movedRow is an entry as a row of the table journal. One that cannot be read is of no known
// format, so that it stays so.
func (s *Store) movedRow(e *journal.Entry) (string, error) {
	format := 1
	if e.Unreadable != "" {
		format = 0
	}
	events := []hooks.Event{e.Event}
	doc, err := eventjson.AppendArray(nil, events)
	if err != nil {
		return "", err
	}
	personal := "NULL"
	if p := eventjson.AppendPersonal(nil, events); len(p) > 0 {
		personal = s.quote(string(p))
	}
	return fmt.Sprintf("(%s, 1, %d, %s, %s)", s.d.earlier().values(s, e, s.timeOrNow(e.Tx.StartedAt, true), s.timeOrNow(e.RecordedAt, true)), format, s.quote(string(doc)), personal), nil
}
