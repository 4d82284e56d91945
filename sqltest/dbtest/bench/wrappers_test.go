package bench

import (
	"database/sql"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest/others"
)

// BenchmarkWrappers: what apps do through wrapping drivers that have nothing to
// do, over the base driver's rate: this project's without an event, and those of
// others.
func BenchmarkWrappers(b *testing.B) { everywhere(b, benchmarkWrappers) }

func benchmarkWrappers(b *testing.B, w *world, clients int) {
	b.Helper()
	names, dbs := []string{"bare", "this"}, []*sql.DB{w.bare, w.journaled()}
	for _, o := range others.Wrappers() {
		names, dbs = append(names, o.Name), append(dbs, w.open(dbtest.Wrap(w, w.e.Driver, o.Wrap)))
	}
	var jobs []func() error
	for _, db := range dbs {
		jobs = append(jobs, func() error { return w.order(db, 0) }, func() error { return w.insert(db) })
	}
	rates := w.turns(clients, 24, 200*time.Millisecond, jobs...) // they differ by less than the machine does
	for i, name := range names[1:] {
		report(b, name, rates[2*i+2]/rates[0])
		report(b, name+" insert", rates[2*i+3]/rates[1])
	}
}

// TestWrappers: they can be used as they are measured.
func TestWrappers(t *testing.T) {
	for _, e := range dbtest.Engines() {
		t.Run(e.Name, func(t *testing.T) {
			w := newWorldOf(t, e, 0)
			for _, o := range others.Wrappers() {
				db := w.open(dbtest.Wrap(w, w.e.Driver, o.Wrap))
				w.must(w.order(db, 0))
				w.must(w.insert(db))
			}
			var n int
			w.must(w.bare.QueryRowContext(ctx, "SELECT count(*) FROM orders").Scan(&n))
			if want := 2 * len(others.Wrappers()); n != want {
				t.Errorf("%d orders, want %d", n, want)
			}
		})
	}
}
