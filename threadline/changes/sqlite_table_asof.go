package changes

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/sqlitetext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// liteTableReader is a tableReader on SQLite. It has nowhere to keep the table's keys: an open cursor would be an open
// transaction, which stops writers or checkpoints, and a temporary table is a write that the driver sees. But there is one writer,
// so the last change at the beginning identifies the state of the beginning. That is read page by page, in two parts,
// each along an index:
//
//   - First the keys that changes until then name. These stay the same.
//   - Then the rows of the table that no change names. They are as they were, unless they are changed before the loop gets to
//     them. So each page first looks at the changes that were committed meanwhile: if the loop has passed the place of such
//     a row, it has returned it; if not, it returns it now.
type liteTableReader struct {
	sqlite
	at time.Time

	id    int64 // of the table
	name  string
	began time.Time
	last  int64 // the last change at the beginning

	key     string  // in the first part: the last key that was read
	inTable bool    // the second part has begun
	order   string  // of its rows
	seen    int64   // the last change that it has looked at
	place   []Value // of its last row: the values by which it is ordered; nil if there was none yet
	broken  error   // how the loop ends
}

// tableAsOf is eachRow on SQLite.
func (s sqlite) tableAsOf(ctx context.Context, table string, at time.Time, yield func(*Row, error) bool) error {
	r := &liteTableReader{sqlite: s, at: at}
	if err := r.begin(ctx, table); err != nil {
		return err
	}
	for more := true; more; {
		var page []tableRow
		err := s.InSnapshot(ctx, s.Catalog.DB, func(later *reading.Snapshot) (err error) {
			page, more, err = r.page(ctx, later)
			return err
		})
		if err != nil {
			return err
		}
		for _, one := range page {
			if !yield(one.row, one.err) {
				return errStopped
			}
		}
	}
	return r.broken
}

// begin reads what identifies the state at the beginning: the last change, and the time.
func (r *liteTableReader) begin(ctx context.Context, table string) error {
	return r.InSnapshot(ctx, r.Catalog.DB, func(first *reading.Snapshot) error {
		t, err := first.Look(ctx, table)
		if err != nil {
			return err
		}
		whole, err := wholeTable(ctx, first, t, r.at)
		if err != nil {
			return err
		}
		var now string
		err = first.Tx.QueryRowContext(ctx, "SELECT "+catalog.SQLiteNow+", coalesce(max(seq), 0) FROM "+r.In("audit_changes")).Scan(&now, &r.last)
		if err == nil {
			r.began, err = time.Parse(lenient.TimeForm, now)
		}
		r.id, r.name, r.seen = whole.table.ID, whole.table.Label(), r.last
		return catalog.Wrap("read the keys of "+r.name, err)
	})
}

// until is the time that was asked for, or the beginning, whichever is earlier.
func (r *liteTableReader) until() time.Time {
	if r.began.Before(r.at) {
		return r.began
	}
	return r.at
}

// page returns the next rows, and whether there may be more.
func (r *liteTableReader) page(ctx context.Context, later *reading.Snapshot) (page []tableRow, more bool, err error) {
	t, err := later.Table(ctx, r.id)
	if err != nil {
		return nil, false, err
	}
	if t.LastShape == nil {
		return nil, false, fmt.Errorf("changes: the history of %s is gone", r.name)
	}
	breaks, err := later.Breaks(ctx, t)
	if err != nil {
		return nil, false, err
	}
	whole := &asOf{Snapshot: later, table: t, breaks: breaks}
	keys, more, err := r.next(ctx, whole)
	if err != nil {
		return nil, false, catalog.Wrap("read the keys of "+r.name, err)
	}
	var since []*Change
	for _, text := range keys {
		one := &asOf{Snapshot: later, table: t, breaks: breaks, lives: later.Lives(t)}
		row, failed := r.read(ctx, one, text)
		var then *tableRow
		if then, err = one.tableRow(row, failed); err != nil {
			return nil, false, err
		}
		if then == nil {
			continue
		}
		if then.row.Since != nil {
			since = append(since, then.row.Since)
		}
		page = append(page, *then)
	}
	if !more {
		if r.broken, err = r.missing(ctx, whole); err != nil {
			return nil, false, catalog.Wrap("read the keys of "+r.name, err)
		}
	}
	return page, more, r.AttributeBy(ctx, later.Tx, since)
}

