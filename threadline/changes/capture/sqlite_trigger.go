package capture

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/sqlitetext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// How the triggers of SQLite work:
//
// A change is a row of audit_changes, and its values are rows of audit_values, stored as they are. Inserts in
// a trigger leave the app's last_insert_rowid() and changes() as they were.
//
// REPLACE removes rows without firing their DELETE triggers. So a BEFORE trigger holds what an INSERT or UPDATE may
// replace, as a DELETE that does not count yet (held is not NULL). Once the row is written, what was held and is
// gone counts. A row can also be held and stay, such as when the INSERT was ignored. It is let go when one of our
// triggers sees it change. Until then it is as it was held, so if it is gone, it was replaced. There may be many such
// rows. So a row that has been written looks only for those that were held for its own values (held_for).

const sqliteTransaction = `(SELECT t.tx_id FROM "aftercommit_transaction" t)`

type sqliteTrigger struct{ name, sql string }

// wanted are the triggers of a table.
func (s sqlite) wanted(t *sqliteTarget) []sqliteTrigger {
	g := &sqliteGenerator{sqlite: s, sqliteTarget: t}
	g.table, g.changes, g.values = pgschema.Ident(t.Table), s.At("audit_changes"), s.At("audit_values")
	on := " ON " + g.table + " "
	var list []sqliteTrigger
	add := func(when, event, condition string, steps ...string) {
		name := s.Trigger(t.TableID(), when)
		if condition != "" {
			condition = "WHEN " + condition + " "
		}
		list = append(list, sqliteTrigger{name, pgschema.Ident(name) + " " + event + on + condition + "BEGIN\n" + strings.Join(steps, ";\n") + ";\nEND"})
	}
	add("insert", "AFTER INSERT", "", slices.Concat(g.settle(), g.change("I", "", "NEW"))...)
	add("update", "AFTER UPDATE", g.anyDiffers(), g.change("U", "OLD", "NEW")...)
	add("delete", "AFTER DELETE", "", slices.Concat(g.letGo("= "+g.held("OLD")), g.change("D", "OLD", ""))...)
	add("replaces", "BEFORE INSERT", g.mayReplace(""), g.hold("")...)
	other := " AND NOT (" + g.isRow("x", "OLD") + ")"
	add("moves", "BEFORE UPDATE", g.mayReplace(other), g.hold(other)...)
	add("settle", "AFTER UPDATE", "EXISTS (SELECT 1 FROM "+g.changes+" h WHERE h.table_id = "+g.id()+" AND h.held IS NOT NULL)",
		slices.Concat(g.letGo("= "+g.held("OLD")), g.settle())...)
	return list
}

type sqliteGenerator struct {
	sqlite
	*sqliteTarget
	table, changes, values string
}

func (g *sqliteGenerator) id() string { return strconv.FormatInt(g.TableID(), 10) }

// differs compares a column's bytes: 1, 1.0 and '1' differ, whatever the column's collation is.
func (g *sqliteGenerator) differs(name string) string {
	o, n := "OLD."+pgschema.Ident(name), "NEW."+pgschema.Ident(name)
	return fmt.Sprintf("(typeof(%s) <> typeof(%s) OR %s IS NOT %s COLLATE BINARY)", o, n, o, n)
}

func (g *sqliteGenerator) anyDiffers() string {
	var list []string
	for _, c := range g.Columns {
		list = append(list, g.differs(c.Name))
	}
	return sqlitetext.Or(list)
}

// keyOf is the text of a row's key, NULL if a part of it is.
func (g *sqliteGenerator) keyOf(row string) string {
	if !g.Keyed() {
		return "NULL"
	}
	return rowtext.SQLiteOf(row, g.Key)
}

// held is what identifies a held row: its number, or its key. The + takes the affinity of an integer away: with it, SQLite would not use
// the index of the column held, which has none.
func (g *sqliteGenerator) held(row string) string {
	if g.WithoutRowID {
		return rowtext.SQLiteOf(row, g.PrimaryKey)
	}
	return "+" + row + "." + g.RowID
}

