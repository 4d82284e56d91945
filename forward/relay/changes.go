package relay

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// Changes reads the row changes that a [Target] gets as entries, on PostgreSQL. A change is ordered like an event of its
// transaction, because the transaction's xid says when both become visible. So changes share the cursor, the retries and
// the dead letters of events. changes.Source implements it.
//
// Its methods are called concurrently. Check and Read get a connection outside any transaction, and return when ctx
// ends.
type Changes interface {
	// Check returns an error that says what to do if the changes cannot be read over conn.
	Check(ctx context.Context, conn *sql.Conn) error
	// From is what follows FROM in a query for the changes: a sub-select with the columns xid (xid8), lsn (pg_lsn),
	// tx_started_at, captured_at, octets (the size of the change, in bytes), system (text that no other server has) and
	// elsewhere (whether the change was captured in another database, and restored here). No two changes have the same xid and
	// lsn, and an index has the order of both. A query that does not use elsewhere pays nothing for it.
	From() string
	// Read completes entries that have a Position, Tx, RecordedAt and ID: it sets their Change and the rest of the event.
	// Of a change that is gone or cannot be read it sets Unreadable. It leaves a change that was captured in another
	// database, and restored here, without either: that goes to no forwarder. It does not retain entries.
	Read(ctx context.Context, conn *sql.Conn, entries []*journal.Entry) error
}

// changeFormat is the format of rows that stand for a change. No row of the journal has it.
const changeFormat = -1

// withChanges returns the store of a target that also gets row changes, if it does.
func (s *Store) withChanges(c Changes) *Store {
	if c == nil {
		return s
	}
	own := *s
	own.changes = c
	return &own
}

// stream is where entries come from. Its rows e have the columns of the journal.
type stream struct {
	from, order, backwards string
	// long says that a transaction may have very many rows of it, and write them long before it ends.
	long bool
}

// streams are the journal, and the changes if they are read. To read their union in order, the server would sort all of
// it.
func (s *Store) streams() []stream {
	streams := []stream{{from: s.events(), order: s.d.order("e"), backwards: s.d.backwards("e")}}
	if s.changes != nil {
		streams = append(streams, stream{from: s.changesFrom(), order: "e.xid, e.lsn", backwards: "e.xid DESC, e.lsn DESC", long: true})
	}
	return streams
}

// ended are the ranges between the transactions in flight, both ends excluded. Who looks for what is visible reads
// there: among what one in flight has written so far the server would look at each row.
const ended = "(SELECT b.xid AS low, pg_catalog.lead(b.xid) OVER (ORDER BY b.xid) AS high FROM (SELECT '0'::pg_catalog.xid8" +
	" UNION ALL SELECT pg_catalog.pg_snapshot_xip(pg_catalog.pg_current_snapshot()) UNION ALL SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())) b (xid))"

// some is an expression for whether the stream has visible rows that where selects. It has ORDER BY and
// LIMIT, and not EXISTS, for which the planner would expect to find one soon in all of the table.
func (in *stream) some(where string) string {
	rows := in.from + " e WHERE " + where + " AND e.events > 0"
	if in.long {
		rows = ended + " g CROSS JOIN LATERAL (SELECT 1 FROM " + rows + " AND e.xid > g.low AND e.xid < g.high ORDER BY " + in.order + " LIMIT 1) e"
	} else {
		rows += " ORDER BY " + in.order
	}
	return "coalesce((SELECT true FROM " + rows + " LIMIT 1), false)"
}

// changesFrom gives the changes the columns of the journal. The key is that of journal.ChangePosition: within a
// transaction it has the order of the WAL. more are other columns of c.
func (s *Store) changesFrom(more ...string) string {
	const (
		lsn = "pg_catalog.lpad(pg_catalog.to_hex(pg_catalog.pg_wal_lsn_diff(c.lsn, '0/0'::pg_catalog.pg_lsn)::pg_catalog.int8), 14, '0')"
		xid = "pg_catalog.lpad(pg_catalog.to_hex(c.xid::pg_catalog.text::pg_catalog.int8), 12, '0')"
		key = "pg_catalog.concat('ff', pg_catalog.substr(" + lsn + ", 1, 10), '8', pg_catalog.substr(" + lsn + ", 11, 3), '8', pg_catalog.substr(" + lsn + ", 14, 1), " + xid + ", '00')::pg_catalog.uuid"
	)
	return "(SELECT c.xid, c.lsn, " + key + " AS key, 1 AS events, c.tx_started_at, c.captured_at AS recorded_at, ''::pg_catalog.text AS role, " +
		strconv.Itoa(changeFormat) + " AS format, pg_catalog.concat(c.octets, ' ', c.system) AS document, " + strings.Join(append(more, ""), ", ") + "NULL::pg_catalog.text AS personal FROM " + s.changes.From() + " c)"
}

