package changes

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// A row may have very many changes, and nearly always the last ones before a moment say what it was: back to its INSERT, or to
// where each column was changed. If there are few changes since, columns that are hardly ever changed are known from those, too: by
// what they have replaced, and by what the row has now. So some changes are read on both sides of the moment, and then the server
// looks at more and more on each side, for those that say more, until they are enough. All of them are read where their order is not
// that of one WAL, where the row had another key, and where anything else is unusual.

// How many changes before and behind the moment are read first, and how many times as many each time after that.
const (
	nearBefore, timesBefore = 64, 16
	nearBehind, timesBehind = 16, 8
)

// nearby are changes with a key around a moment, in the order of the WAL. Those in between that are missing say nothing more.
type nearby struct {
	*asOf
	at    time.Time
	after *reading.Row // the row is wanted as this change has left it; nil: as it was at the moment

	list         []*reading.Row
	by           *reading.Row // the last one, in the WAL, that was captured by the moment
	first, last  bool         // whether all are read of that side: before, back to the first or an unusual one, and behind
	helps        bool         // whether reading more of those behind may help
	before, next int          // how many to look at next of each side
	known        [2][]string  // what the changes before, and all, have changed: others of the same say nothing more
	unusual      uint64       // where in the WAL the last change is that has no key, or that took this one from a row
	unusualIn    reading.Row  // its transaction
	system       sql.NullInt64
}

// near returns the row at a moment, or after a change. known is false if only all changes with the key can say what that was.
func (a *asOf) near(ctx context.Context, at time.Time, after *reading.Row) (row *Row, known bool, err error) {
	if _, lite := onSQLite(a.Reader); lite || a.lives.Deferrable || !alwaysHere(a.table) {
		return nil, false, nil
	}
	n := &nearby{asOf: a, at: at, after: after, before: nearBefore, next: nearBehind}
	system, _, _ := strings.Cut(a.table.Here, "/")
	id, malformed := strconv.ParseInt(system, 10, 64)
	n.system = sql.NullInt64{Int64: id, Valid: malformed == nil}
	if err = n.begin(ctx); err != nil {
		return nil, false, catalog.Wrap("read the history", err)
	}
	for len(n.list) > 0 {
		var what wants
		if row, what, err = n.row(ctx); err != nil || what == wantsNothing {
			return row, true, err
		}
		if what == wantsAll || n.first && (n.last || !n.helps) {
			break
		}
		if err = n.more(ctx); err != nil {
			return nil, false, catalog.Wrap("read the history", err)
		}
	}
	return nil, false, nil
}

// alwaysHere reports whether all changes of the table were captured in this database, so that their order is that of its WAL.
func alwaysHere(t *reading.Table) bool {
	return len(t.Captures) > 0 && !slices.ContainsFunc(t.Captures, func(n *catalog.Capture) bool { return n.Place != t.Here })
}

// begin reads the first changes around the moment. It reads none if none was captured by then.
func (n *nearby) begin(ctx context.Context) error {
	var unusual string
	last := func(where string) string {
		return "(SELECT c.lsn, c.xid, c.tx_started_at FROM " + n.Reader.At("audit_changes") + " c WHERE " + where + " ORDER BY c.lsn DESC LIMIT 1)"
	}
	err := n.Tx.QueryRowContext(ctx, "SELECT u.lsn::pg_catalog.text, u.xid::pg_catalog.text, "+pgtext.Time("u.tx_started_at")+" FROM ("+last("c.key IS NULL AND c.table_id = $1")+" UNION ALL "+
		last(reading.WithKey("former_key", "$2", "$1"))+") u ORDER BY u.lsn DESC LIMIT 1", n.table.ID, n.text).Scan(&unusual, &n.unusualIn.XID, &n.unusualIn.Started)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return err
	default:
		if n.unusual, err = walPlace(unusual); err != nil {
			return err
		}
	}
	changes := n.Reader.At("audit_changes")
	if n.after != nil {
		err = n.readBefore(ctx, "<= $3::pg_catalog.text::pg_catalog.pg_lsn", n.after.LSN)
	} else { // whatever the clock did, the last one by then is the last in the WAL
		err = n.readBefore(ctx, "<= (SELECT c.lsn FROM "+changes+" c WHERE "+reading.WithKey("key", "$2", "$1")+" AND c.captured_at <= $3::pg_catalog.text::pg_catalog.timestamptz ORDER BY c.lsn DESC LIMIT 1)",
			moment(n.at.Truncate(time.Microsecond)))
	}
	if err != nil || len(n.list) == 0 {
		return err
	}
	n.by = n.list[len(n.list)-1]
	return n.readBehind(ctx)
}

