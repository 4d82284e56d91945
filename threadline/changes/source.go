package changes

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

var _ relay.ChangesPurge = (*Purge)(nil)

// Source reads the row changes for forwarders that are registered with forward.WithChanges:
//
//	audit.Keep(capture.Of(capture.Table{Name: "orders", Mask: []string{"card"}}))
//	audit.Register(webhook, forward.Async, forward.WithChanges(changes.NewSource(nil)))
//
// Each change is an entry whose Change is the JSON of a [Diff], without By; its Target is the table, without the schema,
// and the key, with commas between the columns' values. The methods other than [Source.Copy] are for package relay, on
// PostgreSQL. A Source is safe for concurrent use.
type Source struct{ reader *reading.Reader }

var _ relay.Changes = (*Source)(nil)

// NewSource returns the source of the changes in the app's own database. It does no I/O. Of the options only Schema
// matters; nil means defaults.
func NewSource(opts *Options) *Source { return &Source{NewStore(nil, hooks.Postgres, opts).reader()} }

// Check implements [relay.Changes].
func (f *Source) Check(ctx context.Context, conn *sql.Conn) error {
	s := f.reader
	if err := s.Catalog.Supported(); err != nil {
		return err
	}
	var there, readable bool
	err := conn.QueryRowContext(ctx, "SELECT pg_catalog.count(*) = 2, coalesce(pg_catalog.bool_and(pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')), false)"+
		" FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = "+pgtext.Literal(s.Catalog.Schema)+" AND c.relname IN ('audit_changes', 'audit_shapes')").Scan(&there, &readable)
	switch {
	case err != nil:
		return catalog.Wrap("look for the tables", err)
	case !there:
		return fmt.Errorf("changes: there are no tables of row changes in schema %s: name the tables to capture with Hub.Keep and capture.Of, or run capture.Installer.Migrate; what is committed meanwhile waits", s.Catalog.Schema)
	case !readable:
		schema := pgschema.Ident(s.Catalog.Schema)
		return errors.New("changes: this role may not read the row changes, and what is committed meanwhile waits: run as their owner: " +
			pgschema.Ask(ctx, conn, s.Catalog.Schema).Grant("GRANT USAGE ON SCHEMA "+schema+" TO {role}; GRANT SELECT ON "+s.At("audit_changes")+", "+s.At("audit_shapes")+" TO {role}"))
	}
	return nil
}

const thisCluster = "(SELECT i.system_identifier FROM pg_catalog.pg_control_system() i)"

// From implements [relay.Changes]. A volatile function among the columns would keep the server from using the order of
// the index.
func (f *Source) From() string {
	return "(SELECT a.xid, a.lsn, a.tx_started_at, a.captured_at, pg_catalog.octet_length(coalesce(a.old_row, '')) + pg_catalog.octet_length(coalesce(a.new_row, '')) AS octets, i.system_identifier AS system," +
		" coalesce((SELECT f.system <> i.system_identifier FROM " + f.reader.At("audit_changes") + " f WHERE f.xid >= a.xid AND f.tx_started_at = a.tx_started_at ORDER BY f.xid, f.lsn LIMIT 1), false) AS elsewhere" +
		" FROM " + f.reader.At("audit_changes") + " a CROSS JOIN pg_catalog.pg_control_system() i)"
}

func (f *Source) read(ctx context.Context, conn *sql.Conn, entries []*journal.Entry) error {
	found, err := f.rows(ctx, conn, entries)
	if err != nil {
		return catalog.Wrap("read changes for a forwarder", err)
	}
	origins, err := f.origins(ctx, conn, found)
	if err != nil {
		return catalog.Wrap("read who made changes, for a forwarder", err)
	}
	tables := make(pastTables)
	for _, e := range entries {
		r := found[changeKeyOf(e)]
		if r == nil {
			e.Unreadable = "its row change is not in " + f.reader.At("audit_changes") + " any more"
			continue
		}
		by := origins[r.Transaction()]
		if by.elsewhere {
			continue
		}
		t, err := tables.of(ctx, f.reader, conn, r.TableID)
		if err != nil {
			return err
		}
		if err = complete(r, e, t, by.Origin); err != nil {
			e.Unreadable = "its row change: " + err.Error()
		}
	}
	return nil
}

// changeKey identifies the change of an entry: where it is, and when it was made, as the database prints it.
type changeKey struct{ xid, lsn, started, captured string }

func changeKeyOf(e *journal.Entry) changeKey {
	xid, lsn, _ := e.Position.Change()
	return changeKey{
		strconv.FormatInt(xid, 10), fmt.Sprintf("%X/%X", lsn>>32, uint32(lsn)),
		e.Tx.StartedAt.UTC().Format(lenient.TimeForm), e.RecordedAt.UTC().Format(lenient.TimeForm),
	}
}

