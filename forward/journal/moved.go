package journal

import (
	"encoding/binary"

	"github.com/google/uuid"
)

// movedXID is the xid, on PostgreSQL, of a row that package relay has moved from the table of an
// earlier version: it is long over, so every cursor has passed it.
const movedXID = 3

// MovedKey is for package relay and the Hub. It returns the key of a row that was moved from the table of
// an earlier version: a UUID of version 8 with the number of the transaction and the seq that
// the entry had there. All processes that move the entry compute the same key. It sorts before
// all keys of version 7.
func MovedKey(tx, seq int64) (key uuid.UUID) {
	const version, variant, rest = 8 << 12, 2 << 62, 1<<62 - 1
	binary.BigEndian.PutUint64(key[:8], uint64(tx)>>12<<16|version|uint64(tx)&0xfff)
	binary.BigEndian.PutUint64(key[8:], variant|uint64(seq)&rest)
	return key
}

// detectMoved recognises a row that package relay moved from the old table: by its xid on
// PostgreSQL, by a negative seq on SQLite. On PostgreSQL it restores Tx.ID, which the key
// carries.
func (r *Row) detectMoved() {
	tx, moved := movedTx(r.Key)
	switch {
	case !moved:
	case r.Seq < 0:
		r.moved = true
	case r.Seq == 0 && r.Tx.ID == movedXID:
		r.moved, r.Tx.ID = true, tx
	}
}

// movedTx is the number of the transaction in a key that MovedKey has made.
func movedTx(key uuid.UUID) (tx int64, moved bool) {
	high := binary.BigEndian.Uint64(key[:8])
	return int64(high>>16<<12 | high&0xfff), key.Version() == 8 //nolint:gosec // it was one
}
