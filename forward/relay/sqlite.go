package relay

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/otherdialect"
	"github.com/go-aftercommit/aftercommit/internal/sqlitetext"
)

// sqlite is the dialect whose cursor is a seq: there is one writer.
type sqlite struct{}

var _ dialect = sqlite{}

const sqliteNow = "strftime('%Y-%m-%dT%H:%M:%f', 'now'"

func (sqlite) quote(text string) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", "\uFFFD"), "\uFFFD")
	return sqlitetext.Literal(text)
}

func (sqlite) read(column string) string { return column }
func (sqlite) scan(dst *string) any      { return dst }

func (sqlite) fn(name string) string { return name }

func (sqlite) now() string { return sqliteNow + ") || '000Z'" }

// begin: a file has no server to end what a frozen process has left open.
func (sqlite) begin(time.Duration) string { return "BEGIN IMMEDIATE" }
func (sqlite) holdPurges(*Store) string   { return "" }
func (sqlite) lockForPurge(*Store) string { return "" }
func (sqlite) listsPurged(*Store) string  { return "" }
func (sqlite) number() string             { return "0" }
func (sqlite) skipLocked() string         { return "" }
func (sqlite) forUpdate() string          { return "" }

// commit: there is no round trip to save.
func (sqlite) commit(string) (string, bool) { return "", false }
func (sqlite) missed(error) bool            { return false }

func (sqlite) refuses(err error) bool {
	for _, away := range []error{context.Canceled, context.DeadlineExceeded, sql.ErrConnDone, driver.ErrBadConn, errLost, errRanOut} {
		if errors.Is(err, away) {
			return false
		}
	}
	return !strings.Contains(err.Error(), "locked")
}

func (sqlite) later(d time.Duration) string {
	return sqliteNow + fmt.Sprintf(", '%+.3f seconds') || '000Z'", d.Seconds())
}

func (sqlite) speaks(state, text string) bool {
	return !otherdialect.Shows(hooks.SQLite, state, text) && !strings.Contains(text, "no such table")
}

// place: a file does not know where it is from.
func (sqlite) place(suffix string) string { return suffix }

// incarnation: transactions have no numbers here that could be given out again.
func (sqlite) incarnation() string { return "''" }

func (sqlite) mark() string { return "" }

func (d sqlite) register(s *Store, name, place, _ string) string {
	top := s.top()
	return "INSERT INTO " + s.prefix + "cursors (name, place, done, safe_seq, registered_at, moved_at) VALUES (" +
		s.quote(name) + ", " + s.quote(place) + ", " + top + ", " + top + ", " + d.now() + ", " + d.now() + ")" +
		" ON CONFLICT (name) DO UPDATE SET retired_at = NULL, registered_at = excluded.registered_at, holder = NULL, lease_until = NULL, fence = fence + 1," +
		" done = excluded.done, ordinal = excluded.ordinal, safe_seq = excluded.safe_seq, place = excluded.place WHERE retired_at IS NOT NULL"
}

// registersForwarders: the processes of an app have no relay, and do not say that they live.
func (sqlite) registersForwarders() bool { return false }

func (sqlite) pollsTogether() bool                         { return false }
func (sqlite) hasChanges() bool                            { return false }
func (sqlite) arrived(*Store, *cursor) string              { return "1" }
func (sqlite) heartbeat(insert, _ string, _ *int64) string { return insert }
func (sqlite) hash(string) string                          { return "0" }

func (sqlite) cursorColumns() string { return "CAST(done AS TEXT), '', done, '', ordinal" }

func (sqlite) bound(ctx context.Context, q querier, s *Store) (string, error) {
	var top sql.NullInt64
	err := q.QueryRowContext(ctx, "SELECT max(seq) FROM "+s.events()).Scan(&top)
	return "e.seq <= " + itoa(top.Int64), err
}

// beginTick takes what there is for a tick.
func (d sqlite) beginTick(ctx context.Context, q querier, s *Store, c *cursor, trailing string) (bool, error) {
	limit := ""
	if trailing != "" {
		limit = " WHERE recorded_at <= '" + trailing + "'"
	}
	var (
		top          sql.NullInt64
		all          int64
		held, shared bool
	)
	query := "SELECT (SELECT max(seq) FROM " + s.events() + limit + "), " + s.sequence() + ", " + s.held(c) + ", " + s.anyAcknowledged(c.name)
	if err := q.QueryRowContext(ctx, query).Scan(&top, &all, &held, &shared); err != nil {
		return false, err
	}
	if !held {
		return false, errLost
	}
	at := d.at(c)
	if at.number > all {
		return false, &PlaceError{Forwarder: c.name, Was: fmt.Sprintf("entries up to %d", at.number), Is: fmt.Sprintf("a file with entries up to %d", all)}
	}
	if top.Int64 < at.number || top.Int64 == at.number && at.ordinal == rowEnd {
		return false, nil
	}
	c.tick, c.at, c.shared = itoa(top.Int64), at, shared
	return true, nil
}

// at is where the cursor is, also between ticks.
func (sqlite) at(c *cursor) spot {
	if c.at.number > 0 {
		return c.at
	}
	done, _ := strconv.ParseInt(c.done, 10, 64) // an integer column
	return spot{number: done, ordinal: rowEnd}
}

