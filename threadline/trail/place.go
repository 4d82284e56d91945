package trail

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/threadline/internal/paging"
)

// place is a place between two items: behind an item, or behind all that a page has looked at.
type place struct {
	kind byte // of the cursor of its package
	at   paging.Place
}

// furthest is after all times that items have.
var furthest = time.Date(9998, 1, 1, 0, 0, 0, 0, time.UTC)

func (p *place) isChange() bool { return p != nil && p.kind != paging.ByPlace && p.kind != paging.ByID }

// nowhere reports whether it is behind an action whose ID cannot be read, so that no cursor leads there.
func (p *place) nowhere() bool {
	return p.kind == paging.ByID && uuid.UUID(p.at[paging.PlaceLen-16:]) == uuid.Nil
}

// before reports whether p comes before o in the list of one transaction.
func (p *place) before(o *place) bool {
	switch {
	case p.isChange() != o.isChange():
		return o.isChange()
	case p.isChange():
		return slices.Compare(p.at[8:16], o.at[8:16]) > 0 // by the WAL
	}
	return p.kind == paging.ByPlace && o.kind == paging.ByPlace && slices.Compare(p.at[:], o.at[:]) > 0
}

// placeOf returns the place of a cursor of actions or of row changes. A cursor by ID has no time: above is that of the item
// above it.
func placeOf(cursor string, above time.Time) (*place, error) {
	kind, at, err := paging.PlaceOf(cursor)
	if err != nil {
		return nil, err
	}
	if kind == paging.ByID {
		at.SetTime(above)
	}
	return &place{kind, at}, nil
}

// begins returns where the query's page begins, nil at the top.
func (q *Query) begins() (*place, error) {
	if q.Cursor == "" {
		return nil, nil
	}
	kind, at, err := paging.Open(q.Cursor, q.allFilters(), string([]byte{paging.Mixed | paging.ByPlace, paging.Mixed | paging.ByID, paging.Mixed | paging.ByCapture}))
	if err != nil {
		return nil, err
	}
	return &place{kind &^ paging.Mixed, at}, nil
}

func (q *Query) cursor(p *place) string {
	return paging.Cursor(p.kind|paging.Mixed, p.at, q.allFilters())
}

// earlier returns the earlier of the two. A zero bound is none.
func earlier(bound, t time.Time) time.Time {
	if bound.IsZero() || t.Before(bound) {
		return t
	}
	return bound
}
