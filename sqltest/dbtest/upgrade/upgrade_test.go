package upgrade_test

import (
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func TestUpgrade(t *testing.T) {
	p := build(t)
	for name, test := range map[string]func(*world){
		"what was pending":      (*world).pending,
		"beside each other":     (*world).beside,
		"the earlier one again": (*world).downgrade,
		"relays by turns":       (*world).turns,
		"apps without a relay":  (*world).elsewhere,
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
				t.Helper()
				test(newWorld(t, e, p))
			})
		})
	}
}

// pending: what the earlier program has committed and not delivered, the later one delivers.
func (w *world) pending() {
	app := w.start(w.earlier, "elsewhere")
	app.do("write 5")
	app.do("rollback 2")
	app.stop()
	relay := w.start(w.later, "only")
	w.wait()
	later := w.start(w.later, "elsewhere")
	later.do("write 5")
	later.do("rollback 2")
	w.wait()
	later.stop()
	relay.stop()
	w.check(true)
}

// beside: programs of both versions write and deliver at the same time, and are killed.
func (w *world) beside() {
	w.start(w.earlier, "in-process").do("write 1")
	apps := []*process{w.start(w.earlier, "in-process"), w.start(w.later, "in-process")}
	for round := range 6 {
		for _, app := range apps {
			app.do("write 3")
			app.do("rollback 1")
		}
		i := round % len(apps)
		apps[i].kill()
		apps[i] = w.start([]string{w.earlier, w.later}[i], "in-process")
	}
	for _, app := range apps {
		app.do("write 1")
	}
	w.wait()
	for _, app := range apps {
		app.stop()
	}
	w.check(false)
}

// downgrade: the later program has migrated, written and delivered, and the earlier
// one has to work again. What the later one has left is delivered once it is back.
func (w *world) downgrade() {
	app := w.start(w.earlier, "in-process")
	app.do("write 2")
	w.wait()
	app.stop()
	app = w.start(w.later, "in-process")
	app.do("write 2")
	w.wait()
	app.stop()
	app = w.start(w.later, "elsewhere")
	app.do("write 2")
	app.stop()
	left := w.committed[len(w.committed)-2:]
	w.committed = w.committed[:len(w.committed)-2]
	app = w.start(w.earlier, "in-process")
	app.do("write 2")
	w.wait()
	app.stop()
	w.committed = append(w.committed, left...)
	app = w.start(w.later, "in-process")
	app.do("write 2")
	relay := w.start(w.later, "only")
	w.wait()
	relay.stop()
	app.stop()
	w.check(true)
}

// turns: relays of both versions deliver by turns what programs of both versions write.
func (w *world) turns() {
	apps := []*process{w.start(w.earlier, "elsewhere")}
	apps[0].do("write 1")
	apps = append(apps, w.start(w.later, "elsewhere"))
	for round := range 4 {
		relay := w.start([]string{w.earlier, w.later}[round%2], "only")
		relay.do("ping")
		for _, app := range apps {
			app.do("write 2")
			app.do("rollback 1")
		}
		relay.kill()
	}
	relays := []*process{w.start(w.earlier, "only"), w.start(w.later, "only")}
	w.wait()
	for _, p := range append(apps, relays...) {
		p.stop()
	}
	w.check(false)
}

// elsewhere: the relay of the later version serves apps of both.
func (w *world) elsewhere() {
	relay := w.start(w.later, "only")
	apps := []*process{w.start(w.earlier, "elsewhere"), w.start(w.later, "elsewhere")}
	for range 3 {
		for _, app := range apps {
			app.do("write 2")
			app.do("rollback 1")
		}
	}
	w.wait()
	for _, p := range append(apps, relay) {
		p.stop()
	}
	w.check(true)
}

// wait waits until everything that was committed has been delivered.
func (w *world) wait() {
	w.Helper()
	for deadline := time.Now().Add(dbtest.Patience); ; time.Sleep(20 * time.Millisecond) {
		missing := w.missing()
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("%d of %d committed events have not been delivered: %v", len(missing), len(w.committed), missing)
		}
	}
}

func (w *world) missing() (ids []string) {
	w.Helper()
	delivered, told := w.delivered(), w.timeline()
	for _, id := range w.committed {
		if delivered[id] == 0 || told[id] == 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// check looks for what must not have been delivered; once says that nothing may have come twice.
func (w *world) check(once bool) {
	w.Helper()
	delivered, told := w.delivered(), w.timeline()
	for _, id := range w.rolledBack {
		if delivered[id]+told[id] > 0 {
			w.Errorf("%s was rolled back, and delivered", id)
		}
	}
	for id, times := range delivered {
		if once && times > 1 {
			w.Errorf("%s was delivered %d times", id, times)
		}
	}
	for id, times := range told {
		if times > 1 {
			w.Errorf("%s is in the timeline %d times", id, times)
		}
	}
}

// timeline returns how often each event is in it.
func (w *world) timeline() map[string]int {
	w.Helper()
	table := "threadline.audit_actions"
	if w.e.Driver == "sqlite" {
		table = "threadline_audit_actions"
	}
	times := make(map[string]int)
	rows, err := w.db.QueryContext(w.Context(), "SELECT id FROM "+table)
	if err != nil {
		return times // there is no such table yet
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			w.Fatal(err)
		}
		times[id]++
	}
	if err := rows.Err(); err != nil {
		w.Fatal(err)
	}
	return times
}
