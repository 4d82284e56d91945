package capture

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

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
	g.lock() // what has failed has let it go
	g.line(3, "SELECT pg_catalog.string_agg(pg_catalog.format('($1).%%I', a.attname), ', ' ORDER BY a.attnum),")
	g.line(4, "pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname, 'type', pg_catalog.format_type(a.atttypid, a.atttypmod), 'number', a.attnum, 'table', TG_RELID::pg_catalog.int8) ORDER BY a.attnum)")
	g.line(3, "INTO list, columns FROM pg_catalog.pg_attribute a WHERE %s AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped AND NOT %s;", is("a.attrelid", "TG_RELID"), leftOut)
	for _, r := range []struct{ ops, row, v string }{{"'UPDATE', 'DELETE'", "OLD", "old_row"}, {"'UPDATE', 'INSERT'", "NEW", "new_row"}} {
		g.line(3, "IF TG_OP OPERATOR(pg_catalog.=) ANY (ARRAY[%s]) THEN", r.ops)
		g.line(4, "EXECUTE pg_catalog.concat('SELECT ROW(', list, ')::pg_catalog.text') INTO %s USING %s;", r.v, r.row)
		g.line(3, "END IF;")
	}
	g.keyInDrift()
	g.line(3, "IF first THEN")
	g.origin()
	g.line(3, "END IF;")
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
