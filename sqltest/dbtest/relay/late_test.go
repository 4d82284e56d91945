package relay_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// uses are what a goroutine that a sink has left behind goes on to do with its connection.
var uses = map[string]func(db *sql.DB) error{
	"exec": func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, "SELECT 1")
		return err
	},
	"query": func(db *sql.DB) error {
		var n int
		return db.QueryRowContext(ctx, "SELECT 1").Scan(&n)
	},
	"prepare": func(db *sql.DB) error {
		st, err := db.PrepareContext(ctx, "SELECT 1")
		if err != nil {
			return err
		}
		defer st.Close()
		var n int
		return st.QueryRowContext(ctx).Scan(&n)
	},
	"transaction": func(db *sql.DB) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if _, err = tx.ExecContext(ctx, "SELECT 1"); err != nil {
			return err
		}
		return tx.Commit()
	},
}

// TestGoroutineLeftBehind: a goroutine that uses the connection of a call which has returned
// is refused, and disturbs neither the relay nor the next sink, which may have the same
// connection. It is for the race detector, too.
func TestGoroutineLeftBehind(t *testing.T) {
	for what, use := range uses {
		t.Run(what, func(t *testing.T) {
			each(t, func(w *world) {
				const calls = 50
				var late sync.WaitGroup
				untidy := relay.Target{
					Name: "untidy/default", MaxAttempts: 5, Timeout: lasting,
					Deliver: func(_ context.Context, db *sql.DB, _ []journal.Entry) relay.Result {
						began := make(chan struct{})
						late.Go(func() {
							err := use(db)
							close(began)
							for err == nil {
								err = use(db)
							}
						})
						<-began
						return relay.Result{}
					},
				}
				w.must(w.store.Register(ctx, w.db, untidy.Name))
				w.db.SetMaxOpenConns(1) // so that both sinks use the same
				r := w.start(relay.Config{Batch: 1, Targets: []relay.Target{untidy, w.target()}})
				var names []string
				for i := range calls {
					names = append(names, fmt.Sprint(i))
				}
				w.commit(names...)
				w.drain(r)
				w.want(strings.Join(names, " "))
				if n := len(w.sink.told(hooks.NoticeSuspended)) + len(w.sink.told(hooks.NoticeFailed)); n > 0 {
					t.Errorf("%d notices of failures", n)
				}
				late.Wait() // which fails if one of them were not refused
			})
		})
	}
}
