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

const (
	// longStored is how many bytes a stored value must have for its text to be measured.
	longStored = 2000

	// longDigest is the most bytes that a stored value may have for its text to be made at all: the text may
	// be several times as long, and must not be longer than 1 GB.
	longDigest = 16 << 20
)

// body returns the body of a table's capture function. It qualifies every operator and function, so that the
// session's search_path does not matter: a function that sets its own takes longer for that than for the rest.
// Values become text by their types' output functions, in concat and in rows: a cast to text, or to_jsonb,
// might call a function that the owner of a type has made, with the rights of the history's owner.
//
// What may fail is in a block with an exception handler, in which nothing is written: a
// subtransaction that writes takes a transaction ID for each row.
func (s *Installer) body(f *target) string { return (&generator{installer: s, target: f}).function() }

type generator struct {
	installer *Installer
	*target
	b strings.Builder
}

func (g *generator) line(depth int, format string, args ...any) {
	g.b.WriteString(strings.Repeat("\t", depth))
	fmt.Fprintf(&g.b, format, args...)
	g.b.WriteByte('\n')
}

// is is the condition that two expressions of one of PostgreSQL's own types are equal.
func is(a, b string) string { return a + " OPERATOR(pg_catalog.=) " + b }

func (g *generator) function() string {
	changes := g.installer.at("audit_changes")
	guc := "'threadline." + g.installer.setting() + "'"
	// Types are qualified, too: a role could have one of these names in its temporary schema.
	g.line(0, "DECLARE")
	for i := range g.Columns {
		g.line(1, "c%d boolean;", i+1)
		if g.Columns[i].Long {
			g.line(1, "o%d pg_catalog.text; n%d pg_catalog.text;", i+1, i+1)
		}
	}
	g.line(1, "shape_id bigint := %d;", g.Digest())
	g.line(1, "long boolean := false; fits boolean; changed pg_catalog.text; key pg_catalog.text; former_key pg_catalog.text; old_row pg_catalog.text; new_row pg_catalog.text; cut pg_catalog.text; columns pg_catalog.json;")
	g.line(1, "step pg_catalog.text := 'lock'; wrong pg_catalog.text; list pg_catalog.text; mark pg_catalog.text; system bigint; role pg_catalog.text; application pg_catalog.text; client pg_catalog.inet;")
	xid := "pg_catalog.concat(pg_catalog.pg_current_xact_id())"
	if g.bulk { // before a statement, which may change nothing, and then takes none
		xid = "CASE WHEN pg_catalog.num_nulls(pg_catalog.pg_current_xact_id_if_assigned()) OPERATOR(pg_catalog.=) 0 THEN pg_catalog.concat(pg_catalog.pg_current_xact_id_if_assigned()) END"
	}
	g.line(1, "first boolean := %s IS NOT TRUE;", is("pg_catalog.current_setting("+guc+", true)", xid))
	if g.Kind == "p" {
		g.line(1, "parent pg_catalog.oid;")
	}
	if g.bulk {
		g.line(1, "count bigint; running pg_catalog.text; marks pg_catalog.text; site pg_catalog.text; ops pg_catalog.text;")
	}
	if g.hashes() {
		g.line(1, "inner_key pg_catalog.bytea; outer_key pg_catalog.bytea;")
	}
	g.line(0, "BEGIN")
	g.refuseOthers()
	g.join()
	g.statements()
	g.line(1, "BEGIN")
	// Once the transaction has the lock, nothing that follows waits.
	g.line(2, "IF first THEN")
	g.line(3, "LOCK TABLE ONLY %s IN ROW EXCLUSIVE MODE NOWAIT;", changes)
	g.line(2, "END IF;")
	g.line(2, "step := 'compute';")
	g.readKey()
	g.line(2, "IF %s THEN", is("TG_OP", "'UPDATE'"))
	g.values("OLD", "NEW")
	g.line(2, "ELSIF %s THEN", is("TG_OP", "'INSERT'"))
	g.values("NEW")
	g.line(2, "ELSIF %s THEN", is("TG_OP", "'DELETE'"))
	g.values("OLD")
	g.line(2, "END IF;")
	g.line(1, "EXCEPTION WHEN others THEN")
	g.line(2, "wrong := SQLERRM;")
	g.line(1, "END;")
	g.drift()
	if g.moves() {
		g.line(1, "IF wrong IS NOT NULL OR shape_id IS NULL THEN")
		g.loseMoves(2)
		g.line(1, "END IF;")
	}
	g.line(1, "IF wrong IS NOT NULL THEN")
	g.gap()
	g.line(2, "RETURN NULL;")
	g.line(1, "END IF;")
	g.missKey()
	g.line(1, "IF first THEN")
	g.line(2, "mark := %s;", g.mark())
	g.origin()
	g.line(1, "END IF;")
	insert := "INSERT INTO " + changes + " (xid, tx_started_at, captured_at, lsn, table_id, shape_id, depth, op, old_tid, new_tid, key, former_key, changed, old_row, new_row, cut, columns, system, role, application, client)"
	values := "VALUES (pg_catalog.pg_current_xact_id(), pg_catalog.transaction_timestamp(), pg_catalog.clock_timestamp(), pg_catalog.pg_current_wal_insert_lsn(), " +
		strconv.FormatInt(g.TableID(), 10) + ", shape_id, pg_catalog.pg_trigger_depth(), '%s', %s, %s, key, former_key, changed, old_row, new_row, cut, columns, system, role, application, client);"
	for i, op := range []struct{ name, old, new string }{{"UPDATE", "OLD.ctid", "NEW.ctid"}, {"INSERT", "NULL", "NEW.ctid"}, {"DELETE", "OLD.ctid", "NULL"}, {"TRUNCATE", "NULL", "NULL"}} {
		g.line(1, "%s %s THEN", [2]string{"IF", "ELSIF"}[min(i, 1)], is("TG_OP", "'"+op.name+"'"))
		if op.name == "DELETE" {
			g.noteDelete(2)
		}
		g.line(2, "%s", insert)
		g.line(2, values, op.name[:1], op.old, op.new)
	}
	g.line(1, "END IF;")
	g.line(1, "RETURN NULL;")
	g.line(0, "END")
	return g.b.String()
}