// isRow is the condition that two are the same row. Keys that are equal need not be the same: by their collation
// 'a' and 'A' may be equal, and in columns without a type 1 and 1.0 are.
func (g *sqliteGenerator) isRow(a, b string) string {
	if !g.WithoutRowID {
		return a + "." + g.RowID + " = " + b + "." + g.RowID
	}
	list := make([]string, len(g.PrimaryKey))
	for i, k := range g.PrimaryKey {
		list[i] = a + "." + pgschema.Ident(k) + " = " + b + "." + pgschema.Ident(k)
	}
	return strings.Join(list, " AND ") + " AND " + g.held(a) + " = " + g.held(b)
}

// change writes a change, from one or both of OLD and NEW.
func (g *sqliteGenerator) change(op, old, now string) []string {
	row, former := now, "NULL"
	if now == "" {
		row = old
	}
	if op == "U" && g.Keyed() {
		var moved []string
		for _, k := range g.Key {
			moved = append(moved, g.differs(k))
		}
		former = "CASE WHEN " + sqlitetext.Or(moved) + " THEN " + g.keyOf("OLD") + " END"
	}
	steps := []string{g.insertChange(op, g.keyOf(row), former, "NULL, NULL", "")}
	for i := range g.Columns {
		c := &g.Columns[i]
		n, differs := i+1, ""
		condition := ""
		flags := []string{"0"}
		if op == "U" {
			differs = g.differs(c.Name)
			condition = " WHERE " + differs
			if !g.Keyed() {
				condition = ""
				flags = append(flags, "CASE WHEN "+differs+" THEN 0 ELSE 4 END")
			}
		}
		values := []string{"NULL", "NULL"}
		for side, row := range []string{old, now} {
			if row == "" || c.Masked {
				continue
			}
			v := row + "." + pgschema.Ident(c.Name)
			values[side] = v
			if !slices.Contains(g.PrimaryKey, c.Name) {
				values[side] = "CASE WHEN " + catalog.SQLiteLong(v) + " THEN length(CAST(" + v + " AS BLOB)) ELSE " + v + " END"
				flags = append(flags, fmt.Sprintf("CASE WHEN %s THEN %d ELSE 0 END", catalog.SQLiteLong(v), side+1))
			}
			if op != "U" {
				condition = " WHERE " + v + " IS NOT NULL"
			}
		}
		steps = append(steps, fmt.Sprintf("INSERT INTO %s (change, field, flags, old, new) SELECT last_insert_rowid(), %d, %s, %s, %s%s",
			g.values, n, strings.Join(flags, " + "), values[0], values[1], condition))
	}
	return steps
}

func (g *sqliteGenerator) insertChange(op, key, former, held, from string) string {
	return fmt.Sprintf("INSERT INTO %s (tx_id, captured_at, table_id, shape_id, op, key, former_key, held, held_for) SELECT %s, %s, %s, %d, '%s', %s, %s, %s%s",
		g.changes, sqliteTransaction, catalog.SQLiteNow, g.id(), g.Digest(), op, key, former, held, from)
}

// victim is a query for rows x that conflict with NEW by one index, without its SELECT, and what they are held for.
type victim struct{ from, heldFor string }

// victims are queries for the rows that conflict with NEW, each with a condition.
func (g *sqliteGenerator) victims(other string) (queries []victim) {
	if !g.WithoutRowID {
		queries = append(queries, victim{" FROM " + g.table + " x WHERE x." + g.RowID + " = NEW." + g.RowID + other, "NULL"})
	}
	for n, i := range g.Unique {
		if i.Unknown {
			continue
		}
		var conditions []string
		if i.Where != "" { // first: for another row, an expression may be an error
			conditions = append(conditions, "("+i.Where+")")
		}
		for _, t := range i.Terms {
			collate := " COLLATE " + pgschema.Ident(t.Collation)
			if t.Column != "" {
				conditions = append(conditions, "x."+pgschema.Ident(t.Column)+" = "+g.orDefault(t.Column)+collate)
				continue
			}
			conditions = append(conditions, "("+t.Expression+") = "+g.ofNew(&i, t.Expression)+collate)
		}
		queries = append(queries, victim{" FROM " + g.table + " x WHERE " + strings.Join(conditions, " AND ") + other, g.heldFor(n, true)})
	}
	return queries
}