// changeRows reads the first changes of the tick that where selects, from the spot after on, and at most so many. all
// reports whether there are no others.
func (s *Store) changeRows(ctx context.Context, q querier, c *cursor, where string, after spot, most int, shared bool) (rows []journal.Row, all bool, err error) {
	if _, low, _ := limits(c.done); after.number < low {
		return s.lateChangeRows(ctx, q, c, after, most, shared)
	}
	// where compares keys, which no index has: alone it would read all changes of a large transaction.
	if xid, lsn, ok := (journal.Position{Key: after.key}).Change(); ok && xid == after.number {
		where += fmt.Sprintf(" AND (e.xid, e.lsn) >= (%s, '%X/%X'::pg_catalog.pg_lsn)", xid8(xid), lsn>>32, uint32(lsn))
	}
	if shared {
		where += s.unacknowledged(c.name)
	}
	rows, err = s.journal.Rows(ctx, q, s.changesFrom()+" e WHERE "+where+s.d.visible(c)+" ORDER BY e.xid, e.lsn LIMIT "+itoa(int64(most)))
	return rows, len(rows) < most, err
}

// lateChangeRows is changeRows for the transactions that were in flight when the last tick began, and are not any more. Each has a
// range of the index. With xid = ANY (…) the server would begin at the first change of a transaction for each part, or
// sort all of them, and would look at all that those have written which are still in flight. With more conditions it would expect
// few rows, and sort them, too.
func (s *Store) lateChangeRows(ctx context.Context, q querier, c *cursor, after spot, most int, shared bool) (rows []journal.Row, all bool, err error) {
	_, _, before := limits(c.done)
	_, _, now := limits(c.tick)
	inFlight := strings.Split(now, ",")
	var ranges []string
	for text := range strings.SplitSeq(before, ",") {
		xid, none := strconv.ParseInt(text, 10, 64)
		if none != nil || xid < after.number || slices.Contains(inFlight, text) {
			continue
		}
		var from uint64
		if _, lsn, ok := (journal.Position{Key: after.key}).Change(); ok && xid == after.number {
			if from = lsn; after.ordinal == rowEnd {
				from++
			}
		}
		ranges = append(ranges, fmt.Sprintf("(%s, '%X/%X'::pg_catalog.pg_lsn)", xid8(xid), from>>32, uint32(from)))
	}
	if len(ranges) == 0 {
		return nil, true, nil
	}
	where := "(e.xid, e.lsn) >= (k.ended, k.place) AND (e.xid, e.lsn) <= (k.ended, 'FFFFFFFF/FFFFFFFF'::pg_catalog.pg_lsn)"
	if shared {
		where += s.unacknowledged(c.name)
	}
	first := " ORDER BY e.xid, e.lsn LIMIT " + itoa(int64(most))
	rows, err = s.journal.Rows(ctx, q, "(SELECT e.* FROM (VALUES "+strings.Join(ranges, ", ")+") k (ended, place) CROSS JOIN LATERAL (SELECT * FROM "+s.changesFrom()+" e WHERE "+where+first+") e) e"+first)
	return rows, len(rows) < most, err
}

// merge puts rows of two streams into the order of spots. It leaves out what is beyond the last row of a stream that has
// more: those rows would come in between.
func (s *Store) merge(a []journal.Row, allOfA bool, b []journal.Row, allOfB bool) (rows []journal.Row, all bool) {
	beyond := func(of []journal.Row, all bool) func(journal.Row) bool {
		return func(row journal.Row) bool {
			return !all && len(of) > 0 && s.d.spot(&row).compare(s.d.spot(&of[len(of)-1])) > 0
		}
	}
	rows = slices.Concat(a, b)
	slices.SortStableFunc(rows, func(x, y journal.Row) int { return s.d.spot(&x).compare(s.d.spot(&y)) })
	rows = slices.DeleteFunc(rows, beyond(a, allOfA))
	return slices.DeleteFunc(rows, beyond(b, allOfB)), allOfA && allOfB
}

