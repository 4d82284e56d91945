package changes

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// How the triggers of SQLite work:
//
// A change is a row of audit_changes, and its values are rows of audit_values, as they are. Inserts in
// a trigger leave the app's last_insert_rowid() and changes() as they were.
//
// REPLACE removes rows without their DELETE triggers. What an INSERT or UPDATE may replace is
// therefore held by a BEFORE trigger, as a DELETE that does not count. If the row has been written, what
// was held and is gone counts. A row can be held and stay, as where the INSERT was ignored. It is
// let go when one of our triggers sees it change; until then what is held of it is what it has, so that
// it is gone only if it was replaced.

const sqliteNow = "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')"

type sqliteTrigger struct{ name, sql string }

// wanted are the triggers of a table.
func (s sqlite) wanted(t *sqliteTable) []sqliteTrigger {
	g := &sqliteGenerator{sqlite: s, sqliteTable: t}
	g.table, g.changes, g.values = pgschema.Ident(t.Table), s.at("audit_changes"), s.at("audit_values")
	on := " ON " + g.table + " "
	var list []sqliteTrigger
	add := func(when, event, condition string, steps ...string) {
		name := s.trigger(t.tableID(), when)
		if condition != "" {
			condition = "WHEN " + condition + " "
		}
		list = append(list, sqliteTrigger{name, pgschema.Ident(name) + " " + event + on + condition + "BEGIN\n" + strings.Join(steps, ";\n") + ";\nEND"})
	}
	add("insert", "AFTER INSERT", "", slices.Concat([]string{g.settle()}, g.change("I", "", "NEW"))...)
	add("update", "AFTER UPDATE", g.anyDiffers(), g.change("U", "OLD", "NEW")...)
	add("delete", "AFTER DELETE", "", slices.Concat(g.letGo("= "+g.held("OLD")), g.change("D", "OLD", ""))...)
	add("replaces", "BEFORE INSERT", g.mayReplace(""), g.hold("")...)
	other := " AND NOT (" + g.isRow("x", "OLD") + ")"
	add("moves", "BEFORE UPDATE", g.mayReplace(other), g.hold(other)...)
	add("settle", "AFTER UPDATE", "EXISTS (SELECT 1 FROM "+g.changes+" h WHERE h.table_id = "+g.id()+" AND h.held IS NOT NULL)",
		slices.Concat(g.letGo("= "+g.held("OLD")), []string{g.settle()})...)
	return list
}

type sqliteGenerator struct {
	sqlite
	*sqliteTable
	table, changes, values string
}

func (g *sqliteGenerator) id() string { return strconv.FormatInt(g.tableID(), 10) }

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
	return balanced(list)
}

// balanced joins conditions by OR. A tree of expressions may be only 1,000 deep.
func balanced(list []string) string {
	if len(list) == 1 {
		return list[0]
	}
	return "(" + balanced(list[:len(list)/2]) + " OR " + balanced(list[len(list)/2:]) + ")"
}

// keyOf is the text of a row's key, NULL if a part of it is.
func (g *sqliteGenerator) keyOf(row string) string {
	if !g.keyed() {
		return "NULL"
	}
	return rowTextOf(row, g.Key)
}

// rowTextOf is an expression of the text of a row of these columns. Each has a letter for its type in front.
func rowTextOf(row string, columns []string) string {
	list := make([]string, len(columns))
	for i, k := range columns {
		v := row + "." + pgschema.Ident(k)
		list[i] = `'"' || replace(replace(CASE typeof(` + v + ") WHEN 'integer' THEN 'i' || " + v + " WHEN 'real' THEN 'r' || printf('%!.17g', " + v + ") WHEN 'text' THEN 't' || " + v +
			" WHEN 'blob' THEN 'b' || hex(" + v + `) END, '\', '\\'), '"', '""') || '"'`
	}
	return "'(' || " + strings.Join(list, " || ',' || ") + " || ')'"
}

// held is what a row is held under: its number, or its key.
func (g *sqliteGenerator) held(row string) string {
	if g.withoutRowID {
		return rowTextOf(row, g.primaryKey)
	}
	return row + "." + g.rowID
}

// isRow is the condition that two are the same row.
func (g *sqliteGenerator) isRow(a, b string) string {
	if !g.withoutRowID {
		return a + "." + g.rowID + " = " + b + "." + g.rowID
	}
	list := make([]string, len(g.primaryKey))
	for i, k := range g.primaryKey {
		list[i] = a + "." + pgschema.Ident(k) + " = " + b + "." + pgschema.Ident(k)
	}
	return strings.Join(list, " AND ")
}

