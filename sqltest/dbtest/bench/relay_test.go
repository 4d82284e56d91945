package bench

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// BenchmarkRelay: how many entries a second the relay brings from the journal into the
// timeline, ten of each transaction, beside the same batches upserted directly, and copied. They
// take turns; what is reported are medians.
func BenchmarkRelay(b *testing.B) {
	w := newWorld(b)
	db, _ := w.audited(forward.Auto, nil) // makes the tables and the cursor
	w.must(db.Close())
	entries, rounds := 50_000, 5
	if long() {
		entries, rounds = 250_000, 7
	}
	var rates, overUpsert, overCopy []float64
	for range rounds {
		w.exec("TRUNCATE threadline.audit_actions, aftercommit.journal")
		w.fill(entries, flushed)
		relay := w.relay(entries)
		copied := w.copy()
		upsert := w.upsert(w.entries())
		rates, overUpsert, overCopy = append(rates, relay), append(overUpsert, relay/upsert), append(overCopy, relay/copied)
	}
	report(b, "relay entries/s", median(rates))
	report(b, "relay/upsert", median(overUpsert))
	report(b, "relay/copy", median(overCopy))
}

// relay returns how many of n entries a second a process that starts brings to the timeline,
// which is empty.
func (w *world) relay(n int) float64 {
	w.Helper()
	w.exec("CHECKPOINT")
	start, seen, all := time.Now(), 0, make(chan struct{})
	db, _ := w.audited(forward.Auto, hooks.ObserverFunc(func(notice hooks.Notice) {
		if notice.Kind != hooks.NoticeDelivered {
			return
		}
		if seen += len(notice.Events); seen == n {
			close(all)
		}
	}))
	<-all
	took := time.Since(start)
	w.must(db.Close())
	var got int
	w.must(w.bare.QueryRowContext(ctx, "SELECT count(*) FROM threadline.audit_actions").Scan(&got))
	if got != n {
		w.Errorf("%d entries in the timeline, want %d", got, n)
	}
	return float64(n) / took.Seconds()
}

// entries are those of the journal.
func (w *world) entries() (entries []journal.Entry) {
	w.Helper()
	j, err := journal.New(hooks.Postgres, nil)
	w.must(err)
	for e, err := range j.Each(ctx, w.bare, journal.Query{}) {
		w.must(err)
		entries = append(entries, e)
	}
	return entries
}

func median(of []float64) float64 {
	of = slices.Sorted(slices.Values(of))
	return of[len(of)/2]
}

// upsert records entries in batches as large as the relay's, into an empty timeline.
func (w *world) upsert(entries []journal.Entry) float64 {
	w.Helper()
	w.exec("TRUNCATE threadline.audit_actions", "CHECKPOINT")
	store := threadline.NewStore(w.bare, hooks.Postgres, nil)
	const batch = 500
	start := time.Now()
	for at := 0; at < len(entries); at += batch {
		w.must(store.Record(ctx, entries[at:min(at+batch, len(entries))]))
	}
	return float64(len(entries)) / time.Since(start).Seconds()
}

// copy copies the rows of the timeline into a table like it.
func (w *world) copy() float64 {
	w.Helper()
	w.exec("DROP TABLE IF EXISTS copied", "CREATE TABLE copied (LIKE threadline.audit_actions INCLUDING ALL)")
	var names string
	w.must(w.bare.QueryRowContext(ctx, `SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns
		WHERE table_schema = 'threadline' AND table_name = 'audit_actions' AND is_generated = 'NEVER'`).Scan(&names))
	rows, err := w.bare.QueryContext(ctx, "SELECT "+names+" FROM threadline.audit_actions")
	w.must(err)
	defer rows.Close()
	columns, err := rows.Columns()
	w.must(err)
	var all [][]any
	for rows.Next() {
		row, dest := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			dest[i] = &row[i]
		}
		w.must(rows.Scan(dest...))
		for i, v := range row {
			if text, ok := v.([]byte); ok {
				row[i] = string(text)
			}
		}
		all = append(all, row)
	}
	w.must(rows.Err())
	const batch = 500
	w.exec("CHECKPOINT")
	start := time.Now()
	for at := 0; at < len(all); at += batch {
		tx, err := w.bare.BeginTx(ctx, nil)
		w.must(err)
		stmt, err := tx.PrepareContext(ctx, "COPY copied ("+names+") FROM STDIN")
		w.must(err)
		for _, row := range all[at:min(at+batch, len(all))] {
			_, err = stmt.ExecContext(ctx, row...)
			w.must(err)
		}
		_, err = stmt.ExecContext(ctx)
		w.must(err)
		w.must(stmt.Close())
		w.must(tx.Commit())
	}
	return float64(len(all)) / time.Since(start).Seconds()
}