// mark marks the transaction as one that has changes: the next change need not repeat what origin says.
func (g *generator) mark() string {
	return "pg_catalog.set_config('threadline." + g.installer.setting() + "', pg_catalog.concat(pg_catalog.pg_current_xact_id()), true)"
}

// origin sets what only the first change of a transaction has: which session has made it.
func (g *generator) origin() {
	g.line(2, "system := (SELECT c.system_identifier FROM pg_catalog.pg_control_system() c);")
	g.line(2, "role := CASE WHEN %s THEN session_user ELSE pg_catalog.current_setting('role') END;", is("pg_catalog.current_setting('role')", "'none'"))
	g.line(2, "application := pg_catalog.current_setting('application_name'); client := pg_catalog.inet_client_addr();")
}

// setting is the last part of the name of the setting that says, until the end of a transaction,
// that it has changes. A role that sets it hides who made its changes, and can do nothing else by it.
func (s *Installer) setting() string {
	return "tx_" + strconv.FormatInt(catalog.Digest(s.catalog.Schema), 36)
}

// refuseOthers leaves out the changes of other tables. It goes by OID and by name, since a restore gives the table another OID, and
// a rename another name.
func (g *generator) refuseOthers() {
	ours := is("TG_RELID", fmt.Sprintf("%d::pg_catalog.oid", g.OID)) + " OR (" + is("TG_TABLE_SCHEMA", pgtext.Literal(g.Schema)+"::pg_catalog.name") + " AND " +
		is("TG_TABLE_NAME", pgtext.Literal(g.Table)+"::pg_catalog.name") + ")"
	if g.Kind == "p" {
		g.findParent()
		g.refuseOtherTriggers()
		// Owners of partitions may execute the function: a trigger of theirs before a row would keep one that never is in the table.
		ours = "(" + ours + " OR parent IS NOT NULL) AND " + is("TG_WHEN", "'AFTER'")
	}
	g.line(1, "IF (%s) IS NOT TRUE THEN", ours)
	g.line(2, "wrong := 'the trigger is on a table that is not captured by this function';")
	g.loseMoves(2)
	g.gap()
	g.line(2, "RETURN NULL;")
	g.line(1, "END IF;")
}

// refuseOtherTriggers keeps nothing for triggers that no plan has made: owners of partitions may make some with this function, which would
// keep each change once more, or, on statements, rows without values. The triggers of a plan keep all that there is.
func (g *generator) refuseOtherTriggers() {
	named := func(name string) string { return is("TG_NAME", pgtext.Literal(name)+"::pg_catalog.name") }
	g.line(1, "IF parent IS NOT NULL AND NOT (CASE WHEN %s THEN %s WHEN %s THEN %s ELSE %s END) THEN", is("TG_LEVEL", "'ROW'"), named(g.rowTrigger()), is("TG_OP", "'TRUNCATE'"), named(catalog.TruncateTrigger), named(catalog.MovesTrigger))
	g.line(2, "RETURN NULL;")
	g.line(1, "END IF;")
}

