package threadline

import (
	"encoding/binary"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/threadline/internal/paging"
)

// position is the place of a row in the timeline's order.
type position struct {
	recordedAt time.Time
	seq        int64
	id         uuid.UUID
	// byID says that only the id counts: the row is unreadable, perhaps in what
	// orders it.
	byID bool
}

func (q Query) cursor(p position) string {
	var at paging.Place
	at.SetTime(p.recordedAt)
	binary.BigEndian.PutUint64(at[8:], uint64(p.seq))
	copy(at[16:], p.id[:])
	if p.byID {
		return paging.Cursor(paging.ByID, at, q.allFilters())
	}
	return paging.Cursor(paging.ByPlace, at, q.allFilters())
}

// CursorAfter returns the cursor of the page that begins behind p.Actions[i]. p must come from a [Store],
// not from JSON. [Page.Next] is that of the last action, unless there is nothing behind it.
func (p *Page) CursorAfter(i int) string { return p.query.cursor(positionOf(&p.Actions[i])) }

// position reads the query's cursor.
func (q Query) position() (position, error) {
	kind, at, err := paging.Open(q.Cursor, q.allFilters(), string([]byte{paging.ByPlace, paging.ByID}))
	if err != nil {
		return position{}, err
	}
	p := position{
		recordedAt: at.Time(),
		seq:        int64(binary.BigEndian.Uint64(at[8:])),
		byID:       kind == paging.ByID,
	}
	copy(p.id[:], at[16:])
	return p, nil
}

// allFilters are the query but where its page begins and ends.
func (q Query) allFilters() Query {
	q.Limit, q.Cursor = 0, ""
	q.From, q.To = q.From.UTC(), q.To.UTC()
	return q
}
