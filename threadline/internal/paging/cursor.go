package paging

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"strings"
	"time"
)

// PlaceLen is the length of a place, in bytes.
const PlaceLen = 32

// Place is where a page ends, as its kind of cursor has it. It begins with a time.
type Place [PlaceLen]byte

// Time is the time with which the place begins, in UTC.
func (p *Place) Time() time.Time {
	return time.UnixMicro(int64(binary.BigEndian.Uint64(p[:]))).UTC()
}

// SetTime puts the time there, in microseconds.
func (p *Place) SetTime(t time.Time) { binary.BigEndian.PutUint64(p[:], uint64(t.UnixMicro())) }

// The kinds of cursors, by what their places are.
//
//	ByPlace, ByID   recorded_at µs 8 | seq 8 | id 16: an action's; with ByID only the id counts
//	ByCapture       captured_at µs 8 | lsn 8 | xid 8 | 0: a row change's
//	ByCaptureUntil  captured_at µs 8 | seq 8 | seq 8 | captured_at µs 8: one's on SQLite, where the page's query has seen up to the others
//	ByCommit        0 | seq 8 | 0 | 0: one's on SQLite, behind what it has seen
//
// In the cursors of package trail they have the bit Mixed.
const (
	ByPlace        = 1
	ByID           = 2
	ByCapture      = 3
	ByCaptureUntil = 4
	ByCommit       = 5
	Mixed          = 0x40
)

// A cursor is a place and a digest of the filters that it was made for, and a checksum. It is no
// secret and no protection: it only starts what the filters allow anyway.
//
//	kind 1 | place 32 | filters 8 | CRC-32 4
const (
	digestLen = 8
	cursorLen = 1 + PlaceLen + digestLen + 4
)

// Cursor returns the cursor of a place. Filters are all of a query but where its page begins and ends.
func Cursor(kind byte, at Place, filters any) string {
	b := make([]byte, 0, cursorLen)
	b = append(b, kind)
	b = append(b, at[:]...)
	b = append(b, digest(filters)...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.RawURLEncoding.EncodeToString(b)
}

// Open reads a cursor that is one of these kinds and was made for these filters. Its error is a
// [*QueryError].
func Open(cursor string, filters any, kinds string) (kind byte, at Place, err error) {
	b, err := decode(cursor)
	if err != nil {
		return 0, at, err
	}
	if strings.IndexByte(kinds, b[0]) < 0 || string(b[1+PlaceLen:1+PlaceLen+digestLen]) != string(digest(filters)) {
		return 0, at, &QueryError{Field: "cursor", Reason: "belongs to other filters: start again without it, or restore them"}
	}
	return b[0], Place(b[1 : 1+PlaceLen]), nil
}

// PlaceOf is where a cursor is that was just made, whatever its filters.
func PlaceOf(cursor string) (kind byte, at Place, err error) {
	b, err := decode(cursor)
	if err != nil {
		return 0, at, err
	}
	return b[0], Place(b[1 : 1+PlaceLen]), nil
}

func decode(cursor string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	// The decoder skips line breaks, so the text's length is looked at too.
	if err != nil || len(b) != cursorLen || len(cursor) != base64.RawURLEncoding.EncodedLen(cursorLen) ||
		crc32.ChecksumIEEE(b[:cursorLen-4]) != binary.BigEndian.Uint32(b[cursorLen-4:]) {
		return nil, &QueryError{Field: "cursor", Reason: "is damaged or not one of this version's: start again without it"}
	}
	return b, nil
}

func digest(filters any) []byte {
	doc, err := json.Marshal(filters)
	if err != nil { // a year past 9999: as good as any text that differs
		doc = []byte(err.Error())
	}
	sum := sha256.Sum256(doc)
	return sum[:digestLen]
}