// more reads more changes of the side on which less was looked at, or on which alone that may help.
func (n *nearby) more(ctx context.Context) error {
	if n.last || !n.helps || !n.first && n.before <= n.next*nearBefore/nearBehind {
		return n.readBefore(ctx, "< $3::pg_catalog.text::pg_catalog.pg_lsn", n.list[0].LSN)
	}
	return n.readBehind(ctx)
}

// readBefore puts earlier changes in front of the list: those at a place in the WAL, a comparison with $3, which is arg.
func (n *nearby) readBefore(ctx context.Context, place string, arg any) error {
	list, more, err := n.read(ctx, place, " DESC", n.before, n.known[0], arg)
	if err != nil {
		return err
	}
	for i, r := range list {
		place, err := walPlace(r.LSN)
		if err != nil {
			return err
		}
		// In its transaction, the order of the WAL may not be that in which the changes were made.
		if place <= n.unusual || r.SameTx(&n.unusualIn) {
			list, more = list[:i], false
			break
		}
	}
	slices.Reverse(list)
	n.list, n.first = append(list, n.list...), !more
	n.before *= timesBefore
	return nil
}

// readBehind puts later changes behind the list.
func (n *nearby) readBehind(ctx context.Context) error {
	list, more, err := n.read(ctx, "> $3::pg_catalog.text::pg_catalog.pg_lsn", "", n.next, n.known[1], n.list[len(n.list)-1].LSN)
	n.list, n.last = append(n.list, list...), !more
	n.next *= timesBehind
	return err
}

// read looks at so many changes on one side, and reads them without those that have changed only what is known.
func (n *nearby) read(ctx context.Context, place, order string, size int, known []string, arg any) (list []*reading.Row, more bool, err error) {
	args := []any{n.table.ID, n.text, arg}
	from, end := n.Reader.At("audit_changes")+" c WHERE "+reading.WithKey("key", "$2", "$1")+" AND c.lsn "+place, " ORDER BY c.lsn"+order
	query := n.Reader.SelectChanges("NULL::pg_catalog.int8", from+end+" LIMIT "+strconv.Itoa(size+1))
	if len(known) > 0 {
		query = n.Reader.SelectChanges("c.nth", reading.Except("SELECT * FROM "+from+end+" LIMIT "+strconv.Itoa(size+1), "c.lsn"+order, "$4::pg_catalog.text::pg_catalog.text[]")+end)
		args = append(args, `{"`+strings.Join(known, `","`)+`"}`)
	}
	list, more, err = reading.ReadSome(ctx, n.Tx, size, MaxTransactionBytes, query, args...)
	for _, r := range list {
		more = more || r.System.Int64 > int64(size)
		r.System = n.system
	}
	return list, more, err
}

// whole are the changes of transactions of which all are read, in the order in which they were made.
func (n *nearby) whole() []*reading.Row {
	list := n.list
	for ends := list; !n.first && len(list) > 0 && list[0].SameTx(ends[0]); {
		list = list[1:]
	}
	for ends := list; !n.last && len(list) > 0 && list[len(list)-1].SameTx(ends[len(ends)-1]); {
		list = list[:len(list)-1]
	}
	return reading.ByVersion(list)
}

// capturedBy reports whether a change was captured by a time.
func capturedBy(r *reading.Row, at time.Time) bool {
	return r.Captured <= at.UTC().Format(lenient.TimeForm)
}

// wants is what it takes, beside what was read, to know what a row was.
type wants int

const (
	wantsNothing wants = iota
	wantsMore
	wantsAll // the changes with the key
)

