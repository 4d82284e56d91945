package capture

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/sqlitetext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

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
	columns, same := make([]string, len(names)), make([]string, len(names))
	for i, name := range names {
		columns[i], same[i] = fmt.Sprintf("x.%s AS k%d", name, i), fmt.Sprintf("x.%s = w.k%d", name, i)
	}
	victims := g.victims(other)
	var held, rows, why []string
	for _, q := range victims {
		held = append(held, "SELECT "+g.held("x")+q.from)
		rows = append(rows, "SELECT x."+strings.Join(names, ", x.")+q.from)
		why = append(why, "SELECT "+strings.Join(columns, ", ")+", "+q.heldFor+" AS held_for"+q.from)
	}
	isHeld := "IN (" + strings.Join(held, " UNION ALL ") + ")"
	among := "(x." + strings.Join(names, ", x.") + ") IN (" + strings.Join(rows, " UNION ALL ") + ")"
	from, heldFor := victims[0].from, victims[0].heldFor
	if len(victims) > 1 {
		from = " FROM " + g.table + " x WHERE " + among
		heldFor = "(SELECT min(w.held_for) FROM (" + strings.Join(why, " UNION ALL ") + ") w WHERE " + strings.Join(same, " AND ") + ")"
	}
	steps := append(g.letGoOf("h.held "+isHeld, g.heldForNew(true)), fmt.Sprintf("INSERT INTO %s (captured_at, table_id, shape_id, op, tx_id, key, held, held_for) SELECT %s, %s, %d, 'D', %s, %s, %s, %s%s",
		g.changes, catalog.SQLiteNow, g.id(), g.Digest(), sqliteTransaction, g.keyOf("x"), g.held("x"), heldFor, from))
	tables, condition := g.changes+" h CROSS JOIN "+g.table+" x ON x."+g.RowID+" = h.held", "h.table_id = "+g.id()+" AND h.held "+isHeld
	if g.WithoutRowID {
		tables, condition = g.table+" x CROSS JOIN "+g.changes+" h ON h.table_id = "+g.id()+" AND h.held = "+g.held("x"), among
	}
	for some := range slices.Chunk(g.positions(), mostArms) {
		numbers, values := make([]string, len(some)), make([]string, len(some))
		for n, i := range some {
			value := "NULL"
			if c := &g.Columns[i]; !c.Masked {
				value = "x." + pgschema.Ident(c.Name)
			}
			numbers[n], values[n] = strconv.Itoa(i+1), fmt.Sprintf("WHEN %d THEN %s", i+1, value)
		}
		// The LIMIT keeps SQLite from computing the CASE in each place where column2 is.
		steps = append(steps, g.insertValues("D", some, "v.seq", fmt.Sprintf("(SELECT h.seq AS seq, n.column1 AS column1, CASE n.column1 %s END AS column2 FROM %s CROSS JOIN (VALUES (%s)) n WHERE %s LIMIT -1)",
			strings.Join(values, " "), tables, strings.Join(numbers, "), ("), condition)))
	}
	return steps
}

// letGoOf drops what is held of rows, and what was held for the values of NEW: in a database that was restored from a dump, which numbers
// rows anew, it is held of another row.
func (g *sqliteGenerator) letGoOf(rows string, values []string) []string {
	which := "SELECT h.seq FROM " + g.changes + " h WHERE h.table_id = " + g.id() + " AND "
	list := which + rows
	if len(values) > 0 {
		list += " UNION ALL " + which + "h.held_for IN (" + strings.Join(values, ", ") + ") AND h.held_for <> ''"
	}
	return []string{
		"DELETE FROM " + g.values + " WHERE change IN (" + list + ")",
		"DELETE FROM " + g.changes + " WHERE seq IN (" + list + ")",
	}
}

// heldForNew are the texts of the values of NEW in the unique indexes, but for those that are always empty.
func (g *sqliteGenerator) heldForNew(before bool) (texts []string) {
	for n := range g.Unique {
		if text := g.heldFor(n, before); text != "''" {
			texts = append(texts, text)
		}
	}
	return texts
}

// letGo drops what is held of rows.
func (g *sqliteGenerator) letGo(which string) []string {
	return []string{
		fmt.Sprintf("DELETE FROM %s WHERE change IN (SELECT h.seq FROM %s h WHERE h.table_id = %s AND h.held %s)", g.values, g.changes, g.id(), which),
		fmt.Sprintf("DELETE FROM %s WHERE table_id = %s AND held %s", g.changes, g.id(), which),
	}
}

// settle makes changes of the held rows that NEW has replaced: of the one that had its place, and of those that were held for its
// values and are gone. They are changes of this transaction, whichever held them. Those that another transaction has held get a new
// seq, since a reader may have passed the old one, and keep their distances.
func (g *sqliteGenerator) settle() []string {
	heldFor := strings.Join(append([]string{"''"}, g.heldForNew(false)...), ", ")
	// Between these steps held_for marks these rows.
	const now, late = "'now'", "'late'"
	counted := func(which string) string { return "table_id = " + g.id() + " AND held_for " + which }
	distance := "(SELECT max(m.seq) FROM " + g.changes + " m) + 1 - (SELECT min(h.seq) FROM " + g.changes + " h WHERE h." + counted("= "+late) + ")"
	return []string{
		"UPDATE " + g.changes + " SET held_for = CASE WHEN tx_id = " + sqliteTransaction + " THEN " + now + " ELSE " + late + " END" +
			" WHERE seq IN (SELECT h.seq FROM " + g.changes + " h WHERE h.table_id = " + g.id() + " AND h.held = " + g.held("NEW") + " AND (h.held_for IS NULL OR h.held_for IN (" + heldFor + "))" +
			" UNION ALL SELECT h.seq FROM " + g.changes + " h WHERE h." + counted("IN ("+heldFor+")") + " AND NOT EXISTS (SELECT 1 FROM " + g.table + " x WHERE " + g.stillThere("h") + "))",
		"UPDATE " + g.values + " SET change = change + " + distance + " WHERE change IN (SELECT h.seq FROM " + g.changes + " h WHERE h." + counted("= "+late) + ")",
		"UPDATE " + g.changes + " SET held = NULL, held_for = NULL, tx_id = " + sqliteTransaction + ", captured_at = " + catalog.SQLiteNow +
			", seq = seq + CASE held_for WHEN " + late + " THEN " + distance + " ELSE 0 END WHERE " + counted("IN ("+now+", "+late+")"),
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
