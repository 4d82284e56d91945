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

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// The app's database makes JSON of each row, and the other database makes a row of that. So this file lists no columns, and no
// value is interpreted on its way.

// Copy copies the row changes of entries to a store in another database, as they are in the app's, together with what
// is needed to read them there: shapes, captures, gaps, and which transactions had no event. Entries without a
// Change, which are events, are ignored. What the store already has stays as it is.
//
// app is the app's database, as forward.Conn lends it. If a change is gone there, the others are written, and the error, a
// [forward.Partial], names its entry. Copy is for threadline.Forwarder.
func (f *Source) Copy(ctx context.Context, app *sql.DB, entries []journal.Entry, to *Store) error {
	archive := to.reader()
	if err := checkCopyable(archive); err != nil {
		return err
	}
	c := &copier{from: f.reader, app: app, to: archive}
	if err := c.readState(ctx); err != nil {
		return err
	}
	missing, err := c.read(ctx, entries)
	if err != nil {
		return c.sourceError(ctx, err)
	}
	if c.empty() {
		return nil
	}
	if err = c.checkColumns(); err != nil {
		return targetError(err)
	}
	if err = archive.Catalog.InTx(ctx, nil, func(tx *sql.Tx) error { return c.write(ctx, tx) }); err != nil {
		return targetError(err)
	}
	if len(missing) > 0 {
		return forward.Partial(missing)
	}
	return nil
}

// targetError explains an error of the database that is copied to.
func targetError(err error) error {
	if catalog.NotMigrated(err) != nil {
		return fmt.Errorf("changes: the tables of row changes are not in the timeline's database: run capture.Installer.Migrate there: %w", err)
	}
	return catalog.Wrap("copy row changes to the timeline's database", err)
}

// Copyable returns nil if row changes can be copied to the store, and else an error that says what to do. It is for threadline.Forwarder.
func (s *Store) Copyable(ctx context.Context) error {
	if err := checkCopyable(s.reader()); err != nil {
		return err
	}
	var there int
	err := s.reader().Catalog.DB.QueryRowContext(ctx, "SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = "+pgtext.Literal(s.reader().Catalog.Schema)+
		" AND c.relname IN ('audit_changes', 'audit_shapes', 'audit_captures', 'audit_gaps', 'audit_copies', 'audit_eventless')").Scan(&there)
	if err != nil {
		return catalog.Wrap("look for the tables", err)
	}
	if there < 6 {
		return forward.Permanent("schema_mismatch", fmt.Errorf("changes: some tables of row changes are not in schema %s of the timeline's database: run capture.Installer.Migrate there", s.reader().Catalog.Schema))
	}
	return nil
}

func checkCopyable(s *reading.Reader) error {
	if s.Catalog.Dialect != hooks.Postgres {
		return forward.Permanent("unsupported_database", fmt.Errorf("changes: row changes are copied from PostgreSQL to PostgreSQL, and the timeline's database speaks %s: register its forwarder without forward.WithChanges", s.Catalog.Dialect))
	}
	return s.Catalog.Supported()
}

// rowsPerStatement is how many rows one statement writes. It also bounds how many gaps are read at a time.
const rowsPerStatement = 500

// copier is one call of Copy.
type copier struct {
	from *reading.Reader
	app  *sql.DB
	to   *reading.Reader

	place, places    string // of the app's database: its place now, and all that it has had, as a JSON array
	shapes, captures int64  // digests of those that it has: as many others may be there after a restore to an earlier time
	snapshot         string
	known            struct { // what audit_copies of the other database has of the last copy
		shapes, captures int64
		seen             string // "" if nothing was copied from there
	}

	rows   []copiedRow         // of audit_changes
	others map[string][]string // of the other tables, as JSON
	gap    changeKey           // of the last row of audit_gaps that was read

	columns map[string]string   // of each table in the other database, as the list of a SELECT from a row r
	names   map[string][]string // the same, without quotes
}