// row returns the row, if what was read is enough.
func (n *nearby) row(ctx context.Context) (*Row, wants, error) {
	list, last := n.whole(), 0
	if n.helps = !slices.Contains(list, n.by); n.helps {
		return nil, wantsMore, nil
	}
	for i, r := range list {
		if n.after != nil && r.Is(n.after) || n.after == nil && capturedBy(r, n.at) {
			last = i
		}
	}
	n.known = [2][]string{reading.Changed(n.table, list[:last+1]), reading.Changed(n.table, list)}
	p := &past{asOf: n.asOf, shape: n.shapeAt(n.at, list[:last+1]), known: make(map[string]Value), from: n.at, to: n.at}
	what, err := n.addEarlier(p, list[:last+1])
	if n.helps = err == nil && what != wantsAll && n.laterHelps(p); n.helps && what == wantsMore {
		what, err = n.addLater(ctx, p, list[last+1:])
	}
	switch {
	case err != nil || what != wantsNothing:
		return nil, what, err
	case !p.complete() || reading.FirstBrokenOfRow(n.breaks, p.from, n.at) != nil:
		return nil, wantsAll, nil
	}
	return p.row(), wantsNothing, nil
}

// addEarlier sets the values that changes before the moment have left, the last change first.
func (n *nearby) addEarlier(p *past, before []*reading.Row) (wants, error) {
	for _, r := range slices.Backward(before) {
		if r.FormerKey.Valid || r.Op == "D" {
			return wantsAll, nil
		}
		c, sh, err := p.read(r)
		if err != nil {
			return wantsAll, err
		}
		if p.since == nil {
			p.since = &c
		}
		p.from, p.whole = c.CapturedAt, c.Op == Insert || c.Drifted
		for _, f := range c.Fields {
			p.set(sh, f.Name, f.New)
		}
		for k, name := range c.KeyColumns[:min(len(c.KeyColumns), len(c.Key))] { // which no field says unless it was changed
			p.set(sh, name, Value{Text: &c.Key[k]})
		}
		if p.whole || p.shape != nil && p.complete() {
			return wantsNothing, nil
		}
	}
	if n.first {
		return wantsAll, nil
	}
	return wantsMore, nil
}

// laterHelps reports whether later changes, and what the row is now, can say what it was: none was missed since, and no value
// is hidden from them that the changes before have.
func (n *nearby) laterHelps(p *past) bool {
	t, from := n.table, p.from
	if n.at.Before(from) { // the clock was set back
		from = n.at
	}
	return p.shape != nil && t.LiveTable != nil && t.Capturing && t.Readable && !t.Secured && n.keyHolds(n.key) && !hashesColumns(t) && reading.FirstBroken(n.breaks, from, time.Now().Add(24*time.Hour)) == nil
}

// hashesColumns reports whether hashes were kept of any column, which the row itself does not have.
func hashesColumns(t *reading.Table) bool {
	for _, sh := range t.Shapes {
		if slices.ContainsFunc(sh.Columns, func(c catalog.Column) bool { return c.Hashed }) {
			return true
		}
	}
	return false
}

// addLater sets the values that later changes have replaced, and then those that the row has now.
func (n *nearby) addLater(ctx context.Context, p *past, after []*reading.Row) (wants, error) {
	for _, r := range after {
		if r.FormerKey.Valid || r.Op == "I" {
			return wantsAll, nil
		}
		c, sh, err := p.read(r)
		if err != nil {
			return wantsAll, err
		}
		for _, f := range c.Fields {
			p.set(sh, f.Name, f.Old)
		}
		switch {
		case p.complete():
			return wantsNothing, nil
		case c.Op == Delete || c.Drifted:
			return wantsMore, nil
		}
	}
	if !n.last {
		return wantsMore, nil
	}
	var unknown *AsOfError
	switch err := p.addLive(ctx, after); {
	case errors.As(err, &unknown):
		return wantsAll, nil
	case err != nil:
		return wantsAll, err
	case p.complete():
		return wantsNothing, nil
	}
	return wantsMore, nil
}
