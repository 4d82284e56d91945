package threadline

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"time"

	"github.com/google/uuid"
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

// A cursor is a position and a digest of the filters that it was made for, and a
// checksum. It is no secret and no protection: it only starts what the filters
// allow anyway.
//
//	kind 1 | recorded_at µs 8 | seq 8 | id 16 | filters 8 | CRC-32 4
const (
	cursorByPlace = 1
	cursorByID    = 2
	cursorLen     = 1 + 8 + 8 + 16 + 8 + 4
)

func (q Query) cursor(p position) string {
	b := make([]byte, 0, cursorLen)
	if p.byID {
		b = append(b, cursorByID)
	} else {
		b = append(b, cursorByPlace)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(p.recordedAt.UnixMicro()))
	b = binary.BigEndian.AppendUint64(b, uint64(p.seq))
	b = append(b, p.id[:]...)
	b = append(b, q.digest()...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.RawURLEncoding.EncodeToString(b)
}

// position reads the query's cursor.
func (q Query) position() (position, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(q.Cursor)
	// The decoder skips line breaks, so the text's length is looked at too.
	if err != nil || len(b) != cursorLen || len(q.Cursor) != base64.RawURLEncoding.EncodedLen(cursorLen) || b[0] != cursorByPlace && b[0] != cursorByID ||
		crc32.ChecksumIEEE(b[:cursorLen-4]) != binary.BigEndian.Uint32(b[cursorLen-4:]) {
		return position{}, &QueryError{"cursor", "is damaged or not one of this version's: start again without it"}
	}
	if string(b[33:41]) != string(q.digest()) {
		return position{}, &QueryError{"cursor", "belongs to other filters: start again without it, or restore them"}
	}
	p := position{
		recordedAt: time.UnixMicro(int64(binary.BigEndian.Uint64(b[1:]))).UTC(),
		seq:        int64(binary.BigEndian.Uint64(b[9:])),
		byID:       b[0] == cursorByID,
	}
	copy(p.id[:], b[17:33])
	return p, nil
}

// digest stands for the filters: all of the query but where its page begins and
// ends.
func (q Query) digest() []byte {
	q.Limit, q.Cursor = 0, ""
	q.From, q.To = q.From.UTC(), q.To.UTC()
	doc, err := json.Marshal(q)
	if err != nil { // a year past 9999: as good as any text that differs
		doc = []byte(err.Error())
	}
	sum := sha256.Sum256(doc)
	return sum[:8]
}
