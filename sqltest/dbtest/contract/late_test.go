package contract_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// TestForwarderLeavesAGoroutine that uses the app's connection after its call: it is
// refused, and the app's next transactions, for which the pool may open others, go on. It is
// for the race detector, too.
func TestForwarderLeavesAGoroutine(t *testing.T) {
	each(t, func(w *world) {
		const commits = 50
		var late sync.WaitGroup
		w.sink.during = func(c context.Context, _ []journal.Entry) error {
			db, began := forward.Conn(c), make(chan struct{})
			late.Go(func() {
				_, err := db.ExecContext(ctx(), "SELECT 1")
				close(began)
				for i := 0; err == nil; i++ {
					if i%2 == 0 {
						var n int
						err = db.QueryRowContext(ctx(), "SELECT 1").Scan(&n)
					} else {
						_, err = db.ExecContext(ctx(), "SELECT 1")
					}
				}
			})
			<-began
			return nil
		}
		var rows, events []string
		for i := range commits {
			id, name := fmt.Sprint(100+i), fmt.Sprint("e", i)
			tx := w.begin()
			w.insert(tx, 100+i)
			w.record(tx, name)
			w.must(tx.Commit())
			rows, events = append(rows, id), append(events, name)
		}
		late.Wait() // which fails if one of them were not refused
		w.want(strings.Join(rows, " "), strings.Join(events, " "), strings.Join(events, " "))
	})
}