// read returns the row that had a key.
func (r *liteTableReader) read(ctx context.Context, a *asOf, text string) (*Row, error) {
	key, err := reading.KeyOf(sql.NullString{String: text, Valid: true})
	if err != nil {
		return nil, err
	}
	if err = a.read(ctx, key); err != nil {
		return nil, err
	}
	seen := slices.IndexFunc(a.under, func(c *reading.Row) bool { return c.Seq > r.last })
	if seen < 0 {
		seen = len(a.under)
	}
	return a.row(ctx, r.until(), a.last(r.at, seen, 0))
}

// next returns the keys of the next rows, and whether there may be more.
func (r *liteTableReader) next(ctx context.Context, a *asOf) (keys []string, more bool, err error) {
	if !r.inTable {
		if keys, err = r.named(ctx, a.Tx); err != nil || len(keys) == keysAtATime {
			return keys, true, err
		}
		r.inTable = true
	}
	order := r.orderOf(a)
	switch {
	case order == "", r.order != "" && r.order != order:
		return keys, false, nil
	case len(keys) > 0:
		return keys, true, nil
	}
	r.order = order
	if keys, more, err = r.changed(ctx, a); err != nil || more {
		return keys, more, err
	}
	rest, more, err := r.unchanged(ctx, a)
	return append(keys, rest...), more, err
}

// named returns the next keys that changes name.
func (r *liteTableReader) named(ctx context.Context, q catalog.Querier) ([]string, error) {
	limit := " LIMIT " + strconv.Itoa(keysAtATime)
	of := func(column string) string { // along its index
		return "SELECT * FROM (SELECT DISTINCT c." + column + " AS key FROM " + r.In("audit_changes") + " c WHERE c.table_id = ?1 AND c." + column + " > ?2 AND c.seq <= ?3 AND c.held IS NULL ORDER BY c." + column + limit + ")"
	}
	keys, err := catalog.ReadAll(ctx, q, scanKey, of("key")+" UNION "+of("former_key")+" ORDER BY key"+limit, r.id, r.key, r.last)
	if len(keys) > 0 {
		r.key = keys[len(keys)-1]
	}
	return keys, err
}

func scanKey(rows *sql.Rows) (key string, err error) { return key, rows.Scan(&key) }

// orderOf is the order of the table's rows by a unique index on their key, "" if there is no such index now.
func (r *liteTableReader) orderOf(a *asOf) string {
	t := a.Lite[r.id]
	if !keyIsThere(a.table) || t == nil {
		return ""
	}
	return ordered(orderBy(t, a.table.Key))
}

// ordered is an ORDER BY for rows t: the columns of an index, each with its collation.
func ordered(terms []catalog.SQLiteTerm) string {
	list := make([]string, len(terms))
	for i, term := range terms {
		list[i] = "t." + pgschema.Ident(term.Column) + " COLLATE " + pgschema.Ident(term.Collation)
	}
	return strings.Join(list, ", ")
}

// orderBy are the columns of a key in the order of a unique index, nil if no such index has exactly these.
func orderBy(t *catalog.SQLiteTable, key []string) []catalog.SQLiteTerm {
	want := slices.Sorted(slices.Values(key))
	for _, i := range t.Unique {
		columns := make([]string, len(i.Terms))
		for n, term := range i.Terms {
			columns[n] = term.Column
		}
		slices.Sort(columns)
		if i.Where == "" && slices.Equal(columns, want) {
			return i.Terms
		}
	}
	if !t.WithoutRowID && len(key) == 1 && slices.Equal(key, t.PrimaryKey) { // without an index: it is the row's number
		return []catalog.SQLiteTerm{{Column: key[0], Collation: "BINARY"}}
	}
	return nil
}

// keyText is an expression of the key of a row t.
func (r *liteTableReader) keyText(a *asOf) string { return rowtext.SQLiteOf("t", a.table.Key) }

