package upgrade_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest/upgrade"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func TestUpgrade(t *testing.T) {
	p := upgrade.Build(t, "sqltest/dbtest/upgrade/program")
	for name, test := range map[string]func(*upgrade.World){
		"what was pending":      pending,
		"beside each other":     beside,
		"the earlier one again": downgrade,
		"relays by turns":       turns,
		"apps without a relay":  elsewhere,
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
				t.Helper()
				test(upgrade.NewWorld(t, e, p))
			})
		})
	}
}

// pending: what the earlier program has committed and not delivered, the later one delivers.
func pending(w *upgrade.World) {
	app := w.Start(w.Earlier, "elsewhere")
	app.Do("write 5")
	app.Do("rollback 2")
	app.Stop()
	relay := w.Start(w.Later, "only")
	w.Wait()
	later := w.Start(w.Later, "elsewhere")
	later.Do("write 5")
	later.Do("rollback 2")
	w.Wait()
	later.Stop()
	relay.Stop()
	w.Check(true)
}

// beside: programs of both versions write and deliver at the same time, and are killed.
func beside(w *upgrade.World) {
	w.Start(w.Earlier, "in-process").Do("write 1")
	apps := []*upgrade.Process{w.Start(w.Earlier, "in-process"), w.Start(w.Later, "in-process")}
	for round := range 6 {
		for _, app := range apps {
			app.Do("write 3")
			app.Do("rollback 1")
		}
		i := round % len(apps)
		apps[i].Kill()
		apps[i] = w.Start([]string{w.Earlier, w.Later}[i], "in-process")
	}
	for _, app := range apps {
		app.Do("write 1")
	}
	w.Wait()
	for _, app := range apps {
		app.Stop()
	}
	w.Check(false)
}

// downgrade: the later program has migrated, written and delivered, and the earlier
// one has to work again. What the later one has left is delivered once it is back.
func downgrade(w *upgrade.World) {
	app := w.Start(w.Earlier, "in-process")
	app.Do("write 2")
	w.Wait()
	app.Stop()
	app = w.Start(w.Later, "in-process")
	app.Do("write 2")
	w.Wait()
	app.Stop()
	app = w.Start(w.Later, "elsewhere")
	app.Do("write 2")
	app.Stop()
	left := w.Committed[len(w.Committed)-2:]
	w.Committed = w.Committed[:len(w.Committed)-2]
	app = w.Start(w.Earlier, "in-process")
	app.Do("write 2")
	w.Wait()
	app.Stop()
	w.Committed = append(w.Committed, left...)
	app = w.Start(w.Later, "in-process")
	app.Do("write 2")
	relay := w.Start(w.Later, "only")
	w.Wait()
	relay.Stop()
	app.Stop()
	w.Check(true)
}

// turns: relays of both versions deliver by turns what programs of both versions write.
func turns(w *upgrade.World) {
	apps := []*upgrade.Process{w.Start(w.Earlier, "elsewhere")}
	apps[0].Do("write 1")
	apps = append(apps, w.Start(w.Later, "elsewhere"))
	for round := range 4 {
		relay := w.Start([]string{w.Earlier, w.Later}[round%2], "only")
		relay.Do("ping")
		for _, app := range apps {
			app.Do("write 2")
			app.Do("rollback 1")
		}
		relay.Kill()
	}
	relays := []*upgrade.Process{w.Start(w.Earlier, "only"), w.Start(w.Later, "only")}
	w.Wait()
	for _, p := range append(apps, relays...) {
		p.Stop()
	}
	w.Check(false)
}

// elsewhere: the relay of the later version serves apps of both.
func elsewhere(w *upgrade.World) {
	apps := []*upgrade.Process{w.Start(w.Earlier, "elsewhere")}
	apps[0].Do("write 1") // on tables that the later version would not make
	relay := w.Start(w.Later, "only")
	apps = append(apps, w.Start(w.Later, "elsewhere"))
	for range 3 {
		for _, app := range apps {
			app.Do("write 2")
			app.Do("rollback 1")
		}
	}
	w.Wait()
	for _, p := range append(apps, relay) {
		p.Stop()
	}
	w.Check(true)
}