// copiedRow is a row of audit_changes.
type copiedRow struct {
	tx   reading.Transaction
	json string
	// origin is set on the first row of each transaction in this call: what the first change of the transaction says about its
	// session. That change itself may come later, or be left out by a filter.
	origin string
}

// readState reads what both databases have, and so what the other one may lack.
func (c *copier) readState(ctx context.Context) error {
	err := c.app.QueryRowContext(ctx, "SELECT "+c.from.Catalog.Place()+", (SELECT "+digestOf("h.id")+" FROM "+c.from.At("audit_shapes")+" h), (SELECT "+digestOf("n.table_id", "n.lsn", "pg_catalog.date_part('epoch', n.noted_at)")+" FROM "+c.from.At("audit_captures")+
		" n), pg_catalog.pg_current_snapshot()::pg_catalog.text, (SELECT coalesce(pg_catalog.json_agg(DISTINCT n.place), '[]') FROM "+c.from.At("audit_captures")+" n)::pg_catalog.text").
		Scan(&c.place, &c.shapes, &c.captures, &c.snapshot, &c.places)
	if err != nil {
		return c.sourceError(ctx, err)
	}
	copies := c.to.At("audit_copies")
	err = c.to.Catalog.DB.QueryRowContext(ctx, "SELECT k.shapes, k.notes, k.seen FROM "+copies+" k WHERE k.place = "+pgtext.Literal(c.place)).Scan(&c.known.shapes, &c.known.captures, &c.known.seen)
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		err = c.readColumns(ctx)
	}
	return targetError(err)
}

// digestOf is an expression for a digest of all rows of a table, which these columns identify, and of the timeline ID of the
// server's WAL, which is another one after a restore to an earlier time.
func digestOf(columns ...string) string {
	return "pg_catalog.hashtextextended(pg_catalog.concat(pg_catalog.string_agg(pg_catalog.concat_ws(' ', " + strings.Join(columns, ", ") + "), ',' ORDER BY " + strings.Join(columns, ", ") +
		"), ' ', pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8)), 0)"
}

// checkOrigin returns an error if the other database has changes of a database that is neither the app's nor one that the app's
// was restored from: tables of one name would become one history. The lock keeps two databases from beginning at the same time.
func (c *copier) checkOrigin(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, "LOCK TABLE "+c.to.At("audit_copies")+" IN SHARE ROW EXCLUSIVE MODE"); err != nil {
		return err
	}
	var here, other string
	err := tx.QueryRowContext(ctx, "SELECT "+c.to.Catalog.Place()+", coalesce((SELECT pg_catalog.min(n.place) FROM "+c.to.At("audit_captures")+" n WHERE n.place NOT IN (SELECT pg_catalog.json_array_elements_text("+
		pgtext.Literal(c.places)+"::pg_catalog.json))), '')").Scan(&here, &other)
	switch {
	case err != nil:
		return err
	case here == c.place:
		return errors.New("changes: the timeline's database is the app's own, where the row changes are: leave out ForwarderOptions.Store, and forward.WithChanges")
	case other == "":
		return nil
	case other == here:
		return fmt.Errorf("changes: schema %s of the timeline's database has row changes that were captured there, so it cannot have those of the app's database: give the Store another schema", c.to.Catalog.Schema)
	}
	return fmt.Errorf("changes: schema %s of the timeline's database has the row changes of another database, %s, and this one is %s: give each database's Store a schema of its own", c.to.Catalog.Schema, other, c.place)
}

// sourceError explains an error of the app's database: it says which rights are missing.
func (c *copier) sourceError(ctx context.Context, err error) error {
	if !pgschema.Denied(err) {
		return catalog.Wrap("read row changes, to copy them", err)
	}
	tables := []string{c.from.At("audit_changes"), c.from.At("audit_shapes"), c.from.At("audit_captures"), c.from.At("audit_gaps")}
	return fmt.Errorf("changes: this role may not read the row changes, and what is committed meanwhile waits: run as their owner: %s: %w",
		pgschema.Ask(ctx, c.app, c.from.Catalog.Schema).Grant("GRANT USAGE ON SCHEMA "+pgschema.Ident(c.from.Catalog.Schema)+" TO {role}; GRANT SELECT ON "+strings.Join(tables, ", ")+" TO {role}"), err)
}

