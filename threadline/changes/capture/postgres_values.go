package capture

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// values sets key, changed, old_row and new_row from one or both of OLD and NEW.
func (g *generator) values(rows ...string) {
	long := g.measure(rows)
	g.fits(rows[len(rows)-1], long)
	if len(rows) == 2 {
		g.compare()
	}
	last := rows[len(rows)-1]
	if g.Keyed() {
		g.line(3, "key := %s;", g.keyOf(last))
		if len(rows) == 2 {
			var moved []string
			for _, k := range g.Key {
				moved = append(moved, "c"+strconv.Itoa(g.Position(k)+1))
			}
			g.line(3, "IF %s THEN former_key := %s; END IF;", strings.Join(moved, " OR "), g.keyOf("OLD"))
		}
	}
	if long {
		g.line(3, "IF long THEN")
		for _, r := range rows {
			g.shorten(r, len(rows) == 2)
		}
		for _, r := range rows {
			g.line(4, "%s := %s;", rowOf[r], g.row(r, len(rows) == 2, true))
		}
		g.line(3, "ELSE")
		for _, r := range rows {
			g.line(4, "%s := %s;", rowOf[r], g.row(r, len(rows) == 2, false))
		}
		g.line(3, "END IF;")
		return
	}
	for _, r := range rows {
		g.line(3, "%s := %s;", rowOf[r], g.row(r, len(rows) == 2, false))
	}
}

var rowOf = map[string]string{"OLD": "old_row", "NEW": "new_row"}

// measure sets long, and reports whether any value may be.
func (g *generator) measure(rows []string) bool {
	var sizes []string
	for _, c := range g.All {
		if c.Long {
			for _, r := range rows {
				sizes = append(sizes, "pg_catalog.pg_column_size("+r+"."+pgschema.Ident(c.Name)+")")
			}
		}
	}
	if len(sizes) == 0 {
		return false
	}
	g.line(3, "long := coalesce(greatest(%s) OPERATOR(pg_catalog.>=) %d, false);", strings.Join(sizes, ", "), longStored)
	return true
}

// fits raises an error unless the table has the columns that the function was made for. To compare the row with a row of these columns
// costs least, unless its values are long; then the columns are counted. A partition's columns may be in another order than the
// parent's. So there the parent's columns are looked up, but only once in a transaction if the order is the same: see seen.
func (g *generator) fits(row string, long bool) {
	count := fmt.Sprintf("(SELECT pg_catalog.count(*) OPERATOR(pg_catalog.=) %d FROM pg_catalog.pg_attribute a WHERE %s AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped)",
		len(g.All), is("a.attrelid", "TG_RELID"))
	list := make([]string, len(g.All))
	for i, c := range g.All {
		list[i] = row + "." + pgschema.Ident(c.Name)
	}
	same := fmt.Sprintf("ROW(%s)::pg_catalog.record OPERATOR(pg_catalog.*=) %s", strings.Join(list, ", "), row)
	switch {
	case g.Kind == "p":
		seen := g.seen(same)
		if long {
			seen = "NOT long AND " + seen
		}
		g.line(3, "IF NOT (%s) THEN", seen)
		g.line(4, "IF NOT %s THEN", g.fitsParent())
		g.line(5, "RAISE EXCEPTION '%s';", unfit)
		g.line(4, "END IF;")
		g.see(4)
		g.line(3, "END IF;")
		return
	case !long:
		g.line(3, "IF NOT %s THEN", same)
	default:
		g.line(3, "IF long THEN")
		g.line(4, "fits := %s;", count)
		g.line(3, "ELSE")
		g.line(4, "fits := %s;", same)
		g.line(3, "END IF;")
		g.line(3, "IF NOT fits THEN")
	}
	g.line(4, "RAISE EXCEPTION '%s';", unfit)
	g.line(3, "END IF;")
}