// changesOf reads the changes at some positions.
func (s *Store) changesOf(ctx context.Context, q querier, keys []uuid.UUID) ([]journal.Row, error) {
	return s.journal.Rows(ctx, q, s.changesAt(keys)+" ORDER BY e.xid, e.lsn")
}

// changesAt is the rows e of changes at some positions, for a FROM clause. Of each the server looks in the index: OFFSET 0 keeps it
// from joining by a hash of all changes.
func (s *Store) changesAt(keys []uuid.UUID, more ...string) string {
	at := make([]string, len(keys))
	for i, key := range keys {
		at[i] = placeOf(key)
	}
	return "(VALUES " + strings.Join(at, ", ") + ") k (at_xid, at_lsn) CROSS JOIN LATERAL (SELECT * FROM " + s.changesFrom(more...) + " e WHERE e.xid = k.at_xid AND e.lsn = k.at_lsn OFFSET 0) e"
}

// placeOf is where the change of a key is, to be compared with (e.xid, e.lsn).
func placeOf(key uuid.UUID) string {
	xid, lsn, _ := (journal.Position{Key: key}).Change()
	return fmt.Sprintf("(%s, '%X/%X'::pg_catalog.pg_lsn)", xid8(xid), lsn>>32, uint32(lsn))
}

// isChange reports whether a key may be that of a change.
func isChange(key uuid.UUID) bool {
	_, _, ok := journal.Position{Key: key}.Change()
	return ok
}

// leastChange is a key before all of changes.
var leastChange = uuid.UUID{0xff}

// change is the candidate of a row that stands for a change.
func (u *unpacker) change(row *journal.Row, at spot) candidate {
	octets, _, _ := bytes.Cut(row.Document, []byte(" "))
	n, _ := strconv.Atoi(string(octets)) // 0 of a row that is none
	e := &journal.Entry{
		Event: hooks.Event{ID: changeID(row)}, Position: journal.Position{Key: row.Key},
		Tx: row.Tx, RecordedAt: row.RecordedAt, Unreadable: row.Unreadable,
	}
	return candidate{entry: e, at: at, clock: u.clock, isChange: true, octets: n}
}

// changeIDs is the namespace of the IDs of changes (RFC 9562, section 6.6).
var changeIDs = uuid.MustParse("6f1d7a0c-5b0e-5a3e-9c47-0d8f5c2be911")

// changeID is the same at each attempt, for each forwarder, and in no other database.
func changeID(row *journal.Row) uuid.UUID {
	_, system, _ := bytes.Cut(row.Document, []byte(" "))
	return uuid.NewSHA1(changeIDs, fmt.Appendf(nil, "%s %s %d %d", system, row.Key, row.Tx.StartedAt.UnixMicro(), row.RecordedAt.UnixMicro()))
}

// isForeign reports whether it is a change that was captured in another database. It is to be asked once the change has been
// read.
func (a *candidate) isForeign() bool { return a.isChange && a.entry.Change == nil }

// checkChanges returns an error if the changes cannot be read. Then all entries wait, since the cursor would pass the
// changes.
func (w *worker) checkChanges(ctx context.Context) error {
	if w.target.Changes == nil || w.readable {
		return nil
	}
	err := w.target.Changes.Check(ctx, w.conn)
	w.readable = err == nil
	switch {
	case w.readable:
		w.lacking = time.Time{}
		return nil
	case w.lacking.IsZero():
		w.lacking = w.relay.cfg.Clock.Now()
	}
	return wrap("look for row changes", w.target.Name, &lackError{err, w.lacking})
}

// lackError says why the row changes cannot be read.
type lackError struct {
	error
	since time.Time
}

func (e *lackError) Unwrap() error { return e.error }

// lackTime is how long the changes may be missing before that is logged: when an app starts for the first time, their tables are made
// beside it.
const lackTime = 5 * time.Second

// complete reads the changes of a batch.
func (w *worker) complete(ctx context.Context, batch []candidate) error {
	var entries []*journal.Entry
	for i := range batch {
		if a := &batch[i]; a.isChange && a.entry.Change == nil && a.entry.Unreadable == "" && !w.ahead[a.entry.Position] {
			entries = append(entries, a.entry)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	if w.target.Changes == nil { // a row that another program has put into the journal
		for _, e := range entries {
			e.Unreadable = fmt.Sprintf("format: %d is that of no row of the journal", changeFormat)
		}
		return nil
	}
	return wrap("read row changes", w.target.Name, w.target.Changes.Read(ctx, w.conn, entries))
}