// read reads what is to be written: the changes of entries, and what the other database lacks to read them.
func (c *copier) read(ctx context.Context, entries []journal.Entry) (missing map[uuid.UUID]error, err error) {
	var xids, lsns []string
	for i := range entries {
		if entries[i].Change != nil {
			at := changeKeyOf(&entries[i])
			xids, lsns = append(xids, at.xid), append(lsns, at.lsn)
		}
	}
	if len(xids) > 0 {
		if missing, err = c.readChanges(ctx, entries, xids, lsns); err != nil {
			return nil, err
		}
	}
	c.others = make(map[string][]string)
	if err = c.readOrigins(ctx); err != nil {
		return nil, err
	}
	if c.known.seen == "" || c.shapes != c.known.shapes {
		if err = c.readAll(ctx, "audit_shapes"); err != nil {
			return nil, err
		}
	}
	if c.known.seen == "" || c.captures != c.known.captures {
		if err = c.readAll(ctx, "audit_captures"); err != nil {
			return nil, err
		}
	}
	return missing, c.readGaps(ctx)
}

// empty reports whether nothing is to be written.
func (c *copier) empty() bool {
	for _, rows := range c.others {
		if len(rows) > 0 {
			return false
		}
	}
	return len(c.rows) == 0
}

// readChanges reads the changes of entries. Like the other statements here, its query has no arguments: drivers prepare a
// statement that has some, and a transaction pooler may lose that.
func (c *copier) readChanges(ctx context.Context, entries []journal.Entry, xids, lsns []string) (missing map[uuid.UUID]error, err error) {
	changes := c.from.At("audit_changes")
	found := make(map[changeKey]bool)
	c.rows, err = catalog.ReadAll(ctx, c.app, func(rows *sql.Rows) (r copiedRow, err error) {
		var at changeKey
		if err = rows.Scan(&at.xid, &at.lsn, &at.started, &at.captured, &r.json); err == nil {
			found[at], r.tx = true, reading.NewTransaction(at.xid, at.started)
		}
		return r, err
	}, "SELECT pg_catalog.concat(c.xid), c.lsn::pg_catalog.text, "+pgtext.Time("c.tx_started_at")+", "+pgtext.Time("c.captured_at")+", pg_catalog.row_to_json(c)::pg_catalog.text"+
		" FROM "+unnested(pgList{xids, "xid8"}, pgList{lsns, "pg_lsn"})+" k (xid, lsn) CROSS JOIN LATERAL (SELECT * FROM "+changes+" c WHERE c.xid = k.xid AND c.lsn = k.lsn OFFSET 0) c ORDER BY c.xid, c.lsn")
	missing = make(map[uuid.UUID]error)
	for i := range entries {
		if e := &entries[i]; e.Change != nil && !found[changeKeyOf(e)] {
			missing[e.ID] = forward.Permanent("gone", errors.New("its row change is not in "+changes+" any more"))
		}
	}
	return missing, err
}

