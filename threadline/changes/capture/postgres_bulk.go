package capture

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// A table with Table.Bulk has triggers on statements. Their transition tables have the old and the new versions of all rows of a
// statement, at the same positions, but not the versions' places (ctid). So only the order in which two changes of a row are
// kept says which came first, and a statement is captured as a whole only if nothing else changes the table while it runs.
// A trigger before the statement decides this. It sets a setting, which the WHEN of the trigger on rows reads. So each of
// these is captured by row, exactly as without Bulk:
//
//   - what a trigger changes, and a foreign key's ON DELETE or ON UPDATE;
//   - what comes by the table's parent, or the subscription of a replica: then no trigger on statements fires;
//   - a table that has drifted;
//   - a statement inside of another one that changes the table, such as by a function that an UPDATE calls. The
//     statement around it has begun as a whole, so there the order of their changes is not known, and a gap says so.
//
// The parts of one command (ON CONFLICT DO UPDATE, MERGE, WITH) each have their trigger, and each changes other rows. If their deletes
// are kept first, then the updates, then the inserts, a key is free when it is taken. PostgreSQL fires the triggers in this
// order. Where it does not, because a WITH was not read to its end, a gap says so, too.

const (
	bulkBefore = catalog.BulkTrigger
	bulkInsert = catalog.BulkTrigger + "_insert"
	bulkUpdate = catalog.BulkTrigger + "_update"
	bulkDelete = catalog.BulkTrigger + "_delete"

	bulkRow = catalog.RowTrigger + "_bulk"
)

// mostBulk bounds the columns of a table with Bulk: the query that keeps a statement has three for each, and may have 1,664.
const mostBulk = 500

// decideBulk sets bulk if that is wanted, and nothing but a statement on the table itself changes its rows; otherwise whyByRow.
func (s *Installer) decideBulk(ctx context.Context, q pgschema.Querier, f *target, t Table) error {
	f.bulk, f.whyByRow = false, ""
	switch {
	case !t.Bulk:
		return nil
	case f.Kind == "p":
		f.whyByRow = "it is partitioned"
		return nil
	case f.Deferrable:
		f.whyByRow = "its primary key is deferrable"
		return nil
	case len(f.Columns) > mostBulk:
		f.whyByRow = fmt.Sprintf("it has more than %d columns", mostBulk)
		return nil
	}
	err := q.QueryRowContext(ctx, `SELECT CASE
		WHEN EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = t.oid OR i.inhrelid = t.oid) THEN 'it inherits, or is inherited from'
		ELSE coalesce((SELECT pg_catalog.concat('it has the foreign key ', pg_catalog.quote_ident(k.conname), CASE WHEN k.conrelid <> t.oid THEN ' to it' END, ', which changes rows by itself')
				FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND t.oid IN (k.conrelid, k.confrelid) AND (k.confdeltype NOT IN ('a', 'r') OR k.confupdtype NOT IN ('a', 'r')) ORDER BY k.conname LIMIT 1),
			(SELECT pg_catalog.concat('it has the trigger ', pg_catalog.quote_ident(g.tgname)) FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
				WHERE g.tgrelid = t.oid AND NOT g.tgisinternal AND NOT (n.nspname = $2 AND p.proname OPERATOR(pg_catalog.~~) 'capture\_%') ORDER BY g.tgname LIMIT 1), '')
		END FROM (SELECT $1::pg_catalog.int8::pg_catalog.oid) t (oid)`, int64(f.OID), s.catalog.Schema).Scan(&f.whyByRow)
	f.bulk = err == nil && f.whyByRow == ""
	return wrap("look for what changes the rows of "+f.Qualified(), err)
}

// bulkNames are those of the triggers on statements.
func (f *target) bulkNames() []string {
	if !f.bulk {
		return nil
	}
	return []string{bulkBefore, bulkInsert, bulkUpdate, bulkDelete}
}

