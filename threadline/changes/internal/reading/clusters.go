package reading

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// ByCluster puts changes, which come in the order of the WAL, into that of the clusters in which the database was: in a new
// cluster a restored database begins its WAL anew. Between clusters only the clock says what came first.
func ByCluster(list []*Row) []*Row {
	began := make(map[int64]string)
	var known []*Row
	for _, r := range list {
		if !r.System.Valid {
			continue
		}
		known = append(known, r)
		if first, ok := began[r.System.Int64]; !ok || r.Captured < first {
			began[r.System.Int64] = r.Captured
		}
	}
	if len(began) < 2 {
		return list
	}
	// A session may have hidden where it was, and the first change of a transaction may be deleted: then it was where the last one
	// before it was.
	slices.SortStableFunc(known, func(a, b *Row) int { return strings.Compare(a.Captured, b.Captured) })
	where := func(r *Row) string {
		if !r.System.Valid {
			behind, _ := slices.BinarySearchFunc(known, r, func(k, r *Row) int { return cmp.Or(strings.Compare(k.Captured, r.Captured), -1) })
			r = known[max(behind-1, 0)]
		}
		return began[r.System.Int64]
	}
	slices.SortStableFunc(list, func(a, b *Row) int { return strings.Compare(where(a), where(b)) })
	return list
}

// System is an expression for the cluster in which the transaction of a change c was, which its first change has.
func (s *Reader) System() string {
	return "(SELECT f.system FROM (SELECT c.xid AS id, c.tx_started_at AS started) t, LATERAL (SELECT c.system FROM " + s.At("audit_changes") + " c WHERE " + OfTransaction("t.id", "t.started") + " ORDER BY c.xid, c.lsn LIMIT 1) f)"
}

// inClusters sets System of changes. It asks once for each transaction, which may have changed a row often, unless its first change,
// which alone has it, is in the list.
func (s *Reader) inClusters(ctx context.Context, q catalog.Querier, list []*Row) error {
	type place struct {
		Transaction
		system sql.NullInt64
	}
	systems := make(map[Transaction]sql.NullInt64)
	for _, r := range list {
		if _, is := systems[r.Transaction()]; !is || r.System.Valid {
			systems[r.Transaction()] = r.System
		}
	}
	others := maps.Clone(systems)
	maps.DeleteFunc(others, func(_ Transaction, system sql.NullInt64) bool { return system.Valid })
	for chunk := range slices.Chunk(slices.Collect(maps.Keys(others)), AtOnce) {
		var xids, starts []string
		for _, t := range chunk {
			xids, starts = append(xids, t.XID), append(starts, t.Started)
		}
		places, err := catalog.ReadAll(ctx, q, func(rows *sql.Rows) (p place, err error) { return p, rows.Scan(&p.XID, &p.Started, &p.system) },
			`SELECT k.xid::pg_catalog.text, `+pgtext.Time("k.started")+`, (SELECT c.system FROM `+s.At("audit_changes")+` c WHERE `+OfTransaction("k.xid", "k.started")+` ORDER BY c.xid, c.lsn LIMIT 1)
			FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text::pg_catalog.xid8[]), pg_catalog.unnest($2::pg_catalog.text::pg_catalog.timestamptz[])) k (xid, started)`,
			"{"+strings.Join(xids, ",")+"}", `{"`+strings.Join(starts, `","`)+`"}`)
		if err != nil {
			return err
		}
		for _, p := range places {
			systems[p.Transaction] = p.system
		}
	}
	for _, r := range list {
		r.System = systems[r.Transaction()]
	}
	return nil
}

// InOneCluster sets for all rows of a transaction the cluster that the first one has.
func InOneCluster(rows []*Row) {
	for _, r := range rows {
		r.System = rows[0].System
	}
}
