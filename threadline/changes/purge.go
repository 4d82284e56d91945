package changes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/nildb"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// Purge lets relay.Store.Purge delete row changes that another database keeps.
type Purge struct{ archive, app *reading.Reader }

// KeptIn says that the app's database keeps row changes only as long as its journal, because a forwarder copies them to
// another database, the archive:
//
//	purged, err := store.Purge(ctx, db, relay.PurgeOptions{Before: march, By: "ops", Changes: changes.KeptIn(archive, nil)})
//
// The purge deletes whole transactions of which the archive has each change, which it looks up, unless a forwarder has yet to get them,
// or has discarded some. [Store.Breaks] then has a break of the kind [Purged], and what only those changes said is
// [ErrBroken] in the app's database. opts are the options of the app's store; only Schema matters.
func KeptIn(archive *Store, opts *Options) *Purge {
	return &Purge{archive: archive.reader(), app: NewStore(nil, hooks.Postgres, opts).reader()}
}

// Purge implements [relay.ChangesPurge]: relay.Store.Purge calls it.
func (p *Purge) Purge(ctx context.Context, db *sql.DB, free, lock string, o relay.PurgeOptions) (deleted, kept int64, err error) {
	app := *p.app
	app.Catalog.DB = nildb.Replace(db)
	r := &purgeRun{app: &app, archive: p.archive, free: free, lock: lock, options: o, began: time.Now()}
	if err = r.check(ctx); err != nil {
		return 0, 0, err
	}
	err = r.run(ctx)
	return r.deleted, max(0, r.old-r.deleted), catalog.Wrap("purge", err)
}

// purgeRun is one call of Purge.
type purgeRun struct {
	app, archive *reading.Reader
	free, lock   string // a condition for changes e that no forwarder needs, and a statement that keeps it true: see relay.ChangesPurge
	options      relay.PurgeOptions
	began        time.Time

	place, name  string // of the app's database, and of the archive's, for people
	old, deleted int64  // how many changes are older than options.Before, and how many of them were deleted
}

// before is the expression for options.Before.
func (r *purgeRun) before() string {
	return pgtext.Literal(r.options.Before.UTC().Format(lenient.TimeForm)) + "::pg_catalog.timestamptz"
}

// check refuses an archive to which no changes of this database were copied.
func (r *purgeRun) check(ctx context.Context) error {
	if r.archive == nil || r.archive.Catalog.Dialect != hooks.Postgres {
		return errors.New("changes: KeptIn needs the store of a PostgreSQL database to which a forwarder copies row changes")
	}
	err := r.app.Catalog.DB.QueryRowContext(ctx, "SELECT "+r.app.Catalog.Place()+", (SELECT pg_catalog.count(*) FROM "+r.app.At("audit_changes")+" c WHERE c.captured_at < "+r.before()+")").Scan(&r.place, &r.old)
	if err != nil {
		return catalog.Wrap("purge", err)
	}
	var copied bool
	err = r.archive.Catalog.DB.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM "+r.archive.At("audit_copies")+" k WHERE k.place = "+pgtext.Literal(r.place)+") AND "+r.archive.Catalog.Place()+" <> "+pgtext.Literal(r.place)+", "+pgtext.HexAnywhere("pg_catalog.current_database()::pg_catalog.text")).Scan(&copied, pgtext.Scanner(&r.name))
	if err != nil {
		return catalog.Wrap("look into the archive", err)
	}
	if !copied {
		return fmt.Errorf("changes: no row changes were copied from this database to schema %s of the archive, so none are deleted: register threadline.Forwarder for it with forward.WithChanges", r.archive.Catalog.Schema)
	}
	return nil
}

// purgeable is a transaction whose changes may be deleted.
type purgeable struct {
	reading.Transaction
	lsn   string // of its last change
	count int64
	sum   string // of digests of where its changes are
}

// sumOf is an expression for purgeable.sum. The number of changes is not enough: if some were deleted here by hand, and others were not
// copied, as many may be others.
func sumOf(c string) string {
	return "coalesce(pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.concat(" + c + ".lsn), 0)), 0)::pg_catalog.text"
}