// findParent sets parent. A query for each row would cost as much as the rest of the function. Nearly always the captured table is
// the root, which takes no query to find.
func (g *generator) findParent() {
	g.line(1, "IF %s THEN", is("pg_catalog.pg_partition_root(TG_RELID)::pg_catalog.oid", fmt.Sprintf("%d::pg_catalog.oid", g.OID)))
	g.line(2, "parent := %d::pg_catalog.oid;", g.OID)
	g.line(1, "ELSE")
	g.line(2, "parent := %s;", g.parent())
	g.line(1, "END IF;")
}

// parent is an expression for the OID of the captured table of which this one is a partition. Two are found where
// the captured one became a partition of one that has its former name.
func (g *generator) parent() string {
	captured := is("c.oid", fmt.Sprintf("%d::pg_catalog.oid", g.OID))
	return "(SELECT c.oid FROM pg_catalog.pg_partition_ancestors(TG_RELID) a (relid) JOIN pg_catalog.pg_class c ON " + is("c.oid", "a.relid::pg_catalog.oid") +
		" JOIN pg_catalog.pg_namespace n ON " + is("n.oid", "c.relnamespace") +
		" WHERE " + captured + " OR (" + is("n.nspname", pgtext.Literal(g.Schema)+"::pg_catalog.name") + " AND " + is("c.relname", pgtext.Literal(g.Table)+"::pg_catalog.name") + ")" +
		" ORDER BY " + captured + " DESC LIMIT 1)"
}

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

const unfit = "the table has columns that the capture does not know"

// fitsParent is the condition that the parent, whose names each partition has, has the columns that the function was made for. Each
// name must have its number: if two columns had exchanged their names, a masked one's value would be kept as the other's.
// Numbers do not count after a restore, which may give others.
func (g *generator) fitsParent() string {
	var names []string // at their numbers
	for _, c := range g.All {
		for len(names) < c.Number-1 {
			names = append(names, "NULL")
		}
		names = append(names, pgtext.Literal(c.Name)+"::pg_catalog.name")
	}
	return fmt.Sprintf("(SELECT pg_catalog.count(*) OPERATOR(pg_catalog.=) %d AND pg_catalog.bool_and(coalesce(%s OR parent OPERATOR(pg_catalog.<>) %d::pg_catalog.oid, false)) FROM pg_catalog.pg_attribute a WHERE %s AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped)",
		len(g.All), is("a.attname", "(ARRAY["+strings.Join(names, ", ")+"]::pg_catalog.name[])[a.attnum]"), g.OID, is("a.attrelid", "parent"))
}

