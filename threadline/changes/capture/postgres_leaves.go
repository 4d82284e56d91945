package capture

import (
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// To ask the catalog whether a partition fits costs as much as the rest of the function. So a transaction asks only for the first rows
// of a partition, if its columns are in the order of the parent's. Until the transaction ends, its lock keeps other sessions
// from changing the columns. What it changes itself shows when a row is compared with a row of the planned columns: a column
// more or less, or two that have exchanged their names, unless they have the same value. One thing does not show: if the
// transaction detaches the partition, exchanges names in it or in the parent, and attaches it again.

// seenSetting is the name of a setting that has, until the end of the transaction, the OIDs of partitions that fit. A role that
// sets it itself skips the look at the names, but no other check.
func (g *generator) seenSetting() string {
	return fmt.Sprintf("'threadline.%s_%x_fit'", g.installer.setting(), g.TableID())
}

// mostSeen bounds the setting, in bytes: it has room for some hundred partitions.
const mostSeen = 1000

// seen is the condition that the partition was seen to fit, and that a row of it still has the planned columns, which same compares.
func (g *generator) seen(same string) string {
	return fmt.Sprintf("coalesce(pg_catalog.strpos(pg_catalog.current_setting(%s, true), pg_catalog.concat(' ', TG_RELID, ' ')) OPERATOR(pg_catalog.>) 0, false) AND %s", g.seenSetting(), same)
}

// see remembers a partition that fits. It does not for the first change of a transaction, which may be the only one.
func (g *generator) see(depth int) {
	names := make([]string, len(g.All))
	for i, c := range g.All {
		names[i] = pgtext.Literal(c.Name) + "::pg_catalog.name"
	}
	g.line(depth, "IF NOT first AND (SELECT pg_catalog.array_agg(a.attname ORDER BY a.attnum) OPERATOR(pg_catalog.=) ARRAY[%s]::pg_catalog.name[] FROM pg_catalog.pg_attribute a WHERE %s AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped) THEN",
		strings.Join(names, ", "), is("a.attrelid", "TG_RELID"))
	g.line(depth+1, "list := coalesce(pg_catalog.current_setting(%s, true), '');", g.seenSetting())
	g.line(depth+1, "mark := pg_catalog.set_config(%s, pg_catalog.concat(CASE WHEN pg_catalog.octet_length(list) OPERATOR(pg_catalog.<) %d THEN list END, ' ', TG_RELID, ' '), true);", g.seenSetting(), mostSeen)
	g.line(depth, "END IF;")
}
