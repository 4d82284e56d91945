package relay

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/otherdialect"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// postgres is the dialect whose cursor is a snapshot.
type postgres struct{}

var _ dialect = postgres{}

func (postgres) quote(text string) string  { return pgtext.Storable(text) }
func (postgres) read(column string) string { return pgtext.HexAnywhere(column) }
func (postgres) scan(dst *string) any      { return pgtext.Scanner(dst) }

func (postgres) fn(name string) string { return "pg_catalog." + name }

func (postgres) now() string { return "pg_catalog.clock_timestamp()" }

// begin turns synchronous_commit off: what a crash takes back, the cursor included, is
// delivered again. Its limits are the server's to enforce, because the
// client may be frozen, or cut off, with its connection open.
func (postgres) begin(limit time.Duration) string {
	const usual = 10 * time.Second // between two statements of ours
	query := "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL synchronous_commit = off; SET LOCAL idle_in_transaction_session_timeout = "
	if limit <= 0 {
		return query + itoa(usual.Milliseconds())
	}
	ms := itoa(max(limit.Milliseconds(), 1))
	return query + ms + "; SET LOCAL statement_timeout = " + ms
}

// holdPurges and lockForPurge lock a table that only purges write to, in modes that exclude each other. A
// replay would else read a row, and a purge not see yet that it is to be delivered. A purge
// excludes others, too, and waits until the server has ended one that is frozen; see begin.
func (d postgres) holdPurges(s *Store) string { return d.lock(s, "ROW EXCLUSIVE", "2s") }

func (d postgres) lockForPurge(s *Store) string {
	return d.lock(s, "SHARE ROW EXCLUSIVE", "12s") + "SET LOCAL statement_timeout = '30s'"
}

// listsPurged: a journal that was made before lacks the column.
func (postgres) listsPurged(s *Store) string {
	return "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace" +
		" WHERE n.nspname = '" + s.journal.Schema() + "' AND c.relname = 'journal_purges' AND a.attname = 'transactions' AND NOT a.attisdropped)"
}

func (postgres) number() string { return "xid::pg_catalog.text::pg_catalog.int8" }

func (postgres) lock(s *Store, mode, patience string) string {
	return "SET LOCAL lock_timeout = '" + patience + "'; LOCK TABLE " + s.prefix + "journal_purges IN " + mode + " MODE; "
}

func (postgres) skipLocked() string { return " FOR NO KEY UPDATE SKIP LOCKED" }
func (postgres) forUpdate() string  { return " FOR NO KEY UPDATE" }

func (postgres) commit(update string) (string, bool) {
	return "WITH moved AS (" + update + " RETURNING 1) SELECT 1 / pg_catalog.count(*) FROM moved; COMMIT", true
}

// missed recognises the division by zero.
func (postgres) missed(err error) bool { return hooks.SQLState(err) == "22012" }

// refuses: a data exception, a constraint, a right or an object that is missing, a
// limit, and a server that is read-only (PostgreSQL manual, appendix A).
func (postgres) refuses(err error) bool {
	state := hooks.SQLState(err)
	if state == "25006" || len(state) < 2 {
		return state != ""
	}
	return slices.Contains([]string{"22", "23", "42", "53", "54"}, state[:2])
}

func (postgres) later(d time.Duration) string {
	return "pg_catalog.clock_timestamp() + interval '" + strconv.FormatFloat(d.Seconds(), 'f', 3, 64) + " s'"
}

func (postgres) speaks(state, text string) bool {
	return !otherdialect.Shows(hooks.Postgres, state, text)
}

// place: the system identifier survives a failover, and a dump does not have it.
func (postgres) place(suffix string) string {
	return "pg_catalog.concat((SELECT system_identifier FROM pg_catalog.pg_control_system()), '/'," +
		" (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()), " + suffix + ")"
}

// incarnation: where one backend crashes, the server keeps its start time, and starts all other
// processes anew. Those that serve no role are its own, and any role may see their pids:
// the least is that of the first one. One that ends by itself changes it too, or an
// autovacuum worker once the system's pids have wrapped. Only [Store.where] depends on it:
// the lease is lost as to another process, the cursor is read anew, and what a call that
// was running has delivered comes again.
func (postgres) incarnation() string {
	return "pg_catalog.concat(pg_catalog.encode(pg_catalog.timestamptz_send(pg_catalog.pg_postmaster_start_time()), 'hex'), '/'," +
		" (SELECT pg_catalog.min(pid) FROM pg_catalog.pg_stat_get_activity(NULL) WHERE usesysid IS NULL))"
}