// beyond is the condition that a row is behind the place of the last one. values are its columns in the order of the loop, each an
// expression with its collation.
func (r *liteTableReader) beyond(values string) string {
	place := make([]string, len(r.place))
	for i, v := range r.place {
		place[i] = reading.SQLiteLiteral(v)
	}
	return "(" + values + ") > (" + strings.Join(place, ", ") + ")"
}

// changed looks at the next changes that were committed since the last look. It returns the keys of the rows that no earlier change
// named, and whose place the loop has not passed, and whether there are more such changes.
func (r *liteTableReader) changed(ctx context.Context, a *asOf) (keys []string, more bool, err error) {
	type change struct {
		seq int64
		key sql.NullString
	}
	// The first change of a row, if it is no INSERT, shows that the row was there before.
	named := func(column string) string {
		return "EXISTS (SELECT 1 FROM " + r.In("audit_changes") + " o WHERE o.table_id = c.table_id AND o." + column + " = coalesce(c.former_key, c.key) AND o.seq < c.seq AND o.held IS NULL)"
	}
	list, err := catalog.ReadAll(ctx, a.Tx, func(rows *sql.Rows) (c change, err error) { return c, rows.Scan(&c.seq, &c.key) },
		"SELECT c.seq, CASE WHEN c.table_id = ?1 AND c.held IS NULL AND c.op <> 'I' AND NOT "+named("key")+" AND NOT "+named("former_key")+" THEN coalesce(c.former_key, c.key) END"+
			" FROM "+r.In("audit_changes")+" c WHERE c.seq > ?2 ORDER BY c.seq LIMIT "+strconv.Itoa(keysAtATime), r.id, r.seen)
	if err != nil {
		return nil, false, err
	}
	for _, c := range list {
		r.seen = c.seq
		if !c.key.Valid {
			continue
		}
		ahead, err := r.ahead(ctx, a, c.key.String)
		if err != nil {
			return nil, false, err
		}
		if ahead {
			keys = append(keys, c.key.String)
		}
	}
	return keys, len(list) == keysAtATime, nil
}

// ahead reports whether the loop has not passed the place of a key yet.
func (r *liteTableReader) ahead(ctx context.Context, a *asOf, text string) (is bool, err error) {
	if r.place == nil {
		return true, nil
	}
	key, err := reading.KeyOf(sql.NullString{String: text, Valid: true})
	if err != nil {
		return false, err
	}
	terms := orderBy(a.Lite[r.id], a.table.Key)
	values := make([]string, len(terms))
	for i, term := range terms {
		var v Value
		if v, err = reading.ParseSQLiteKey(key[slices.Index(a.table.Key, term.Column)]); err != nil {
			return false, err
		}
		values[i] = reading.SQLiteLiteral(v) + " COLLATE " + pgschema.Ident(term.Collation)
	}
	err = a.Tx.QueryRowContext(ctx, "SELECT "+r.beyond(strings.Join(values, ", "))).Scan(&is)
	return is, err
}

// rowsAtATime is how many rows are read to find those that no change names.
const rowsAtATime = 1000

