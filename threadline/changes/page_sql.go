package changes

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// pageSQL is a statement in the making, with its arguments.
type pageSQL struct {
	args []any
}

// arg returns the placeholder of an argument that is sent as text, as a type of PostgreSQL's.
func (p *pageSQL) arg(value any, typ string) string {
	p.args = append(p.args, value)
	return "$" + strconv.Itoa(len(p.args)) + "::pg_catalog.text::pg_catalog." + typ
}

// sql selects the next rows that may match, in the order of the page: all of a table between two
// moments, all of a transaction, or all of a row. Each has its index; the rest is up to the reader.
func (r *pageReader) sql(limit int) (string, []any) {
	p := &pageSQL{}
	end := " LIMIT " + strconv.Itoa(limit)
	changes, order := r.reader.At("audit_changes"), r.order()
	if r.query.XID != 0 {
		xid, started := p.arg(strconv.FormatInt(r.query.XID, 10), "xid8"), p.arg(moment(ceil(r.query.TxStartedAt)), "timestamptz")
		from, to := reading.FirstOfTransaction(xid), reading.LastOfTransaction(xid)
		switch within := r.at != nil && r.at.xid == uint64(r.query.XID); { // before its first change it is a place before all others
		case within && r.query.OldestFirst:
			from = r.beyond(p)
		case within:
			to = r.beyond(p)
		}
		from = changes + " c WHERE " + from + " AND " + to + " AND " + reading.BegunAt(started)
		return r.reader.SelectChanges("NULL::pg_catalog.int8", from+order+end), p.args
	}
	tables := r.tablesSQL(p)
	times := r.times(p)
	if r.at != nil {
		times += " AND " + r.beyond(p)
	}
	var of string
	if len(r.query.Key) > 0 {
		one := func(column, and string) string {
			return "SELECT * FROM " + changes + " c WHERE " + reading.WithKey(column, "t.key", "t.id") + and + times
		}
		of = "SELECT * FROM (" + one("key", "") + " UNION ALL " + one("former_key", " AND c.key IS DISTINCT FROM t.key") + ") c"
	} else {
		of = "SELECT * FROM " + changes + " c WHERE c.table_id = t.id" + times
	}
	return r.reader.SelectChanges("NULL::pg_catalog.int8", tables+" CROSS JOIN LATERAL ("+of+order+end+") c"+order+end), p.args
}

// tablesSQL is a FROM item t for the tables of a page, with the key that the query means in each.
func (r *pageReader) tablesSQL(p *pageSQL) string {
	var ids, rows []string
	for _, id := range slices.Sorted(maps.Keys(r.tables)) {
		text := strconv.FormatInt(id, 10)
		ids = append(ids, text)
		for _, key := range r.keys[id][rowtext.Format(r.query.Key)] {
			rows = append(rows, "("+p.arg(text, "int8")+", "+p.arg(key, "text")+")")
		}
	}
	if len(r.query.Key) > 0 {
		return "(VALUES " + strings.Join(rows, ", ") + ") t (id, key)"
	}
	return "pg_catalog.unnest(" + p.arg("{"+strings.Join(ids, ",")+"}", "int8[]") + ") t (id)"
}

// columns are those by which a page is ordered. Within a transaction that is the order of the WAL, which is never set back as clocks
// are, and which the primary key has.
func (r *pageReader) columns() []string {
	if r.query.XID != 0 {
		return []string{"c.xid", "c.lsn", "c.captured_at"}
	}
	return []string{"c.captured_at", "c.lsn", "c.xid"}
}

func (r *pageReader) order() string {
	direction := " DESC"
	if r.query.OldestFirst {
		direction = ""
	}
	return " ORDER BY " + strings.Join(r.columns(), direction+", ") + direction
}

// beyond selects what comes after the last change that was looked at.
func (r *pageReader) beyond(p *pageSQL) string {
	operator := " < "
	if r.query.OldestFirst {
		operator = " > "
	}
	args := r.at.args()
	captured, lsn, xid := p.arg(args[0], "timestamptz"), p.arg(args[1], "pg_lsn"), p.arg(args[2], "xid8")
	values := []string{captured, lsn, xid}
	if r.query.XID != 0 {
		values = []string{xid, lsn, captured}
	}
	return "(" + strings.Join(r.columns(), ", ") + ")" + operator + "(" + strings.Join(values, ", ") + ")"
}

// times are the query's bounds, and that of what is settled.
func (r *pageReader) times(p *pageSQL) (where string) {
	if !r.query.From.IsZero() {
		where += " AND c.captured_at >= " + p.arg(moment(ceil(r.query.From)), "timestamptz")
	}
	if !r.query.To.IsZero() {
		where += " AND c.captured_at < " + p.arg(moment(ceil(r.query.To)), "timestamptz")
	}
	if r.settled != nil {
		where += " AND c.captured_at < " + p.arg(moment(*r.settled), "timestamptz")
	}
	return where
}
