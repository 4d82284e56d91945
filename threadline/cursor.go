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

// The kinds of cursors, and what their places are. Those of package changes have other kinds.
//
//	recorded_at µs 8 | seq 8 | id 16
const (
	cursorByPlace = 1
	cursorByID    = 2
)

func (q Query) cursor(p position) string {
	var at paging.Place
	binary.BigEndian.PutUint64(at[:], uint64(p.recordedAt.UnixMicro()))
	binary.BigEndian.PutUint64(at[8:], uint64(p.seq))
	copy(at[16:], p.id[:])
	if p.byID {
		return paging.Cursor(cursorByID, at, q.allFilters())
	}
	return paging.Cursor(cursorByPlace, at, q.allFilters())
}

// position reads the query's cursor.
func (q Query) position() (position, error) {
	kind, at, err := paging.Open(q.Cursor, q.allFilters(), string([]byte{cursorByPlace, cursorByID}))
	if err != nil {
		return position{}, err
	}
	p := position{
		recordedAt: time.UnixMicro(int64(binary.BigEndian.Uint64(at[:]))).UTC(),
		seq:        int64(binary.BigEndian.Uint64(at[8:])),
		byID:       kind == cursorByID,
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