// mark: what begins after it has an xid from there on, also where the server is a
// standby, and is promoted.
func (postgres) mark() string {
	return "pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::pg_catalog.text"
}

// register starts, in one statement, with one snapshot.
func (postgres) register(s *Store, name, place, from string) string {
	start := "p"
	if from != "" {
		start = "CASE WHEN '" + from + "'::pg_catalog.xid8 <= pg_catalog.pg_snapshot_xmax(p) THEN '" + from + ":" + from + ":'::pg_catalog.pg_snapshot ELSE p END"
	}
	// A role that may only announce can keep the row locked in an open transaction.
	return "SET LOCAL lock_timeout = '2s'; INSERT INTO " + s.prefix + "cursors AS f (name, place, done)" +
		" SELECT " + s.quote(name) + ", " + s.quote(place) + ", " + start + " FROM (SELECT pg_catalog.pg_current_snapshot() AS p) n" +
		" ON CONFLICT (name) DO UPDATE SET retired_at = NULL, registered_at = pg_catalog.clock_timestamp(), holder = NULL, lease_until = NULL, fence = f.fence + 1," +
		" done = EXCLUDED.done, " + noTick + ", place = EXCLUDED.place, safe_at = '-infinity', mark_xid = EXCLUDED.mark_xid, mark_at = EXCLUDED.mark_at" +
		" WHERE f.retired_at IS NOT NULL"
}

// handOver calls a function, because the app's role, or one that it has set, may have no
// rights on the tables.
func (postgres) handOver(s *Store, name string, keys []uuid.UUID) string {
	return "SELECT " + s.prefix + "acknowledge(" + s.quote(name) + "::pg_catalog.text, ARRAY[" + idList(keys) + "]::pg_catalog.uuid[])"
}

func (postgres) registersForwarders() bool { return true }

func (postgres) pollsTogether() bool { return true }

func (postgres) hasChanges() bool { return true }

// arrived has the limit of beginTick, or what that does not see would wake its worker again and
// again.
func (d postgres) arrived(s *Store, c *cursor) string {
	const now = "pg_catalog.pg_current_snapshot()"
	parts := beyond(c.done)
	for i, part := range parts {
		parts[i] = s.some(part + " AND pg_catalog.pg_visible_in_snapshot(e.xid, " + now + ")")
	}
	return "pg_catalog.pg_snapshot_xmax('" + c.done + "'::pg_catalog.pg_snapshot) > pg_catalog.pg_snapshot_xmax(" + now + ") OR " + strings.Join(parts, " OR ")
}

// heartbeat is one transaction, whatever the session's defaults are: serializable ones of several
// processes would fail each other. It does not wait for the disk: a heartbeat that a crash
// takes back is followed by another.
func (postgres) heartbeat(insert, hash string, known *int64) string {
	query := "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE; SET LOCAL synchronous_commit = off; SET LOCAL lock_timeout = '2s'; " + insert + "; SELECT 1"
	if known == nil {
		return query
	}
	return query + " WHERE " + hash + " <> " + itoa(*known)
}

func (postgres) hash(texts string) string {
	return "pg_catalog.hashtextextended(pg_catalog.concat_ws(' ', " + texts + "), 0)"
}

func (postgres) cursorColumns() string {
	return "done::pg_catalog.text, coalesce(tick::pg_catalog.text, ''), coalesce(at_xid::pg_catalog.text, '0'), coalesce(at_key::pg_catalog.text, ''), coalesce(at_ordinal, 0)"
}

// current returns a snapshot of now.
func (postgres) current(ctx context.Context, q querier) (string, error) {
	var now string
	err := q.QueryRowContext(ctx, "SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text").Scan(&now)
	return now, err
}

func (d postgres) bound(ctx context.Context, q querier, _ *Store) (string, error) {
	now, err := d.current(ctx, q)
	return "pg_catalog.pg_visible_in_snapshot(e.xid, '" + now + "'::pg_catalog.pg_snapshot)", err
}