// compare sets changed, and returns if no column has.
func (g *generator) compare() {
	var any, list []string
	for i := range g.Columns {
		c, v := &g.Columns[i], "c"+strconv.Itoa(i+1)
		differ := differs(c, "OLD."+pgschema.Ident(c.Name), "NEW."+pgschema.Ident(c.Name))
		if c.Exact { // it may have got another type since
			inexact := *c
			inexact.Exact = false
			differ = fmt.Sprintf("CASE WHEN %s THEN %s ELSE %s END", is("pg_catalog.pg_typeof(NEW."+pgschema.Ident(c.Name)+")::pg_catalog.oid", strconv.FormatUint(uint64(c.TypeOID), 10)+"::pg_catalog.oid"),
				differ, differs(&inexact, "OLD."+pgschema.Ident(c.Name), "NEW."+pgschema.Ident(c.Name)))
		}
		g.line(3, "%s := %s;", v, differ)
		any = append(any, v)
		list = append(list, fmt.Sprintf("CASE WHEN %s THEN '%d ' END", v, i+1))
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

// inParent is a condition for a partition's column a: that it is one in the parent, there called b, for which another holds.
func (g *generator) inParent(condition string) string {
	return "EXISTS (SELECT FROM pg_catalog.pg_attribute b WHERE " + is("b.attrelid", "parent") + " AND " + is("b.attname", "a.attname") + " AND " + condition + " AND NOT b.attisdropped)"
}

// drift keeps whole rows, with the columns that the table has now, if these are not those that the function was made for.
func (g *generator) drift() {
	leftOut := g.leftOut()
	g.line(1, "IF wrong IS NOT NULL AND %s THEN", is("step", "'compute'"))
	g.line(2, "shape_id := NULL; key := NULL; former_key := NULL; changed := NULL; cut := NULL; old_row := NULL; new_row := NULL;")
	g.line(2, "BEGIN")
	g.line(3, "SELECT pg_catalog.string_agg(pg_catalog.format('($1).%%I', a.attname), ', ' ORDER BY a.attnum),")
	g.line(4, "pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname, 'type', pg_catalog.format_type(a.atttypid, a.atttypmod), 'number', a.attnum, 'table', TG_RELID::pg_catalog.int8) ORDER BY a.attnum)")
	g.line(3, "INTO list, columns FROM pg_catalog.pg_attribute a WHERE %s AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped AND NOT %s;", is("a.attrelid", "TG_RELID"), leftOut)
	for _, r := range []struct{ ops, row, v string }{{"'UPDATE', 'DELETE'", "OLD", "old_row"}, {"'UPDATE', 'INSERT'", "NEW", "new_row"}} {
		g.line(3, "IF TG_OP OPERATOR(pg_catalog.=) ANY (ARRAY[%s]) THEN", r.ops)
		g.line(4, "EXECUTE pg_catalog.concat('SELECT ROW(', list, ')::pg_catalog.text') INTO %s USING %s;", r.v, r.row)
		g.line(3, "END IF;")
	}
	g.keyInDrift()
	g.line(3, "wrong := NULL;")
	g.line(2, "EXCEPTION WHEN others THEN")
	g.line(3, "wrong := pg_catalog.concat(wrong, '; ', SQLERRM);")
	g.line(2, "END;")
	g.line(1, "END IF;")
}

// keyInDrift sets key and former_key, if the table still has the columns of the key, by name and number: another column may have the
// name now. After a restore only names count.
func (g *generator) keyInDrift() {
	if !g.Keyed() {
		return
	}
	columns, fields := make([]string, len(g.Key)), make([]string, len(g.Key))
	for i, k := range g.Key {
		number := strconv.Itoa(g.Columns[g.Position(k)].Number)
		same := fmt.Sprintf("(%s OR TG_RELID OPERATOR(pg_catalog.<>) %d::pg_catalog.oid)", is("a.attnum", number), g.OID)
		if g.Kind == "p" {
			same = fmt.Sprintf("(%s OR parent OPERATOR(pg_catalog.<>) %d::pg_catalog.oid) AND NOT %s", g.inParent(is("b.attnum", number)), g.OID, g.leftOut())
		}
		columns[i] = is("a.attname", pgtext.Literal(k)+"::pg_catalog.name") + " AND " + same
		fields[i] = "($1)." + pgschema.Ident(k)
	}
	query := pgtext.Literal("SELECT ROW(" + strings.Join(fields, ", ") + ")::pg_catalog.text")
	g.line(3, "IF (SELECT pg_catalog.count(*) OPERATOR(pg_catalog.=) %d FROM pg_catalog.pg_attribute a WHERE %s AND (%s) AND NOT a.attisdropped) THEN",
		len(columns), is("a.attrelid", "TG_RELID"), strings.Join(columns, " OR "))
	g.line(4, "IF %s THEN", is("TG_OP", "'DELETE'"))
	g.line(5, "EXECUTE %s INTO key USING OLD;", query)
	g.line(4, "ELSE")
	g.line(5, "EXECUTE %s INTO key USING NEW;", query)
	g.line(4, "END IF;")
	g.line(4, "IF %s THEN", is("TG_OP", "'UPDATE'"))
	g.line(5, "EXECUTE %s INTO former_key USING OLD;", query)
	g.line(5, "IF %s THEN former_key := NULL; END IF;", is("former_key", "key"))
	g.line(4, "END IF;")
	g.line(3, "END IF;")
}

func (g *generator) masked(name string) bool {
	i := g.Position(name)
	return i >= 0 && g.Columns[i].Masked
}

// gap adds to audit_gaps that a change is lost, and why.
func (g *generator) gap() { g.addGap("TG_OP", "wrong", "is not in the history") }

// addGap writes a row to audit_gaps. If even that fails, it warns.
func (g *generator) addGap(op, reason, what string) {
	g.line(2, "BEGIN")
	g.line(3, "LOCK TABLE %s IN ROW EXCLUSIVE MODE NOWAIT;", g.installer.at("audit_gaps"))
	g.line(3, "INSERT INTO %s (table_id, op, reason) VALUES (%d, %s, %s);", g.installer.at("audit_gaps"), g.TableID(), op, reason)
	g.line(2, "EXCEPTION WHEN others THEN")
	g.line(3, "RAISE WARNING 'changes: a change of %% %s: %%; %%', TG_RELID::pg_catalog.regclass, %s, SQLERRM;", what, reason)
	g.line(2, "END;")
}
