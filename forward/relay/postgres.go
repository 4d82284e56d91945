package relay

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// postgres is the dialect whose cursor is a snapshot.
type postgres struct{}

var _ dialect = postgres{}

func (postgres) table() string { return "audit_events" }

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

func (postgres) unlocked() string { return " FOR NO KEY UPDATE SKIP LOCKED" }

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

// speaks: SQLite takes the schema pg_catalog for an attached file.
func (postgres) speaks(state, text string) bool {
	return state != "" || !strings.Contains(text, "no such table") && !strings.Contains(text, "syntax error")
}

// place: the system identifier survives a failover, and a dump does not have it.
func (postgres) place(suffix string) string {
	return "pg_catalog.concat((SELECT system_identifier FROM pg_catalog.pg_control_system()), '/'," +
		" (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()), " + suffix + ")"
}

// life: where one backend crashes, the server keeps its start time, and starts all other
// processes anew. Those that serve no role are its own, and any role may see their pids:
// the least is that of the first one. One that ends by itself changes it too, or an
// autovacuum worker once the system's pids have wrapped. Only [Store.where] depends on it:
// the lease is lost as to another process, the cursor is read anew, and what a call that
// was running has delivered comes again.
func (postgres) life() string {
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
	return "SET LOCAL lock_timeout = '2s'; INSERT INTO " + s.prefix + "forwarders AS f (name, place, done, mark_seq)" +
		" SELECT " + s.quote(name) + ", " + s.quote(place) + ", " + start + ", top" +
		" FROM (SELECT pg_catalog.pg_current_snapshot() AS p, (SELECT coalesce(pg_catalog.max(seq), 0) FROM " + s.events() + ") AS top) n" +
		" ON CONFLICT (name) DO UPDATE SET retired_at = NULL, registered_at = pg_catalog.clock_timestamp(), holder = NULL, lease_until = NULL, fence = f.fence + 1," +
		" done = EXCLUDED.done, tick = NULL, high = 0, seq = 0, place = EXCLUDED.place, safe_seq = 0, mark_xid = EXCLUDED.mark_xid, mark_seq = EXCLUDED.mark_seq" +
		" WHERE f.retired_at IS NOT NULL"
}

// handOver calls a function, because the app's role, or one that it has set, may have no
// rights on the tables.
func (postgres) handOver(s *Store, name string, ids []uuid.UUID) string {
	return "SELECT " + s.prefix + "settle(" + s.quote(name) + "::pg_catalog.text, ARRAY[" + idList(ids) + "]::pg_catalog.uuid[])"
}

func (postgres) compares() bool { return true }

func (postgres) together() bool { return true }

// arrived has the limit of look, or what look does not see would wake its worker again and
// again.
func (d postgres) arrived(s *Store, c *cursor) string {
	const now = "pg_catalog.pg_current_snapshot()"
	parts := beyond(c.done)
	for i, part := range parts {
		parts[i] = "EXISTS (SELECT 1 FROM " + s.events() + " e WHERE " + part + " AND pg_catalog.pg_visible_in_snapshot(e.xid, " + now + "))"
	}
	return "pg_catalog.pg_snapshot_xmax('" + c.done + "'::pg_catalog.pg_snapshot) > pg_catalog.pg_snapshot_xmax(" + now + ") OR " + strings.Join(parts, " OR ")
}

// beat is one transaction, whatever the session's defaults are: serializable ones of several
// processes would fail each other. It does not wait for the disk: a heartbeat that a crash
// takes back is followed by another.
func (postgres) beat(insert, situation string, known *int64) string {
	query := "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE; SET LOCAL synchronous_commit = off; SET LOCAL lock_timeout = '2s'; " + insert + "; SELECT 1"
	if known == nil {
		return query
	}
	return query + " WHERE " + situation + " <> " + itoa(*known)
}

func (postgres) hash(texts string) string {
	return "pg_catalog.hashtextextended(pg_catalog.concat_ws(' ', " + texts + "), 0)"
}