// beginTick finds whether there is anything that is visible now and was not in done: what began
// after done, and what was in flight then. A snapshot that reaches beyond the server's own is
// of a server that has lost transactions.
func (postgres) beginTick(ctx context.Context, q querier, s *Store, c *cursor, trailing string) (bool, error) {
	done := snapshotOf(c.done)
	to := "pg_catalog.pg_current_snapshot()"
	if trailing != "" {
		to = snapshotOf(trailing)
	}
	// A row with an xid beyond the snapshot was restored from another server.
	parts := beyond(c.done)
	for i, part := range parts {
		parts[i] = s.some(part + " AND e.xid < pg_catalog.pg_snapshot_xmax(" + to + ") AND pg_catalog.pg_visible_in_snapshot(e.xid, " + to + ")")
	}
	query := "SELECT " + to + "::pg_catalog.text, pg_catalog.pg_snapshot_xmax(" + done + ") > pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()), " + s.held(c) + ", " +
		s.anyAcknowledged(c.name) + ", " + strings.Join(parts, " OR ")
	var (
		tick                       string
		ahead, held, shared, found bool
	)
	if err := q.QueryRowContext(ctx, query).Scan(&tick, &ahead, &held, &shared, &found); err != nil {
		return false, err
	}
	if !held {
		return false, errLost
	}
	if ahead {
		return false, &PlaceError{Forwarder: c.name, Was: "transactions up to " + c.done, Is: "a server behind them"}
	}
	if !found {
		c.done = tick // nothing in between; the table keeps the old one
		return false, nil
	}
	c.tick, c.at, c.shared = tick, spot{}, shared
	return true, nil
}

// within: what was in flight in done has lower xids than what began after it.
func (postgres) within(c *cursor) (old string, low, high int64) {
	_, low, xip := limits(c.done)
	_, high, _ = limits(c.tick)
	if xip != "" {
		old = "e.xid = ANY ('{" + xip + "}'::pg_catalog.xid8[])"
	}
	return old, low, max(low, high)
}

func (postgres) visible(c *cursor) string {
	return " AND pg_catalog.pg_visible_in_snapshot(e.xid, " + snapshotOf(c.tick) + ")"
}

func (postgres) axis() string                  { return "xid" }
func (postgres) order(alias string) string     { return alias + ".xid, " + alias + ".key" }
func (postgres) backwards(alias string) string { return alias + ".xid DESC, " + alias + ".key DESC" }
func (postgres) spot(row *journal.Row) spot    { return spot{number: row.Tx.ID, key: row.Key} }
func (postgres) below(number int64) string     { return " AND e.xid < " + xid8(number) }
func (postgres) octets() string {
	return "pg_catalog.octet_length(coalesce(e.document, '')) + pg_catalog.octet_length(coalesce(e.personal, ''))"
}
func (postgres) uuid(id uuid.UUID) string      { return "'" + id.String() + "'::pg_catalog.uuid" }
func (postgres) asID(expression string) string { return "CAST(" + expression + " AS pg_catalog.uuid)" }

func (postgres) ordinals() string {
	return "CROSS JOIN LATERAL pg_catalog.generate_series(0, e.events - 1) AS o (ordinal)"
}

// after has one condition on xid only: with another one beside it, the server might begin at
// the first row of its transaction, which may have very many.
func (postgres) after(at spot) string {
	if at.number == 0 {
		return ""
	}
	is := ">="
	if at.ordinal == rowEnd {
		is = ">"
	}
	return " AND (e.xid, e.key) " + is + " (" + xid8(at.number) + ", '" + at.key.String() + "'::pg_catalog.uuid)"
}

// compare is by the server's clock. A transaction that has waited for another one's lock has
// recorded later than that one, though its xid may be less.
func (postgres) compare(a, b candidate) int {
	return cmp.Or(a.clock.Compare(b.clock), bytes.Compare(a.at.key[:], b.at.key[:]), cmp.Compare(a.at.ordinal, b.at.ordinal))
}

// noTick sets the columns of a cursor without a tick.
const noTick = "tick = NULL, at_xid = NULL, at_key = NULL, at_ordinal = NULL"

