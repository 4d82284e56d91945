package reading

import (
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// OfTransaction is a condition for the changes c of a transaction. With ORDER BY c.xid, c.lsn and a LIMIT they are read in the
// order of the primary key.
//
// Just after a transaction that has made very many, and in a database that was restored, the server has no statistics. Then
// it would expect c.xid = $1 to select few, and to find the first read and sort them all. Of bounds it expects
// many.
func OfTransaction(xid, started string) string {
	return FirstOfTransaction(xid) + " AND " + LastOfTransaction(xid) + " AND " + BegunAt(started)
}

// FirstOfTransaction is the lower bound in OfTransaction.
func FirstOfTransaction(xid string) string {
	return "(c.xid, c.lsn) >= (" + xid + ", '0/0'::pg_catalog.pg_lsn)"
}

// LastOfTransaction is the upper bound in OfTransaction.
func LastOfTransaction(xid string) string {
	return "(c.xid, c.lsn) <= (" + xid + ", 'FFFFFFFF/FFFFFFFF'::pg_catalog.pg_lsn)"
}

// BegunAt is a condition that says nothing of how many fulfil it: nearly all.
func BegunAt(started string) string {
	return "CASE WHEN c.tx_started_at = " + started + " THEN true END"
}

// WithKey is a condition for the changes c of a table that have a key in a column. Only the index on keys is of use. Without
// statistics the server would read, beside it, all of an index on the table, and so the condition on that leaves it no choice. If it
// knew how few rows have the key itself, it would, for the first ones of a row with very many changes, read all of them and sort them.
func WithKey(column, key, table string) string {
	return catalog.KeyPlace("c."+column, "c.table_id") + " = " + catalog.KeyPlace(key, table) + " AND c." + column + " IS NOT NULL AND CASE WHEN c." + column + " = " + key +
		" AND c.table_id = " + table + " THEN true END"
}