// bulkTriggers are those on statements.
func (f *target) bulkTriggers(is *deployed) (missing []trigger) {
	if !f.bulk {
		return nil
	}
	on := " ON " + f.Qualified()
	for _, t := range []trigger{
		{bulkBefore, f.Qualified(), "BEFORE INSERT OR UPDATE OR DELETE" + on + " FOR EACH STATEMENT"},
		{bulkInsert, f.Qualified(), "AFTER INSERT" + on + " REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT"},
		{bulkUpdate, f.Qualified(), "AFTER UPDATE" + on + " REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT"},
		{bulkDelete, f.Qualified(), "AFTER DELETE" + on + " REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT"},
	} {
		if !is.has(t) {
			missing = append(missing, t)
		}
	}
	return missing
}

// byRowSQL is the condition under which the trigger on rows fires. It names no column, which DDL could then not drop.
func (s *Installer) byRowSQL(f *target) string {
	return "(" + is("pg_catalog.current_setting('"+s.bulkSetting(f)+"', true)", "'whole'") + ") IS NOT TRUE"
}

// bulkSetting is the name of the setting that says that the running statement is captured as a whole. The changes of a role that
// sets it itself are lost.
func (s *Installer) bulkSetting(f *target) string {
	return fmt.Sprintf("threadline.%s_%x_rows", s.setting(), f.TableID())
}

// statements is what the function does before and after a statement.
func (g *generator) statements() {
	if !g.bulk {
		return
	}
	set := func(depth int, name, value string) {
		g.line(depth, "mark := pg_catalog.set_config('%s', %s, true);", name, value)
	}
	whole := g.installer.bulkSetting(g.target)
	state := whole + "_running"
	g.line(1, "IF %s AND TG_OP OPERATOR(pg_catalog.<>) 'TRUNCATE' THEN", is("TG_LEVEL", "'STATEMENT'"))
	// running is marks:site:ops while a statement is captured as a whole. marks has a ! for each statement that runs inside of it, and
	// then a ~ if there ever was one. site is a hash of the calls from which it is executed: a statement with another site is
	// inside of it. ops has the initials of its parts that have not ended.
	g.line(2, "running := coalesce(pg_catalog.current_setting('%s', true), '');", state)
	g.line(2, "marks := pg_catalog.split_part(running, ':', 1); site := pg_catalog.split_part(running, ':', 2); ops := pg_catalog.split_part(running, ':', 3);")
	g.line(2, "IF %s THEN", is("TG_WHEN", "'BEFORE'"))
	g.line(3, "GET DIAGNOSTICS list = PG_CONTEXT;") // a statement inside of another has more of it
	// Its first line says where in this function, which a plan may replace meanwhile.
	g.line(3, "list := pg_catalog.concat(pg_catalog.hashtextextended(pg_catalog.regexp_replace(list, '^[^\n]*', ''), 0));")
	g.line(3, "IF %s THEN", is("running", "''"))
	g.line(4, "IF %s AND %s THEN", is("pg_catalog.pg_trigger_depth()", "1"), g.fitsWhole())
	set(5, state, "pg_catalog.concat(':', list, ':', pg_catalog.left(TG_OP, 1))")
	set(5, whole, "'whole'")
	g.line(4, "END IF;")
	g.line(3, "ELSIF %s AND pg_catalog.left(marks, 1) OPERATOR(pg_catalog.<>) '!' THEN", is("site", "list"))
	set(4, state, "pg_catalog.concat(running, pg_catalog.left(TG_OP, 1))")
	g.line(3, "ELSE")
	set(4, state, "pg_catalog.concat('!', CASE WHEN "+is("marks", "''")+" THEN '~' END, running)")
	set(4, whole, "''")
	g.line(3, "END IF;")
	g.line(3, "RETURN NULL;")
	g.line(2, "ELSIF %s THEN", is("running", "''"))
	// It was to be captured by row, unless it would have been captured as a whole.
	g.line(3, "IF NOT (%s AND %s) THEN", is("pg_catalog.pg_trigger_depth()", "1"), g.fitsWhole())
	g.line(4, "RETURN NULL;")
	g.line(3, "END IF;")
	g.line(3, "wrong := 'during the statement the session has reset or changed the settings of the capture';")
	g.line(2, "ELSIF %s THEN", is("pg_catalog.left(marks, 1)", "'!'"))
	set(3, state, "pg_catalog.substr(running, 2)")
	g.line(3, "IF pg_catalog.substr(running, 2, 1) OPERATOR(pg_catalog.<>) '!' THEN")
	set(4, whole, "'whole'")
	g.line(3, "END IF;")
	g.line(3, "RETURN NULL;")
	g.line(2, "END IF;")
	g.line(2, "ops := pg_catalog.replace(ops, pg_catalog.left(TG_OP, 1), '');")
	set(2, state, "CASE WHEN ops OPERATOR(pg_catalog.<>) '' THEN pg_catalog.concat(marks, ':', site, ':', ops) END")
	g.line(2, "IF %s THEN", is("ops", "''"))
	set(3, whole, "''")
	g.line(2, "END IF;")
	for i, op := range []string{"UPDATE", "INSERT", "DELETE"} {
		g.line(2, "%s %s THEN", [2]string{"IF", "ELSIF"}[min(i, 1)], is("TG_OP", "'"+op+"'"))
		g.wholeStatement(op)
	}
	g.line(2, "END IF;")
	g.line(2, "IF wrong IS NOT NULL THEN")
	g.gap()
	g.line(3, "RETURN NULL;")
	g.line(2, "END IF;")
	g.line(2, "IF count OPERATOR(pg_catalog.>) 0 THEN")
	g.line(3, "IF first THEN")
	g.line(4, "mark := %s;", g.mark())
	g.line(3, "END IF;")
	// A part that was to come earlier has not ended.
	early := is("TG_OP", "'INSERT'") + " AND ops OPERATOR(pg_catalog.<>) '' OR " + is("TG_OP", "'UPDATE'") + " AND pg_catalog.strpos(ops, 'D') OPERATOR(pg_catalog.>) 0"
	g.line(3, "IF %s OR %s THEN", is("marks", "'~'"), early)
	g.addGap("'"+catalog.Unordered+"'", "pg_catalog.concat('during a statement (', TG_OP, ') a function, a trigger, or another part of it changed the table')", "is not in order")
	g.line(3, "END IF;")
	if g.hashes() {
		g.line(3, "IF pg_catalog.num_nulls(inner_key, outer_key) OPERATOR(pg_catalog.>) 0 THEN")
		g.addGap("'"+catalog.Unhashed+"'", "'the key of hashes could not be read'", "is kept without the hashes of its values")
		g.line(3, "END IF;")
	}
	g.line(2, "END IF;")
	g.line(2, "RETURN NULL;")
	g.line(1, "END IF;")
}

