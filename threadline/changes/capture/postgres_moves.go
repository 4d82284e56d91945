package capture

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// An UPDATE that moves a row to another partition fires the row triggers of a DELETE and an INSERT, which look
// like those of WITH d AS (DELETE … RETURNING *) INSERT …, down to the command's number. But the UPDATE's
// transition tables have both versions of the row, at the same position. So a trigger on the statement
// makes one change of the two that were kept, where they have the keys of such a pair and follow each other. Where
// anything is in doubt, they stay two: a BEFORE trigger that suppresses an INSERT leaves fewer new rows than
// old ones, and of a change that was not kept, or as a whole row, another might be taken for it.

// mostMoved is how many rows a statement may move: for each that is joined, the server keeps some 100 bytes in memory
// until the end of the transaction (its combo command IDs).
const mostMoved = 100_000

// moves reports whether there may be rows that move.
func (f *target) moves() bool { return f.Kind == "p" && f.Keyed() }

// movesState is an expression for the name of a setting. The setting has the place in the WAL before the first DELETE since the last
// UPDATE of the same trigger depth, or movesLost if a change since then was not kept as usual.
func (g *generator) movesState() string {
	return fmt.Sprintf("pg_catalog.concat('threadline.%s_%x_', pg_catalog.pg_trigger_depth())", g.installer.setting(), g.TableID())
}

const movesLost = "lost"

// noteDelete remembers where the first DELETE is that may be part of a move.
func (g *generator) noteDelete(depth int) {
	if g.moves() {
		g.line(depth, "IF coalesce(pg_catalog.current_setting(%s, true), '') OPERATOR(pg_catalog.=) '' THEN", g.movesState())
		g.line(depth+1, "mark := pg_catalog.set_config(%s, pg_catalog.concat(pg_catalog.pg_current_wal_insert_lsn()), true);", g.movesState())
		g.line(depth, "END IF;")
	}
}

// loseMoves keeps the next UPDATE from making one change of two.
func (g *generator) loseMoves(depth int) {
	if g.moves() {
		g.line(depth, "mark := pg_catalog.set_config(%s, '%s', true);", g.movesState(), movesLost)
	}
}

// join is what the function does after an UPDATE: it makes one change of the two of each move. It does nothing in a serializable
// transaction, which could fail because it has read what was captured.
func (g *generator) join() {
	if !g.moves() {
		return
	}
	g.line(1, "IF %s AND %s THEN", is("TG_LEVEL", "'STATEMENT'"), is("TG_OP", "'UPDATE'"))
	g.line(2, "step := coalesce(pg_catalog.current_setting(%s, true), '');", g.movesState())
	g.line(2, "IF step OPERATOR(pg_catalog.<>) '' THEN")
	g.line(3, "mark := pg_catalog.set_config(%s, '', true);", g.movesState())
	g.line(3, "IF step OPERATOR(pg_catalog.<>) '%s' AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'serializable' THEN", movesLost)
	g.line(4, "BEGIN")
	if g.divided {
		g.hurry(5) // it locks all partitions
	}
	g.line(5, "EXECUTE %s USING step::pg_catalog.pg_lsn, pg_catalog.pg_trigger_depth();", pgtext.Literal(g.joinSQL()))
	if g.divided {
		g.patient(5)
	}
	g.line(4, "EXCEPTION WHEN others THEN")
	g.line(5, "wrong := SQLERRM;") // they stay two
	g.line(4, "END;")
	g.line(3, "END IF;")
	g.line(2, "END IF;")
	g.line(2, "RETURN NULL;")
	g.line(1, "END IF;")
}

