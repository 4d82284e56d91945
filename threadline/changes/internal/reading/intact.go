package reading

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// mostSnapshots is how many snapshots are taken before DDL that never ends is an error.
const mostSnapshots = 10

// errNotIntact makes InSnapshot take another snapshot. It is returned after the last one.
var errNotIntact = errors.New("changes: a table was rewritten, emptied or detached while its rows were read, again and again: read it later")

// CheckIntact returns an error, for which InSnapshot takes another snapshot, if a table was emptied, rewritten or detached after the
// snapshot was taken and before the table was read. TRUNCATE, DDL that rewrites a table, and DETACH take its rows away also from older
// snapshots (PostgreSQL manual, section 13.6), and the read may have waited for just that. So CheckIntact has to be called after
// the tables were read: then their locks keep it from happening any more.
func (r *Snapshot) CheckIntact(ctx context.Context, tables ...int64) error {
	if _, lite := r.Reader.OnSQLite(); lite || len(tables) == 0 {
		return nil
	}
	list := make([]string, len(tables))
	for i, oid := range tables {
		list[i] = strconv.FormatInt(oid, 10)
	}
	var is bool
	// The snapshot sees the files that the tables had; functions see those that they have.
	err := r.Tx.QueryRowContext(ctx, `WITH RECURSIVE asked (oid) AS (SELECT a.oid FROM pg_catalog.unnest($1::pg_catalog.text::pg_catalog.int8[]::pg_catalog.oid[]) a (oid)), had (oid) AS (
	SELECT a.oid FROM asked a UNION SELECT i.inhrelid FROM had h JOIN pg_catalog.pg_class p ON p.oid = h.oid AND p.relkind = 'p' JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid),
	has (oid) AS (SELECT a.oid FROM asked a UNION SELECT t.relid FROM asked a CROSS JOIN LATERAL pg_catalog.pg_partition_tree(a.oid) t)
SELECT coalesce((SELECT pg_catalog.array_agg(pg_catalog.concat(c.oid, ' ', c.relfilenode) ORDER BY c.oid) FROM had h JOIN pg_catalog.pg_class c ON c.oid = h.oid AND c.relkind = 'r'), '{}')
	OPERATOR(pg_catalog.=) coalesce((SELECT pg_catalog.array_agg(pg_catalog.concat(h.oid, ' ', pg_catalog.pg_relation_filenode(h.oid)) ORDER BY h.oid) FROM has h WHERE pg_catalog.pg_relation_filenode(h.oid) IS NOT NULL), '{}')`,
		"{"+strings.Join(list, ",")+"}").Scan(&is)
	switch {
	case err != nil:
		return catalog.Wrap("look whether the tables were rewritten", err)
	case !is:
		return errNotIntact
	}
	return nil
}
