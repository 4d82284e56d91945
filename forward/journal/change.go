package journal

import (
	"fmt"
	"strconv"

	"github.com/google/uuid"
)

// The key of a row change begins with ff, so that a transaction's changes come behind its events: the UUIDv7 of a flush
// does not begin so before the year 10854. It is a UUID of version 8 (RFC 9562, section 5.8):
//
//	ff | the first 5 of 7 bytes of the place in the WAL | 8, 3 digits | 8, 1 digit | 6 bytes of the xid | 00
const changePrefix = "ff"

// ChangePosition returns the position of the row change that a transaction made at a place in the WAL. xid is below 2^48,
// and lsn below 2^56. It is for package relay and for what reads row changes.
func ChangePosition(xid int64, lsn uint64) Position {
	l := fmt.Sprintf("%014x", lsn)
	key, _ := uuid.Parse(changePrefix + l[:10] + "8" + l[10:13] + "8" + l[13:14] + fmt.Sprintf("%012x", xid) + "00") // 32 digits
	return Position{Key: key}
}

// Change is the reverse of [ChangePosition]. It reports false for the position of an event. It is for package relay and for
// what reads row changes.
func (p Position) Change() (xid int64, lsn uint64, ok bool) {
	if p.Key[0] != 0xff || p.Ordinal != 0 {
		return 0, 0, false
	}
	text := fmt.Sprintf("%x", p.Key[:])
	lsn, err := strconv.ParseUint(text[2:12]+text[13:16]+text[17:18], 16, 64)
	if err != nil {
		return 0, 0, false
	}
	xid, err = strconv.ParseInt(text[18:30], 16, 64)
	return xid, lsn, err == nil && ChangePosition(xid, lsn) == p
}
