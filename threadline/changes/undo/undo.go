package undo

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// MaxChanges is how many changes one [Script] can undo, since it is made in memory. Those of a transaction can have
// [changes.MaxTransactionBytes] of values.
const MaxChanges = 10_000

// ErrTooMany is returned if more changes, or more bytes of values, would have to be undone.
var ErrTooMany = fmt.Errorf("undo: there are more than %d changes to undo, or more than %d MiB of values", MaxChanges, changes.MaxTransactionBytes>>20)

// Transaction returns the undo of all changes of a transaction, by XID and TxStartedAt of a change, which SQLite
// does not need. What a row was before the transaction is restored by one statement, however often the transaction has
// changed it.
func Transaction(ctx context.Context, store *changes.Store, xid int64, startedAt time.Time) (*Script, error) {
	title := fmt.Sprintf("transaction %d", xid)
	if store.Dialect() != hooks.SQLite { // where the number alone identifies it
		title += ", begun at " + startedAt.UTC().Format(time.RFC3339Nano)
	}
	return newScript(ctx, reader(store), title, func(r *undoer) ([]*chain, error) { return r.transaction(ctx, xid, startedAt) })
}

// Change returns the undo of one change, which [changes.Store.History] or another query has returned. What
// else its transaction has changed stays, including what foreign keys did.
func Change(ctx context.Context, store *changes.Store, c change.Change) (*Script, error) {
	return newScript(ctx, reader(store), "the "+reading.Title(&c), func(r *undoer) ([]*chain, error) { return r.one(ctx, &c) })
}

// RowAsOf returns the undo of what happened to a row after a moment: of all its changes behind the last one whose CapturedAt is not
// later. Where the clock was set back, a change with a later CapturedAt may be before that one, and stays. The row is the one that
// has the key now, or had it last. Other rows stay as they are. A moment in the future is [change.ErrFuture].
func RowAsOf(ctx context.Context, store *changes.Store, table string, to time.Time, key ...string) (*Script, error) {
	if len(key) == 0 {
		return nil, fmt.Errorf("undo: RowAsOf needs the key of a row of %s", table)
	}
	to = reading.Bounded(to)
	title := fmt.Sprintf("the changes of %s after %s", reading.NameOf(table, key), to.UTC().Format(time.RFC3339Nano))
	return newScript(ctx, reader(store), title, func(r *undoer) ([]*chain, error) { return r.since(ctx, table, key, to) })
}

// RowAfter returns the undo of what happened to a row after one of its changes: it leads to the row as that change has left
// it.
func RowAfter(ctx context.Context, store *changes.Store, c change.Change) (*Script, error) {
	if c.Key == nil {
		return nil, errors.New("undo: RowAfter needs a change of a row with a key")
	}
	return newScript(ctx, reader(store), "what came after the "+reading.Title(&c), func(r *undoer) ([]*chain, error) { return r.sinceChange(ctx, &c) })
}

// reader is what the store reads with.
func reader(store *changes.Store) *reading.Reader { return (*reading.Store)(store).Reader() }

// undoer makes an undo.
type undoer struct {
	*reading.Snapshot
	script *Script
	undone map[reading.ChangeID]bool
}

// newScript reads with f what is to be undone, and makes the undo.
func newScript(ctx context.Context, s *reading.Reader, title string, f func(*undoer) ([]*chain, error)) (*Script, error) {
	if err := s.Catalog.Supported(); err != nil {
		return nil, catalog.InPackage("undo: ", err)
	}
	u := &Script{}
	err := s.InSnapshot(ctx, s.Catalog.DB, func(sn *reading.Snapshot) error {
		*u = Script{title: title, speaks: s.Catalog.Dialect}
		return (&undoer{Snapshot: sn, script: u, undone: make(map[reading.ChangeID]bool)}).make(ctx, f)
	})
	if err != nil {
		return nil, catalog.InPackage("undo: ", err)
	}
	return u, nil
}

// make sets the undo of what f reads, unless f has refused it.
func (r *undoer) make(ctx context.Context, f func(*undoer) ([]*chain, error)) error {
	chains, err := f(r)
	if err != nil || len(r.script.Refusals) > 0 {
		return err
	}
	if err = r.plan(ctx, chains); err != nil {
		return err
	}
	var later []change.Change
	for _, c := range r.script.Conflicts {
		later = append(later, c.Later...)
	}
	if err = r.Reader.Attribute(ctx, r.Tx, later); err != nil {
		return err
	}
	for i := range r.script.Conflicts {
		n := copy(r.script.Conflicts[i].Later, later)
		later = later[n:]
	}
	return nil
}

// causeOf is Script.Cause for a transaction.
func causeOf(xid int64, startedAt time.Time) string {
	return strconv.FormatInt(xid, 10) + "@" + startedAt.UTC().Format(time.RFC3339Nano)
}
