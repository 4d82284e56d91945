package changes_test

import (
	"sync/atomic"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestCopiedInSpiteOfFaults: whichever statement loses the connection to the other database, before it or after it, another try copies
// what is missing, once.
func TestCopiedInSpiteOfFaults(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 1)", "UPDATE t SET a = 2")
		w.lose("UPDATE t SET a = 3")
		source := changes.NewSource(nil)
		for _, fault := range []dbtest.Fault{dbtest.CutBefore, dbtest.CutAnswer} {
			for number := int64(1); ; number++ {
				there := w.elsewhere(w.e.DSN(w.T))
				w.must(there.installer().Migrate(ctx))
				proxy := dbtest.NewProxy(w.T, dbtest.Shared(w.T).Addr())
				var n atomic.Int64
				trap := proxy.Next(fault, func(string) bool { return n.Add(1) == number })
				store := changes.NewStore(dbtest.Open(w.T, w.e.Driver, dbtest.Via(there.dsn, proxy.Addr())), hooks.Postgres, nil)
				first := source.Copy(ctx, w.db, w.changed(), store)
				last := n.Swap(number) < number
				w.must(source.Copy(ctx, w.db, w.changed(), store))
				for _, table := range []string{"audit_changes", "audit_shapes", "audit_captures", "audit_gaps"} {
					if here, there := w.textOf(table), there.textOf(table); here != there {
						w.Errorf("fault %d at statement %d (%v): %s is\n%s\nthere\n%s", fault, number, first, table, here, there)
					}
				}
				if last {
					trap.Release()
					break
				}
			}
		}
	})
}
