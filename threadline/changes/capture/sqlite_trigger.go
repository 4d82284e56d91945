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
	other, of := " AND NOT ("+g.isRow("x", "OLD")+")", g.ofUnique()
	add("moves", "BEFORE UPDATE"+of, g.mayReplace(other), g.hold(other)...)
	someHeld := "EXISTS (SELECT 1 FROM " + g.changes + " h WHERE h.table_id = " + g.id() + " AND h.held IS NOT NULL)"
	letGo := g.letGo("= " + g.held("OLD"))
	if of != "" {
		add(catalog.SQLiteLetGo, "AFTER UPDATE", someHeld, letGo...)
	}
	add(catalog.SQLiteSettle, "AFTER UPDATE"+of, someHeld, slices.Concat(letGo, g.settle())...)
	return list
}

// ofUnique restricts a trigger to an UPDATE of columns by whose values rows conflict. SQLite does not compile the trigger with others. It
// goes by the names in the statement, so a number of a row has each of its names, and where a value is computed of others there is no
// restriction.
func (g *sqliteGenerator) ofUnique() string {
	names := slices.Clone(g.PrimaryKey)
	if !g.WithoutRowID {
		names = append(names, "rowid", "_rowid_", "oid")
	}
	for _, i := range g.Unique {
		if i.Unknown || i.Where != "" {
			return ""
		}
		for _, t := range i.Terms {
			if t.Column == "" || slices.Contains(g.Virtual, t.Column) {
				return ""
			}
			names = append(names, t.Column)
		}
	}
	for _, c := range g.All {
		if c.Generated && slices.Contains(names, c.Name) {
			return ""
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for i, name := range names {
		names[i] = pgschema.Ident(name)
	}
	return " OF " + strings.Join(names, ", ")
}

type sqliteGenerator struct {
	sqlite
	*sqliteTarget
	table, changes, values string
}

func (g *sqliteGenerator) id() string { return strconv.FormatInt(g.TableID(), 10) }

// differs compares a column's bytes: 1, 1.0 and '1' differ, whatever the column's collation is. The + takes the affinities away.
func (g *sqliteGenerator) differs(name string) string {
	o, n := "+OLD."+pgschema.Ident(name), "+NEW."+pgschema.Ident(name)
	if g.isRowID(name) || slices.ContainsFunc(g.All, func(c catalog.Column) bool { return c.Name == name && catalog.OneNumericClass(c.Type) }) {
		return o + " IS NOT " + n + " COLLATE BINARY"
	}
	return bytesDiffer(o, n)
}

func bytesDiffer(o, n string) string {
	return fmt.Sprintf("(%s IS NOT %s COLLATE BINARY OR typeof(%s) <> typeof(%s))", o, n, o, n)
}

// isRowID reports whether a column is an alias of the row's number, and so always an integer: a primary key that is not has an index.
func (g *sqliteGenerator) isRowID(name string) bool {
	return !g.WithoutRowID && slices.Equal(g.PrimaryKey, []string{name}) && !slices.ContainsFunc(g.Unique, func(i catalog.SQLiteIndex) bool {
		return len(i.Terms) == 1 && (i.Terms[0].Column == name || i.Terms[0].Column == "")
	})
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
	if len(g.Key) == 1 && g.isRowID(g.Key[0]) {
		return `'("i' || ` + row + "." + pgschema.Ident(g.Key[0]) + ` || '")'`
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
	steps := []string{g.insertChange(op, g.keyOf(row), former)}
	for some := range slices.Chunk(g.positions(), mostArms) {
		arms := make([]string, len(some))
		for n, i := range some {
			arms[n] = strconv.Itoa(i + 1)
			for _, row := range []string{old, now} {
				switch {
				case row == "":
				case op != "U" && g.Columns[i].Masked:
					arms[n] += ", NULL"
				default:
					arms[n] += ", +" + row + "." + pgschema.Ident(g.Columns[i].Name)
				}
			}
		}
		steps = append(steps, g.insertValues(op, some, "last_insert_rowid()", "(VALUES ("+strings.Join(arms, "), (")+"))"))
	}
	return steps
}

// mostArms is how many columns are in one query: SQLite allows 500 parts of a compound query, and the time of one that has victims
// grows with the square of their number.
const mostArms = 50

func (g *sqliteGenerator) positions() []int {
	list := make([]int, len(g.Columns))
	for i := range list {
		list[i] = i
	}
	return list
}

// insertValues keeps the values of these columns. from has rows of a column's number and its values: one, or for an update the old
// and the new one. So SQLite compiles the rest once, and not for each column.
func (g *sqliteGenerator) insertValues(op string, columns []int, change, from string) string {
	var masked, whole []string
	for _, i := range columns {
		switch c := &g.Columns[i]; {
		case c.Masked:
			masked = append(masked, strconv.Itoa(i+1))
		case slices.Contains(g.PrimaryKey, c.Name) && !g.isRowID(c.Name):
			whole = append(whole, strconv.Itoa(i+1))
		}
	}
	flags, shown := []string{}, make([]string, 0, 2)
	values := []string{"v.column2", "v.column3"}[:1+strings.Count(op, "U")]
	for n, v := range values {
		long, hide := catalog.SQLiteLong(v), ""
		if whole != nil {
			long = "v.column1 NOT IN (" + strings.Join(whole, ", ") + ") AND " + long
		}
		if op == "U" && masked != nil {
			long = "v.column1 NOT IN (" + strings.Join(masked, ", ") + ") AND " + long
			hide = "WHEN v.column1 IN (" + strings.Join(masked, ", ") + ") THEN NULL "
		}
		flag := n + 1
		if op == "I" {
			flag = 2
		}
		flags = append(flags, fmt.Sprintf("CASE WHEN %s THEN %d ELSE 0 END", long, flag))
		shown = append(shown, "CASE "+hide+"WHEN "+long+" THEN length(CAST("+v+" AS BLOB)) ELSE "+v+" END")
	}
	names, condition := map[string]string{"I": "new", "D": "old", "U": "old, new"}[op], ""
	switch {
	case op != "U":
		condition = "v.column2 IS NOT NULL"
		if masked != nil {
			condition += " OR v.column1 IN (" + strings.Join(masked, ", ") + ")"
		}
	case g.Keyed():
		condition = bytesDiffer("v.column2", "v.column3")
	default:
		condition = "true"
		flags = append(flags, "CASE WHEN "+bytesDiffer("v.column2", "v.column3")+" THEN 0 ELSE 4 END")
	}
	return fmt.Sprintf("INSERT INTO %s (change, field, flags, %s) SELECT %s, v.column1, %s, %s FROM %s v WHERE %s",
		g.values, names, change, strings.Join(flags, " + "), strings.Join(shown, ", "), from, condition)
}

func (g *sqliteGenerator) insertChange(op, key, former string) string {
	return fmt.Sprintf("INSERT INTO %s (tx_id, captured_at, table_id, shape_id, op, key, former_key) VALUES (%s, %s, %s, %d, '%s', %s, %s)",
		g.changes, sqliteTransaction, catalog.SQLiteNow, g.id(), g.Digest(), op, key, former)
}
