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

	"github.com/go-aftercommit/aftercommit/internal/sqlitetext"
)

// sqlite is the dialect whose cursor is a seq: there is one writer.
type sqlite struct{}

var _ dialect = sqlite{}

const sqliteNow = "strftime('%Y-%m-%dT%H:%M:%f', 'now'"

func (sqlite) table() string { return "events" }

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
func (sqlite) unlocked() string           { return "" }

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
	return state == "" && !strings.Contains(text, "no such table")
}

// place: a file does not know where it is from.
func (sqlite) place(suffix string) string { return suffix }

// life: transactions have no numbers here that could be given out again.
func (sqlite) life() string { return "''" }

func (sqlite) mark() string { return "" }

func (d sqlite) register(s *Store, name, place, _ string) string {
	top := "(SELECT coalesce(max(seq), 0) FROM " + s.events() + ")"
	return "INSERT INTO " + s.prefix + "forwarders (name, place, done, safe_seq, registered_at, moved_at) VALUES (" +
		s.quote(name) + ", " + s.quote(place) + ", " + top + ", " + top + ", " + d.now() + ", " + d.now() + ")" +
		" ON CONFLICT (name) DO UPDATE SET retired_at = NULL, registered_at = excluded.registered_at, holder = NULL, lease_until = NULL, fence = fence + 1," +
		" done = excluded.done, place = excluded.place, safe_seq = excluded.safe_seq WHERE retired_at IS NOT NULL"
}

// compares: the processes of an app have no relay, and do not say that they live.
func (sqlite) compares() bool { return false }

func (sqlite) together() bool                         { return false }
func (sqlite) arrived(*Store, *cursor) string         { return "1" }
func (sqlite) beat(insert, _ string, _ *int64) string { return insert }
func (sqlite) hash(string) string                     { return "0" }

func (sqlite) cursorColumns() string { return "CAST(done AS TEXT), '', 0, 0" }

func (sqlite) bound(ctx context.Context, q querier, s *Store) (string, error) {
	var top sql.NullInt64
	err := q.QueryRowContext(ctx, "SELECT max(seq) FROM "+s.events()).Scan(&top)
	return "e.seq <= " + itoa(top.Int64), err
}

// look takes what there is for a tick.
func (sqlite) look(ctx context.Context, q querier, s *Store, c *cursor, trailing string) (bool, error) {
	done, err := strconv.ParseInt(c.done, 10, 64)
	if err != nil {
		return false, err
	}
	var (
		top  sql.NullInt64
		all  int64
		held bool
	)
	limit := ""
	if trailing != "" {
		limit = " WHERE recorded_at <= '" + trailing + "'"
	}
	query := "SELECT (SELECT max(seq) FROM " + s.events() + limit + "), coalesce((SELECT seq FROM main.sqlite_sequence WHERE name = " + s.quote(s.table()) + "), 0), " + s.held(c)
	if err := q.QueryRowContext(ctx, query).Scan(&top, &all, &held); err != nil {
		return false, err
	}
	if !held {
		return false, errLost
	}
	if done > all {
		return false, &PlaceError{Forwarder: c.name, Was: "entries up to " + c.done, Is: fmt.Sprintf("a file with entries up to %d", all)}
	}
	if top.Int64 <= done {
		return false, nil
	}
	c.tick, c.high, c.seq = strconv.FormatInt(top.Int64, 10), top.Int64, done
	return true, nil
}

func (sqlite) within(c *cursor) string { return fmt.Sprintf("seq > %d AND seq <= %d", c.seq, c.high) }

func (sqlite) advance(c *cursor, seq int64, last bool) string {
	if last {
		seq = c.high
	}
	return fmt.Sprintf("done = %d, safe_seq = %[1]d", seq)
}

// handOver: the app owns the tables.
func (sqlite) handOver(*Store, string, []uuid.UUID) string { return "" }

// adopt has nothing to do: a seq means the same everywhere.
func (sqlite) adopt(context.Context, querier, *Store) error { return nil }

// behind: done moves with the tick's end, as on PostgreSQL; within it, seq does.
func (sqlite) behind(c *cursor) []string {
	if c.tick != "" {
		return []string{"e.seq > " + itoa(c.seq)}
	}
	return []string{"e.seq > " + c.done}
}

func (sqlite) low(_ *Store, c *cursor) string { return itoa(c.seq + 1) }

func (sqlite) ahead(s *Store) string {
	return "f.done > coalesce((SELECT seq FROM main.sqlite_sequence WHERE name = " + s.quote(s.table()) + "), 0)"
}

func (sqlite) passed() string { return "e.seq <= f.done" }
func (sqlite) skip(s *Store) string {
	return "done = (SELECT coalesce(max(seq), 0) FROM " + s.events() + ")"
}
