package changes

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// rowsPerStatement is how many rows one statement writes. It also bounds how many gaps are read at a time.
const rowsPerStatement = 500

// write writes what was read, and then reads and writes the other gaps.
func (c *copier) write(ctx context.Context, tx *sql.Tx) error {
	if c.known.seen == "" {
		if err := c.checkOrigin(ctx, tx); err != nil {
			return err
		}
	}
	for _, table := range []string{"audit_shapes", "audit_captures", "audit_eventless"} {
		if err := c.insert(ctx, tx, table, c.others[table]); err != nil {
			return withoutState(err)
		}
	}
	err := c.writeGaps(ctx, tx)
	if err == nil {
		err = c.insert(ctx, tx, "audit_gaps", c.undelivered)
	}
	if err != nil {
		return withoutState(err)
	}
	rows := make([]string, len(c.rows))
	for i, r := range c.rows {
		rows[i] = "{\"row\":" + r.json + ",\"origin\":" + cmp.Or(r.origin, "{}") + "}"
	}
	changes := c.to.At("audit_changes")
	for chunk := range slices.Chunk(rows, rowsPerStatement) {
		_, err = tx.ExecContext(ctx, "INSERT INTO "+changes+" SELECT "+c.columns["audit_changes"]+" FROM pg_catalog.json_array_elements("+jsonArray(chunk)+") j"+
			" CROSS JOIN LATERAL pg_catalog.json_populate_record(pg_catalog.json_populate_record(NULL::"+changes+", j OPERATOR(pg_catalog.->) 'row'), pg_catalog.json_strip_nulls(j OPERATOR(pg_catalog.->) 'origin')) r ON CONFLICT DO NOTHING")
		if err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO "+c.to.At("audit_copies")+" AS k (place, shapes, notes, seen) VALUES ("+pgtext.Literal(c.place)+", "+strconv.FormatInt(c.shapes, 10)+", "+strconv.FormatInt(c.captures, 10)+", "+pgtext.Literal(c.snapshot)+
		") ON CONFLICT (place) DO UPDATE SET shapes = excluded.shapes, notes = excluded.notes, seen = excluded.seen, copied_at = pg_catalog.clock_timestamp()")
	return err
}

// withoutState hides the SQLSTATE of an error that is not about the changes: from it the forwarder would conclude that an entry can never
// be written.
func withoutState(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(err.Error())
}

// copiedTables are the tables that are copied. Beside them, audit_copies has how far the copy is.
var copiedTables = []string{"audit_captures", "audit_changes", "audit_eventless", "audit_gaps", "audit_shapes"}

// readColumns reads the columns of the tables in the archive. If one is missing, or this role may not write to it, a call without changes
// has to fail, too: if events were accepted meanwhile, the relay would conclude that the changes are bad.
func (c *copier) readColumns(ctx context.Context) error {
	c.columns, c.names = make(map[string]string), make(map[string][]string)
	// json_populate_record makes NULL of a JSON null, also in a column of JSON that is NOT NULL.
	_, err := catalog.ReadAll(ctx, c.to.Catalog.DB, func(rows *sql.Rows) (_ struct{}, err error) {
		var table, columns, list string
		if err = rows.Scan(&table, &columns, &list); err == nil {
			var names []string
			err = json.Unmarshal([]byte(list), &names)
			c.columns[table], c.names[table] = columns, names
		}
		return struct{}{}, err
	}, `SELECT c.relname::pg_catalog.text, pg_catalog.string_agg(CASE WHEN a.attnotnull AND a.atttypid = 'pg_catalog.json'::pg_catalog.regtype::pg_catalog.oid THEN pg_catalog.format('coalesce(r.%I, ''null'')', a.attname) ELSE pg_catalog.format('r.%I', a.attname) END, ', ' ORDER BY a.attnum),
			pg_catalog.json_agg(a.attname)::pg_catalog.text
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE n.nspname = `+pgtext.Literal(c.to.Catalog.Schema)+` AND c.relname IN ('`+strings.Join(copiedTables, "', '")+`') AND pg_catalog.has_table_privilege(c.oid, 'INSERT') GROUP BY c.relname`)
	if err != nil {
		return err
	}
	for _, table := range copiedTables {
		if c.columns[table] == "" {
			return fmt.Errorf("%s is not there, or this role may not INSERT into it: run capture.Installer.Migrate there", c.to.At(table))
		}
	}
	return nil
}

// checkColumns refuses rows with columns that the archive lacks: a later version has written them.
func (c *copier) checkColumns() error {
	tables := maps.Clone(c.others)
	for _, r := range c.rows {
		tables["audit_changes"] = append(tables["audit_changes"], r.json)
	}
	for table, rows := range tables {
		var row map[string]json.RawMessage
		if len(rows) == 0 {
			continue
		}
		if err := json.Unmarshal([]byte(rows[0]), &row); err != nil {
			return err
		}
		for column := range row {
			if !slices.Contains(c.names[table], column) {
				return fmt.Errorf("%s has no column %s in the timeline's database: run capture.Installer.Migrate of this version there", c.to.At(table), column)
			}
		}
	}
	return nil
}

// jsonArray is a literal of a JSON array.
func jsonArray(rows []string) string {
	return pgtext.Literal("["+strings.Join(rows, ",")+"]") + "::pg_catalog.json"
}

// insert adds the rows that a table does not have yet.
func (c *copier) insert(ctx context.Context, tx *sql.Tx, table string, rows []string) error {
	name := c.to.At(table)
	for chunk := range slices.Chunk(rows, rowsPerStatement) {
		if _, err := tx.ExecContext(ctx, "INSERT INTO "+name+" SELECT "+c.columns[table]+" FROM pg_catalog.json_populate_recordset(NULL::"+name+", "+jsonArray(chunk)+") r ON CONFLICT DO NOTHING"); err != nil {
			return err
		}
	}
	return nil
}

// readGaps reads the next gaps that have become visible since the last copy: a part of them, since there may be very many.
func (c *copier) readGaps(ctx context.Context) (err error) {
	where := "true"
	if c.known.seen != "" && c.captures == c.known.captures { // else there may be other ones
		xmin, _, _ := strings.Cut(c.known.seen, ":")
		where = "g.xid >= '" + xmin + "'::pg_catalog.xid8 AND NOT pg_catalog.pg_visible_in_snapshot(g.xid, " + pgtext.Literal(c.known.seen) + "::pg_catalog.pg_snapshot)"
	}
	if c.gap != (changeKey{}) {
		where += " AND (g.xid, g.lsn) > ('" + c.gap.xid + "'::pg_catalog.xid8, '" + c.gap.lsn + "'::pg_catalog.pg_lsn)"
	}
	c.others["audit_gaps"], err = catalog.ReadAll(ctx, c.app, func(rows *sql.Rows) (text string, err error) { return text, rows.Scan(&text, &c.gap.xid, &c.gap.lsn) },
		"SELECT pg_catalog.row_to_json(g)::pg_catalog.text, pg_catalog.concat(g.xid), g.lsn::pg_catalog.text FROM "+c.from.At("audit_gaps")+" g WHERE "+where+" ORDER BY g.xid, g.lsn LIMIT "+strconv.Itoa(rowsPerStatement))
	return err
}

// writeGaps writes the gaps that were read, and then reads and writes the others.
func (c *copier) writeGaps(ctx context.Context, tx *sql.Tx) error {
	for {
		rows := c.others["audit_gaps"]
		if err := c.insert(ctx, tx, "audit_gaps", rows); err != nil || len(rows) < rowsPerStatement {
			return err
		}
		if err := c.readGaps(ctx); err != nil {
			return c.sourceError(ctx, err)
		}
	}
}