// rows reads the changes of entries. Like the other statements here it has no arguments, because a transaction pooler may
// lose a prepared statement.
func (f *Source) rows(ctx context.Context, conn *sql.Conn, entries []*journal.Entry) (map[changeKey]*reading.Row, error) {
	var xids, lsns []string
	for _, e := range entries {
		at := changeKeyOf(e)
		xids, lsns = append(xids, at.xid), append(lsns, at.lsn)
	}
	list, err := catalog.ReadAll(ctx, conn, reading.ScanRow, f.reader.SelectChanges("c.system", unnested(pgList{xids, "xid8"}, pgList{lsns, "pg_lsn"})+
		" k (xid, lsn) CROSS JOIN LATERAL (SELECT * FROM "+f.reader.At("audit_changes")+" c WHERE c.xid = k.xid AND c.lsn = k.lsn OFFSET 0) c"))
	found := make(map[changeKey]*reading.Row, len(list))
	for _, r := range list {
		found[changeKey{r.XID, r.LSN, r.Started, r.Captured}] = r
	}
	return found, err
}

// pgList is values of a type as PostgreSQL prints them, which need no quotes.
type pgList struct {
	values []string
	typ    string
}

// unnested is an item of a FROM clause. Its rows have the values of lists of the same length, those at one index in one row.
func unnested(lists ...pgList) string {
	items := make([]string, len(lists))
	for i, l := range lists {
		items[i] = "pg_catalog.unnest('{" + strings.Join(l.values, ",") + "}'::pg_catalog." + l.typ + "[])"
	}
	return "ROWS FROM (" + strings.Join(items, ", ") + ")"
}

// origin is what the first change of a transaction says of it.
type origin struct {
	Origin
	elsewhere bool // it was captured in another cluster
}

// origins reads the origin of each transaction that has one of the changes. What was captured in another cluster, and
// restored here, must not be delivered: its xids are those of other transactions here. A session that hides its origin
// hides its cluster, too, and is taken for one of this cluster.
func (f *Source) origins(ctx context.Context, conn *sql.Conn, of map[changeKey]*reading.Row) (map[reading.Transaction]origin, error) {
	origins := make(map[reading.Transaction]origin)
	var xids, starts []string
	for _, r := range of {
		tx := r.Transaction()
		if _, known := origins[tx]; !known {
			origins[tx] = origin{}
			xids, starts = append(xids, tx.XID), append(starts, tx.Started)
		}
	}
	if len(xids) == 0 {
		return origins, nil
	}
	// With xid = k.xid the server would expect few rows, and sort all of a large transaction.
	_, err := catalog.ReadAll(ctx, conn, func(rows *sql.Rows) (_ struct{}, err error) {
		var tx reading.Transaction
		var o origin
		if err = rows.Scan(&tx.XID, &tx.Started, &o.elsewhere, pgtext.Scanner(&o.Role), pgtext.Scanner(&o.Application)); err == nil {
			origins[tx] = o
		}
		return struct{}{}, err
	}, "SELECT k.xid::pg_catalog.text, "+pgtext.Time("k.started")+", coalesce(f.system <> "+thisCluster+", false), "+pgtext.HexAnywhere("coalesce(f.role, '')")+", "+pgtext.HexAnywhere("coalesce(f.application, '')")+
		" FROM "+unnested(pgList{xids, "xid8"}, pgList{starts, "timestamptz"})+" k (xid, started)"+
		" CROSS JOIN LATERAL (SELECT a.system, a.role, a.application FROM "+f.reader.At("audit_changes")+" a WHERE a.xid >= k.xid AND a.tx_started_at = k.started ORDER BY a.xid, a.lsn LIMIT 1) f")
	return origins, err
}

var actions = map[Op]string{Insert: "row.inserted", Update: "row.updated", Delete: "row.deleted", Truncate: "row.truncated"}

// complete sets what an entry has of its change.
func complete(r *reading.Row, e *journal.Entry, t *reading.Table, by Origin) error {
	c, err := r.Change(t)
	if err != nil {
		return err
	}
	made, err := EntryOf(&c, e.Position, by)
	if err != nil {
		return err
	}
	made.ID = e.ID
	e.Event, e.Change, e.Role = made.Event, made.Change, made.Role
	return nil
}

// EntryOf returns a change as forwarders get it: see [Source]. at is journal.ChangePosition of where it is. If By is set,
// the JSON has it, too.
func EntryOf(c *Change, at journal.Position, by Origin) (e journal.Entry, err error) {
	e = journal.Entry{Position: at, Tx: journal.TxKey{ID: c.XID, StartedAt: c.TxStartedAt}, RecordedAt: c.CapturedAt, Role: by.Role}
	if e.Change, err = json.Marshal(c.Diff()); err != nil {
		return e, err
	}
	e.Event = hooks.Event{
		ID: at.Key, OccurredAt: c.CapturedAt, Action: actions[c.Op], Outcome: hooks.Success, Captured: true,
		Target: hooks.Target{Type: c.Table, ID: strings.Join(c.Key, ",")}, Application: by.Application,
	}
	hooks.Shorten(&e.Event)
	return e, nil
}
