package journal

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/nildb"
)

// Query selects entries. The zero value selects all.
type Query struct {
	// From (inclusive) and To (exclusive) limit RecordedAt, where not zero.
	From, To time.Time
	// After selects entries with a greater position. Use it to page through what is
	// there, not to wait for new entries: a commit that becomes visible later may have
	// a smaller position.
	After Position
	// Limit bounds the number of entries. For List, 0 means 500, and 10,000 is the
	// most. For Each, 0 means no limit.
	Limit int
}

// Limits of a page, in entries.
const (
	defaultLimit = 500
	maxLimit     = 10_000
)

// rows selects the rows that have entries of q, tombstones excepted.
func (j *Journal) rows(q Query) string {
	terms := []string{"events <> 0"}
	if q.After != (Position{}) {
		terms = append(terms, "key >= '"+q.After.Key.String()+"'")
	}
	if !q.From.IsZero() {
		terms = append(terms, "recorded_at >= "+j.store.time(q.From))
	}
	if !q.To.IsZero() {
		terms = append(terms, "recorded_at < "+j.store.time(q.To))
	}
	return j.store.table() + " WHERE " + strings.Join(terms, " AND ")
}

// passed is how many entries of the row that q.After is in come no more, at most as many as a row
// can have: the position may be of no entry.
func (q Query) passed() int {
	if q.After == (Position{}) {
		return 0
	}
	return min(max(q.After.Ordinal, -1), hooks.MaxFlush-1) + 1
}

// page selects as few rows as contain limit entries beyond q.After. Each row has at least one
// entry, so limit+1 rows are enough; rows that begin after the limit are left out.
func (j *Journal) page(q Query, limit int) string {
	return fmt.Sprintf("(SELECT r.*, %s OVER (ORDER BY r.key) - r.events AS earlier FROM (SELECT * FROM %s ORDER BY key LIMIT %d) r) p WHERE p.earlier < %d ORDER BY key",
		j.store.sum("r.events"), j.rows(q), limit+1, limit+q.passed())
}

// List returns a page of entries in the order of their positions, also those that are
// [Entry.Unreadable]. It needs SELECT on the table. What an earlier version wrote to its own
// table is not among them, unless package relay has moved it since.
func (j *Journal) List(ctx context.Context, db *sql.DB, q Query) ([]Entry, error) {
	db = nildb.Replace(db)
	limit := q.Limit
	switch {
	case limit < 0:
		return nil, fmt.Errorf("journal: limit %d is negative", limit)
	case limit == 0:
		limit = defaultLimit
	default:
		limit = min(limit, maxLimit)
	}
	rows, err := j.Rows(ctx, db, j.page(q, limit))
	if j.Missing(err) {
		return nil, nil // it has not been made yet
	}
	return q.first(rows, limit), j.store.explain(ctx, db, err, true)
}

// first returns the first entries of rows that q selects.
func (q Query) first(rows []Row, limit int) []Entry {
	var entries []Entry
	for i := range rows {
		for _, e := range rows[i].Entries() {
			if q.After != (Position{}) && e.Compare(q.After) <= 0 {
				continue
			}
			if len(entries) == limit {
				return entries
			}
			entries = append(entries, e)
		}
	}
	return entries
}

// Each gives the entries that q selects in the order of their positions, reading a page at a
// time, so that no connection is held while the caller works. It stops after the
// first error of the database; an entry that cannot be read is no error, see
// [Entry.Unreadable].
func (j *Journal) Each(ctx context.Context, db *sql.DB, q Query) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		left := q.Limit
		for page := q; ; {
			page.Limit = defaultLimit
			if q.Limit != 0 {
				page.Limit = min(left, defaultLimit)
			}
			entries, err := j.List(ctx, db, page)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
			}
			left -= len(entries)
			if len(entries) < page.Limit || q.Limit != 0 && left <= 0 {
				return
			}
			page.After = entries[len(entries)-1].Position
		}
	}
}

// Count returns how many entries q selects; its Limit does not matter.
func (j *Journal) Count(ctx context.Context, db *sql.DB, q Query) (int64, error) {
	db = nildb.Replace(db)
	left := "r.events"
	if n := q.passed(); n > 0 {
		left = fmt.Sprintf("CASE WHEN r.key <> '%s' THEN r.events WHEN r.events > %[2]d THEN r.events - %[2]d ELSE 0 END", q.After.Key, n)
	}
	var n int64
	err := db.QueryRowContext(ctx, "SELECT coalesce("+j.store.sum(left)+", 0) FROM (SELECT * FROM "+j.rows(q)+") r").Scan(&n)
	if err != nil && !j.Missing(err) {
		return 0, j.store.explain(ctx, db, fmt.Errorf("journal: count: %w", err), true)
	}
	return n, nil
}