// run deletes what can be deleted. It looks at transactions in the order of their xids, some at a time.
func (r *purgeRun) run(ctx context.Context) error {
	changes := r.app.At("audit_changes")
	after := "0"
	for {
		var upto sql.NullString
		err := r.app.Catalog.DB.QueryRowContext(ctx, "SELECT coalesce((SELECT c.xid FROM "+changes+" c WHERE c.xid > '"+after+"'::pg_catalog.xid8 ORDER BY c.xid, c.lsn OFFSET "+strconv.Itoa(r.options.Batch-1)+" LIMIT 1),"+
			" (SELECT c.xid FROM "+changes+" c WHERE c.xid > '"+after+"'::pg_catalog.xid8 ORDER BY c.xid DESC, c.lsn DESC LIMIT 1))::pg_catalog.text").Scan(&upto)
		if err != nil || !upto.Valid {
			return err
		}
		list, err := catalog.ReadAll(ctx, r.app.Catalog.DB, func(rows *sql.Rows) (p purgeable, err error) {
			return p, rows.Scan(&p.XID, &p.Started, &p.lsn, &p.count, &p.sum)
		}, "SELECT pg_catalog.concat(e.xid), "+pgtext.Time("e.tx_started_at")+", pg_catalog.max(e.lsn)::pg_catalog.text, pg_catalog.count(*), "+sumOf("e")+" FROM "+changes+" e WHERE e.xid > '"+after+"'::pg_catalog.xid8 AND e.xid <= '"+upto.String+
			"'::pg_catalog.xid8 GROUP BY e.xid, e.tx_started_at HAVING pg_catalog.max(e.captured_at) < "+r.before()+" AND "+r.free)
		if err == nil {
			list, err = r.keptElsewhere(ctx, list)
		}
		if err == nil {
			err = r.remove(ctx, list)
		}
		if err != nil {
			return err
		}
		after = upto.String
	}
}

// keptElsewhere returns those transactions of which the archive has all changes. Of one that was deleted in part, in a run that was
// interrupted or by hand, the archive has more.
func (r *purgeRun) keptElsewhere(ctx context.Context, list []purgeable) (kept []purgeable, err error) {
	if len(list) == 0 {
		return nil, nil
	}
	var xids, starts, lsns []string
	for _, p := range list {
		xids, starts, lsns = append(xids, p.XID), append(starts, p.Started), append(lsns, p.lsn)
	}
	there := make(map[reading.Transaction]purgeable)
	_, err = catalog.ReadAll(ctx, r.archive.Catalog.DB, func(rows *sql.Rows) (_ struct{}, err error) {
		var p purgeable
		err = rows.Scan(&p.XID, &p.Started, &p.count, &p.sum)
		there[p.Transaction] = p
		return struct{}{}, err
	}, "SELECT pg_catalog.concat(k.xid), "+pgtext.Time("k.started")+", n.count, n.sum FROM "+
		unnested(pgList{xids, "xid8"}, pgList{starts, "timestamptz"}, pgList{lsns, "pg_lsn"})+" k (xid, started, lsn)"+
		" CROSS JOIN LATERAL (SELECT pg_catalog.count(*), "+sumOf("c")+" FROM "+r.archive.At("audit_changes")+" c WHERE c.xid = k.xid AND c.lsn <= k.lsn AND c.tx_started_at = k.started) n (count, sum)")
	for _, p := range list {
		has := there[p.Transaction]
		all := has.count == p.count && has.sum == p.sum
		if err == nil && !all && has.count > p.count {
			all, err = r.haveEach(ctx, p)
		}
		if all {
			kept = append(kept, p)
		}
	}
	return kept, catalog.Wrap("look into the archive", err)
}

