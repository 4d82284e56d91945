package pgtext

// Time returns an expression of a timestamptz as text, the same whatever the
// session's DateStyle and TimeZone are: in the years 1 to 9999 of the fixed form
// 2006-01-02T15:04:05.000000Z, and in another form for what no time.Time of
// these years is, such as infinity.
func Time(column string) string {
	utc := "pg_catalog.timezone('UTC', " + column + ")"
	return "CASE WHEN " + column + " >= '0001-01-01 00:00:00+00'::pg_catalog.timestamptz AND " + column + " < '10000-01-01 00:00:00+00'::pg_catalog.timestamptz" +
		" THEN pg_catalog.to_char(" + utc + `, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')` +
		" ELSE coalesce(pg_catalog.to_char(" + utc + ", 'YYYY-MM-DD HH24:MI:SS BC'), " + column + "::pg_catalog.text) END"
}
