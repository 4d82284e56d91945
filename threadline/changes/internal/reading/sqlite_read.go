package reading

import (
	"context"
	"database/sql"
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// SelectChanges is a query, for [ScanSQLite], for the changes c of a FROM clause.
func (s SQLite) SelectChanges(from string) string {
	first := "(SELECT f.captured_at FROM " + s.In("audit_changes") + " f WHERE f.tx_id = c.tx_id AND f.held IS NULL ORDER BY f.seq LIMIT 1)"
	return "SELECT c.seq, c.table_id, c.shape_id, coalesce(c.tx_id, 0), coalesce(" + first + ", c.captured_at), c.captured_at, c.op, c.key, c.former_key, c.held IS NOT NULL FROM " + from
}

// OfKeys selects seq and captured_at of the changes x that meet a condition and have one of so many keys, or have changed
// it, each once. SQLite would use no index for an OR of the two.
func (s SQLite) OfKeys(where string, keys int) string {
	of := func(key string) string {
		return "SELECT x.seq, x.captured_at FROM " + s.In("audit_changes") + where + " AND x." + key + " IN (" + strings.TrimSuffix(strings.Repeat("?, ", keys), ", ") + ")"
	}
	return of("key") + " UNION " + of("former_key") + " AND x.former_key IS NOT NULL"
}

// ScanSQLite scans what SelectChanges selects.
func ScanSQLite(rows *sql.Rows) (*Row, error) {
	r := &Row{Native: make(map[int]sqliteValues)}
	err := rows.Scan(&r.Seq, &r.TableID, &r.ShapeID, &r.XID, &r.Started, &r.Captured, &r.Op, &r.Key, &r.FormerKey, &r.Held)
	r.LSN = strconv.FormatInt(r.Seq, 10)
	return r, err
}

// changesOf are those of a table that have a key, or have changed it.
func (s SQLite) changesOf(ctx context.Context, db catalog.Querier, table int64, key string) ([]*Row, error) {
	return catalog.ReadAll(ctx, db, ScanSQLite, s.SelectChanges(s.In("audit_changes")+" c WHERE c.seq IN (SELECT k.seq FROM ("+s.OfKeys(" x WHERE x.held IS NULL AND x.table_id = ?", 1)+") k) ORDER BY c.seq"), table, key, table, key)
}

// sqliteValues are a column's before and after a change.
type sqliteValues struct {
	flags    int
	old, new change.Value
}

const (
	oldShortened = 1 << iota
	newShortened
	unchanged
)

// ReadValues reads those of changes.
func (s SQLite) ReadValues(ctx context.Context, db catalog.Querier, rows []*Row) error {
	of := make(map[int64]*Row)
	for part := range slices.Chunk(rows, 1000) {
		ids := make([]string, len(part))
		for i, r := range part {
			of[r.Seq], ids[i] = r, r.LSN
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
			v.old, v.new = SQLiteValue(types[0], real[0].Float64, bytes[0]), SQLiteValue(types[1], real[1].Float64, bytes[1])
			shorten(&v.old, v.flags&oldShortened != 0)
			shorten(&v.new, v.flags&newShortened != 0)
			of[change].Native[field] = v
			return struct{}{}, nil
		}, "SELECT change, field, flags, "+SQLiteColumns("old")+", "+SQLiteColumns("new")+" FROM "+s.In("audit_values")+" WHERE change IN ("+strings.Join(ids, ", ")+")")
		if err != nil {
			return catalog.Wrap("read the values", err)
		}
	}
	return nil
}

// ReadSome reads the values of changes up to so many bytes, but for those that are skipped, and returns of how many changes.
func (s SQLite) ReadSome(ctx context.Context, db catalog.Querier, list []*Row, most int, skips func(*Row) bool) (read int, err error) {
	// Of a few, and then of as many as may be short enough: those behind short ones may be long.
	for bytes, size := 0, 8; read < len(list) && bytes <= most; {
		part := slices.Clone(list[read:min(read+size, len(list))])
		read += len(part)
		if skips != nil {
			part = slices.DeleteFunc(part, skips)
		}
		if err = s.ReadValues(ctx, db, part); err != nil {
			return 0, err
		}
		for _, one := range part {
			bytes += one.Bytes()
		}
		size = min(read, max(1, (most-bytes)*read/max(1, bytes)))
	}
	return read, nil
}

// shorten makes a value only the length of one, whose storage class is not kept.
func shorten(v *change.Value, is bool) {
	if v.Shortened = is; is {
		v.Storage = ""
	}
}

// SQLiteColumns select a value so that no driver makes another one of it.
func SQLiteColumns(c string) string {
	return "typeof(" + c + "), CASE typeof(" + c + ") WHEN 'real' THEN " + c + " END, CASE WHEN typeof(" + c + ") <> 'real' THEN CAST(" + c + " AS BLOB) END"
}

// SQLiteValue makes a value of what SQLiteColumns select.
func SQLiteValue(typ string, real float64, bytes []byte) change.Value {
	text := string(bytes)
	switch typ {
	case "null":
		return change.Value{}
	case "real":
		text = realText(real)
	case "blob":
		text = "X'" + strings.ToUpper(hex.EncodeToString(bytes)) + "'"
	}
	return change.Value{Text: &text, Storage: typ}
}

// realText is a float as SQL has it, which is never an integer's text. SQLite does not distinguish -0.0 from 0.0.
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
func (r *Row) nativeFields(sh *catalog.Shape) []change.Field {
	var fields []change.Field
	for i, c := range sh.Columns {
		v, ok := r.Native[i+1]
		if (!ok && r.Op == "U" || v.flags&unchanged != 0) && !r.whole {
			continue
		}
		f := change.Field{Name: c.Name, Type: c.Type, Old: v.old, New: v.new}
		if c.Masked {
			f.Old.Masked, f.New.Masked = r.Op != "I", r.Op != "D"
		}
		fields = append(fields, f)
	}
	return fields
}

// parseSQLiteText reads a value of a key.
func parseSQLiteText(text string) (change.Value, error) {
	types := map[byte]string{'i': "integer", 'r': "real", 't': "text", 'b': "blob"}
	if text == "" || types[text[0]] == "" {
		return change.Value{}, rowtext.ErrSyntax
	}
	value := text[1:]
	if text[0] == 'b' {
		value = "X'" + value + "'"
	}
	return change.Value{Text: &value, Storage: types[text[0]]}, nil
}