// haveEach reports whether the archive has each change of a transaction, beside others.
func (r *purgeRun) haveEach(ctx context.Context, p purgeable) (bool, error) {
	of := " c WHERE c.xid = '" + p.XID + "'::pg_catalog.xid8 AND c.tx_started_at = '" + p.Started + "'::pg_catalog.timestamptz"
	for after := "0/0"; ; {
		var times []string
		lsns, err := catalog.ReadAll(ctx, r.app.Catalog.DB, func(rows *sql.Rows) (lsn string, err error) {
			var at string
			err = rows.Scan(&lsn, &at)
			times = append(times, at)
			return lsn, err
		}, "SELECT c.lsn::pg_catalog.text, "+pgtext.Time("c.captured_at")+" FROM "+r.app.At("audit_changes")+of+" AND c.lsn > '"+after+"'::pg_catalog.pg_lsn ORDER BY c.lsn LIMIT "+strconv.Itoa(rowsPerStatement))
		if err != nil || len(lsns) == 0 {
			return err == nil, err
		}
		var n int
		err = r.archive.Catalog.DB.QueryRowContext(ctx, "SELECT pg_catalog.count(*) FROM "+r.archive.At("audit_changes")+of+" AND (c.lsn, c.captured_at) IN (SELECT * FROM "+unnested(pgList{lsns, "pg_lsn"}, pgList{times, "timestamptz"})+" k)").Scan(&n)
		if err != nil || n < len(lsns) {
			return false, err
		}
		after = lsns[len(lsns)-1]
	}
}

// remove deletes the changes of transactions. The first change of each, which says who made it, goes last.
func (r *purgeRun) remove(ctx context.Context, list []purgeable) error {
	if r.options.Dry {
		for _, p := range list {
			r.deleted += p.count
		}
		return nil
	}
	for len(list) > 0 {
		n, rows := 0, int64(0)
		for n < len(list) && (n == 0 || rows+list[n].count <= int64(r.options.Batch)) {
			rows += list[n].count
			n++
		}
		for rows > 0 {
			before := r.deleted
			if err := r.removeBatch(ctx, list[:n]); err != nil {
				return err
			}
			if rows -= r.deleted - before; r.deleted == before { // a forwarder needs them again, or another run has deleted them
				break
			}
		}
		list = list[n:]
	}
	return nil
}

// removeBatch deletes as many rows as one transaction may, from the end, and adds to audit_purges how many there were, from when to when.
func (r *purgeRun) removeBatch(ctx context.Context, list []purgeable) error {
	var values []string
	for _, p := range list {
		values = append(values, "('"+p.XID+"'::pg_catalog.xid8, '"+p.Started+"'::pg_catalog.timestamptz, '"+p.lsn+"'::pg_catalog.pg_lsn)")
	}
	changes, purges := r.app.At("audit_changes"), r.app.At("audit_purges")
	return r.app.Catalog.InTx(ctx, nil, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, r.lock); err != nil {
			return err
		}
		var n int64
		err := tx.QueryRowContext(ctx, "WITH gone AS (DELETE FROM "+changes+" c WHERE (c.xid, c.lsn, c.captured_at) IN (SELECT e.xid, e.lsn, e.captured_at FROM (VALUES "+strings.Join(values, ", ")+") k (xid, started, lsn) JOIN "+changes+
			" e ON e.xid = k.xid AND e.lsn <= k.lsn AND e.tx_started_at = k.started WHERE "+r.free+" ORDER BY e.xid DESC, e.lsn DESC LIMIT "+strconv.Itoa(r.options.Batch)+") RETURNING c.table_id, c.captured_at),"+
			" noted AS (INSERT INTO "+purges+" AS p (table_id, began_at, by, keeper, changes, first_at, last_at) SELECT g.table_id, '"+r.began.UTC().Format(lenient.TimeForm)+"'::pg_catalog.timestamptz, "+pgtext.Storable(r.options.By)+", "+pgtext.Storable(r.name+"."+r.archive.Catalog.Schema)+
			", pg_catalog.count(*), pg_catalog.min(g.captured_at), pg_catalog.max(g.captured_at) FROM gone g GROUP BY g.table_id"+
			" ON CONFLICT (table_id, began_at) DO UPDATE SET changes = p.changes + excluded.changes, first_at = least(p.first_at, excluded.first_at), last_at = greatest(p.last_at, excluded.last_at))"+
			" SELECT pg_catalog.count(*) FROM gone").Scan(&n)
		if err == nil {
			r.deleted += n
		}
		return err
	})
}
