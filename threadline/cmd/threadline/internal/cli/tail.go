package cli

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/cmd/threadline/internal/screen"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// tailing is one run of "threadline tail".
type tailing struct {
	app    *app
	target *target
	reader *trail.Reader
	query  trail.Query

	limit       int
	follows     bool
	every, late time.Duration
	last        time.Time            // of the look before, by the database's clock
	writing     map[string]time.Time // transactions that were writing then, with a time before which they had written nothing

	// printed has the items that were printed, or were there at the beginning, with their times: as long as a look may find them.
	printed map[[sha256.Size]byte]time.Time
}

func (a *app) tail() *cobra.Command {
	t := tailing{app: a, printed: make(map[[sha256.Size]byte]time.Time)}
	cmd := &cobra.Command{
		Use:   "tail [WORD...]",
		Short: "Show the last actions and row changes, and with -f those that follow",
		Long: `tail shows the last actions and row changes that match all words of a search, the newest last.
With -f it goes on with those that follow, until it is interrupted.

A row change has the time at which it was made, and is seen once its transaction has committed.
A transaction that takes longer than --late is shown, too, if this role may see which ones are open
(pg_read_all_stats); "threadline search" finds it in any case.`,
		Example: `  threadline tail -f table:orders
  threadline tail -f actor:alice --json | jq -c .change`,
		RunE: func(cmd *cobra.Command, args []string) error {
			terms, err := a.terms(args)
			if err != nil {
				return err
			}
			if t.query, err = terms.Trail(a.now); err != nil {
				return pointed(err, terms.String())
			}
			switch {
			case t.limit < 0 || t.limit == 0 && !t.follows:
				return usage("-n must be at least 1, or 0 with -f")
			case t.every <= 0 || t.late <= 0:
				return usage("--every and --late must be more than zero, such as 1s")
			case t.follows && !t.query.To.IsZero():
				return usage("-f shows what follows, and before: ends it: leave out one of the two")
			}
			return a.with(cmd.Context(), func(of *target) error {
				t.target = of
				if t.reader, err = a.trail(cmd.Context(), of); err != nil {
					return err
				}
				return pointed(terms.Explain(t.run(cmd.Context())), terms.String())
			})
		},
	}
	cmd.Flags().IntVarP(&t.limit, "limit", "n", 10, "how many to begin with")
	cmd.Flags().BoolVarP(&t.follows, "follow", "f", false, "go on with those that follow")
	cmd.Flags().DurationVar(&t.every, "every", time.Second, "pause between two looks")
	cmd.Flags().DurationVar(&t.late, "late", 30*time.Second, "how long after its time to look for what was not there before")
	return cmd
}

func (t *tailing) run(ctx context.Context) error {
	if t.follows {
		// First take note of what is there, so that what comes between this and the next question follows.
		from, err := t.since(ctx)
		if err == nil {
			err = t.look(ctx, from, false)
		}
		if err != nil {
			return err
		}
	}
	var page trail.Page
	var err error
	if t.limit > 0 {
		if page, err = read(ctx, t.reader, t.query, t.limit); err != nil {
			return err
		}
	}
	if t.limit > 0 && !t.app.json && len(page.Items) == 0 {
		t.app.screen.Printf("Nothing matches%s.\n", map[bool]string{true: " yet"}[t.follows])
	}
	for _, item := range slices.Backward(page.Items) {
		t.printed[idOf(item)] = item.Time()
		if err = t.print(item); err != nil {
			return err
		}
	}
	if !t.follows {
		return nil
	}
	tick := time.NewTicker(t.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		from, err := t.since(ctx)
		if err == nil {
			err = t.look(ctx, from, true)
		}
		switch {
		case ctx.Err() != nil: // to interrupt it is how it ends
			return nil
		case err != nil:
			return err
		}
	}
}

// since is the time from which a look has to find what was not there at the look before, by the clock by which items have their times. What a
// transaction has written becomes visible at its end, with the times at which it was written. So a look goes back to the last look at which
// none of those that were open at the look before was writing yet, as far as this role may see them.
func (t *tailing) since(ctx context.Context) (time.Time, error) {
	if t.target.dialect == hooks.SQLite { // which has one writer
		return time.Now().Add(-t.late), nil
	}
	var now time.Time
	if err := t.target.db.QueryRowContext(ctx, "SELECT pg_catalog.clock_timestamp()").Scan(&now); err != nil {
		return now, err
	}
	rows, err := t.target.db.QueryContext(ctx, `SELECT a.backend_xid::pg_catalog.text, a.xact_start FROM pg_catalog.pg_stat_activity a
			WHERE a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() AND a.backend_xid IS NOT NULL AND a.xact_start IS NOT NULL
		UNION ALL SELECT p.transaction::pg_catalog.text, p.prepared FROM pg_catalog.pg_prepared_xacts p WHERE p.database OPERATOR(pg_catalog.=) pg_catalog.current_database()`)
	if err != nil {
		return now, err
	}
	defer rows.Close()
	writing := make(map[string]time.Time)
	for rows.Next() {
		var xid string
		var from time.Time
		if err = rows.Scan(&xid, &from); err != nil {
			return now, err
		}
		if before, known := t.writing[xid]; known {
			from = before
		} else if !t.last.IsZero() {
			from = t.last
		}
		writing[xid] = from
	}
	if t.last.IsZero() {
		t.last, t.writing = now, writing
	}
	from := t.last
	for _, began := range t.writing {
		if began.Before(from) {
			from = began
		}
	}
	t.last, t.writing = now, writing
	return from.Add(-t.late), rows.Err()
}

// look takes note of the items from a time on, and prints those that are new, the oldest first.
func (t *tailing) look(ctx context.Context, from time.Time, prints bool) error {
	q := t.query
	if from.After(q.From) {
		q.From = from
	}
	type found struct {
		trail.Item
		id [sha256.Size]byte
	}
	var list []found
	for item, err := range t.reader.Each(ctx, q) {
		if err != nil {
			return err
		}
		id := idOf(item)
		if _, is := t.printed[id]; !is {
			list = append(list, found{item, id})
		}
	}
	for _, item := range slices.Backward(list) {
		t.printed[item.id] = item.Time()
		if !prints {
			continue
		}
		if err := t.print(item.Item); err != nil {
			return err
		}
	}
	for id, at := range t.printed {
		if at.Before(from) {
			delete(t.printed, id)
		}
	}
	return nil
}

// idOf tells items apart, but not changes of rows without a key that are alike: these come together. Who has made a change may become known after it was printed.
func idOf(item trail.Item) [sha256.Size]byte {
	if item.Action != nil {
		return sha256.Sum256(item.Action.ID[:])
	}
	d := item.Change.Diff()
	d.By = nil
	text, _ := json.Marshal(d) // which has nothing that cannot be
	return sha256.Sum256(text)
}

func (t *tailing) print(item trail.Item) error {
	a := t.app
	if a.json {
		return a.print(item)
	}
	s := a.screen
	cells := a.cells(item)
	line := s.Second(item.Time()) + "  " + s.In(screen.Faint, a.shown(item)) + "  " + cells[0] + "  " + s.In(screen.Bold, cells[1]) + "  " + cells[2]
	if last := cells[3]; last != "" {
		line += "  " + s.In(screen.Faint, last)
	}
	s.Printf("%s\n", line)
	return nil
}
