package changes

import (
	"context"
	"database/sql"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// byWho finds the changes of an actor, a correlation or a request, the newest first, by the contexts of their transactions.
//
// If these are few, all their changes are read, and sorted. Otherwise the contexts are read in the order in which their transactions
// began, the latest first, and each time a bound says how far back that goes: a transaction whose context was not read yet has, after
// the bound, no changes but late ones. These have an index of their own, and for each of their transactions its context is looked up.
type byWho struct {
	column, value string            // of audit_contexts, with an index
	others        map[string]string // what the context must have, too
	many          bool              // the contexts are not few, or have many changes
	searched      int               // how many contexts and changes were looked at
	past          *position         // the bound, if all rows that come before it were read
	stuck         bool              // too many transactions began at one time: the changes are read one after the other
}

// How many contexts are few, and how many changes they may have to count as few; and of many contexts, how many are read first, and then
// at a time.
const (
	fewContexts   = 100
	fewChanges    = 500
	firstContexts = 50
	nextContexts  = 200
)

// findByWho sets up byWho, if it is of use for the query and the database has its indexes.
func (r *pageReader) findByWho(ctx context.Context) error {
	q := r.query
	if r.reader.Catalog.Dialect != hooks.Postgres || q.OldestFirst || q.XID != 0 || len(q.Key) > 0 {
		return nil
	}
	values := map[string]string{"request_id": q.RequestID, "correlation_id": q.CorrelationID, "actor_id": q.ActorID}
	w := &byWho{others: map[string]string{"actor_type": string(q.ActorType), "tenant_id": q.TenantID}}
	maps.Copy(w.others, values)
	maps.DeleteFunc(w.others, func(_, v string) bool { return v == "" })
	for _, i := range catalog.WhoIndexes {
		if v := values[i.Column]; v != "" {
			w.column, w.value = i.Column, v
			break
		}
	}
	if w.column == "" {
		return nil
	}
	delete(w.others, w.column)
	plain := pgtext.IsASCII(w.value) && !slices.ContainsFunc(slices.Collect(maps.Values(w.others)), func(v string) bool { return !pgtext.IsASCII(v) })
	var indexed bool
	err := r.tx.QueryRowContext(ctx, "SELECT coalesce("+r.reader.Catalog.WhoIndexed()+" AND "+r.reader.Catalog.LateIndexed()+
		" AND ("+strconv.FormatBool(plain)+" OR pg_catalog.getdatabaseencoding() = 'UTF8')"+
		" AND (SELECT pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT') FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"+
		" WHERE n.nspname = "+pgtext.Literal(r.reader.Catalog.Schema)+" AND c.relname = 'audit_contexts'), false)").Scan(&indexed)
	if indexed {
		r.byWho = w
	}
	return err
}

// full reports whether a page has looked at enough.
func (w *byWho) full() bool { return w != nil && w.searched >= MaxLooked }

// finds reports whether the next changes are to be found by who made them.
func (w *byWho) finds() bool { return w != nil && !w.stuck }

// utf8 is an expression for a text that does not depend on the session's encoding.
func (p *pageSQL) utf8(value string) string {
	return "pg_catalog.convert_from(pg_catalog.decode(" + p.arg(hex.EncodeToString([]byte(value)), "text") + ", 'hex'), 'UTF8')"
}

// conditions select the contexts x that match, other than by the column with the index.
func (w *byWho) conditions(p *pageSQL) string {
	all := "true"
	for _, column := range slices.Sorted(maps.Keys(w.others)) {
		all += " AND x." + column + " = " + p.utf8(w.others[column])
	}
	return all
}

// readByWho reads the next rows of transactions that match: as many as size, or fewer if they are long or if too many would have to be
// looked at.
func (r *pageReader) readByWho(ctx context.Context, size int) (list []*reading.Row, more bool, err error) {
	w, enough := r.byWho, size
	w.past = nil
	if q := r.query; len(q.Ops)+len(q.Fields)+len(q.Old)+len(q.New)+len(q.Text)+len(q.Not) == 0 {
		enough = min(size, q.Limit+1-len(r.kept)) // all of them match
	}
	contexts, changes := fewContexts+1, fewChanges
	switch {
	case w.many && w.searched > 0:
		contexts, changes = nextContexts, max(MaxLooked-w.searched, looksFirst)
	case w.many:
		contexts, changes = firstContexts, looksFirst
	}
	text, args := r.whoSQL(contexts, changes, enough+1)
	var bound sql.NullString
	var searched, found int
	var xids, lsns, times string
	if err = r.tx.QueryRowContext(ctx, text, args...).Scan(&bound, &searched, &found, &xids, &lsns, &times); err != nil {
		return nil, false, err
	}
	if bound.Valid && !w.many {
		w.many = true
		return r.readByWho(ctx, size)
	}
	w.searched += searched
	if bound.Valid {
		at, unreal := time.Parse(lenient.TimeForm, bound.String)
		w.past = &position{captured: at.Add(time.Microsecond)} // what comes after it is at most as new as the bound
		if unreal != nil || r.at != nil && !w.past.captured.Before(r.at.captured) {
			w.past, w.stuck = nil, true
			return r.read(ctx, size)
		}
	}
	if found == 0 {
		return nil, w.past != nil, nil
	}
	list, more, err = reading.ReadSome(ctx, r.tx, enough, MaxBytes, r.reader.SelectChanges("NULL::pg_catalog.int8", "ROWS FROM (pg_catalog.unnest($1::pg_catalog.text::pg_catalog.xid8[]), pg_catalog.unnest($2::pg_catalog.text::pg_catalog.pg_lsn[]), pg_catalog.unnest($3::pg_catalog.text::pg_catalog.timestamptz[]))"+
		" WITH ORDINALITY k (xid, lsn, captured_at, n) JOIN "+r.reader.At("audit_changes")+" c ON c.xid = k.xid AND c.lsn = k.lsn AND c.captured_at = k.captured_at ORDER BY k.n"), xids, lsns, times)
	if more {
		w.past = nil
	}
	return list, more || w.past != nil, err
}

// whoSQL selects where the next changes are, as arrays, and how much was looked at to find them. If there is a bound, all changes that match
// and are newer are among them. Its parts are:
//
//   - x, the contexts with the value, the latest first, and whether they match
//   - h, the changes of their transactions
//   - b, a start: transactions that began then or earlier may not have been read; NULL if all were
//   - l, the late changes behind b
//   - u, the bound: the latest time at which a change can have been captured that was not read
//   - k, the transactions of late changes that match
//   - f, the changes that were found
func (r *pageReader) whoSQL(contexts, changes, limit int) (string, []any) {
	p, w := &pageSQL{}, r.byWho
	changesTable, contextsTable := r.reader.At("audit_changes"), r.reader.At("audit_contexts")
	indexed := "x." + w.column + " = " + p.utf8(w.value)
	begun, times := "", r.times(p)
	if w.many && !r.query.From.IsZero() {
		begun += " AND x.tx_started_at >= " + catalog.EarliestStart(p.arg(moment(ceil(r.query.From)), "timestamptz"))
	}
	if w.many && !r.query.To.IsZero() {
		begun += " AND x.tx_started_at < " + p.arg(moment(ceil(r.query.To)), "timestamptz")
	}
	if w.many && r.at != nil {
		begun += " AND x.tx_started_at <= " + p.arg(r.at.args()[0], "timestamptz")
	}
	if r.at != nil {
		times += " AND " + r.beyond(p)
	}
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(r.tables)) {
		ids = append(ids, strconv.FormatInt(id, 10))
	}
	tables := "c.table_id = ANY (" + p.arg("{"+strings.Join(ids, ",")+"}", "int8[]") + ")"
	conditions := w.conditions(p)
	const light = "c.xid, c.lsn, c.captured_at, c.tx_started_at, c.table_id"
	const id = "x.tx_id::pg_catalog.text::pg_catalog.xid8"
	n, m := strconv.Itoa(contexts), strconv.Itoa(changes+1)
	late, read := catalog.Late("c.captured_at", "c.tx_started_at"), "x.matches"
	if !w.many {
		late, read = "false", read+" AND (SELECT pg_catalog.count(*) FROM x) < "+n
	}
	places := func(of string) string {
		return "coalesce((SELECT pg_catalog.array_agg(" + of + " ORDER BY f.captured_at DESC, f.lsn DESC, f.xid DESC) FROM f)::pg_catalog.text, '{}')"
	}
	return `WITH x AS MATERIALIZED (SELECT x.tx_id, x.tx_started_at, ` + conditions + ` AS matches FROM ` + contextsTable + ` x WHERE ` + indexed + begun + ` ORDER BY x.tx_started_at DESC, x.tx_id DESC LIMIT ` + n + `),
		h AS MATERIALIZED (SELECT x.tx_started_at AS began, ` + light + `
			FROM (SELECT DISTINCT x.tx_started_at, x.tx_id FROM x WHERE ` + read + ` ORDER BY x.tx_started_at DESC, x.tx_id DESC) x
			CROSS JOIN LATERAL (SELECT ` + light + ` FROM ` + changesTable + ` c WHERE ` + reading.FirstOfTransaction(id) + ` AND ` + reading.LastOfTransaction(id) + ` ORDER BY c.xid, c.lsn LIMIT ` + m + `) c
			ORDER BY x.tx_started_at DESC, x.tx_id DESC LIMIT ` + m + `),
		b AS MATERIALIZED (SELECT greatest((SELECT CASE WHEN pg_catalog.count(*) = ` + n + ` THEN pg_catalog.min(x.tx_started_at) END FROM x),
			(SELECT CASE WHEN pg_catalog.count(*) = ` + m + ` THEN pg_catalog.min(h.began) END FROM h)) AS began),
		l AS MATERIALIZED (SELECT ` + light + ` FROM ` + changesTable + ` c WHERE ` + late + times + ` AND c.captured_at > (SELECT coalesce(` + catalog.LatestPunctual("b.began") + `, '-infinity') FROM b)
			ORDER BY c.captured_at DESC, c.lsn DESC, c.xid DESC LIMIT ` + m + `),
		u AS MATERIALIZED (SELECT greatest(` + catalog.LatestPunctual("b.began") + `, (SELECT CASE WHEN pg_catalog.count(*) = ` + m + ` THEN pg_catalog.min(l.captured_at) END FROM l)) AS bound FROM b),
		k AS MATERIALIZED (SELECT c.xid, c.tx_started_at FROM (SELECT DISTINCT l.xid, l.tx_started_at FROM l) c
			CROSS JOIN LATERAL (SELECT FROM ` + contextsTable + ` x WHERE x.tx_id = c.xid::pg_catalog.text::pg_catalog.int8 AND x.tx_started_at = c.tx_started_at
				AND CASE WHEN ` + indexed + ` AND ` + conditions + ` THEN true END LIMIT 1) x),
		f AS MATERIALIZED (SELECT c.xid, c.lsn, c.captured_at FROM (
				SELECT ` + light + ` FROM h c WHERE c.began = c.tx_started_at AND NOT ` + late + `
				UNION ALL SELECT ` + light + ` FROM l c JOIN k ON k.xid = c.xid AND k.tx_started_at = c.tx_started_at) c
			WHERE ` + tables + times + ` AND c.captured_at > (SELECT coalesce(u.bound, '-infinity') FROM u)
			ORDER BY c.captured_at DESC, c.lsn DESC, c.xid DESC LIMIT ` + strconv.Itoa(limit) + `)
		SELECT (SELECT ` + pgtext.Time("u.bound") + ` FROM u), (SELECT pg_catalog.count(*) FROM x) + (SELECT pg_catalog.count(*) FROM h) + (SELECT pg_catalog.count(*) FROM l), (SELECT pg_catalog.count(*) FROM f),
			` + places("f.xid") + `, ` + places("f.lsn") + `, ` + places(pgtext.Time("f.captured_at")), p.args
}