// orDefault is the value of a column of NEW. Before a row is written, one that REPLACE sets to its default is NULL.
func (g *sqliteGenerator) orDefault(name string) string {
	n := "NEW." + pgschema.Ident(name)
	if d := g.Defaults[name]; d != "" {
		return "coalesce(" + n + ", " + d + ")"
	}
	return n
}

// heldFor is the text of the values of NEW in a unique index. It must be the same before and after NEW is written: where it may
// differ, and where it would contain what is masked or excluded, it is empty.
func (g *sqliteGenerator) heldFor(number int, before bool) string {
	i := &g.Unique[number]
	if i.Unknown || !g.open(i) {
		return "''"
	}
	list := []string{fmt.Sprintf("'%d'", number)}
	var condition []string
	for _, t := range i.Terms {
		if t.Column == "" {
			list = append(list, "quote("+g.ofNew(i, t.Expression)+")")
			continue
		}
		n := "NEW." + pgschema.Ident(t.Column)
		if list = append(list, "quote("+n+")"); before && g.Defaults[t.Column] != "" {
			condition = append(condition, n+" IS NULL")
		}
	}
	text := strings.Join(list, " || ',' || ")
	if condition == nil {
		return text
	}
	return "CASE WHEN " + sqlitetext.Or(condition) + " THEN '' ELSE " + text + " END"
}

// open reports whether an index has no value of a masked or excluded column, and none that may be computed from one.
func (g *sqliteGenerator) open(i *catalog.SQLiteIndex) bool {
	hides := len(g.Exclude) > 0 || slices.ContainsFunc(g.Columns, func(c catalog.Column) bool { return c.Masked })
	return !hides || !slices.ContainsFunc(i.Terms, func(t catalog.SQLiteTerm) bool {
		n := g.Position(t.Column)
		return n < 0 || g.Columns[n].Masked || g.Columns[n].Generated
	})
}

// ofNew is the value of an index's expression for NEW, whose columns it makes available under their names. A partial index has no
// value for a row that is not in it, and there the expression may be an error.
func (g *sqliteGenerator) ofNew(i *catalog.SQLiteIndex, expression string) string {
	if i.Where != "" {
		expression = "CASE WHEN " + i.Where + " THEN " + expression + " END"
	}
	return "(SELECT " + expression + " FROM (SELECT " + g.newRow() + "))"
}

func (g *sqliteGenerator) newRow() string {
	names := slices.Clone(g.Virtual)
	for _, c := range g.All {
		names = append(names, c.Name)
	}
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = "NEW." + pgschema.Ident(name) + " AS " + pgschema.Ident(name)
	}
	return strings.Join(list, ", ")
}

func (g *sqliteGenerator) mayReplace(other string) string {
	var list []string
	for _, q := range g.victims(other) {
		list = append(list, "EXISTS (SELECT 1"+q.from+")")
	}
	return sqlitetext.Or(list)
}

// hold keeps what NEW may replace.
func (g *sqliteGenerator) hold(other string) []string {
	names := []string{g.RowID}
	if g.WithoutRowID {
		names = nil
		for _, k := range g.PrimaryKey {
			names = append(names, pgschema.Ident(k))
		}
	}
	var columns, same, rows, why []string
	for i, name := range names {
		columns = append(columns, fmt.Sprintf("x.%s AS k%d", name, i))
		same = append(same, fmt.Sprintf("v.%s = w.k%d", name, i))
	}
	for _, q := range g.victims(other) {
		rows = append(rows, "SELECT x."+strings.Join(names, ", x.")+q.from)
		why = append(why, "SELECT "+strings.Join(columns, ", ")+", "+q.heldFor+" AS held_for"+q.from)
	}
	among := "(v." + strings.Join(names, ", v.") + ") IN (" + strings.Join(rows, " UNION ") + ")"
	steps := g.letGo("IN (SELECT " + g.held("v") + " FROM " + g.table + " v WHERE " + among + ")")
	heldFor := "(SELECT min(w.held_for) FROM (" + strings.Join(why, " UNION ALL ") + ") w WHERE " + strings.Join(same, " AND ") + ")"
	steps = append(steps, g.insertChange("D", g.keyOf("v"), "NULL", g.held("v")+", "+heldFor, " FROM "+g.table+" v WHERE "+among))
	for i := range g.Columns {
		c := &g.Columns[i]
		v, flags := "v."+pgschema.Ident(c.Name), "0"
		value := v
		switch {
		case c.Masked:
			value = "NULL"
		case !slices.Contains(g.PrimaryKey, c.Name):
			value = "CASE WHEN " + catalog.SQLiteLong(v) + " THEN length(CAST(" + v + " AS BLOB)) ELSE " + v + " END"
			flags = "CASE WHEN " + catalog.SQLiteLong(v) + " THEN 1 ELSE 0 END"
		}
		steps = append(steps, fmt.Sprintf("INSERT INTO %s (change, field, flags, old) SELECT h.seq, %d, %s, %s FROM %s v CROSS JOIN %s h ON h.table_id = %s AND h.held = %s WHERE %s AND %s IS NOT NULL",
			g.values, i+1, flags, value, g.table, g.changes, g.id(), g.held("v"), among, v))
	}
	return steps
}

