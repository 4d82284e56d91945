package capture

import (
	"fmt"
	"strconv"
	"strings"

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
	if g.divided {
		g.line(1, "patience pg_catalog.text;")
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
	g.lock()
	g.line(2, "step := 'compute';")
	g.readKey()
	g.line(2, "IF %s THEN", is("TG_OP", "'UPDATE'"))
	g.values("OLD", "NEW")
	g.line(2, "ELSIF %s THEN", is("TG_OP", "'INSERT'"))
	g.values("NEW")
	g.line(2, "ELSIF %s THEN", is("TG_OP", "'DELETE'"))
	g.values("OLD")
	g.line(2, "END IF;")
	g.line(2, "IF first THEN") // after values, which return if nothing has changed
	g.line(3, "step := 'origin';")
	g.origin()
	g.line(2, "END IF;")
	g.line(1, "EXCEPTION WHEN others THEN")
	g.line(2, "wrong := SQLERRM;")
	g.line(1, "END;")
	g.drift()
	g.refuseTooLong()
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
	if g.divided {
		g.insertFirst()
	} else {
		g.line(2, "mark := %s;", g.mark())
	}
	g.line(1, "END IF;")
	g.insert(1)
	g.line(1, "RETURN NULL;")
	g.line(0, "END")
	return g.b.String()
}

// lock locks audit_changes for the first change of a transaction, or fails.
func (g *generator) lock() {
	g.line(2, "IF first THEN")
	g.line(3, "LOCK TABLE ONLY %s IN ROW EXCLUSIVE MODE NOWAIT;", g.installer.at("audit_changes"))
	g.line(2, "END IF;")
}

// insert adds the change to audit_changes.
func (g *generator) insert(depth int) {
	insert := "INSERT INTO " + g.installer.at("audit_changes") + " (xid, tx_started_at, captured_at, lsn, table_id, shape_id, depth, op, old_tid, new_tid, key, former_key, changed, old_row, new_row, cut, columns, system, role, application, client)"
	values := "VALUES (pg_catalog.pg_current_xact_id(), pg_catalog.transaction_timestamp(), pg_catalog.clock_timestamp(), pg_catalog.pg_current_wal_insert_lsn(), " +
		strconv.FormatInt(g.TableID(), 10) + ", shape_id, pg_catalog.pg_trigger_depth(), '%s', %s, %s, key, former_key, changed, old_row, new_row, cut, columns, system, role, application, client);"
	for i, op := range []struct{ name, old, new string }{{"UPDATE", "OLD.ctid", "NEW.ctid"}, {"INSERT", "NULL", "NEW.ctid"}, {"DELETE", "OLD.ctid", "NULL"}, {"TRUNCATE", "NULL", "NULL"}} {
		g.line(depth, "%s %s THEN", [2]string{"IF", "ELSIF"}[min(i, 1)], is("TG_OP", "'"+op.name+"'"))
		if op.name == "DELETE" {
			g.noteDelete(depth + 1)
		}
		g.line(depth+1, "%s", insert)
		g.line(depth+1, values, op.name[:1], op.old, op.new)
	}
	g.line(depth, "END IF;")
}

// mark marks the transaction as one that has changes: the next change need not repeat what origin says.
func (g *generator) mark() string {
	return "pg_catalog.set_config('threadline." + g.installer.setting() + "', pg_catalog.concat(pg_catalog.pg_current_xact_id()), true)"
}

// origin sets what only the first change of a transaction has: which session has made it. The owner of the function may have lost the
// right to ask for it.
func (g *generator) origin() {
	g.line(2, "system := (pg_catalog.pg_control_system()).system_identifier;")
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
