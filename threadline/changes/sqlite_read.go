package changes

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

func (s sqlite) history(ctx context.Context, table string, key []string) ([]Change, error) {
	if err := s.Check(ctx, s.catalog.DB); err != nil {
		return nil, err
	}
	t, err := s.Look(ctx, s.catalog.DB, table)
	if err != nil {
		return nil, err
	}
	if len(key) == 0 {
		return nil, fmt.Errorf("changes: History needs the key of a row of %s", table)
	}
	shapes, err := s.Shapes(ctx, s.catalog.DB, t.TableID())
	if err != nil {
		return nil, err
	}
	if len(shapes) == 0 {
		return nil, neverCaptured(table)
	}
	l := &lives{store: s.Store, db: s.catalog.DB, tableID: t.TableID(), under: make(map[string][]*row)}
	var rows []*row
	keys, err := s.keys(ctx, s.catalog.DB, key)
	if err != nil {
		return nil, err
	}
	for _, typed := range keys {
		some, err := l.all(ctx, rowtext.FormatSQLite(typed))
		if err != nil {
			return nil, err
		}
		rows = append(rows, some...)
	}
	// One that is of no key is under all.
	slices.SortStableFunc(rows, func(a, b *row) int { return int(a.seq - b.seq) })
	rows = slices.CompactFunc(rows, func(a, b *row) bool { return a.seq == b.seq })
	past := pastTable(t.TableID(), shapes)
	return s.read(ctx, rows, func(int64) (*undoTable, error) { return past, nil })
}

// read makes changes of rows, whose values it reads.
func (s sqlite) read(ctx context.Context, rows []*row, tables func(id int64) (*undoTable, error)) ([]Change, error) {
	if err := s.readValues(ctx, s.catalog.DB, rows); err != nil {
		return nil, err
	}
	return s.made(ctx, rows, tables)
}

// made makes changes of rows.
func (s sqlite) made(ctx context.Context, rows []*row, tables func(id int64) (*undoTable, error)) ([]Change, error) {
	list := make([]Change, len(rows))
	for i, r := range rows {
		table, err := tables(r.tableID)
		if err == nil {
			list[i], err = r.change(table)
		}
		if err != nil {
			return nil, catalog.Wrap("read the change at "+r.lsn, err)
		}
	}
	return list, s.attribute(ctx, list)
}

