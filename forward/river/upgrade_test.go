package river_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/river"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest/upgrade"
)

// TestUpgrade: jobs that programs of the version before have queued are worked by this one,
// beside them, and after they are back.
func TestUpgrade(t *testing.T) {
	p := upgrade.Build(t, "forward/river/internal/program")
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		t.Helper()
		w := upgrade.NewWorld(t, e, p)
		if err := river.Migrate(ctx, w.DB, e.Dialect, ""); err != nil {
			t.Fatal(err)
		}
		apps := []*upgrade.Process{w.Start(w.Earlier, "elsewhere")}
		apps[0].Do("write 3")
		apps = append(apps, w.Start(w.Later, "elsewhere"))
		worker := w.Start(w.Later, "only")
		for range 2 {
			for _, a := range apps {
				a.Do("write 2")
				a.Do("rollback 1")
			}
		}
		w.Wait()
		worker.Stop()

		again := w.Start(w.Earlier, "only") // which works its own jobs only
		apps[0].Do("write 2")
		w.Wait()
		apps[1].Do("write 2")
		again.Stop()
		worker = w.Start(w.Later, "only")
		w.Wait()
		for _, a := range append(apps, worker) {
			a.Stop()
		}
		w.Check(false)
	})
}
