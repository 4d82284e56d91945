package reading

import (
	"context"
	"fmt"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// CheckPast refuses a time that the history of a table has not reached: what the table is now must not be taken for what it will be
// tomorrow. The clock is the database's, by which changes have their times. Where that was set back, the history has reached its last
// change.
func (r *Snapshot) CheckPast(ctx context.Context, t *Table, at time.Time) error {
	clock, last := "SELECT "+pgtext.Time("pg_catalog.clock_timestamp()"), "SELECT coalesce("+pgtext.Time("pg_catalog.max(c.captured_at)")+", '') FROM "+r.Reader.At("audit_changes")+" c WHERE c.table_id = $1"
	if s, ok := r.Reader.OnSQLite(); ok {
		clock, last = s.clocks()
	}
	now, err := r.timeOf(ctx, clock)
	if err != nil || !at.After(now.Add(change.ClockTolerance)) {
		return catalog.Wrap("read the database's clock", err)
	}
	captured, err := r.timeOf(ctx, last, t.ID)
	if err != nil || !at.After(captured) {
		return catalog.Wrap("read the last change of "+t.Label(), err)
	}
	return fmt.Errorf("changes: %w: %s is later than %s, which it is by the database's clock", change.ErrFuture, at.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
}

// timeOf reads a time, which is the zero one if the database has none.
func (r *Snapshot) timeOf(ctx context.Context, query string, args ...any) (at time.Time, err error) {
	var text string
	if err = r.Tx.QueryRowContext(ctx, query, args...).Scan(&text); err != nil || text == "" {
		return at, err
	}
	return time.Parse(lenient.TimeForm, text)
}