// transaction is [Store.Transaction]. The number of a transaction is random, and identifies it alone.
func (s sqlite) transaction(ctx context.Context, id int64, limit int) (*Transaction, error) {
	if err := s.Check(ctx, s.catalog.DB); err != nil {
		return nil, err
	}
	rows, err := catalog.ReadAll(ctx, s.catalog.DB, scanSQLite, s.selectChanges(s.In("audit_changes")+" c WHERE c.held IS NULL AND c.tx_id = ? ORDER BY c.seq LIMIT "+strconv.Itoa(limit+1)), id)
	if err != nil {
		return nil, catalog.Wrap("read a transaction", err)
	}
	read, err := s.readSome(ctx, s.catalog.DB, rows[:min(len(rows), limit)], MostBytes, nil)
	if err != nil {
		return nil, err
	}
	tables := make(pastTables)
	t := &Transaction{More: len(rows) > read}
	t.Changes, err = s.made(ctx, rows[:read], func(id int64) (*undoTable, error) {
		return tables.of(ctx, s.Store, s.catalog.DB, id)
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// selectChanges is a query, for scanSQLite, for the changes c of a FROM clause.
func (s sqlite) selectChanges(from string) string {
	first := "(SELECT f.captured_at FROM " + s.In("audit_changes") + " f WHERE f.tx_id = c.tx_id AND f.held IS NULL ORDER BY f.seq LIMIT 1)"
	return "SELECT c.seq, c.table_id, c.shape_id, coalesce(c.tx_id, 0), coalesce(" + first + ", c.captured_at), c.captured_at, c.op, c.key, c.former_key, c.held IS NOT NULL FROM " + from
}

func scanSQLite(rows *sql.Rows) (*row, error) {
	r := &row{native: make(map[int]sqliteValues)}
	err := rows.Scan(&r.seq, &r.tableID, &r.shapeID, &r.xid, &r.started, &r.captured, &r.op, &r.key, &r.formerKey, &r.held)
	r.lsn = strconv.FormatInt(r.seq, 10)
	return r, err
}

// changesOf are those of a table that have a key, or have changed it.
func (s sqlite) changesOf(ctx context.Context, db catalog.Querier, table int64, key string) ([]*row, error) {
	return catalog.ReadAll(ctx, db, scanSQLite, s.selectChanges(s.In("audit_changes")+" c WHERE c.seq IN (SELECT k.seq FROM ("+s.ofKeys(" x WHERE x.held IS NULL AND x.table_id = ?", 1)+") k) ORDER BY c.seq"), table, key, table, key)
}

// sqliteValues are a column's before and after a change.
type sqliteValues struct {
	flags    int
	old, new Value
}

const (
	oldCut = 1 << iota
	newCut
	unchanged
)

// readValues reads those of changes.
func (s sqlite) readValues(ctx context.Context, db catalog.Querier, rows []*row) error {
	of := make(map[int64]*row)
	for part := range slices.Chunk(rows, 1000) {
		ids := make([]string, len(part))
		for i, r := range part {
			of[r.seq], ids[i] = r, r.lsn
		}
		_, err := catalog.ReadAll(ctx, db, func(rows *sql.Rows) (_ struct{}, err error) {
			var change int64
			var field int
			var v sqliteValues
			var types [2]string
			var real [2]sql.NullFloat64
			var bytes [2][]byte
			if err = rows.Scan(&change, &field, &v.flags, &types[0], &real[0], &bytes[0], &types[1], &real[1], &bytes[1]); err != nil {
				return struct{}{}, err
			}
			v.old, v.new = sqliteValue(types[0], real[0].Float64, bytes[0]), sqliteValue(types[1], real[1].Float64, bytes[1])
			shorten(&v.old, v.flags&oldCut != 0)
			shorten(&v.new, v.flags&newCut != 0)
			of[change].native[field] = v
			return struct{}{}, nil
		}, "SELECT change, field, flags, "+sqliteColumns("old")+", "+sqliteColumns("new")+" FROM "+s.In("audit_values")+" WHERE change IN ("+strings.Join(ids, ", ")+")")
		if err != nil {
			return catalog.Wrap("read the values", err)
		}
	}
	return nil
}

// readSome reads the values of changes up to so many bytes, but for those that are skipped, and returns of how many changes.
func (s sqlite) readSome(ctx context.Context, db catalog.Querier, list []*row, most int, skips func(*row) bool) (read int, err error) {
	// Of a few, and then of as many as may be short enough: those behind short ones may be long.
	for bytes, size := 0, 8; read < len(list) && bytes <= most; {
		part := slices.Clone(list[read:min(read+size, len(list))])
		read += len(part)
		if skips != nil {
			part = slices.DeleteFunc(part, skips)
		}
		if err = s.readValues(ctx, db, part); err != nil {
			return 0, err
		}
		for _, one := range part {
			bytes += one.bytes()
		}
		size = min(read, max(1, (most-bytes)*read/max(1, bytes)))
	}
	return read, nil
}

// shorten makes a value only the length of one, whose storage class is not kept.
func shorten(v *Value, is bool) {
	if v.Cut = is; is {
		v.Storage = ""
	}
}

// sqliteColumns select a value so that no driver makes another one of it.
func sqliteColumns(c string) string {
	return "typeof(" + c + "), CASE typeof(" + c + ") WHEN 'real' THEN " + c + " END, CASE WHEN typeof(" + c + ") <> 'real' THEN CAST(" + c + " AS BLOB) END"
}

func sqliteValue(typ string, real float64, bytes []byte) Value {
	text := string(bytes)
	switch typ {
	case "null":
		return Value{}
	case "real":
		text = realText(real)
	case "blob":
		text = "X'" + strings.ToUpper(hex.EncodeToString(bytes)) + "'"
	}
	return Value{Text: &text, Storage: typ}
}

// realText is a float as SQL has it, which is never an integer's text. SQLite does not tell -0.0 from 0.0.
func realText(f float64) string {
	switch {
	case f == 0:
		return "0.0"
	case math.IsInf(f, 1):
		return "9e999"
	case math.IsInf(f, -1):
		return "-9e999"
	}
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text
}

// nativeFields are the fields of a change on SQLite.
func (r *row) nativeFields(sh *catalog.Shape) []Field {
	var fields []Field
	for i, c := range sh.Columns {
		v, ok := r.native[i+1]
		if (!ok && r.op == "U" || v.flags&unchanged != 0) && !r.whole {
			continue
		}
		f := Field{Name: c.Name, Type: c.Type, Old: v.old, New: v.new}
		if c.Masked {
			f.Old.Masked, f.New.Masked = r.op != "I", r.op != "D"
		}
		fields = append(fields, f)
	}
	return fields
}

// parseSQLiteText reads a value of a key.
func parseSQLiteText(text string) (Value, error) {
	types := map[byte]string{'i': "integer", 'r': "real", 't': "text", 'b': "blob"}
	if text == "" || types[text[0]] == "" {
		return Value{}, rowtext.ErrSyntax
	}
	value := text[1:]
	if text[0] == 'b' {
		value = "X'" + value + "'"
	}
	return Value{Text: &value, Storage: types[text[0]]}, nil
}

// attributeBy sets By of changes. A transaction without a number was not begun by the driver, or has written
// unseen by it: it may have events, and which ones is not known. It is never said that there were none: what was purged
// from the journal may have been.
func (s sqlite) attributeBy(ctx context.Context, db catalog.Querier, list []*Change) error {
	found := make(map[int64]*Attribution)
	var ids []string
	for _, c := range list {
		if found[c.XID] == nil {
			found[c.XID] = &Attribution{State: Unknown, Reason: "the driver has not numbered its transaction"}
			if c.XID != 0 {
				found[c.XID].Reason = "its events are not known"
				ids = append(ids, strconv.FormatInt(c.XID, 10))
			}
		}
		c.By = found[c.XID]
	}
	if len(ids) == 0 {
		return nil
	}
	here := func(table string) (is bool, err error) {
		err = db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ?)", table).Scan(&is)
		return is, err
	}
	timeline, err := here(s.catalog.Schema + "_audit_contexts")
	if err != nil || !timeline {
		return catalog.Wrap("read who made the changes", err)
	}
	among := " IN (" + strings.Join(ids, ", ") + ")"
	_, err = catalog.ReadAll(ctx, db, func(rows *sql.Rows) (_ struct{}, err error) {
		var id int64
		var r attributionRow
		places := []any{&id}
		for i := range r.context {
			places = append(places, &r.context[i])
		}
		if err = rows.Scan(append(places, &r.events, &r.first, &r.last)...); err != nil {
			return struct{}{}, err
		}
		found[id].State, found[id].Reason = Recorded, ""
		return struct{}{}, r.addTo(found[id])
	}, "SELECT tx_id, "+strings.Join(contextColumns, ", ")+", events, first_recorded_at, last_recorded_at FROM "+s.In("audit_contexts")+" WHERE tx_id"+among)
	for _, journal := range s.journals {
		var is bool
		if err == nil {
			is, err = here(journal + "_journal")
		}
		if err == nil && is {
			err = s.pending(ctx, db, journal, among, found)
		}
	}
	return catalog.Wrap("read who made the changes", err)
}

// pending sets the state of transactions of which a journal has events, and the timeline none.
func (s sqlite) pending(ctx context.Context, db catalog.Querier, journal, among string, found map[int64]*Attribution) error {
	_, err := catalog.ReadAll(ctx, db, func(rows *sql.Rows) (_ struct{}, err error) {
		var id int64
		if err = rows.Scan(&id); err == nil && found[id].State != Recorded {
			found[id].State, found[id].Reason = Pending, ""
		}
		return struct{}{}, err
	}, "SELECT DISTINCT tx_id FROM main."+pgschema.Ident(journal+"_journal")+" WHERE events > 0 AND tx_id"+among)
	return err
}
