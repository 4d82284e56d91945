package relay

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

type earlierPostgres struct{}

var _ earlier = earlierPostgres{}

func (postgres) earlier() earlier { return earlierPostgres{} }

// present: audit_events is a view where the tables of earlier versions have gone.
func (earlierPostgres) present(s *Store) string {
	name := "'" + s.journal.Schema() + "'"
	return "2 = (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace" +
		" WHERE n.nspname = " + name + " AND c.relname IN ('forwarders', 'audit_events') AND c.relkind = 'r')"
}

func (earlierPostgres) history(s *Store) string {
	return "SELECT c.relname::pg_catalog.text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace" +
		" WHERE n.nspname = '" + s.journal.Schema() + "' AND c.relname IN ('audit_events', 'audit_events_before') AND c.relkind = 'r'" +
		" AND EXISTS (SELECT 1 FROM pg_catalog.pg_class f WHERE f.relnamespace = n.oid AND f.relname = 'forwarders')"
}

func (earlierPostgres) table(s *Store) string { return s.prefix + "audit_events" }

func (earlierPostgres) columns() string {
	return "done::pg_catalog.text, coalesce(tick::pg_catalog.text, ''), high, seq"
}

// beginTick is [postgres.beginTick] for seq. A cursor that is ahead of the server is left to an operator.
func (d earlierPostgres) beginTick(ctx context.Context, q querier, s *Store, c *earlierCursor, trailing string) (bool, error) {
	to := "pg_catalog.pg_current_snapshot()"
	if trailing != "" {
		to = snapshotOf(trailing)
	}
	parts := beyond(c.done)
	for i, part := range parts {
		parts[i] = "SELECT pg_catalog.min(seq + 0) AS low, pg_catalog.max(seq + 0) AS high FROM " + d.table(s) + " e WHERE " + part + " AND pg_catalog.pg_visible_in_snapshot(xid, " + to + ")"
	}
	var (
		tick      string
		ahead     bool
		low, high sql.NullInt64
	)
	err := q.QueryRowContext(ctx, "SELECT "+to+"::pg_catalog.text, pg_catalog.pg_snapshot_xmax("+snapshotOf(c.done)+") > pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()), pg_catalog.min(low), pg_catalog.max(high) FROM ("+
		strings.Join(parts, " UNION ALL ")+") parts").Scan(&tick, &ahead, &low, &high)
	if err != nil || ahead || !low.Valid {
		return false, err
	}
	c.tick, c.high, c.seq = tick, high.Int64, low.Int64-1
	return true, nil
}

func (earlierPostgres) within(c *earlierCursor, high int64) string {
	return fmt.Sprintf("seq > %d AND seq <= %d AND pg_catalog.pg_visible_in_snapshot(xid, %s) AND NOT pg_catalog.pg_visible_in_snapshot(xid, %s)",
		c.seq, high, snapshotOf(c.tick), snapshotOf(c.done))
}

// advance leaves safe_seq as it is: it may be too low.
func (earlierPostgres) advance(c *earlierCursor, seq int64, last bool) string {
	if last {
		return "done = " + snapshotOf(c.tick) + ", tick = NULL, high = 0, seq = 0"
	}
	return fmt.Sprintf("done = %s, tick = %s, high = %d, seq = %d", snapshotOf(c.done), snapshotOf(c.tick), c.high, seq)
}

func (earlierPostgres) reached(c *earlierCursor) string {
	reached := "pg_catalog.pg_visible_in_snapshot(e.xid, " + snapshotOf(c.done) + ")"
	if c.tick != "" {
		reached += fmt.Sprintf(" OR e.seq <= %d AND pg_catalog.pg_visible_in_snapshot(e.xid, %s)", c.seq, snapshotOf(c.tick))
	}
	return "(" + reached + ")"
}

func (d earlierPostgres) behind(c *earlierCursor) []string {
	parts := beyond(c.done)
	for i := range parts {
		parts[i] += " AND NOT " + d.reached(c)
	}
	return parts
}

func (earlierPostgres) passed() string { return "pg_catalog.pg_visible_in_snapshot(e.xid, f.done)" }

func (earlierPostgres) skip(*Store) string {
	return "done = pg_catalog.pg_current_snapshot(), tick = NULL, high = 0, seq = 0"
}

func (d earlierPostgres) adopt(s *Store) string {
	return "UPDATE " + d.table(s) + " SET xid = '3' WHERE xid >= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())"
}

func (earlierPostgres) key(e *journal.Entry) uuid.UUID { return journal.MovedKey(e.Tx.ID, seqOf(e)) }

// keyOf has operands of the operators' own types, so that no other operator fits better.
func (earlierPostgres) keyOf() string {
	const tx, big = "e.xid::pg_catalog.text::pg_catalog.int8", "::pg_catalog.int8"
	return "pg_catalog.concat(pg_catalog.lpad(pg_catalog.to_hex(" + tx + " >> 12), 12, '0'), '8', pg_catalog.lpad(pg_catalog.to_hex(" + tx + " & '4095'" + big + "), 3, '0')," +
		" pg_catalog.to_hex((e.seq & '4611686018427387903'" + big + ") | '-9223372036854775808'" + big + "))::pg_catalog.uuid"
}

func (earlierPostgres) target() string { return "key, xid, tx_started_at, recorded_at, role" }

func (d earlierPostgres) values(s *Store, e *journal.Entry, tx, recorded string) string {
	return "'" + d.key(e).String() + "', '3', " + tx + ", " + recorded + ", " + s.quote(e.Role)
}
