package changes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// Why there is no row as of a time. They come in an [AsOfError].
var (
	// ErrGone: by then the row was deleted, its key was changed to another, or a TRUNCATE had emptied the table, which does not
	// say whether the row was in it.
	ErrGone = errors.New("the row was gone by then")
	// ErrNotYet: the row was made later, or never.
	ErrNotYet = errors.New("there was no such row yet")
	// ErrBeforeCapture: the table's changes were not captured yet.
	ErrBeforeCapture = errors.New("the table's changes were not captured yet")
	// ErrBroken: the chain of changes is broken between that time and the changes that would say what the row was.
	ErrBroken = errors.New("the history is broken there")
	// ErrHidden: no change says what the row was, and row-level security may hide from this role what it is now.
	ErrHidden = errors.New("row-level security may hide the row from this role, and its changes do not have all of it")
)

// errUnreadable is why the values that a row's changes do not have cannot be read from the table.
var errUnreadable = errors.New("this role may not read the table")

// AsOfError says why it is not known what a row was, or that there was none.
type AsOfError struct {
	Err error // one of the five: ErrGone, ErrNotYet, ErrBeforeCapture, ErrBroken, ErrHidden
	// Change is the change that shows it, nil if there is none; of ErrBroken the one that cannot be read.
	Change *Change
	// Break is the break, nil if there is none; of ErrBeforeCapture it is the beginning of the history.
	Break *Break
}

// Unwrap returns Err.
func (e *AsOfError) Unwrap() error { return e.Err }

// Error returns the reason, with the change or the break that shows it.
func (e *AsOfError) Error() string {
	s := "changes: " + e.Err.Error()
	if e.Change != nil {
		s += ": " + reading.Title(e.Change)
	}
	if e.Break != nil {
		s += fmt.Sprintf(": %s at %s: %s", e.Break.Kind, e.Break.To.Format(time.RFC3339Nano), e.Break.Text)
	}
	return s
}

// Row is a row as it was.
type Row struct {
	Schema, Table string
	Key           []string
	// Values are in the order of the columns, without those that were excluded.
	Values []RowValue
	// Since is the change that made it what it was, nil if no change until then was captured.
	Since *Change
}

// RowValue is a column's value.
type RowValue struct {
	Name, Type string
	Value
	// Unknown says that the value is not known: the column was added, was dropped or got another type in between.
	Unknown bool
}

// String returns the value for people.
func (v RowValue) String() string {
	if v.Unknown {
		return "(unknown)"
	}
	return v.Value.String()
}

// RowAsOf returns the row that had a key at a time, as of the changes that were captured until then, by the server's clock.
// A change is captured when it is made, and its transaction may have been committed after the time. Values that no change
// had set by then are those that a later change replaced, or that the row has now. If there was no such row, or it is not
// known, the error is an [*AsOfError]. If no row can have the key, it is [ErrKey], and
// of a table without one [ErrNoKey]. Of a time in the future it is [ErrFuture].
func (s *Store) RowAsOf(ctx context.Context, table string, at time.Time, key ...string) (*Row, error) {
	if len(key) == 0 {
		return nil, fmt.Errorf("changes: RowAsOf needs the key of a row of %s", table)
	}
	at = reading.Bounded(at)
	return readRow(ctx, s.reader(), func(r *reading.Snapshot) (*Row, error) {
		t, err := r.Look(ctx, table)
		if err != nil {
			return nil, err
		}
		if err = r.CheckPast(ctx, t, at); err != nil {
			return nil, err
		}
		of := func(key []string) (*Row, error) {
			a, err := newAsOf(ctx, r, t.ID, key)
			if err != nil {
				return nil, err
			}
			if !a.hasLost(at) {
				if row, is, failed := a.near(ctx, at, nil); failed != nil || is {
					return row, failed
				}
			}
			if err = a.read(ctx, a.key); err != nil {
				return nil, err
			}
			row, err := a.rowAt(ctx, at)
			if err != nil {
				return nil, err
			}
			if err = a.inPlace(ctx, at); err != nil {
				return nil, err
			}
			return row, nil
		}
		if s, ok := onSQLite(r.Reader); ok {
			return s.ofAnyClass(ctx, r.Tx, key, of)
		}
		return of(key)
	})
}

// RowAfter returns the row as one of its changes has left it. The change must have a Key. If the change has deleted the row,
// or it is not known what the row was, the error is an [*AsOfError]; if the history does not have the change, it is
// [ErrNoChange].
func (s *Store) RowAfter(ctx context.Context, c Change) (*Row, error) {
	if c.Key == nil {
		return nil, errors.New("changes: RowAfter needs a change of a row with a key")
	}
	return readRow(ctx, s.reader(), func(r *reading.Snapshot) (*Row, error) {
		one, err := r.Find(ctx, &c)
		if err != nil {
			return nil, err
		}
		return rowAfter(ctx, r, one)
	})
}

// rowAfter returns the row as a change has left it.
func rowAfter(ctx context.Context, r *reading.Snapshot, c *reading.KeptChange) (*Row, error) {
	key, err := reading.KeyOf(c.Row.Key)
	if err != nil {
		return nil, err
	}
	a, err := newAsOf(ctx, r, c.Row.TableID, key)
	if err != nil {
		return nil, err
	}
	row, is, err := a.near(ctx, c.CapturedAt, c.Row)
	if err != nil || is {
		return row, err
	}
	if err = a.read(ctx, a.key); err != nil {
		return nil, err
	}
	return a.row(ctx, c.CapturedAt, slices.IndexFunc(a.under, c.Row.Is))
}

// readRow calls f with one state of the database.
func readRow(ctx context.Context, s *reading.Reader, f func(*reading.Snapshot) (*Row, error)) (row *Row, err error) {
	if err = s.Catalog.Supported(); err != nil {
		return nil, err
	}
	err = s.InSnapshot(ctx, s.Catalog.DB, func(r *reading.Snapshot) (err error) {
		r.Past = true
		if row, err = f(r); err != nil || row.Since == nil {
			return err
		}
		one := []Change{*row.Since}
		err = r.Reader.Attribute(ctx, r.Tx, one)
		row.Since = &one[0]
		return err
	})
	if err != nil {
		return nil, err
	}
	return row, nil
}

// String returns the row for people: "public.orders (42): status: paid; amount: 1.00".
func (r *Row) String() string {
	parts := make([]string, len(r.Values))
	for i, v := range r.Values {
		parts[i] = v.Name + ": " + v.String()
	}
	return reading.NameOf(pgschema.Ident(r.Schema)+"."+pgschema.Ident(r.Table), r.Key) + ": " + strings.Join(parts, "; ")
}