// advance also moves safe_at, up to which, by the server's clock, all is settled even in a
// copy of the database. A transaction that gets its xid after mark_xid was given records after
// mark_at, which is from before that. One that had its xid before is over when the xmin of a
// tick has reached mark_xid: then all that was recorded before mark_at is settled. A time that is
// yet to come is from a clock that was ahead: what is recorded until then is not settled.
func (postgres) advance(c *cursor, to spot, last bool) string {
	if !last {
		return fmt.Sprintf("done = '%s', tick = '%s', at_xid = '%d', at_key = '%s', at_ordinal = %d", c.done, c.tick, to.number, to.key, to.ordinal)
	}
	passed := "pg_catalog.pg_snapshot_xmin(" + snapshotOf(c.tick) + ") >= mark_xid"
	return fmt.Sprintf("done = '%[1]s', "+noTick+
		", safe_at = least(CASE WHEN %[2]s THEN mark_at ELSE safe_at END, pg_catalog.transaction_timestamp()),"+
		" mark_at = CASE WHEN %[2]s THEN pg_catalog.transaction_timestamp() ELSE mark_at END,"+
		" mark_xid = CASE WHEN %[2]s THEN pg_catalog.pg_current_xact_id() ELSE mark_xid END", c.tick, passed)
}

// behind has parts that share no row, and none of which reads what is settled.
func (d postgres) behind(c *cursor) []string {
	if c.tick == "" || c.at.number == 0 {
		return beyond(c.done)
	}
	visible := d.visible(c)
	old, low, high := d.within(c)
	from := c.at
	if from.number < low {
		from = spot{number: low}
	}
	parts := append(beyond(c.tick), "true"+d.after(from)+d.below(high)+visible)
	if old != "" && c.at.number < low {
		parts = append(parts, old+d.after(c.at)+visible)
	}
	return parts
}

// unpassed selects the same in one part, which reads them by key.
func (d postgres) unpassed(c *cursor) string {
	beyond := "NOT pg_catalog.pg_visible_in_snapshot(e.xid, " + snapshotOf(c.done) + ")"
	if c.tick == "" || c.at.number == 0 {
		return beyond
	}
	return beyond + " AND NOT (pg_catalog.pg_visible_in_snapshot(e.xid, " + snapshotOf(c.tick) + ") AND NOT (true" + d.after(c.at) + "))"
}

func (postgres) passed(at spot) string {
	if at.passed() == 0 {
		return "0"
	}
	return "CASE WHEN e.key = '" + at.key.String() + "' THEN " + strconv.Itoa(at.passed()) + " ELSE 0 END"
}

func (postgres) reached(c *cursor, ordinal string) string {
	reached := "pg_catalog.pg_visible_in_snapshot(e.xid, " + snapshotOf(c.done) + ")"
	if c.tick != "" && c.at.number > 0 {
		reached += fmt.Sprintf(" OR pg_catalog.pg_visible_in_snapshot(e.xid, %s) AND (e.xid, e.key, %s) <= (%s, '%s'::pg_catalog.uuid, %d)",
			snapshotOf(c.tick), ordinal, xid8(c.at.number), c.at.key, c.at.ordinal)
	}
	return "(" + reached + ")"
}

// low: what began after the tick has numbers beyond it, what was in flight then may have lower
// ones.
func (postgres) low(c *cursor) spot {
	snapshot, low := c.done, spot{}
	if c.tick != "" && c.at.number > 0 {
		snapshot, low = c.tick, c.at
	}
	_, xmax, xip := limits(snapshot)
	if low.number == 0 {
		low.number = xmax
	}
	for text := range strings.SplitSeq(xip, ",") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n < low.number {
			low = spot{number: n}
		}
	}
	return low
}

func snapshotOf(text string) string { return "'" + text + "'::pg_catalog.pg_snapshot" }

func xid8(n int64) string { return "'" + strconv.FormatInt(n, 10) + "'::pg_catalog.xid8" }

// limits takes a snapshot's text apart, which is xmin:xmax:xip,xip….
func limits(snapshot string) (xmin, xmax int64, xip string) {
	first, rest, _ := strings.Cut(snapshot, ":")
	second, xip, _ := strings.Cut(rest, ":")
	xmin, _ = strconv.ParseInt(first, 10, 64) // as the server has written it
	xmax, _ = strconv.ParseInt(second, 10, 64)
	return xmin, xmax, xip
}

// beyond selects the rows e that a snapshot does not see: what began after it, and what was
// in flight then.
func beyond(snapshot string) []string {
	_, xmax, xip := limits(snapshot)
	parts := []string{"e.xid >= " + xid8(xmax)}
	if xip != "" {
		parts = append(parts, "e.xid = ANY ('{"+xip+"}'::pg_catalog.xid8[])")
	}
	return parts
}

