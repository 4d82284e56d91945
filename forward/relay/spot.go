package relay

import (
	"bytes"
	"cmp"
	"math"

	"github.com/google/uuid"
)

// spot is a place in the order in which cursors pass entries. On PostgreSQL number is the xid
// of the row's transaction, and the row's key follows; on SQLite number is the row's seq, and
// spots have no keys. The entry's ordinal comes last.
type spot struct {
	number  int64
	key     uuid.UUID
	ordinal int
}

// rowEnd is the ordinal of a spot behind all entries of its row.
const rowEnd = math.MaxInt32

func (p spot) compare(o spot) int {
	return cmp.Or(cmp.Compare(p.number, o.number), bytes.Compare(p.key[:], o.key[:]), cmp.Compare(p.ordinal, o.ordinal))
}

// endOfRow is the spot behind all entries of the row.
func (p spot) endOfRow() spot { return spot{p.number, p.key, rowEnd} }

// passed is how many entries of its row to skip when reading on from the spot. After a whole row
// that is 0: reading goes on with the next row.
func (p spot) passed() int {
	if p.number == 0 || p.ordinal == rowEnd {
		return 0
	}
	return p.ordinal + 1
}
