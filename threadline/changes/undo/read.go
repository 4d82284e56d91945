package undo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// changes returns the changes of rows, which are to be undone.
func (r *undoer) changes(ctx context.Context, rows []*reading.Row) ([]*reading.KeptChange, error) {
	for _, one := range rows {
		r.undone[one.ID()] = true
	}
	return r.Changes(ctx, rows)
}

// transaction returns the changes of a transaction.
func (r *undoer) transaction(ctx context.Context, xid int64, startedAt time.Time) ([]*chain, error) {
	if err := r.Pin(ctx); err != nil {
		return nil, err
	}
	if s, ok := onSQLite(r.Reader); ok {
		rows, err := s.ofTransaction(ctx, r, xid)
		if err != nil {
			return nil, err
		}
		return r.ofTransaction(ctx, rows, xid, startedAt)
	}
	id, started := strconv.FormatInt(xid, 10), startedAt.UTC().Format(time.RFC3339Nano)
	where := " WHERE " + reading.OfTransaction("$1::pg_catalog.text::pg_catalog.xid8", "$2::pg_catalog.text::pg_catalog.timestamptz")
	rows, more, err := reading.ReadSome(ctx, r.Tx, MaxChanges, changes.MaxTransactionBytes, r.Reader.SelectChanges("c.system", r.Reader.At("audit_changes")+" c"+where+" ORDER BY c.xid, c.lsn LIMIT "+strconv.Itoa(MaxChanges+1)), id, started)
	if err != nil {
		return nil, catalog.Wrap("read the transaction", err)
	}
	if more {
		return nil, ErrTooMany
	}
	gaps, err := r.gaps(ctx, where, id, started)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 && !gaps {
		return nil, fmt.Errorf("%w: transaction %d that began at %s", change.ErrNoChange, xid, started)
	}
	reading.InOneCluster(rows)
	return r.ofTransaction(ctx, rows, xid, startedAt)
}

// ofTransaction returns the changes in rows, which are those of a transaction.
func (r *undoer) ofTransaction(ctx context.Context, rows []*reading.Row, xid int64, startedAt time.Time) ([]*chain, error) {
	list, err := r.changes(ctx, rows)
	if err != nil {
		return nil, err
	}
	if len(list) > 0 { // on SQLite a transaction may be asked for by its number alone
		startedAt = list[0].TxStartedAt
	}
	r.script.Cause = causeOf(xid, startedAt)
	return r.chains(list), nil
}

// gaps refuses changes that were not captured, and reports whether there are any.
func (r *undoer) gaps(ctx context.Context, where string, args ...any) (bool, error) {
	if r.Reader.Catalog.Dialect == hooks.SQLite {
		return false, nil // its triggers keep a change, or the statement fails
	}
	list, err := r.Reader.Gaps(ctx, r.Tx, where+" ORDER BY c.lsn LIMIT 20", args...)
	if err != nil {
		return false, err
	}
	for _, g := range list {
		t, err := r.Table(ctx, g.Table)
		if err != nil {
			return false, err
		}
		r.script.Refusals = append(r.script.Refusals, Refusal{Table: t.Label(), Reason: "the history has a gap: the " + g.Op + " was not captured: " + g.Reason})
	}
	return len(list) > 0, nil
}

// one returns a single change, as a chain.
func (r *undoer) one(ctx context.Context, c *change.Change) ([]*chain, error) {
	if err := r.Pin(ctx); err != nil {
		return nil, err
	}
	found, err := r.Find(ctx, c)
	if err != nil {
		return nil, err
	}
	r.undone[found.Row.ID()] = true
	r.script.Cause = causeOf(c.XID, c.TxStartedAt)
	return []*chain{{table: r.Tables[found.Row.TableID], changes: []*reading.KeptChange{found}}}, nil
}

