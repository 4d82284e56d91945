package relay

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// mostOctets bounds the documents that are read at a time, in bytes: those of as many rows as
// come to this much, and one more.
const mostOctets = 4 << 20

// readAhead is how many calls' entries are read at a time, at most.
const readAhead = 4

// candidate is an entry to deliver.
type candidate struct {
	entry    *journal.Entry
	isChange bool // a row change, which is read when it is delivered
	octets   int  // of a row change: its size
	attempts int  // before
	at       spot
	// clock is the server's when the entry was recorded, but not before that of an earlier
	// entry of its transaction: the clock may have been set back between two flushes.
	clock time.Time
}

// unpacker decodes rows, which come in the order of spots.
type unpacker struct {
	tx    journal.TxKey
	clock time.Time
	// others are the clocks of other transactions with the same number: row changes of a restored transaction may come
	// between those of one of this server.
	others map[journal.TxKey]time.Time
}

// turn sets tx and clock to those of the transaction of the next row.
func (u *unpacker) turn(tx journal.TxKey) {
	switch {
	case tx == u.tx:
		return
	case tx.ID != u.tx.ID:
		u.others = nil
	case u.others == nil:
		u.others = map[journal.TxKey]time.Time{u.tx: u.clock}
	default:
		u.others[u.tx] = u.clock
	}
	u.tx, u.clock = tx, u.others[tx]
}

// entries decodes a row.
func (u *unpacker) entries(row *journal.Row, at spot) []candidate {
	u.turn(row.Tx)
	if row.RecordedAt.After(u.clock) {
		u.clock = row.RecordedAt
	}
	if row.Format == changeFormat {
		return []candidate{u.change(row, at)}
	}
	decoded := row.Entries()
	entries := make([]candidate, len(decoded))
	for i := range decoded {
		at.ordinal = i
		entries[i] = candidate{entry: &decoded[i], at: at, clock: u.clock}
	}
	return entries
}

// window is what has been read of a tick beyond the cursor, in the order of spots. Documents
// are decoded when they are read: once, however small the parts are that they are delivered in.
type window struct {
	entries []candidate
	coming  chan decoded // those that follow, while they are being decoded; nil if there are none
	end     bool         // the tick has nothing beyond them
	// after is the last row that was read, and from a number below which all have been.
	after spot
	from  int64
	// width is the range of numbers that the next query asks for.
	width int64
	// rows and events are how many the last query has read.
	rows, events int
	unpacker
}

// most is the LIMIT, at most limit, of a query for so many entries. If it is much too high, or
// merely high and the table has no statistics, the planner sorts all rows instead of using an
// index.
func (w *window) most(entries, limit int) int {
	const spare = 16
	if w.events == 0 {
		return limit
	}
	return min(limit, entries*w.rows/w.events+spare)
}

// decoded are the entries of some rows, and the unpacker behind them.
type decoded struct {
	entries []candidate
	unpacker
	// panicked is what decoding them panicked with, beside the worker; nil if it did not.
	panicked any
}

// decode decodes rows, and leaves out what is not beyond the spot at.
func (u unpacker) decode(rows []journal.Row, spotOf func(*journal.Row) spot, at spot) decoded {
	d := decoded{unpacker: u}
	for i := range rows {
		entries := d.unpacker.entries(&rows[i], spotOf(&rows[i]))
		entries = slices.DeleteFunc(entries, func(a candidate) bool { return a.at.compare(at) <= 0 })
		if n := len(entries); n > 0 {
			entries[n-1].at.ordinal = rowEnd
		}
		d.entries = append(d.entries, entries...)
	}
	return d
}

// decodeBeside sends what decode returns. A panic is sent too: here it would end the process, in
// the worker it ends the relay, which is restarted.
func (u unpacker) decodeBeside(to chan<- decoded, rows []journal.Row, spotOf func(*journal.Row) spot, at spot) {
	var d decoded
	defer func() {
		d.panicked = recover()
		to <- d
	}()
	d = u.decode(rows, spotOf, at)
}