// BenchmarkVisible: milliseconds from the end of Commit to the entry in the
// timeline.
func BenchmarkVisible(b *testing.B) {
	for _, tt := range []struct {
		name    string
		clients int
		count   int
		open    bool
	}{
		{"idle", 1, 200, false}, {"loaded", 16, 200, false}, {"loaded, a writer open", 16, 200, true},
	} {
		b.Run(tt.name, func(b *testing.B) {
			w := newWorld(b)
			l := &latency{}
			l.reset()
			db, hub := w.audited(forward.Auto, l)
			if tt.open {
				tx, err := w.bare.BeginTx(ctx, nil)
				w.must(err)
				defer tx.Rollback()
				_, err = tx.ExecContext(ctx, "INSERT INTO orders (customer, note) VALUES (1, 'slow')")
				w.must(err)
			}
			e, err := hooks.Prepare(hooks.Event{Action: "order.placed"})
			w.must(err)
			w.must(w.order(db, 1))
			w.must(hub.Drain(ctx))
			l.reset()
			w.clients(tt.clients, tt.count, func() error {
				e := e
				e.ID = uuid.Must(uuid.NewV7())
				tx, err := db.BeginTx(ctx, nil)
				if err != nil {
					return err
				}
				defer tx.Rollback()
				if _, err := tx.ExecContext(ctx, "INSERT INTO orders (customer, note) VALUES (7, 'x')"); err != nil {
					return err
				}
				if err := hooks.Record(ctx, tx, e); err != nil {
					return err
				}
				if err := tx.Commit(); err != nil {
					return err
				}
				l.committed(e.ID, time.Now())
				if tt.clients == 1 {
					time.Sleep(5 * time.Millisecond) // idle between
				}
				return nil
			})
			w.must(hub.Drain(ctx))
			p50, p99, n := l.quantiles()
			if n == 0 {
				b.Error("nothing was delivered")
			}
			report(b, "p50 ms", p50)
			report(b, "p99 ms", p99)
		})
	}
}

func (w *world) clients(clients, count int, f func() error) {
	w.Helper()
	done := make(chan error, clients)
	for range clients {
		go func() {
			for range count {
				if err := f(); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range clients {
		w.must(<-done)
	}
}

// BenchmarkGrowth: what a transaction and its delivery cost as the journal
// grows, and how fast the relay catches up with what is committed at once.
func BenchmarkGrowth(b *testing.B) {
	sizes := []int{10_000, 100_000}
	if long() {
		sizes = []int{10_000, 1_000_000, 10_000_000}
	}
	w := newWorld(b)
	db, hub := w.audited(forward.Auto, nil)
	have := 0
	for _, size := range sizes {
		backlog := size - have
		w.fill(backlog, backlog)
		have = size
		start := time.Now()
		w.must(hub.Drain(ctx))
		report(b, fmt.Sprintf("backlog=%d entries/s", backlog), float64(backlog)/time.Since(start).Seconds())
		w.exec("VACUUM ANALYZE aftercommit.journal", "CHECKPOINT")
		rates := w.alternate(4, func() error { return w.order(w.bare, 0) }, func() error { return w.order(db, 1) })
		start = time.Now()
		w.fill(10_000, 1000)
		have += 10_000
		w.must(hub.Drain(ctx))
		report(b, fmt.Sprintf("rows=%d relay/bare", size), rates[1]/rates[0])
		report(b, fmt.Sprintf("rows=%d s/10k", size), time.Since(start).Seconds())
	}
}
