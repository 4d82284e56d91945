package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/nildb"
)

// Query selects entries. The zero value selects all.
type Query struct {
	// From (inclusive) and To (exclusive) limit RecordedAt, where not zero.
	From, To time.Time
	// After selects entries with a greater Seq. It pages through what is there;
	// as a cursor for what is to come it would miss entries, because commits
	// become visible in another order than Seq.
	After int64
	// Limit is how many entries List returns: 500 if zero, at most 10,000. Each
	// stops after that many, and without one at the end.
	Limit int
}

// Limits of a page, in entries.
const (
	defaultLimit = 500
	maxLimit     = 10_000
)

// where renders q; literal renders a time for comparison with recorded_at.
func (q Query) where(literal func(time.Time) string) string {
	var terms []string
	if q.After != 0 {
		terms = append(terms, "seq > "+strconv.FormatInt(q.After, 10))
	}
	if !q.From.IsZero() {
		terms = append(terms, "recorded_at >= "+literal(q.From))
	}
	if !q.To.IsZero() {
		terms = append(terms, "recorded_at < "+literal(q.To))
	}
	if len(terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(terms, " AND ")
}

// ByID returns the entries of those events that are in the journal, in the
// order of Seq. On PostgreSQL it needs EXECUTE on the function entries alone.
func (j *Journal) ByID(ctx context.Context, db *sql.DB, ids []uuid.UUID) ([]Entry, error) {
	db = nildb.Replace(db)
	if len(ids) == 0 {
		return nil, nil
	}
	entries, err := j.read(ctx, db, func() string { return j.store.byID(ids) }, len(ids))
	return entries, j.store.explain(ctx, db, err, false)
}

// List returns a page of entries in the order of Seq, also those that are
// [Entry.Unreadable]. It needs SELECT on the table.
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
	entries, err := j.read(ctx, db, func() string { return j.store.list(q, limit) }, limit)
	if j.Missing(err) {
		return nil, nil // it has not been made yet
	}
	return entries, j.store.explain(ctx, db, err, true)
}

// Each gives the entries that q selects in the order of Seq, reading a page at a
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
			page.After = entries[len(entries)-1].Seq
		}
	}
}

// Querier is a *sql.DB, *sql.Conn or *sql.Tx.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Select returns the entries that rest selects, SQL that follows FROM and the
// table's name. It is for package relay, which knows the tables.
func (j *Journal) Select(ctx context.Context, q Querier, rest string) ([]Entry, error) {
	return j.read(ctx, q, func() string { return j.store.all() + " " + rest }, defaultLimit)
}

// Count returns how many entries q selects; its Limit does not matter.
func (j *Journal) Count(ctx context.Context, db *sql.DB, q Query) (int64, error) {
	db = nildb.Replace(db)
	var n int64
	if err := db.QueryRowContext(ctx, j.store.count(q)).Scan(&n); err != nil && !j.Missing(err) {
		return 0, j.store.explain(ctx, db, fmt.Errorf("journal: count: %w", err), true)
	}
	return n, nil
}

func (j *Journal) read(ctx context.Context, db Querier, query func() string, size int) (entries []Entry, err error) {
	if err = j.store.beforeRead(ctx, db); err != nil {
		return nil, fmt.Errorf("journal: read: %w", err)
	}
	rows, err := db.QueryContext(ctx, query())
	if err != nil {
		return nil, fmt.Errorf("journal: read: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	entries = make([]Entry, 0, min(size, defaultLimit))
	in := scanner{row: lenient.Row{Hex: j.store.hex()}}
	for rows.Next() {
		e, err := in.scan(rows)
		if err != nil {
			return nil, fmt.Errorf("journal: read: %w", err)
		}
		entries = append(entries, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("journal: read: %w", err)
	}
	return entries, nil
}
