package changes

import (
	"context"
	"slices"
	"time"
)

// asOf reads what is known of the rows that had a key.
type asOf struct {
	*snapshot
	table  *undoTable
	lives  *lives
	key    []string
	text   string // of the key, as changes have it
	under  []*row // the changes of rows with the key, and of the whole table
	breaks []aBreak
}

// asOf looks up a table, for what is known of the rows that had a key. Their changes are not read yet.
func (r *snapshot) asOf(ctx context.Context, id int64, key []string) (*asOf, error) {
	if err := r.pin(ctx); err != nil {
		return nil, err
	}
	t, l, key, err := r.keyed(ctx, id, key)
	if err != nil {
		return nil, err
	}
	breaks, err := r.breaks(ctx, t)
	if err != nil {
		return nil, err
	}
	return &asOf{snapshot: r, table: t, lives: l, breaks: breaks, key: key, text: t.text(key)}, nil
}

// read reads the changes of a key.
func (a *asOf) read(ctx context.Context, key []string) (err error) {
	a.key, a.text = key, a.table.text(key)
	a.under, err = a.lives.changes(ctx, a.text)
	return err
}

// row returns the row at a moment. last is the index in under of its last change before that, -1 if there is none.
func (a *asOf) row(ctx context.Context, at time.Time, last int) (*Row, error) {
	key := a.text
	var before, after []*row
	var err error
	switch {
	case last < 0:
		if err = a.unchanged(at); err != nil {
			return nil, err
		}
		after = a.under
		if i := slices.IndexFunc(after, func(r *row) bool { return r.op == "U" && r.ended(key) }); i >= 0 {
			var rest []*row // under another key
			rest, err = a.lives.follow(ctx, after[i])
			after = slices.Concat(after[:i+1], rest)
		}
	default:
		r := a.under[last]
		if err = a.alive(at, r); err != nil {
			return nil, err
		}
		if before, err = a.lives.until(ctx, r, key); err != nil {
			return nil, err
		}
		after, err = a.lives.follow(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	return a.compose(ctx, at, before, after)
}

// alive returns an error unless the row is there at a moment, after a change of it.
func (a *asOf) alive(at time.Time, r *row) error {
	c, err := r.change(a.table)
	switch {
	case err != nil:
		return err
	case r.op == "T" && a.table.liveTable != nil && a.table.partitioned: // it does not say of which partition
		return &AsOfError{Err: ErrBroken, Change: &c}
	case r.op == "T", r.op == "D" && r.key.Valid, r.op == "U" && r.ended(a.text):
		if b := broken(a.breaks, c.CapturedAt, at); b != nil {
			return &AsOfError{Err: ErrBroken, Break: b}
		}
		return &AsOfError{Err: ErrGone, Change: &c}
	case !r.key.Valid:
		return &AsOfError{Err: ErrBroken, Change: &c}
	}
	return nil
}

// unchanged returns an error unless the row was there before the first of its changes. Without changes it returns none: the
// row may be there.
func (a *asOf) unchanged(at time.Time) error {
	if began := a.began(); began != nil && at.Before(began.To) {
		return &AsOfError{Err: ErrBeforeCapture, Break: began}
	}
	if len(a.under) == 0 {
		return nil
	}
	first := a.under[0]
	c, err := first.change(a.table)
	switch {
	case err != nil:
		return err
	case first.began(a.text), first.op == "I" && first.key.Valid:
		if b := broken(a.breaks, at, c.CapturedAt); b != nil {
			return &AsOfError{Err: ErrBroken, Break: b}
		}
		return &AsOfError{Err: ErrNotYet, Change: &c}
	case !first.key.Valid:
		return &AsOfError{Err: ErrBroken, Change: &c}
	}
	return nil
}

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