// compare sets changed, and returns if no column has changed. In each transaction a session prepares anew the expressions that it evaluates.
// So columns whose type has changed since the plan are compared in a branch of their own, which is hardly ever taken.
func (g *generator) compare() {
	var any, list, planned, exactly, otherwise []string
	for i := range g.Columns {
		c, v := &g.Columns[i], "c"+strconv.Itoa(i+1)
		o, n := "OLD."+pgschema.Ident(c.Name), "NEW."+pgschema.Ident(c.Name)
		differ := fmt.Sprintf("%s := %s;", v, differs(c, o, n))
		if c.Exact {
			inexact := *c
			inexact.Exact = false
			planned = append(planned, is("pg_catalog.pg_typeof("+n+")::pg_catalog.oid", strconv.FormatUint(uint64(c.TypeOID), 10)+"::pg_catalog.oid"))
			exactly = append(exactly, differ)
			otherwise = append(otherwise, fmt.Sprintf("%s := %s;", v, differs(&inexact, o, n)))
		} else {
			g.line(3, "%s", differ)
		}
		any = append(any, v)
		list = append(list, fmt.Sprintf("CASE WHEN %s THEN '%d ' END", v, i+1))
	}
	if len(planned) > 0 {
		g.line(3, "IF %s THEN", strings.Join(planned, " AND "))
		for _, line := range exactly {
			g.line(4, "%s", line)
		}
		g.line(3, "ELSE")
		for _, line := range otherwise {
			g.line(4, "%s", line)
		}
		g.line(3, "END IF;")
	}
	g.line(3, "IF NOT (%s) THEN", strings.Join(any, " OR "))
	g.line(4, "RETURN NULL;")
	g.line(3, "END IF;")
	for _, part := range inParts(list) {
		g.line(3, "changed := pg_catalog.concat(changed, %s);", strings.Join(part, ", "))
	}
}

// differs is a condition for two values of a column: that their bytes differ.
func differs(c *catalog.Column, o, n string) string {
	switch {
	case c.Exact && c.NotNull: // if it is no longer NOT NULL, two NULLs count as a change, but no change is lost
		return fmt.Sprintf("(%s) IS NOT TRUE", is(o, n))
	case c.Exact:
		return fmt.Sprintf("coalesce(%s OPERATOR(pg_catalog.<>) %s, (%s IS NULL) OPERATOR(pg_catalog.<>) (%s IS NULL))", o, n, o, n)
	}
	return fmt.Sprintf("ROW(%s)::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW(%s)::pg_catalog.record", o, n)
}

// inParts divides a list of arguments: a function takes at most 100.
func inParts(list []string) [][]string { return slices.Collect(slices.Chunk(list, 90)) }

// keyOf is the text of a row's key.
func (g *generator) keyOf(row string) string {
	list := make([]string, len(g.Key))
	for i, k := range g.Key {
		list[i] = row + "." + pgschema.Ident(k)
	}
	return "ROW(" + strings.Join(list, ", ") + ")::pg_catalog.text"
}

// shorten sets the variables of values that may be long to their text or, if that is too long, to its length and digest.
func (g *generator) shorten(row string, onlyChanged bool) {
	side := strings.ToLower(row[:1])
	for i := range g.Columns {
		c := &g.Columns[i]
		if !c.Long || c.Masked {
			continue
		}
		v, value := side+strconv.Itoa(i+1), row+"."+pgschema.Ident(c.Name)
		condition := is("pg_catalog.num_nulls("+value+")", "0")
		if onlyChanged && g.Keyed() {
			condition = "c" + strconv.Itoa(i+1) + " AND " + condition
		}
		g.line(4, "IF %s THEN", condition)
		g.line(5, "IF pg_catalog.pg_column_size(%s) OPERATOR(pg_catalog.>) %d THEN", value, longDigest)
		g.line(6, "%s := pg_catalog.concat('stored ', pg_catalog.pg_column_size(%s)); cut := pg_catalog.concat(cut, '%s ');", v, value, v)
		g.line(5, "ELSE")
		g.line(6, "%s := pg_catalog.concat(%s);", v, value)
		g.line(6, "IF pg_catalog.octet_length(%s) OPERATOR(pg_catalog.>) %d THEN", v, catalog.LongText)
		g.line(7, "%s := %s; cut := pg_catalog.concat(cut, '%s ');", v, lengthAndDigest(v), v)
		g.line(6, "END IF;")
		g.line(5, "END IF;")
		g.line(4, "END IF;")
	}
}

