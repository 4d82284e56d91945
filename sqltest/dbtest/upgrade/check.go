package upgrade

import (
	"time"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// Wait waits until everything that was committed has been delivered.
func (w *World) Wait() {
	w.Helper()
	for deadline := time.Now().Add(dbtest.Patience); ; time.Sleep(20 * time.Millisecond) {
		missing := w.missing()
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("%d of %d committed events have not been delivered: %v", len(missing), len(w.Committed), missing)
		}
	}
}

func (w *World) missing() (ids []string) {
	w.Helper()
	delivered, told := w.delivered(), w.timeline()
	for _, id := range w.Committed {
		if delivered[id] == 0 || told[id] == 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// Check looks for what must not have been delivered; once says that nothing may have come twice.
func (w *World) Check(once bool) {
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
func (w *World) timeline() map[string]int {
	w.Helper()
	table := "threadline.audit_actions"
	if w.e.Driver == "sqlite" {
		table = "threadline_audit_actions"
	}
	times := make(map[string]int)
	rows, err := w.DB.QueryContext(w.Context(), "SELECT id FROM "+table)
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