// ahead: f has seen transactions that this server does not know.
func (postgres) ahead(*Store) string {
	return "pg_catalog.pg_snapshot_xmax(f.done) > pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())"
}

// settledFor selects the rows e that the cursor of the forwarder f has wholly passed.
func (postgres) settledFor() string { return "pg_catalog.pg_visible_in_snapshot(e.xid, f.done)" }

// Entries that were restored from a server with higher xids get one that is long over: of a
// transaction of initdb. An unsettled one is distinguished by it from others: no cursor's snapshot
// does that any more.
const (
	adoptedXID   = "'3'"
	unsettledXID = "'4'"
)

// adopt: when this server's xids came to those from elsewhere, these would be taken for new.
func (d postgres) adopt(ctx context.Context, q querier, s *Store, place string) error {
	const foreign = " WHERE e.xid >= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())"
	var found bool
	err := q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM (SELECT xid FROM "+s.events()+" ORDER BY xid DESC, key DESC LIMIT 1) e"+foreign+")").Scan(&found)
	if err != nil || !found {
		return err
	}
	unsettled := "EXISTS (SELECT 1 FROM " + s.prefix + "cursors f WHERE f.retired_at IS NULL AND " + s.elsewhere(place) + " AND NOT " + d.settledFor() + ")"
	_, err = q.ExecContext(ctx, "UPDATE "+s.events()+" e SET xid = (CASE WHEN "+unsettled+" THEN "+unsettledXID+" ELSE "+adoptedXID+" END)::pg_catalog.xid8"+foreign)
	return err
}

func (postgres) adopted(ctx context.Context, q querier, s *Store, place string) error {
	_, err := q.ExecContext(ctx, "UPDATE "+s.events()+" SET xid = "+adoptedXID+" WHERE xid = "+unsettledXID+
		" AND NOT EXISTS (SELECT 1 FROM "+s.prefix+"cursors f WHERE f.retired_at IS NULL AND "+s.elsewhere(place)+")")
	return err
}

// skip moves a cursor to now.
func (postgres) skip(*Store) string { return "done = pg_catalog.pg_current_snapshot(), " + noTick }

// originColumns: start is the xid that wrote f's row, with the high half that makes it one of
// this server's past.
func (postgres) originColumns(*Store) string {
	const (
		now  = "pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::pg_catalog.text::pg_catalog.int8"
		half = "4294967296"
	)
	start := now + " - pg_catalog.mod(" + now + " - f.xmin::pg_catalog.text::pg_catalog.int8 + " + half + ", " + half + ")"
	return "f.done::pg_catalog.text, pg_catalog.date_part('epoch', f.safe_at)::pg_catalog.text, greatest(" + start + ", 0)::pg_catalog.text"
}

// unsafe selects what the cursor has yet to pass by its own server's snapshot; and what has the
// number of a transaction of this server since the cursor is here, which that snapshot may count
// among its own. The rest is for copies that are not of one moment, or were adopted by an
// earlier version: what was recorded after safe_at, with a margin for clocks that were set back.
func (postgres) unsafe(o *origin) string {
	return "(NOT pg_catalog.pg_visible_in_snapshot(e.xid, " + snapshotOf(o.done) + ") OR e.xid >= '" + o.start + "' OR e.xid = " + unsettledXID +
		" OR e.recorded_at >= pg_catalog.to_timestamp('" + o.safe + "') - interval '1 minute')"
}

func (postgres) mentions(ids []uuid.UUID) string {
	return "EXISTS (SELECT 1 FROM pg_catalog.unnest(ARRAY[" + idList(ids) + "]::pg_catalog.text[]) i (id) WHERE pg_catalog.strpos(e.document, i.id) > 0)"
}

// rows are estimated as the planner does: by what VACUUM or ANALYZE has found on a page, and
// the pages of now.
func (postgres) rows(s *Store) string {
	return "coalesce((SELECT (c.reltuples / c.relpages * (pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::pg_catalog.int4))::pg_catalog.int8" +
		" FROM pg_catalog.pg_class c WHERE c.oid = '" + s.events() + "'::pg_catalog.regclass::pg_catalog.oid AND c.relpages > 0 AND c.reltuples > 0), 0)"
}
