package changes

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// settlePage is [pageReader.settle]. There is one writer, so that seq is the order of the commits: behind the last
// change that there is, all that is committed later comes. Clocks are set back, and so are not asked what was seen: the
// oldest come first in two parts.
//
//   - What there is when the first page is read, up to the change until, in the order of the clock, of
//     which nothing is later than top.
//   - What is committed after that, in the order of the commits. That has no index for a table or a time,
//     so that a page looks at changes of all tables.
func (s sqlite) settlePage(ctx context.Context, r *pageReader) error {
	var captured, top string
	changes := s.In("audit_changes")
	err := r.tx.QueryRowContext(ctx, "SELECT coalesce(max(l.seq), 0), coalesce(max(l.captured_at), ''), coalesce((SELECT max((SELECT max(x.captured_at) FROM "+changes+" x WHERE x.table_id = a.table_id AND x.held IS NULL))"+
		" FROM (SELECT DISTINCT h.table_id FROM "+s.In("audit_shapes")+" h) a), '') FROM "+changes+" l WHERE l.seq = (SELECT max(m.seq) FROM "+changes+" m)").Scan(&r.last, &captured, &top)
	if err != nil {
		return err
	}
	r.settled = &time.Time{}
	if captured != "" {
		if *r.settled, err = time.Parse(lenient.TimeForm, captured); err != nil {
			return err
		}
	}
	if !r.begins {
		return nil
	}
	if top == "" { // there are none
		r.at = &position{lsn: r.last, commits: true}
		return nil
	}
	r.at = &position{until: r.last}
	r.at.top, err = time.Parse(lenient.TimeForm, top)
	return err
}

// goOn moves on from the first part of the oldest to the second, and reports whether there is something.
func (r *pageReader) goOn() bool {
	if r.at == nil || r.at.until == 0 {
		return false
	}
	r.at = &position{lsn: r.at.until, commits: true}
	return r.at.lsn < r.last
}

// readPage is [pageReader.read].
func (s sqlite) readPage(ctx context.Context, r *pageReader, size int) (list []*reading.Row, more bool, err error) {
	text, args := s.pageSQL(r, size+1)
	list, err = catalog.ReadAll(ctx, r.tx, reading.ScanSQLite, text, args...)
	if err != nil {
		return nil, false, err
	}
	if more = len(list) > size; more {
		list = list[:size]
	}
	read, err := s.ReadSome(ctx, r.tx, list, MaxBytes, r.skips)
	return list[:read], more || read < len(list), err
}

// pageSQL is [pageReader.sql].
func (s sqlite) pageSQL(r *pageReader, limit int) (string, []any) {
	changes, end := s.In("audit_changes"), " LIMIT "+strconv.Itoa(limit)
	direction, beyond := " DESC", " < "
	if r.query.OldestFirst {
		direction, beyond = "", " > "
	}
	bySeq := " ORDER BY c.seq" + direction + end
	switch {
	case r.query.XID != 0:
		where, args := " c WHERE c.held IS NULL AND c.tx_id = ?", []any{r.query.XID}
		if r.at != nil {
			where, args = where+" AND c.seq"+beyond+"?", append(args, int64(r.at.lsn))
		}
		return s.SelectChanges(changes + where + bySeq), args
	case r.at != nil && r.at.commits:
		return s.SelectChanges(changes + " c WHERE c.seq > ?" + bySeq), []any{int64(r.at.lsn)}
	}
	where, args := " x WHERE x.held IS NULL AND x.table_id = t.value", []any{s.ids(r)}
	at := "x.captured_at"
	if len(r.query.Key) > 0 { // the + takes its index away, which would lead through all changes of the table
		at = "+x.captured_at"
	}
	and := func(condition string, values ...any) { where, args = where+" AND "+condition, append(args, values...) }
	if !r.query.From.IsZero() {
		and(at+" >= ?", sqliteMoment(ceil(r.query.From)))
	}
	if !r.query.To.IsZero() {
		and(at+" < ?", sqliteMoment(ceil(r.query.To)))
	}
	if r.at != nil {
		and("("+at+", x.seq)"+beyond+"(?, ?)", sqliteMoment(r.at.captured), int64(r.at.lsn))
		if r.at.until > 0 {
			and(at+" <= ? AND x.seq <= ?", sqliteMoment(r.at.top), int64(r.at.until))
		}
	}
	next := "SELECT x.seq FROM " + changes + where + " ORDER BY " + at + direction + ", x.seq" + direction + end
	if len(r.query.Key) > 0 {
		var keys []any
		for _, meant := range r.keys { // which are the same for all tables
			for _, k := range meant[rowtext.Format(r.query.Key)] {
				keys = append(keys, k)
			}
			break
		}
		next = "SELECT k.seq FROM (" + s.OfKeys(where, len(keys)) + ") k ORDER BY k.captured_at" + direction + ", k.seq" + direction + end
		args = slices.Concat(args, keys, args[1:], keys)
	}
	return s.SelectChanges("json_each(?) t CROSS JOIN " + changes + " c WHERE c.seq IN (" + next + ") ORDER BY c.captured_at" + direction + ", c.seq" + direction + end), args
}

// skips reports whether a row that is looked at is no change, or one of a table that the query does not mean.
func (r *pageReader) skips(one *reading.Row) bool {
	return one.Held || one.Native != nil && r.tables[one.TableID] == nil
}

// ids are those of the page's tables, as JSON.
func (s sqlite) ids(r *pageReader) string {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(r.tables)) {
		ids = append(ids, strconv.FormatInt(id, 10))
	}
	return "[" + strings.Join(ids, ",") + "]"
}

// sqliteMoment is a time as the table has it.
func sqliteMoment(t time.Time) string { return t.UTC().Format(lenient.TimeForm) }
