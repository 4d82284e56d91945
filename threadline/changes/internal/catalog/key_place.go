package catalog

// KeyPlace is an expression for what the index on keys has of a key: a hash, since a key may have any length, whose upper half is that
// of the key without its last four characters. So keys that differ only at the end, such as numbers of a sequence, are near each other,
// and a statement of many rows writes few pages of the index.
func KeyPlace(key, table string) string {
	return "((pg_catalog.hashtextextended(pg_catalog.left(" + key + ", -4), " + table + ") OPERATOR(pg_catalog.&) '-4294967296'::pg_catalog.int8)" +
		" OPERATOR(pg_catalog.|) (pg_catalog.hashtextextended(" + key + ", " + table + ") OPERATOR(pg_catalog.&) '4294967295'::pg_catalog.int8))"
}
