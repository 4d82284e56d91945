package changes

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// readState reads how far both databases are, and so what the archive may lack.
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

// digestOf returns an expression for a digest of all rows of a table, which these columns identify. It also changes after a restore to an
// earlier time: it has the timeline ID of the server's WAL and, since files may be restored without recovery, when the server started.
func digestOf(columns ...string) string {
	return "pg_catalog.hashtextextended(pg_catalog.concat(pg_catalog.string_agg(pg_catalog.concat_ws(' ', " + strings.Join(columns, ", ") + "), ',' ORDER BY " + strings.Join(columns, ", ") +
		"), ' ', pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8), ' ', pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())), 0)"
}

// checkOrigin returns an error if the archive has changes of a database that is neither the app's nor one that the app's was restored from:
// tables of one name would become one history. The lock keeps two databases from making their first copy at the same time.
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

// sourceError explains an error of the app's database. Where rights are missing, it says which.
func (c *copier) sourceError(ctx context.Context, err error) error {
	if !pgschema.Denied(err) {
		return catalog.Wrap("read row changes, to copy them", err)
	}
	tables := []string{c.from.At("audit_changes"), c.from.At("audit_shapes"), c.from.At("audit_captures"), c.from.At("audit_gaps"), c.from.At("audit_purges")}
	return fmt.Errorf("changes: this role may not read the row changes, and what is committed meanwhile waits: run as their owner: %s: %w",
		pgschema.Ask(ctx, c.app, c.from.Catalog.Schema).Grant("GRANT USAGE ON SCHEMA "+pgschema.Ident(c.from.Catalog.Schema)+" TO {role}; GRANT SELECT ON "+strings.Join(tables, ", ")+" TO {role}"), err)
}

// read reads what is to be written: the changes of entries, and what else the archive needs to read them. missing has the entries whose
// changes are gone.
func (c *copier) read(ctx context.Context, entries []journal.Entry) (missing map[uuid.UUID]error, err error) {
	var xids, lsns []string
	for i := range entries {
		c.note(entries[i].Tx.ID)
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
	return len(c.rows)+len(c.undelivered) == 0
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