// add adds the entries of rows that are beyond the spot at. It decodes as many rows as have want
// entries, and leaves the others to a goroutine: they are decoded while those are delivered.
func (w *window) add(rows []journal.Row, spotOf func(*journal.Row) spot, at spot, want int) (octets int) {
	if len(rows) == 0 {
		return 0
	}
	events, first := 0, 0
	for i := range rows {
		octets += len(rows[i].Document) + len(rows[i].Personal)
		if events < want {
			first = i + 1
		}
		events += max(rows[i].Events, 1)
	}
	w.rows, w.events = len(rows), events
	w.after = spotOf(&rows[len(rows)-1]).endOfRow()
	w.take(w.decode(rows[:first], spotOf, at))
	if rest := rows[first:]; len(rest) > 0 {
		w.coming = make(chan decoded, 1)
		go w.decodeBeside(w.coming, rest, spotOf, at)
	}
	return octets
}

func (w *window) take(d decoded) {
	w.entries, w.unpacker = append(w.entries, d.entries...), d.unpacker
}

// join waits for what is being decoded, and reports whether there is anything. It panics if
// the decoding has.
func (w *window) join() bool {
	if w.coming == nil {
		return false
	}
	d := <-w.coming
	w.coming = nil
	if d.panicked != nil {
		panic(d.panicked)
	}
	w.take(d)
	return true
}

// part returns the first entries, at most limit, and where the cursor is once they are
// settled; last says that this is the end of the tick.
func (w *window) part(limit int) (part []candidate, to spot, last bool) {
	n := min(limit, len(w.entries))
	if n == len(w.entries) && w.coming == nil {
		return slices.Clone(w.entries), w.after, w.end
	}
	return slices.Clone(w.entries[:n]), w.entries[n-1].at, false
}

// drop removes the first n entries.
func (w *window) drop(n int) {
	clear(w.entries[:n])
	w.entries = w.entries[n:]
}

// leaveOut removes what was acknowledged.
func (w *window) leaveOut(acknowledged map[journal.Position]bool) {
	if len(acknowledged) > 0 {
		w.entries = slices.DeleteFunc(w.entries, func(a candidate) bool { return acknowledged[a.entry.Position] })
	}
}

// keys are those of the rows that the entries are from.
func (w *window) keys() (keys []uuid.UUID) {
	for i := range w.entries {
		if key := w.entries[i].entry.Key; len(keys) == 0 || keys[len(keys)-1] != key {
			keys = append(keys, key)
		}
	}
	return keys
}

// next fills w with what follows c, beginning a tick if there is none: more than want entries,
// or fewer that are large or the last ones. trailing is the newest snapshot to go to, or "" for
// now. What others have delivered, or will, is left out.
func (s *Store) next(ctx context.Context, q querier, c *cursor, w *window, want int, trailing string) error {
	if c.tick == "" {
		*w = window{rows: w.rows, events: w.events}
		found, err := s.d.beginTick(ctx, q, s, c, trailing)
		if err != nil || !found {
			return wrap("look for entries", c.name, err)
		}
	}
	if w.width == 0 {
		*w = window{after: c.at, width: int64(want), rows: w.rows, events: w.events}
	}
	shared := trailing != "" || c.shared
	for {
		if err := s.fill(ctx, q, c, w, want+1, shared); err != nil {
			return wrap("read entries", c.name, err)
		}
		if shared && len(w.entries) > 0 {
			acknowledged, err := s.acknowledged(ctx, q, c.name, w.keys())
			if err != nil {
				return err
			}
			w.leaveOut(acknowledged)
		}
		if len(w.entries) > 0 || w.end && w.coming == nil {
			return nil
		}
	}
}

// fill reads until w has want entries, or enough octets. A query reads up to readAhead times as
// many, if its rows, which are want at most, have so many.
func (s *Store) fill(ctx context.Context, q querier, c *cursor, w *window, want int, shared bool) error {
	for octets := 0; len(w.entries) < want && octets < mostOctets; {
		if w.join() {
			continue
		}
		if w.end {
			break
		}
		rows, err := s.stretch(ctx, q, c, w, readAhead*want-len(w.entries), want, shared)
		if err != nil {
			return err
		}
		octets += w.add(rows, s.d.spot, c.at, want)
	}
	return nil
}

