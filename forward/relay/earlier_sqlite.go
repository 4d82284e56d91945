package relay

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

type earlierSQLite struct{}

var _ earlier = earlierSQLite{}

func (sqlite) earlier() earlier { return earlierSQLite{} }

func (earlierSQLite) present(s *Store) string {
	return "2 = (SELECT count(*) FROM main.sqlite_master WHERE type = 'table' AND name IN ('" + s.journal.Schema() + "_forwarders', '" + s.journal.Schema() + "_events'))"
}

func (d earlierSQLite) history(s *Store) string {
	return "SELECT '" + s.journal.Schema() + "_events' WHERE " + d.present(s)
}

func (earlierSQLite) table(s *Store) string { return s.prefix + "events" }
func (earlierSQLite) columns() string       { return "CAST(done AS TEXT), '', 0, 0" }

func (d earlierSQLite) beginTick(ctx context.Context, q querier, s *Store, c *earlierCursor, trailing string) (bool, error) {
	done, err := strconv.ParseInt(c.done, 10, 64)
	if err != nil {
		return false, err
	}
	limit := ""
	if trailing != "" {
		limit = " WHERE recorded_at <= '" + trailing + "'"
	}
	var top sql.NullInt64
	if err := q.QueryRowContext(ctx, "SELECT max(seq) FROM "+d.table(s)+limit).Scan(&top); err != nil || top.Int64 <= done {
		return false, err
	}
	c.tick, c.high, c.seq = itoa(top.Int64), top.Int64, done
	return true, nil
}

func (earlierSQLite) within(c *earlierCursor, high int64) string {
	return fmt.Sprintf("seq > %d AND seq <= %d", c.seq, high)
}

func (earlierSQLite) advance(_ *earlierCursor, seq int64, _ bool) string {
	return fmt.Sprintf("done = %d, safe_seq = %[1]d", seq)
}

func (earlierSQLite) reached(c *earlierCursor) string  { return "e.seq <= " + c.done }
func (earlierSQLite) behind(c *earlierCursor) []string { return []string{"e.seq > " + c.done} }
func (earlierSQLite) passed() string                   { return "e.seq <= f.done" }

func (d earlierSQLite) skip(s *Store) string {
	return "done = (SELECT coalesce(max(seq), 0) FROM " + d.table(s) + ")"
}

func (earlierSQLite) adopt(*Store) string { return "" }

func (earlierSQLite) key(e *journal.Entry) uuid.UUID { return journal.MovedKey(0, seqOf(e)) }

func (earlierSQLite) keyOf() string {
	const low = 48 // bits of a UUID after its last hyphen
	return fmt.Sprintf("printf('00000000-0000-8000-%%04x-%%012x', %d | (e.seq >> %d), e.seq & %d)", 1<<15, low, int64(1)<<low-1)
}

func (earlierSQLite) target() string { return "seq, key, tx_id, tx_started_at, recorded_at" }

// values have a seq that every cursor has passed, and that no row of a flush gets.
func (d earlierSQLite) values(_ *Store, e *journal.Entry, tx, recorded string) string {
	const before = 1 << 60
	return fmt.Sprintf("%d, '%s', %d, %s, %s", seqOf(e)-before, d.key(e), e.Tx.ID, tx, recorded)
}
