package capture

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// sizes is an expression for how many bytes the longest value of a row takes, of the columns that may be long; "" if none may.
func (g *generator) sizes(row string, name func(c *catalog.Column) string) string {
	var list []string
	for i := range g.Columns {
		if c := &g.Columns[i]; c.Long && !c.Masked {
			list = append(list, "pg_catalog.pg_column_size("+row+"."+name(c)+")")
		}
	}
	if list == nil {
		return ""
	}
	return "greatest(" + strings.Join(list, ", ") + ")"
}

// wholeSQL keeps the changes of a statement. Its plan is cached, and may have been made for few rows. A FULL JOIN is never a nested
// loop, so the plan is good for many, too. The ORDER BY is there because a hash join that does not fit into memory loses the order.
func (g *generator) wholeSQL(op string, sides []string, long bool) string {
	var from, list []string
	for _, side := range sides {
		columns := []string{"pg_catalog.row_number() OVER () AS at"}
		for i := range g.Columns {
			columns = append(columns, fmt.Sprintf("t.%s AS v%d", pgschema.Ident(g.Columns[i].Name), i+1))
			list = append(list, fmt.Sprintf("%ss.v%d AS %s%d", side, i+1, side[:1], i+1))
		}
		from = append(from, "(SELECT "+strings.Join(columns, ", ")+" FROM "+side+"_rows t) "+side+"s")
	}
	var changed []string
	for i := range g.Columns {
		if len(sides) == 2 {
			list = append(list, fmt.Sprintf("%s AS b%d", differs(&g.Columns[i], fmt.Sprintf("olds.v%d", i+1), fmt.Sprintf("news.v%d", i+1)), i+1))
			changed = append(changed, fmt.Sprintf("p.b%d", i+1))
		}
	}
	if long {
		list = append(list, g.longRow(sides)+" AS longer")
	}
	rows := "(SELECT " + strings.Join(list, ", ") + " FROM " + strings.Join(from, " FULL JOIN ")
	last := sides[len(sides)-1][:1]
	former, numbers := "NULL", "NULL"
	if len(sides) == 2 {
		rows += " ON " + is("news.at", "olds.at") + " ORDER BY news.at"
		numbers = g.changedNumbers()
		if g.Keyed() {
			former = "CASE WHEN " + strings.Join(g.keyColumns("p.b"), " OR ") + " THEN ROW(" + strings.Join(g.keyColumns("p.o"), ", ") + ")::pg_catalog.text END"
		}
	}
	rows += " OFFSET 0) p"
	if changed != nil {
		rows += " WHERE " + strings.Join(changed, " OR ")
	}
	key := "NULL"
	if g.Keyed() {
		key = "ROW(" + strings.Join(g.keyColumns("p."+last), ", ") + ")::pg_catalog.text"
	}
	row := map[string]string{"old": "NULL", "new": "NULL"}
	cut := "NULL"
	var shortened []string
	for _, side := range sides {
		text, parts := g.wholeRow(side[:1], len(sides) == 2, long)
		row[side] = text
		shortened = append(shortened, parts...)
	}
	if shortened != nil {
		cut = "(pg_catalog.regexp_match(" + joined(shortened) + ", '.+'))[1]" // nullif would take an operator of whatever schema comes first
	}
	return "INSERT INTO " + g.installer.at("audit_changes") + " (xid, tx_started_at, captured_at, lsn, table_id, shape_id, depth, op, key, former_key, changed, old_row, new_row, cut, system, role, application, client) " +
		"SELECT pg_catalog.pg_current_xact_id(), pg_catalog.transaction_timestamp(), pg_catalog.clock_timestamp(), pg_catalog.pg_current_wal_insert_lsn(), " +
		strconv.FormatInt(g.TableID(), 10) + ", " + strconv.FormatInt(g.Digest(), 10) + ", pg_catalog.pg_trigger_depth(), '" + op[:1] + "', " +
		strings.Join([]string{key, former, numbers, row["old"], row["new"], cut, atFirst("system"), atFirst("role"), atFirst("application"), atFirst("client")}, ", ") +
		" FROM " + rows
}

// atFirst is a variable in the first row of a statement, and NULL in the others.
func atFirst(name string) string {
	return "CASE WHEN " + is("pg_catalog.row_number() OVER ()", "1") + " THEN " + name + " END"
}

// joined is a text of parts, of which any may be NULL.
func joined(parts []string) string {
	var list []string
	for _, some := range inParts(parts) {
		list = append(list, "pg_catalog.concat("+strings.Join(some, ", ")+")")
	}
	return "pg_catalog.concat(" + strings.Join(list, ", ") + ")"
}

func (g *generator) changedNumbers() string {
	list := make([]string, len(g.Columns))
	for i := range g.Columns {
		list[i] = fmt.Sprintf("CASE WHEN p.b%[1]d THEN '%[1]d ' END", i+1)
	}
	return joined(list)
}

// keyColumns are those of the key, by their positions.
func (g *generator) keyColumns(prefix string) []string {
	list := make([]string, len(g.Key))
	for i, k := range g.Key {
		list[i] = prefix + strconv.Itoa(g.Position(k)+1)
	}
	return list
}

// longRow is a condition for rows of which a value may be long.
func (g *generator) longRow(sides []string) string {
	conditions := []string{"false"}
	for _, side := range sides {
		if sizes := g.sizes(side+"s", func(c *catalog.Column) string { return "v" + strconv.Itoa(g.Position(c.Name)+1) }); sizes != "" {
			conditions = append(conditions, "coalesce("+sizes+" OPERATOR(pg_catalog.>=) "+strconv.Itoa(longStored)+", false)")
		}
	}
	return strings.Join(conditions, " OR ")
}

// wholeRow is the text of a row, and which of its values are shortened, as generator.shorten does for a single row.
func (g *generator) wholeRow(side string, update, long bool) (text string, shortened []string) {
	text = g.rowOf("p.b", update, func(i int) string {
		n := strconv.Itoa(i + 1)
		value := "p." + side + n
		if c := &g.Columns[i]; !long || !c.Long || c.Hashed || c.Masked {
			return value
		}
		value, isShortened := shortenedValue(value)
		if update && g.Keyed() {
			isShortened = "p.b" + n + " AND " + isShortened
		}
		shortened = append(shortened, "CASE WHEN "+isShortened+" THEN '"+side+n+" ' END")
		return value
	})
	return text, shortened
}

// shortenedValue is the text of a value that may be long, or its length and digest, and the condition that it is shortened to these.
// The CASEs keep the server from computing what is not wanted.
func shortenedValue(value string) (text, isShortened string) {
	size, whole := "pg_catalog.pg_column_size("+value+")", "pg_catalog.concat("+value+")"
	tooLong := size + " OPERATOR(pg_catalog.>) " + strconv.Itoa(longDigest)
	longer := "pg_catalog.octet_length(" + whole + ") OPERATOR(pg_catalog.>) " + strconv.Itoa(catalog.LongText)
	text = "CASE WHEN " + is("pg_catalog.num_nulls("+value+")", "1") + " THEN NULL WHEN p.longer AND " + tooLong + " THEN pg_catalog.concat('stored ', " + size + ")" +
		" WHEN p.longer AND " + longer + " THEN " + lengthAndDigest(whole) + " ELSE " + whole + " END"
	isShortened = "p.longer AND " + is("pg_catalog.num_nulls("+value+")", "0") + " AND CASE WHEN " + tooLong + " THEN true ELSE " + longer + " END"
	return text, isShortened
}
