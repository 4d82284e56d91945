package changes

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
	"github.com/go-aftercommit/aftercommit/threadline/internal/paging"
)

// position is where a change is in the order of pages. No two changes have the same one, and a dump has all of it.
type position struct {
	captured time.Time
	lsn, xid uint64
	// On SQLite lsn is the change's seq, and xid is 0. There the oldest come first in two parts: see [sqlite.settlePage]. In the
	// first part, until and top bound it. In the second, commits is true, and lsn is all that counts.
	until   uint64
	top     time.Time
	commits bool
}

// positionOf is the position of a row that comes behind another one, nil if it is the first.
func positionOf(r *reading.Row, after *position) (p position, err error) {
	if after != nil {
		p = position{until: after.until, top: after.top, commits: after.commits}
	}
	if p.commits {
		return position{lsn: uint64(r.Seq), commits: true}, nil
	}
	if p.captured, err = time.Parse(lenient.TimeForm, r.Captured); err != nil {
		return p, err
	}
	if r.Native != nil {
		p.lsn = uint64(r.Seq)
		return p, nil
	}
	if p.xid, err = strconv.ParseUint(r.XID, 10, 64); err != nil {
		return p, err
	}
	p.lsn, err = walPlace(r.LSN)
	return p, err
}

// walPlace is a place in the WAL as a number.
func walPlace(lsn string) (uint64, error) {
	high, low, _ := strings.Cut(lsn, "/")
	h, err := strconv.ParseUint(high, 16, 32)
	if err != nil {
		return 0, err
	}
	l, err := strconv.ParseUint(low, 16, 32)
	return h<<32 | l, err
}

// args are the position for SQL: captured_at, lsn and xid.
func (p position) args() []any {
	return []any{moment(p.captured), fmt.Sprintf("%X/%X", p.lsn>>32, p.lsn&(1<<32-1)), strconv.FormatUint(p.xid, 10)}
}

// cursor is the cursor of the page that begins behind a position.
func (q *Query) cursor(p position) string {
	kind, slots := byte(paging.ByCapture), [4]uint64{uint64(p.captured.UnixMicro()), p.lsn, p.xid}
	switch {
	case p.commits:
		kind, slots[0] = paging.ByCommit, 0
	case p.until > 0:
		kind, slots[2], slots[3] = paging.ByCaptureUntil, p.until, uint64(p.top.UnixMicro())
	}
	var at paging.Place
	for i, slot := range slots {
		binary.BigEndian.PutUint64(at[8*i:], slot)
	}
	return paging.Cursor(kind, at, q.allFilters())
}

// CursorAfter returns the cursor of the page that begins behind p.Changes[i]. p must come from a [Store], not from JSON.
// [Page.Next] is that of the last change, unless there is nothing behind it.
func (p *Page) CursorAfter(i int) string { return p.query.cursor(p.positions[i]) }

// after is the position that the query's cursor names, nil without one.
func (q *Query) after() (*position, error) {
	if q.Cursor == "" {
		return nil, nil
	}
	kind, at, err := paging.Open(q.Cursor, q.allFilters(), string([]byte{paging.ByCapture, paging.ByCaptureUntil, paging.ByCommit}))
	if err != nil {
		return nil, err
	}
	slot := func(i int) uint64 { return binary.BigEndian.Uint64(at[8*i:]) }
	moment := func(i int) time.Time { return time.UnixMicro(int64(slot(i))).UTC() }
	switch kind {
	case paging.ByCommit:
		return &position{lsn: slot(1), commits: true}, nil
	case paging.ByCaptureUntil:
		return &position{captured: moment(0), lsn: slot(1), until: slot(2), top: moment(3)}, nil
	}
	return &position{captured: moment(0), lsn: slot(1), xid: slot(2)}, nil
}

// allFilters is the query without where its page begins and ends. The order counts as a filter.
func (q *Query) allFilters() Query {
	f := *q
	f.Limit, f.Cursor = 0, ""
	f.From, f.To, f.TxStartedAt = f.From.UTC(), f.To.UTC(), f.TxStartedAt.UTC()
	return f
}

// ceil rounds a bound up to what the table resolves, microseconds: a change is at or after t exactly if it
// is at or after ceil(t).
func ceil(t time.Time) time.Time {
	if f := t.Truncate(time.Microsecond); !f.Equal(t) {
		return f.Add(time.Microsecond).UTC()
	}
	return t.UTC()
}

// moment is a time for SQL.
func moment(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