// joinSQL makes one change of the two of each move. It calls the columns c1, c2 and so on: a column t would be taken for the row of a
// table t.
func (g *generator) joinSQL() string {
	key := func(row string) string {
		list := make([]string, len(g.Key))
		for i, k := range g.Key {
			list[i] = fmt.Sprintf("%s.c%d", row, g.Position(k)+1)
		}
		return "ROW(" + strings.Join(list, ", ") + ")::pg_catalog.text"
	}
	var list, parts, columns []string
	for i, c := range g.Columns {
		columns = append(columns, fmt.Sprintf("t.%s AS c%d", pgschema.Ident(c.Name), i+1))
		list = append(list, fmt.Sprintf("CASE WHEN ROW(o.c%[1]d)::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW(n.c%[1]d)::pg_catalog.record THEN '%[1]d ' END", i+1))
	}
	for _, part := range inParts(list) {
		parts = append(parts, "pg_catalog.concat("+strings.Join(part, ", ")+")")
	}
	rows := func(which string) string {
		return "(SELECT pg_catalog.row_number() OVER () AS at, " + strings.Join(columns, ", ") + " FROM " + which + "_rows t)"
	}
	same := func(a, b string) string { return is(a, b+` COLLATE "C"`) }
	changes := g.installer.at("audit_changes")
	const ofKey = "%[1]s.xid OPERATOR(pg_catalog.=) %[2]s.xid AND %[1]s.lsn OPERATOR(pg_catalog.=) %[2]s.lsn AND %[1]s.captured_at OPERATOR(pg_catalog.=) %[2]s.captured_at"
	return fmt.Sprintf(`WITH pairs AS (
	SELECT %[1]s AS former_key, %[2]s AS key, pg_catalog.concat(%[3]s) AS changed
	FROM %[11]s o JOIN %[12]s n ON n.at OPERATOR(pg_catalog.=) o.at
	WHERE (SELECT pg_catalog.count(*) FROM old_rows) OPERATOR(pg_catalog.=) (SELECT pg_catalog.count(*) FROM new_rows) AND %[1]s OPERATOR(pg_catalog.<>) %[2]s
), kept AS (
	SELECT c, pg_catalog.lag(c) OVER (ORDER BY c.lsn, c.captured_at) AS before FROM %[4]s c
	WHERE c.xid OPERATOR(pg_catalog.=) pg_catalog.pg_current_xact_id() AND c.tx_started_at OPERATOR(pg_catalog.=) pg_catalog.transaction_timestamp() AND c.lsn OPERATOR(pg_catalog.>=) $1
		AND c.table_id OPERATOR(pg_catalog.=) %[5]d AND c.depth OPERATOR(pg_catalog.=) $2
), moved AS (
	SELECT DISTINCT ON (p.former_key, p.key) p.changed, (k.before).xid, (k.before).lsn, (k.before).captured_at, k.c AS made
	FROM pairs p JOIN kept k ON %[6]s AND %[7]s
	WHERE (k.c).op OPERATOR(pg_catalog.=) 'I' AND (k.before).op OPERATOR(pg_catalog.=) 'D' AND (k.c).shape_id OPERATOR(pg_catalog.=) %[8]d AND (k.before).shape_id OPERATOR(pg_catalog.=) %[8]d
		AND NOT EXISTS (SELECT FROM kept u WHERE (u.c).op OPERATOR(pg_catalog.=) 'U' AND %[9]s AND %[10]s)
	ORDER BY p.former_key, p.key, (k.c).lsn DESC, (k.c).captured_at DESC
), gone AS (
	DELETE FROM %[4]s c USING moved m WHERE `+fmt.Sprintf(ofKey, "c", "(m.made)")+` AND (SELECT pg_catalog.count(*) FROM moved) OPERATOR(pg_catalog.<=) %[13]d
)
UPDATE %[4]s c SET op = 'U', former_key = c.key, key = (m.made).key, changed = m.changed, new_tid = (m.made).new_tid, new_row = (m.made).new_row, cut = pg_catalog.concat(c.cut, (m.made).cut)
FROM moved m WHERE `+fmt.Sprintf(ofKey, "c", "m")+` AND (SELECT pg_catalog.count(*) FROM moved) OPERATOR(pg_catalog.<=) %[13]d`,
		key("o"), key("n"), strings.Join(parts, ", "), changes, g.TableID(), same("(k.before).key", "p.former_key"), same("(k.c).key", "p.key"), g.Digest(), same("(u.c).former_key", "p.former_key"), same("(u.c).key", "p.key"),
		rows("old"), rows("new"), mostMoved)
}

// movesTriggers are those on statements that may move rows: an UPDATE of a partition itself cannot.
func (f *target) movesTriggers(is *deployed) (missing []trigger) {
	if !f.moves() {
		return nil
	}
	for _, t := range slices.Concat([]string{f.Qualified()}, f.Partitioned) {
		if !is.On(catalog.MovesTrigger, t) {
			missing = append(missing, trigger{catalog.MovesTrigger, t, "AFTER UPDATE ON " + t + " REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT"})
		}
	}
	return missing
}