// checkTriggers are the functions of constraints that change nothing.
var checkTriggers = []string{"RI_FKey_check_ins", "RI_FKey_check_upd", "RI_FKey_noaction_del", "RI_FKey_noaction_upd", "RI_FKey_restrict_del", "RI_FKey_restrict_upd", "unique_key_recheck"}

// fitsWhole is the condition that the table has exactly the columns that were planned for, and that what decideBulk found out still
// holds. A session's cached plan of a query on transition tables may outlive DDL, so the query must not be executed if a column has got
// another number or type.
//
// The rows of a table that inherits from this one are in its transition tables. What a foreign key does fires triggers on statements
// only at the end of the statement around it. A key that refers to this table has triggers on this table, and so is found among them.
func (g *generator) fitsWhole() string {
	columns := make([]string, len(g.All))
	for i, c := range g.All {
		columns[i] = pgtext.Literal(fmt.Sprintf("%d %d %s", c.Number, c.TypeOID, c.Name))
	}
	functions := make([]string, len(checkTriggers))
	for i, name := range checkTriggers {
		functions[i] = "'pg_catalog.\"" + name + "\"'::pg_catalog.regproc::pg_catalog.oid"
	}
	checks := func(action string) string { return "(" + is(action, "'a'") + " OR " + is(action, "'r'") + ")" }
	const none = "NOT EXISTS (SELECT FROM pg_catalog."
	return none + "pg_inherits i WHERE " + is("i.inhrelid", "TG_RELID") + ") AND " + none + "pg_inherits i WHERE " + is("i.inhparent", "TG_RELID") + ") AND " +
		none + "pg_index i WHERE " + is("i.indrelid", "TG_RELID") + " AND i.indisprimary AND NOT i.indimmediate) AND " +
		none + "pg_constraint k WHERE " + is("k.conrelid", "TG_RELID") + " AND " + is("k.contype", "'f'") + " AND NOT (" + checks("k.confdeltype") + " AND " + checks("k.confupdtype") + ")) AND " +
		none + "pg_trigger g WHERE " + is("g.tgrelid", "TG_RELID") + " AND g.tgfoid OPERATOR(pg_catalog.<>) ALL (ARRAY[" + strings.Join(functions, ", ") + "])" +
		" AND g.tgfoid OPERATOR(pg_catalog.<>) (SELECT o.tgfoid FROM pg_catalog.pg_trigger o WHERE " + is("o.tgrelid", "TG_RELID") + " AND " + is("o.tgname", "TG_NAME") + ")) AND " + is("ARRAY(SELECT pg_catalog.concat(a.attnum, ' ', a.atttypid, ' ', a.attname) FROM pg_catalog.pg_attribute a WHERE "+is("a.attrelid", "TG_RELID")+" AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped ORDER BY a.attnum)",
		"ARRAY["+strings.Join(columns, ", ")+"]::pg_catalog.text[]")
}