// letGo drops what is held of rows.
func (g *sqliteGenerator) letGo(which string) []string {
	return []string{
		fmt.Sprintf("DELETE FROM %s WHERE change IN (SELECT h.seq FROM %s h WHERE h.table_id = %s AND h.held %s)", g.values, g.changes, g.id(), which),
		fmt.Sprintf("DELETE FROM %s WHERE table_id = %s AND held %s", g.changes, g.id(), which),
	}
}

// settle counts what was held and has been replaced by NEW: what has its place, and what was held for its values and
// is gone. It is a change of this transaction, whichever held it.
func (g *sqliteGenerator) settle() []string {
	heldFor := []string{"''"}
	for n := range g.Unique {
		if text := g.heldFor(n, false); text != "''" {
			heldFor = append(heldFor, text)
		}
	}
	of := func(row, condition string) string {
		return row + ".table_id = " + g.id() + " AND " + row + "." + condition
	}
	return slices.Concat(
		g.count(func(row string) string { return of(row, "held = "+g.held("NEW")) }),
		g.count(func(row string) string {
			return of(row, "held_for IN ("+strings.Join(heldFor, ", ")+")") + " AND NOT EXISTS (SELECT 1 FROM " + g.table + " x WHERE " + g.stillThere(row) + ")"
		}))
}

// count makes changes of held rows. One that another transaction has held gets a new seq, since a reader may have passed the old
// one. Several keep their distances.
func (g *sqliteGenerator) count(which func(row string) string) []string {
	late := func(row string) string { return "(" + row + ".tx_id = " + sqliteTransaction + ") IS NOT TRUE" }
	among := " FROM " + g.changes + " h WHERE " + which("h") + " AND " + late("h")
	behind := "(SELECT max(m.seq) FROM " + g.changes + " m) + 1 - (SELECT min(h.seq)" + among + ")"
	return []string{
		"UPDATE " + g.values + " SET change = change + " + behind + " WHERE change IN (SELECT h.seq" + among + ")",
		"UPDATE " + g.changes + " SET held = NULL, held_for = NULL, tx_id = " + sqliteTransaction + ", captured_at = " + catalog.SQLiteNow +
			", seq = seq + CASE WHEN " + late(g.changes) + " THEN " + behind + " ELSE 0 END WHERE " + which(g.changes),
	}
}

// stillThere is the condition that x is the row that is held. The comparison of the key's columns lets SQLite use their index; the exact one
// distinguishes the row from one with an equal key that has replaced it.
func (g *sqliteGenerator) stillThere(held string) string {
	if !g.WithoutRowID {
		return "x." + g.RowID + " = " + held + ".held"
	}
	var list []string
	for _, k := range g.PrimaryKey {
		list = append(list, fmt.Sprintf("x.%s = (SELECT v.old FROM %s v WHERE v.change = %s.seq AND v.field = %d)", pgschema.Ident(k), g.values, held, g.Position(k)+1))
	}
	return strings.Join(list, " AND ") + " AND " + g.held("x") + " = " + held + ".held"
}