// top is the highest seq that is there. Those of rows that were moved from the table of an
// earlier version are negative.
func (s *Store) top() string {
	return "(SELECT max(coalesce(max(seq), 0), 0) FROM " + s.events() + ")"
}

// sequence is the highest seq that was ever given, also to rows that were deleted. Where no row
// is there it is the highest of all: if sqlite_sequence was emptied, the next row still gets a seq
// that no cursor has passed.
func (s *Store) sequence() string {
	return "(SELECT CASE WHEN t.top = 0 THEN 9223372036854775807 ELSE max(t.top, coalesce((SELECT seq FROM main.sqlite_sequence WHERE name = " + s.quote(s.journal.Schema()+"_journal") + "), 0)) END" +
		" FROM (SELECT " + s.top() + " AS top) t)"
}

func (d sqlite) within(c *cursor) (old string, low, high int64) {
	top, _ := strconv.ParseInt(c.tick, 10, 64) // as beginTick has written it
	low = d.at(c).number
	return "", low, max(low, top+1)
}

func (sqlite) visible(*cursor) string { return "" }

func (sqlite) axis() string                  { return "seq" }
func (sqlite) order(alias string) string     { return alias + ".seq" }
func (sqlite) backwards(alias string) string { return alias + ".seq DESC" }
func (sqlite) spot(row *journal.Row) spot    { return spot{number: row.Seq} }
func (sqlite) below(number int64) string     { return " AND e.seq < " + itoa(number) }
func (sqlite) octets() string {
	return "coalesce(length(e.document), 0) + coalesce(length(e.personal), 0)"
}
func (sqlite) asID(expression string) string { return expression }
func (sqlite) uuid(id uuid.UUID) string      { return "'" + id.String() + "'" }

// ordinals: there is no generate_series.
func (sqlite) ordinals() string {
	return "JOIN (WITH RECURSIVE n (ordinal) AS (SELECT 0 UNION ALL SELECT ordinal + 1 FROM n WHERE ordinal < " + itoa(hooks.MaxFlush-1) + ") SELECT ordinal FROM n) o ON o.ordinal < e.events"
}

func (sqlite) after(at spot) string {
	is := ">="
	if at.ordinal == rowEnd {
		is = ">"
	}
	return " AND e.seq " + is + " " + itoa(at.number)
}

// compare is by seq: it is the order of the commits.
func (sqlite) compare(a, b candidate) int { return a.at.compare(b.at) }

func (sqlite) advance(c *cursor, to spot, last bool) string {
	if last {
		return fmt.Sprintf("done = %s, safe_seq = %[1]s, ordinal = %d", c.tick, rowEnd)
	}
	return fmt.Sprintf("done = %d, safe_seq = %[1]d, ordinal = %d", to.number, to.ordinal)
}

// handOver: the app owns the tables.
func (sqlite) handOver(*Store, string, []uuid.UUID) string { return "" }

// adopt has nothing to do: a seq means the same everywhere.
func (sqlite) adopt(context.Context, querier, *Store, string) error   { return nil }
func (sqlite) adopted(context.Context, querier, *Store, string) error { return nil }

func (d sqlite) behind(c *cursor) []string { return []string{"true" + d.after(d.at(c))} }
func (d sqlite) unpassed(c *cursor) string { return "true" + d.after(d.at(c)) }

func (sqlite) passed(at spot) string {
	if at.passed() == 0 {
		return "0"
	}
	return fmt.Sprintf("(CASE WHEN e.seq = %d THEN %d ELSE 0 END)", at.number, at.passed())
}

func (d sqlite) reached(c *cursor, ordinal string) string {
	at := d.at(c)
	return fmt.Sprintf("(e.seq, %s) <= (%d, %d)", ordinal, at.number, at.ordinal)
}

func (d sqlite) low(c *cursor) spot { return d.at(c) }

func (sqlite) ahead(s *Store) string { return "f.done > " + s.sequence() }

func (sqlite) settledFor() string {
	return "(e.seq < f.done OR e.seq = f.done AND e.events <= f.ordinal + 1)"
}

func (sqlite) skip(s *Store) string {
	return "done = " + s.top() + ", ordinal = " + strconv.Itoa(rowEnd)
}

// originColumns: a cursor that was ahead may have passed nothing of what is in this file.
func (sqlite) originColumns(s *Store) string {
	return "CASE WHEN f.safe_seq > " + s.sequence() + " THEN '' ELSE CAST(f.safe_seq AS TEXT) END, '', ''"
}

func (sqlite) unsafe(o *origin) string {
	if o.done == "" {
		return "true"
	}
	return "e.seq >= " + o.done
}

func (sqlite) mentions(ids []uuid.UUID) string {
	rows := make([]string, len(ids))
	for i, id := range ids {
		rows[i] = "('" + id.String() + "')"
	}
	return "EXISTS (SELECT 1 FROM (VALUES " + strings.Join(rows, ", ") + ") i WHERE instr(e.document, i.column1) > 0)"
}

func (sqlite) rows(s *Store) string {
	return "coalesce(max(seq) - min(seq) + 1, 0) FROM " + s.events() + " WHERE seq > 0"
}
