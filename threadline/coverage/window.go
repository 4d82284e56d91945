package coverage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/internal/command"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// MaxTransactions is how many transactions of a window are compared at most: the newest.
const MaxTransactions = 1000

// window adds the gaps and differences within Options.Window.
func (r *run) window(ctx context.Context) error {
	if r.opts.Window <= 0 {
		return nil
	}
	w := &Window{From: r.report.At.Add(-r.opts.Window).Round(0)}
	r.report.Window = w
	covered := false
	for i := range r.report.Tables {
		if t := &r.report.Tables[i]; t.State == Covered {
			covered = true
			if err := r.gaps(ctx, t, w.From); err != nil {
				return err
			}
		}
	}
	if !covered {
		return nil
	}
	return r.compare(ctx, w)
}

// gaps adds the times at which changes of a table may be missing.
func (r *run) gaps(ctx context.Context, t *Table, from time.Time) error {
	breaks, err := r.rows.Breaks(ctx, t.Name)
	if errors.Is(err, changes.ErrNotCaptured) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, b := range breaks {
		isGap := b.Kind == changes.Unhashed || b.Kind.MayMiss() && b.Kind != changes.Purged // which another database has
		fix := fmt.Sprintf("threadline history %s KEY shows what is known of a row; the changes cannot be recovered", command.Quote(t.Name))
		if b.Kind == changes.Undelivered {
			fix = "replay the forwarder's dead letters, in the app's database: relay.Store.Replay"
		}
		if isGap && !b.To.Before(from) {
			r.add(Finding{Code: Gap, Table: t.Name, Text: b.String(), Fix: fix})
		}
	}
	return nil
}

// compare compares the rows that the driver counted with those that the triggers kept, for each transaction.
func (r *run) compare(ctx context.Context, w *Window) error {
	seen := make(map[journal.TxKey]bool)
	for item, err := range trail.NewReader(r.timeline, r.rows).Each(ctx, trail.Query{From: w.From}) {
		if err != nil {
			return err
		}
		tx := item.Tx()
		if tx.ID == 0 || seen[tx] {
			continue
		}
		if len(seen) == MaxTransactions {
			w.Truncated = true
			break
		}
		seen[tx] = true
		if err = r.differences(ctx, tx, w); err != nil {
			return err
		}
	}
	w.Transactions = len(seen)
	return nil
}

// differences adds those of a transaction.
func (r *run) differences(ctx context.Context, tx journal.TxKey, w *Window) error {
	story, err := r.timeline.Story(ctx, r.rows, tx)
	if errors.Is(err, threadline.ErrNotFound) { // it was purged in between
		return nil
	}
	if err != nil {
		return err
	}
	for _, d := range story.Differences {
		if d.Expected {
			w.Explained++
			continue
		}
		table := ""
		if len(d.Statements) > 0 {
			table = story.Statements[d.Statements[0]].Target.Type
		}
		r.add(Finding{
			Code: Difference, Table: table,
			Text: fmt.Sprintf("the driver counted %d rows, but the triggers kept %d: %s", d.Rows, d.Changes, d.Reason),
			Fix:  "threadline show " + command.Tx(tx),
		})
	}
	return nil
}