// stretch reads the next rows of the tick: those that were in flight when the last one began,
// which come first, or those of a range of numbers. Without statistics the planner takes a
// backlog for small, and would read and sort all of it for each batch; so the range grows while
// there are too few rows in it, and becomes twice what the last rows lay in where there are more.
func (s *Store) stretch(ctx context.Context, q querier, c *cursor, w *window, want, limit int, shared bool) ([]journal.Row, error) {
	const growth = 8
	old, low, high := s.d.within(c)
	if old != "" && w.from < low && w.after.number < low {
		rows, all, err := s.rows(ctx, q, c, old+s.d.after(w.after), w.after, w.most(want, limit), want, shared)
		if all {
			w.from = low
		}
		return rows, err
	}
	from := w.after
	if least := max(w.from, low); from.number < least {
		from = spot{number: least}
	}
	to := high
	if w.width < high-from.number {
		to = from.number + w.width
	}
	rows, all, err := s.rows(ctx, q, c, "true"+s.d.after(from)+s.d.below(to), from, w.most(want, limit), want, shared)
	if err != nil {
		return nil, err
	}
	if !all {
		w.width = min(w.width, 2*(s.d.spot(&rows[len(rows)-1]).number-from.number+1))
		return rows, nil
	}
	if w.from, w.end = to, to == high; !w.end {
		w.width = min(w.width, (high-to)/growth+1) * growth
	}
	return rows, nil
}

// rows reads the first rows of the tick that where selects, which are those from the spot after on. all reports whether there are
// no others.
func (s *Store) rows(ctx context.Context, q querier, c *cursor, where string, after spot, most, want int, shared bool) (rows []journal.Row, all bool, err error) {
	rows, all, err = s.journalRows(ctx, q, c, where, most, want, shared)
	if err != nil || s.changes == nil {
		return rows, all, err
	}
	changed, allChanged, err := s.changeRows(ctx, q, c, where, after, want, shared)
	rows, all = s.merge(rows, all, changed, allChanged)
	return rows, all, err
}

// journalRows reads at most so many rows of the journal. Together they have want entries and one more, if there are as many.
func (s *Store) journalRows(ctx context.Context, q querier, c *cursor, where string, most, want int, shared bool) (rows []journal.Row, all bool, err error) {
	if shared {
		where += s.unacknowledged(c.name)
	}
	sum, order := s.d.fn("sum"), " ORDER BY "+s.d.order("e")
	first := "SELECT e." + s.d.axis() + ", e.key, e.events, " + s.d.octets() + " AS octets FROM " + s.events() + " e WHERE " + where + s.d.visible(c) +
		" AND e.events > 0" + order + " LIMIT " + itoa(int64(most))
	before := "SELECT f.key, " + sum + "(f.events) OVER o - f.events AS events, " + sum + "(f.octets) OVER o - f.octets AS octets FROM (" + first + ") f" +
		" WINDOW o AS (ORDER BY " + s.d.order("f") + ")"
	rows, err = s.journal.Rows(ctx, q, s.events()+" e WHERE e.key IN (SELECT b.key FROM ("+before+") b WHERE b.events <= "+itoa(int64(want))+" AND b.octets < "+itoa(mostOctets)+")"+order)
	if err != nil {
		return nil, false, err
	}
	events, octets := 0, 0
	for i := range rows {
		events += max(rows[i].Events, 1)
		octets += len(rows[i].Document) + len(rows[i].Personal)
	}
	// The server may count more bytes than there are here: in some encodings a character
	// takes more than in UTF-8, but not twice as many.
	return rows, len(rows) < most && events <= want && octets < mostOctets/2, nil
}

// arrange puts entries into the order in which a call gets them.
func (s *Store) arrange(batch []candidate) {
	if !slices.IsSortedFunc(batch, s.d.compare) {
		slices.SortStableFunc(batch, s.d.compare)
	}
}