// change writes a change, from one or both of OLD and NEW.
func (g *sqliteGenerator) change(op, old, now string) []string {
	row, former := now, "NULL"
	if now == "" {
		row = old
	}
	if op == "U" && g.keyed() {
		var moved []string
		for _, k := range g.Key {
			moved = append(moved, g.differs(k))
		}
		former = "CASE WHEN " + balanced(moved) + " THEN " + g.keyOf("OLD") + " END"
	}
	steps := []string{g.insertChange(op, g.keyOf(row), former, "NULL", "")}
	for i := range g.Columns {
		c := &g.Columns[i]
		n, differs := i+1, ""
		condition := ""
		flags := []string{"0"}
		if op == "U" {
			differs = g.differs(c.Name)
			condition = " WHERE " + differs
			if !g.keyed() {
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
			if !slices.Contains(g.primaryKey, c.Name) {
				values[side] = "CASE WHEN " + long(v) + " THEN length(CAST(" + v + " AS BLOB)) ELSE " + v + " END"
				flags = append(flags, fmt.Sprintf("CASE WHEN %s THEN %d ELSE 0 END", long(v), side+1))
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

// long is the condition that a value is cut.
func long(v string) string {
	return fmt.Sprintf("typeof(%s) IN ('text', 'blob') AND length(CAST(%s AS BLOB)) > %d", v, v, longText)
}

func (g *sqliteGenerator) insertChange(op, key, former, held, from string) string {
	return fmt.Sprintf("INSERT INTO %s (tx_id, captured_at, table_id, shape_id, op, key, former_key, held) SELECT (SELECT t.tx_id FROM \"aftercommit_transaction\" t), %s, %s, %d, '%s', %s, %s, %s%s",
		g.changes, sqliteNow, g.id(), g.shape.id(), op, key, former, held, from)
}

// victims are queries for the rows x, each with a condition, that conflict with NEW.
func (g *sqliteGenerator) victims(other string) (queries []string) {
	columns := "x." + g.rowID
	if g.withoutRowID {
		columns = g.columnsOf("x", g.primaryKey)
	} else {
		queries = append(queries, "SELECT "+columns+" FROM "+g.table+" x WHERE x."+g.rowID+" = NEW."+g.rowID+other)
	}
	for _, i := range g.unique {
		if i.unknown {
			continue
		}
		var conditions []string
		for _, t := range i.terms {
			collate := " COLLATE " + pgschema.Ident(t.collation)
			if t.column != "" {
				conditions = append(conditions, "x."+pgschema.Ident(t.column)+" = NEW."+pgschema.Ident(t.column)+collate)
				continue
			}
			// The names of the expression are those of x, and in the other place those of NEW.
			conditions = append(conditions, "("+t.expression+") = (SELECT "+t.expression+" FROM (SELECT "+g.newRow()+"))"+collate)
		}
		if i.where != "" {
			conditions = append(conditions, "("+i.where+")")
		}
		queries = append(queries, "SELECT "+columns+" FROM "+g.table+" x WHERE "+strings.Join(conditions, " AND ")+other)
	}
	return queries
}

func (g *sqliteGenerator) newRow() string {
	list := make([]string, len(g.all))
	for i, c := range g.all {
		list[i] = "NEW." + pgschema.Ident(c.Name) + " AS " + pgschema.Ident(c.Name)
	}
	return strings.Join(list, ", ")
}

func (g *sqliteGenerator) columnsOf(row string, names []string) string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = row + "." + pgschema.Ident(n)
	}
	return strings.Join(list, ", ")
}

func (g *sqliteGenerator) mayReplace(other string) string {
	var list []string
	for _, q := range g.victims(other) {
		list = append(list, "EXISTS ("+q+")")
	}
	return balanced(list)
}

// hold keeps what NEW may replace.
func (g *sqliteGenerator) hold(other string) []string {
	row := "v." + g.rowID
	if g.withoutRowID {
		row = "(" + g.columnsOf("v", g.primaryKey) + ")"
	}
	among := row + " IN (" + strings.Join(g.victims(other), " UNION ") + ")"
	steps := g.letGo("IN (SELECT " + g.held("v") + " FROM " + g.table + " v WHERE " + among + ")")
	steps = append(steps, g.insertChange("D", g.keyOf("v"), "NULL", g.held("v"), " FROM "+g.table+" v WHERE "+among))
	for i := range g.Columns {
		c := &g.Columns[i]
		v, flags := "v."+pgschema.Ident(c.Name), "0"
		value := v
		switch {
		case c.Masked:
			value = "NULL"
		case !slices.Contains(g.primaryKey, c.Name):
			value = "CASE WHEN " + long(v) + " THEN length(CAST(" + v + " AS BLOB)) ELSE " + v + " END"
			flags = "CASE WHEN " + long(v) + " THEN 1 ELSE 0 END"
		}
		steps = append(steps, fmt.Sprintf("INSERT INTO %s (change, field, flags, old) SELECT h.seq, %d, %s, %s FROM %s v JOIN %s h ON h.table_id = %s AND h.held = %s WHERE %s AND h.held IS NOT NULL AND %s IS NOT NULL",
			g.values, i+1, flags, value, g.table, g.changes, g.id(), g.held("v"), among, v))
	}
	return steps
}

// letGo drops what is held of rows.
func (g *sqliteGenerator) letGo(which string) []string {
	return []string{
		fmt.Sprintf("DELETE FROM %s WHERE change IN (SELECT h.seq FROM %s h WHERE h.table_id = %s AND h.held IS NOT NULL AND h.held %s)", g.values, g.changes, g.id(), which),
		fmt.Sprintf("DELETE FROM %s WHERE table_id = %s AND held IS NOT NULL AND held %s", g.changes, g.id(), which),
	}
}

// settle counts what was held and has been replaced by NEW.
func (g *sqliteGenerator) settle() string {
	var there string
	if !g.withoutRowID {
		there = "x." + g.rowID + " = " + g.changes + ".held"
	} else {
		var list []string
		for _, k := range g.primaryKey {
			list = append(list, fmt.Sprintf("x.%s = (SELECT v.old FROM %s v WHERE v.change = %s.seq AND v.field = %d)", pgschema.Ident(k), g.values, g.changes, g.position(k)+1))
		}
		there = strings.Join(list, " AND ")
	}
	return fmt.Sprintf("UPDATE %s SET held = NULL WHERE table_id = %s AND held IS NOT NULL AND (held = %s OR NOT EXISTS (SELECT 1 FROM %s x WHERE %s))",
		g.changes, g.id(), g.held("NEW"), g.table, there)
}