// since returns what happened to a row after a moment.
func (r *undoer) since(ctx context.Context, table string, key []string, to time.Time) ([]*chain, error) {
	named, err := r.Look(ctx, table)
	if err != nil {
		return nil, err
	}
	if err = r.CheckPast(ctx, named, to); err != nil {
		return nil, err
	}
	if err = r.Pin(ctx); err != nil {
		return nil, err
	}
	if err = r.gapsSince(ctx, named, to); err != nil {
		return nil, err
	}
	t, l, key, err := r.Keyed(ctx, named.ID, key)
	if err != nil {
		return nil, err
	}
	text, each, err := r.under(ctx, l, key)
	if err != nil {
		return nil, err
	}
	if len(each) == 0 {
		return nil, fmt.Errorf("%w: of %s", change.ErrNoChange, reading.NameOf(t.Label(), key))
	}
	left := func(life []*reading.Row) bool { last := life[len(life)-1]; return last.Op == "U" && last.Ended(text) }
	last := each[len(each)-1]
	each = slices.DeleteFunc(each[:len(each)-1], left) // these are rows of other keys now
	if left(last) {
		more, err := l.Follow(ctx, last[len(last)-1])
		if err != nil {
			return nil, catalog.Wrap("read the history", err)
		}
		last = append(last, more...)
	}
	each = append(each, last)
	after := afterMoment(each, text, to)
	first := len(after[0]) == len(each[0])
	var lists [][]*reading.KeptChange
	for _, later := range after {
		list, err := r.changes(ctx, later)
		if err != nil {
			return nil, err
		}
		lists = append(lists, list)
	}
	return r.lives(t, lists, first)
}

// afterMoment returns what comes, of each of the rows that have had a key, after its last change that was captured by a moment. The clock
// may have been set back: it finds the place, and then the order of the changes counts. Before a row that had the key by then come the
// rows that had it earlier, with all their changes.
func afterMoment(each [][]*reading.Row, key string, to time.Time) [][]*reading.Row {
	captured := to.UTC().Format(lenient.TimeForm)
	after := make([][]*reading.Row, len(each))
	for i := len(each) - 1; i >= 0; i-- {
		life := each[i]
		got, by := 0, -1 // where it got the key, and its last change by then
		for j, r := range life {
			if r.Began(key) {
				got = j
			}
			if r.Captured <= captured {
				by = j
			}
		}
		if after[i] = life[by+1:]; by >= got {
			break
		}
	}
	return after
}

// gapsSince refuses changes of a table that were not captured since a moment.
func (r *undoer) gapsSince(ctx context.Context, t *reading.Table, to time.Time) error {
	if r.Reader.Catalog.Dialect != hooks.SQLite {
		if _, err := r.gaps(ctx, " WHERE c.table_id = $1 AND c.captured_at > $2::pg_catalog.text::pg_catalog.timestamptz", t.ID, to.UTC().Format(time.RFC3339Nano)); err != nil {
			return err
		}
	}
	breaks, err := r.Breaks(ctx, t)
	if err != nil {
		return err
	}
	if r.Reader.Catalog.Dialect != hooks.SQLite { // what was lost is among the gaps
		breaks = slices.DeleteFunc(breaks, func(b reading.Break) bool { return b.Kind == change.Lost })
	}
	if b := reading.FirstBroken(breaks, to, time.Now().Add(24*time.Hour)); b != nil {
		r.refuse(t, nil, nil, "the history has a gap: "+b.Text)
	}
	return nil
}

// under returns the changes of the rows that have had a key, those of each by themselves, and its text.
func (r *undoer) under(ctx context.Context, l *reading.Lives, key []string) (text string, each [][]*reading.Row, err error) {
	if s, ok := onSQLite(r.Reader); ok {
		return s.under(ctx, r.Tx, l, key)
	}
	text = rowtext.Format(key)
	each, err = l.Each(ctx, text)
	return text, each, catalog.Wrap("read the history", err)
}

// sinceChange returns what happened to a row after one of its changes.
func (r *undoer) sinceChange(ctx context.Context, c *change.Change) ([]*chain, error) {
	if err := r.Pin(ctx); err != nil {
		return nil, err
	}
	found, err := r.Find(ctx, c)
	if err != nil {
		return nil, err
	}
	if found.Key == nil {
		return nil, errors.New("undo: the key of the row is not known")
	}
	if err = r.gapsSince(ctx, r.Tables[found.Row.TableID], found.CapturedAt); err != nil {
		return nil, err
	}
	t, l, _, err := r.Keyed(ctx, found.Row.TableID, found.RowKey)
	if err != nil {
		return nil, err
	}
	rows, err := l.Follow(ctx, found.Row)
	if err != nil {
		return nil, catalog.Wrap("read the history", err)
	}
	list, err := r.changes(ctx, rows)
	if err != nil {
		return nil, err
	}
	return r.lives(t, [][]*reading.KeptChange{list}, false)
}