// lengthAndDigest is what is kept of a text that is too long.
func lengthAndDigest(text string) string {
	return "pg_catalog.concat(pg_catalog.octet_length(" + text + "), ' ', pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(" + text + ", pg_catalog.getdatabaseencoding())), 'hex'))"
}

// row is the text of a row.
func (g *generator) row(row string, update, long bool) string {
	return g.rowOf("c", update, func(i int) string {
		if c := &g.Columns[i]; long && c.Long && !c.Hashed && !c.Masked {
			return strings.ToLower(row[:1]) + strconv.Itoa(i+1)
		}
		return row + "." + pgschema.Ident(g.Columns[i].Name)
	})
}

// rowOf is the text of a row with these values of its columns: of an update only what has changed, as a condition with this
// prefix and the column's position says, unless there is no key by which to find the rest.
func (g *generator) rowOf(changed string, update bool, value func(i int) string) string {
	list := make([]string, len(g.Columns))
	for i := range g.Columns {
		c := &g.Columns[i]
		text := value(i)
		switch {
		case c.Hashed:
			text = hash(c, text)
		case c.Masked:
			list[i] = "NULL::pg_catalog.text"
			continue
		}
		if update && g.Keyed() {
			text = fmt.Sprintf("CASE WHEN %s%d THEN %s END", changed, i+1, text)
		}
		list[i] = text
	}
	return "ROW(" + strings.Join(list, ", ") + ")::pg_catalog.text"
}

// leftOut is the condition that nothing is kept of a column a in drift, because it may be a masked or excluded one. That goes by number
// and by name: such a column may have been renamed, or dropped and made again. A partition has its own numbers and its
// parent's names, so there the names count that the parent's numbers have now.
func (g *generator) leftOut() string {
	numbers, names := []string{"0"}, []string{"NULL"}
	for _, c := range g.All {
		if c.Excluded || g.masked(c.Name) {
			numbers = append(numbers, strconv.Itoa(c.Number))
			names = append(names, pgtext.Literal(c.Name)+"::pg_catalog.name")
		}
	}
	for _, c := range g.gone {
		names = append(names, pgtext.Literal(c.name)+"::pg_catalog.name")
	}
	numbered := " OPERATOR(pg_catalog.=) ANY (ARRAY[" + strings.Join(numbers, ", ") + "]::pg_catalog.int2[])"
	byNumber := "a.attnum" + numbered
	if g.Kind == "p" {
		byNumber = g.inParent("b.attnum" + numbered)
	}
	return "(" + byNumber + " OR coalesce(a.attname OPERATOR(pg_catalog.=) ANY (ARRAY[" + strings.Join(names, ", ") + "]::pg_catalog.name[]), false))"
}

// mostText is how many bytes the texts of a change may have together: the server makes no row of more than 1 GB of them.
const mostText = 1_000_000_000

// refuseTooLong notices a change that cannot be stored, which would fail the app's statement. In drift values are not shortened, and
// each type nested in another may double what quotes its text.
func (g *generator) refuseTooLong() {
	texts := []string{"old_row", "new_row", "key", "former_key"}
	sum := make([]string, len(texts))
	for i, t := range texts {
		sum[i] = "coalesce(pg_catalog.octet_length(" + t + "), 0)"
	}
	// Nearly always the first condition decides: a key is no longer than its row.
	part := strconv.Itoa(mostText / len(texts))
	g.line(1, "IF pg_catalog.octet_length(old_row) OPERATOR(pg_catalog.>) %[1]s OR pg_catalog.octet_length(new_row) OPERATOR(pg_catalog.>) %[1]s THEN", part)
	g.line(2, "IF %s OPERATOR(pg_catalog.>) %d THEN", strings.Join(sum, "::pg_catalog.int8 OPERATOR(pg_catalog.+) "), mostText)
	g.line(3, "wrong := 'the text of the row is too long';")
	g.line(2, "END IF;")
	g.line(1, "END IF;")
}
