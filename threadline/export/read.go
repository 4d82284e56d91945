package export

import (
	"context"
	"encoding/binary"
	"iter"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/threadline/internal/paging"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

func instant(t time.Time) string { return t.UTC().Format(lenient.TimeForm) }

// read yields the items that match q, from its cursor on and without its limit. It has one page in memory.
func read(ctx context.Context, r *trail.Reader, q trail.Query) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for {
			page, err := r.Page(ctx, q)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for i := range page.Items {
				e, err := entryOf(&page, i)
				if !yield(e, err) || err != nil {
					return
				}
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				return
			}
		}
	}
}

func entryOf(page *trail.Page, i int) (Entry, error) {
	e := Entry{Item: page.Items[i], after: page.CursorAfter(i)}
	if e.Action != nil {
		e.ID = e.Action.ID
		return e, nil
	}
	_, at, err := paging.PlaceOf(e.after)
	if err == nil {
		e.ID = journal.ChangePosition(int64(binary.BigEndian.Uint64(at[16:])), binary.BigEndian.Uint64(at[8:])).Key
	}
	return e, err
}

// first returns the first item that matches q. found is false if there is none.
func first(ctx context.Context, r *trail.Reader, q trail.Query) (e Entry, found bool, err error) {
	q.Limit = 1
	for e, err = range read(ctx, r, q) {
		return e, err == nil, err
	}
	return e, false, nil
}

// limited yields the items that match q. If q.Limit is not zero, it ends when these and those that were written before are so many, and
// sets truncated if there are others.
func limited(ctx context.Context, r *trail.Reader, q trail.Query, written int64, truncated *bool) iter.Seq2[Entry, error] {
	limit := int64(q.Limit)
	q.Limit = trail.MaxLimit
	return func(yield func(Entry, error) bool) {
		for e, err := range read(ctx, r, q) {
			if err == nil && limit > 0 && written >= limit {
				*truncated = true
				return
			}
			if !yield(e, err) {
				return
			}
			written++
		}
	}
}