// unchanged returns the keys of the next rows that no change names, and whether there may be more.
func (r *liteTableReader) unchanged(ctx context.Context, a *asOf) (keys []string, more bool, err error) {
	type place struct {
		key    string
		named  bool
		values []Value
	}
	terms, text := orderBy(a.Lite[r.id], a.table.Key), r.keyText(a)
	columns, where := "", ""
	for _, term := range terms {
		c := "t." + pgschema.Ident(term.Column)
		columns, where = columns+", "+reading.SQLiteColumns(c), where+" AND "+c+" IS NOT NULL"
	}
	if r.place != nil {
		where += " AND " + ordered(terms[:1]) + " >= " + reading.SQLiteLiteral(r.place[0]) + " AND " + r.beyond(r.order) // the first comparison is for the index
	}
	named := func(column string) string {
		return "EXISTS (SELECT 1 FROM " + r.In("audit_changes") + " c WHERE c.table_id = ?1 AND c." + column + " = " + text + " AND c.held IS NULL)"
	}
	list, err := catalog.ReadAll(ctx, a.Tx, func(rows *sql.Rows) (p place, err error) {
		types, reals, bytes := make([]string, len(terms)), make([]sql.NullFloat64, len(terms)), make([][]byte, len(terms))
		to := []any{&p.key, &p.named}
		for i := range terms {
			to = append(to, &types[i], &reals[i], &bytes[i])
		}
		if err = rows.Scan(to...); err != nil {
			return p, err
		}
		for i := range terms {
			p.values = append(p.values, reading.SQLiteValue(types[i], reals[i].Float64, bytes[i]))
		}
		return p, nil
	}, "SELECT "+text+", "+named("key")+" OR "+named("former_key")+columns+" FROM "+a.table.Name+" t WHERE "+strings.TrimPrefix(where, " AND ")+" ORDER BY "+r.order+" LIMIT "+strconv.Itoa(rowsAtATime), r.id)
	if err != nil {
		return nil, false, err
	}
	for i, p := range list {
		if len(keys) == keysAtATime {
			return keys, true, nil
		}
		if r.place = p.values; !p.named {
			keys = append(keys, p.key)
		}
		if i == rowsAtATime-1 {
			more = true
		}
	}
	return keys, more, nil
}

// missing returns an error if the loop may have missed rows.
func (r *liteTableReader) missing(ctx context.Context, a *asOf) (unknown, err error) {
	if unknown = a.missing(r.until()); unknown != nil {
		return unknown, nil
	}
	if r.order == "" || r.order != r.orderOf(a) {
		return &AsOfError{Err: ErrBroken, Break: hadOtherKey(a.table)}, nil
	}
	n, err := r.nulls(ctx, a)
	if err != nil || n == 0 {
		return nil, err
	}
	text := "1 row had NULL in its key, and nothing says which"
	if n > 1 {
		text = fmt.Sprintf("%d rows had NULL in their keys, and nothing says which", n)
	}
	return &AsOfError{Err: ErrBroken, Break: &Break{Kind: Lost, From: r.until(), To: r.until(), Schema: a.table.LastShape.Schema, Table: a.table.LastShape.Table, Text: text}}, nil
}

// nulls is how many rows had NULL in their key: those that have it now, minus what changes since have added, plus what they have removed.
func (r *liteTableReader) nulls(ctx context.Context, a *asOf) (n int, err error) {
	var conditions []string
	for _, k := range a.table.Key {
		conditions = append(conditions, "t."+pgschema.Ident(k)+" IS NULL")
	}
	// An UPDATE that gives a row its key has no former one.
	given := "0"
	for id, sh := range a.table.Shapes {
		var fields []string
		for _, k := range sh.Key {
			fields = append(fields, strconv.Itoa(sh.Position(k)+1))
		}
		if len(fields) > 0 {
			given += fmt.Sprintf(" OR c.shape_id = %d AND EXISTS (SELECT 1 FROM %s v WHERE v.change = c.seq AND v.field IN (%s) AND v.old IS NULL)", id, r.In("audit_values"), strings.Join(fields, ", "))
		}
	}
	since := "SELECT coalesce(sum(CASE WHEN c.key IS NULL AND c.op = 'I' OR c.key IS NULL AND c.former_key IS NOT NULL THEN 1 WHEN c.key IS NULL AND c.op = 'D' THEN -1" +
		" WHEN c.op = 'U' AND c.key IS NOT NULL AND c.former_key IS NULL AND (" + given + ") THEN -1 ELSE 0 END), 0) FROM " + r.In("audit_changes") + " c WHERE c.held IS NULL AND c.table_id = ?1 AND "
	query := "SELECT (SELECT count(*) FROM " + a.table.Name + " t WHERE " + sqlitetext.Or(conditions) + ") - (" + since + "c.captured_at > ?2) - (" + since + "c.captured_at <= ?2 AND +c.table_id = c.table_id AND c.seq > ?3)"
	err = a.Tx.QueryRowContext(ctx, query, r.id, sqliteMoment(r.at), r.last).Scan(&n)
	return n, err
}