// readOrigins reads which session made each transaction, and whether the transaction had events.
func (c *copier) readOrigins(ctx context.Context) error {
	first := make(map[reading.Transaction]*copiedRow)
	var xids, starts []string
	for i := range c.rows {
		r := &c.rows[i]
		if first[r.tx] == nil {
			first[r.tx] = r
			xids, starts = append(xids, r.tx.XID), append(starts, r.tx.Started)
		}
	}
	if len(first) == 0 {
		return nil
	}
	w, err := c.from.EventTables(ctx, c.app)
	if err != nil {
		return err
	}
	c.others["audit_eventless"], err = catalog.ReadAll(ctx, c.app, func(rows *sql.Rows) (_ string, err error) {
		var tx reading.Transaction
		var origin, state string
		if err = rows.Scan(&tx.XID, &tx.Started, &origin, &state); err != nil {
			return "", err
		}
		first[tx].origin = origin
		if had := reading.Findings[state].State; had == NoEvent || strings.HasPrefix(reading.Findings[state].Reason, reading.NotKnown) {
			return eventless(tx, state)
		}
		return "", nil
	}, "SELECT pg_catalog.concat(k.xid), "+pgtext.Time("k.started")+", (SELECT pg_catalog.row_to_json(o) FROM (SELECT f.system, f.role, f.application, f.client) o)::pg_catalog.text, "+c.from.StateOf(w)+
		" FROM "+unnested(pgList{xids, "xid8"}, pgList{starts, "timestamptz"})+" k (xid, started) CROSS JOIN LATERAL (SELECT c.* FROM "+c.from.At("audit_changes")+" c WHERE "+reading.OfTransaction("k.xid", "k.started")+" ORDER BY c.xid, c.lsn LIMIT 1) f")
	c.others["audit_eventless"] = slices.DeleteFunc(c.others["audit_eventless"], func(row string) bool { return row == "" })
	return err
}

// eventless is a row of audit_eventless as JSON.
func eventless(tx reading.Transaction, state string) (string, error) {
	b, err := json.Marshal(struct {
		XID       string `json:"xid"`
		StartedAt string `json:"tx_started_at"`
		State     string `json:"state"`
	}{tx.XID, tx.Started, state})
	return string(b), err
}

// readAll reads all rows of a table.
func (c *copier) readAll(ctx context.Context, table string) (err error) {
	c.others[table], err = catalog.ReadAll(ctx, c.app, func(rows *sql.Rows) (text string, err error) { return text, rows.Scan(&text) },
		"SELECT pg_catalog.row_to_json(t)::pg_catalog.text FROM "+c.from.At(table)+" t")
	return err
}

// write writes what was read, and the gaps beyond the first ones that were.
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
	if err := c.writeGaps(ctx, tx); err != nil {
		return withoutState(err)
	}
	rows := make([]string, len(c.rows))
	for i, r := range c.rows {
		rows[i] = "{\"row\":" + r.json + ",\"origin\":" + cmp.Or(r.origin, "{}") + "}"
	}
	changes := c.to.At("audit_changes")
	for chunk := range slices.Chunk(rows, rowsPerStatement) {
		_, err := tx.ExecContext(ctx, "INSERT INTO "+changes+" SELECT "+c.columns["audit_changes"]+" FROM pg_catalog.json_array_elements("+jsonArray(chunk)+") j"+
			" CROSS JOIN LATERAL pg_catalog.json_populate_record(pg_catalog.json_populate_record(NULL::"+changes+", j OPERATOR(pg_catalog.->) 'row'), pg_catalog.json_strip_nulls(j OPERATOR(pg_catalog.->) 'origin')) r ON CONFLICT DO NOTHING")
		if err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO "+c.to.At("audit_copies")+" AS k (place, shapes, notes, seen) VALUES ("+pgtext.Literal(c.place)+", "+strconv.FormatInt(c.shapes, 10)+", "+strconv.FormatInt(c.captures, 10)+", "+pgtext.Literal(c.snapshot)+
		") ON CONFLICT (place) DO UPDATE SET shapes = excluded.shapes, notes = excluded.notes, seen = excluded.seen, copied_at = pg_catalog.clock_timestamp()")
	return err
}

// withoutState hides the SQLSTATE of an error that is not about the changes. By it the forwarder would decide that an entry can
// never be written.
func withoutState(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(err.Error())
}

// copiedTables are the tables that are copied. Beside them, audit_copies has how far the copy is.
var copiedTables = []string{"audit_captures", "audit_changes", "audit_eventless", "audit_gaps", "audit_shapes"}

// readColumns reads the columns of the tables in the other database. If a table is missing, or may not be written to, a call
// without changes fails, too. If it accepted events meanwhile, the relay would take the failures for bad changes.
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

// checkColumns refuses rows with columns that the other database lacks: a later version has written them.
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
