package changes

import (
	"context"
	"slices"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// asOf reads what is known of the rows that had a key.
type asOf struct {
	*reading.Snapshot
	table  *reading.Table
	lives  *reading.Lives
	key    []string
	text   string         // of the key, as changes have it
	under  []*reading.Row // the changes of rows with the key, and of the whole table
	breaks []reading.Break
}

// newAsOf looks up a table, for what is known of the rows that had a key. Their changes are not read yet.
func newAsOf(ctx context.Context, r *reading.Snapshot, id int64, key []string) (*asOf, error) {
	if err := r.Pin(ctx); err != nil {
		return nil, err
	}
	t, l, key, err := r.Keyed(ctx, id, key)
	if err != nil {
		return nil, err
	}
	breaks, err := r.Breaks(ctx, t)
	if err != nil {
		return nil, err
	}
	return &asOf{Snapshot: r, table: t, lives: l, breaks: breaks, key: key, text: t.Text(key)}, nil
}

// read reads the changes of a key.
func (a *asOf) read(ctx context.Context, key []string) (err error) {
	a.key, a.text = key, a.table.Text(key)
	a.under, err = a.lives.Changes(ctx, a.text)
	return err
}

// row returns the row at a moment. last is the index in under of its last change before that, -1 if there is none.
func (a *asOf) row(ctx context.Context, at time.Time, last int) (*Row, error) {
	key := a.text
	var before, after []*reading.Row
	var err error
	switch {
	case last < 0:
		if err = a.unchanged(at); err != nil {
			return nil, err
		}
		after = a.under
		if i := slices.IndexFunc(after, func(r *reading.Row) bool { return r.Op == "U" && r.Ended(key) }); i >= 0 {
			var rest []*reading.Row // under another key
			rest, err = a.lives.Follow(ctx, after[i])
			after = slices.Concat(after[:i+1], rest)
		}
	default:
		r := a.under[last]
		if err = a.alive(at, r); err != nil {
			return nil, err
		}
		if before, err = a.lives.Until(ctx, r, key); err != nil {
			return nil, err
		}
		after, err = a.lives.Follow(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	return a.compose(ctx, at, before, after)
}

// alive returns an error unless the row was there at a moment, by r, its last change until then.
func (a *asOf) alive(at time.Time, r *reading.Row) error {
	c, err := r.Change(a.table)
	switch {
	case err != nil:
		return err
	case r.Op == "T" && a.table.LiveTable != nil && a.table.Partitioned: // it does not say of which partition
		return &AsOfError{Err: ErrBroken, Change: &c}
	case r.Op == "T", r.Op == "D" && r.Key.Valid, r.Op == "U" && r.Ended(a.text):
		if b := reading.FirstBroken(a.breaks, c.CapturedAt, at); b != nil {
			return &AsOfError{Err: ErrBroken, Break: b}
		}
		return &AsOfError{Err: ErrGone, Change: &c}
	case !r.Key.Valid:
		return &AsOfError{Err: ErrBroken, Change: &c}
	}
	return nil
}

// unchanged returns an error unless the row was there before the first of its changes. Without changes it returns nil, since the
// row may be there now.
func (a *asOf) unchanged(at time.Time) error {
	if began := a.began(); began != nil && at.Before(began.To) {
		return &AsOfError{Err: ErrBeforeCapture, Break: began}
	}
	if len(a.under) == 0 {
		return nil
	}
	first := a.under[0]
	c, err := first.Change(a.table)
	switch {
	case err != nil:
		return err
	case first.Began(a.text), first.Op == "I" && first.Key.Valid:
		if b := reading.FirstBroken(a.breaks, at, c.CapturedAt); b != nil {
			return &AsOfError{Err: ErrBroken, Break: b}
		}
		return &AsOfError{Err: ErrNotYet, Change: &c}
	case !first.Key.Valid:
		return &AsOfError{Err: ErrBroken, Change: &c}
	}
	return nil
}

// began returns the break with which the history begins, nil if there is none.
func (a *asOf) began() *Break {
	for i := range a.breaks {
		if a.breaks[i].Kind == Began {
			return &a.breaks[i].Break
		}
	}
	return nil
}

// purged returns the last break of deleted changes before a moment, nil if there is none.
func (a *asOf) purged(at time.Time) (last *Break) {
	for i := range a.breaks {
		if b := &a.breaks[i].Break; b.Kind == Purged && !b.To.After(at) {
			last = b
		}
	}
	return last
}