func (postgres) cursorColumns() string {
	return "done::pg_catalog.text, coalesce(tick::pg_catalog.text, ''), high, seq"
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

// look finds the range of what is visible now and was not in done: what began
// after done, and what was in flight then. A snapshot that reaches beyond the
// server's own is of a server that has lost transactions.
func (postgres) look(ctx context.Context, q querier, s *Store, c *cursor, trailing string) (bool, error) {
	done := "'" + c.done + "'::pg_catalog.pg_snapshot"
	to := "pg_catalog.pg_current_snapshot()"
	if trailing != "" {
		to = "'" + trailing + "'::pg_catalog.pg_snapshot"
	}
	// A row with an xid beyond the snapshot was restored from another server.
	limit := " AND pg_catalog.pg_visible_in_snapshot(xid, " + to + ")"
	// seq + 0, because for the least of a plain seq the planner would walk its index
	// from the beginning of the journal.
	parts := beyond(c.done)
	for i, part := range parts {
		parts[i] = "SELECT pg_catalog.min(seq + 0) AS low, pg_catalog.max(seq + 0) AS high FROM " + s.events() + " e WHERE " + part + limit
	}
	query := "SELECT " + to + "::pg_catalog.text, pg_catalog.pg_snapshot_xmax(" + done + ") > pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()), " + s.held(c) + ", pg_catalog.min(low), pg_catalog.max(high) FROM (" +
		strings.Join(parts, " UNION ALL ") + ") parts"
	var (
		tick      string
		ahead     bool
		held      bool
		low, high sql.NullInt64
	)
	if err := q.QueryRowContext(ctx, query).Scan(&tick, &ahead, &held, &low, &high); err != nil {
		return false, err
	}
	if !held {
		return false, errLost
	}
	if ahead {
		return false, &PlaceError{Forwarder: c.name, Was: "transactions up to " + c.done, Is: "a server behind them"}
	}
	if !low.Valid {
		c.done = tick // nothing in between; the table keeps the old one
		return false, nil
	}
	c.tick, c.high, c.seq = tick, high.Int64, low.Int64-1
	return true, nil
}

func (postgres) within(c *cursor) string {
	return fmt.Sprintf("seq > %d AND seq <= %d AND pg_catalog.pg_visible_in_snapshot(xid, '%s'::pg_catalog.pg_snapshot) AND NOT pg_catalog.pg_visible_in_snapshot(xid, '%s'::pg_catalog.pg_snapshot)",
		c.seq, c.high, c.tick, c.done)
}

// advance also moves safe_seq, up to which all is settled even in a copy of the database.
// A transaction that gets its xid after the statement that sets the mark gets its seqs
// after it too, beyond mark_seq. One that had its xid before is over when the xmin of a
// tick has reached mark_xid: then all up to mark_seq is settled.
func (postgres) advance(c *cursor, seq int64, last bool) string {
	if !last {
		return fmt.Sprintf("done = '%s', tick = '%s', high = %d, seq = %d", c.done, c.tick, c.high, seq)
	}
	passed := "pg_catalog.pg_snapshot_xmin('" + c.tick + "'::pg_catalog.pg_snapshot) >= mark_xid"
	return fmt.Sprintf("done = '%[1]s', tick = NULL, high = 0, seq = 0,"+
		" safe_seq = CASE WHEN %[3]s THEN greatest(safe_seq, mark_seq) ELSE safe_seq END,"+
		" mark_seq = CASE WHEN %[3]s THEN greatest(mark_seq, %[2]d) ELSE mark_seq END,"+
		" mark_xid = CASE WHEN %[3]s THEN pg_catalog.pg_current_xact_id() ELSE mark_xid END", c.tick, c.high, passed)
}

// behind leaves out what is done of the current tick.
func (postgres) behind(c *cursor) []string {
	parts := beyond(c.done)
	if c.tick != "" {
		for i := range parts {
			parts[i] += " AND NOT (e.seq <= " + itoa(c.seq) + " AND pg_catalog.pg_visible_in_snapshot(e.xid, '" + c.tick + "'::pg_catalog.pg_snapshot))"
		}
	}
	return parts
}

// low: what began after the tick has numbers beyond it, what was in flight then may
// have lower ones.
func (postgres) low(s *Store, c *cursor) string {
	low := itoa(c.seq + 1)
	if parts := beyond(c.tick); len(parts) > 1 {
		low = "least(" + low + ", (SELECT pg_catalog.min(e.seq + 0) FROM " + s.events() + " e WHERE " + parts[1] + "))"
	}
	return low
}

// beyond selects the entries e that a snapshot does not see: what began after it,
// and what was in flight then. A snapshot's text is xmin:xmax:xip,xip….
func beyond(snapshot string) []string {
	_, rest, _ := strings.Cut(snapshot, ":")
	xmax, xip, _ := strings.Cut(rest, ":")
	parts := []string{"e.xid >= '" + xmax + "'::pg_catalog.xid8"}
	if xip != "" {
		parts = append(parts, "e.xid = ANY ('{"+xip+"}'::pg_catalog.xid8[])")
	}
	return parts
}

// ahead: f has seen transactions that this server does not know.
func (postgres) ahead(*Store) string {
	return "pg_catalog.pg_snapshot_xmax(f.done) > pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())"
}

// passed selects the entries e that the cursor of the forwarder f has behind it.
func (postgres) passed() string { return "pg_catalog.pg_visible_in_snapshot(e.xid, f.done)" }

// adopt gives entries that were restored from a server with higher xids one that
// is long over; when this server's xids came there, they would be taken for new.
func (postgres) adopt(ctx context.Context, q querier, s *Store) error {
	foreign := s.events() + " WHERE xid >= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())"
	var any bool
	if err := q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+foreign+")").Scan(&any); err != nil || !any {
		return err
	}
	_, err := q.ExecContext(ctx, "UPDATE "+s.events()+" SET xid = '3' WHERE xid >= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())")
	return err
}

// skip moves a cursor to now.
func (postgres) skip(*Store) string {
	return "done = pg_catalog.pg_current_snapshot(), tick = NULL, high = 0, seq = 0"
}