// wholeStatement keeps the changes of a statement, and sets count to how many. If making the text of a value may fail, the query is in a
// block with an exception handler, and otherwise not: a subtransaction that writes takes a transaction ID.
func (g *generator) wholeStatement(op string) {
	var sides []string
	if op != "INSERT" {
		sides = append(sides, "old")
	}
	if op != "DELETE" {
		sides = append(sides, "new")
	}
	long := []string{"false"}
	for _, side := range sides {
		if sizes := g.sizes("t", func(c *catalog.Column) string { return pgschema.Ident(c.Name) }); sizes != "" {
			long = append(long, "coalesce((SELECT pg_catalog.max("+sizes+") FROM "+side+"_rows t) OPERATOR(pg_catalog.>=) "+strconv.Itoa(longStored)+", false)")
		}
	}
	if g.mayFail() {
		long = []string{"true"}
	} else if g.divided {
		long = append(long, "first")
	}
	g.line(3, "IF NOT EXISTS (SELECT FROM %s_rows) THEN", sides[0]) // then it needs no lock
	g.line(4, "RETURN NULL;")
	g.line(3, "END IF;")
	g.line(3, "IF wrong IS NULL THEN")
	g.line(4, "BEGIN")
	g.line(5, "IF first THEN")
	g.line(6, "LOCK TABLE ONLY %s IN ROW EXCLUSIVE MODE NOWAIT;", g.installer.at("audit_changes"))
	g.origin()
	if g.divided {
		g.hurry(6)
	}
	g.line(5, "END IF;")
	g.readKey()
	g.line(5, "long := %s;", strings.Join(long, " OR "))
	g.line(5, "IF long THEN")
	g.line(6, "%s;", g.wholeSQL(op, sides, true))
	g.line(6, "GET DIAGNOSTICS count = ROW_COUNT;")
	g.line(5, "END IF;")
	if g.divided {
		g.line(5, "IF first THEN")
		g.patient(6)
		g.line(5, "END IF;")
	}
	g.line(4, "EXCEPTION WHEN others THEN")
	g.line(5, "wrong := SQLERRM;")
	g.line(4, "END;")
	g.line(3, "END IF;")
	g.line(3, "IF wrong IS NULL AND NOT long THEN")
	g.line(4, "%s;", g.wholeSQL(op, sides, false))
	g.line(4, "GET DIAGNOSTICS count = ROW_COUNT;")
	g.line(3, "END IF;")
}

// mayFail reports whether a column's output function is not PostgreSQL's own. Such a column has all settings, since it is not known on
// which of them its text depends.
func (g *generator) mayFail() bool {
	for _, c := range g.Columns {
		if len(c.Settings) == len(catalog.Settings) {
			return true
		}
	}
	return false
}
