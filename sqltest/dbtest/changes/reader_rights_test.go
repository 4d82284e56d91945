package changes_test

import (
	"database/sql"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
	"github.com/go-aftercommit/aftercommit/threadline/coverage"
	"github.com/go-aftercommit/aftercommit/threadline/health"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// documentedGrants are the grants of the README to a role that reads.
func documentedGrants(t *testing.T, role string) []string {
	t.Helper()
	text, err := os.ReadFile("../../../threadline/changes/README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)### Rights.*?```sql\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("the README has no grants")
	}
	var grants []string
	for line := range strings.Lines(string(block[1])) {
		line, _, _ = strings.Cut(line, ";")
		grants = append(grants, strings.ReplaceAll(line, "TO reader", `TO "`+role+`"`))
	}
	return grants
}

// TestReaderRights: a role with the grants of the README, and no other, gets the answers to every question that the owner gets.
func TestReaderRights(t *testing.T) {
	withTrail(t, func(w *trailed) {
		if w.e.Dialect != hooks.Postgres {
			return // it has no roles
		}
		w.exec("CREATE TABLE orders (id int PRIMARY KEY, v text)")
		w.capture(capture.Table{Name: "orders"})
		w.means("alice", hooks.Event{Action: "order.placed", Target: hooks.Target{Type: "orders", ID: "1"}}, "INSERT INTO orders VALUES (1, 'a')")
		bare := dbtest.Open(t, "postgres", w.dsn)
		if _, err := bare.ExecContext(ctx, "UPDATE orders SET v = 'b'"); err != nil {
			t.Fatal(err)
		}
		role := dbtest.Name("reader")
		w.exec(`CREATE ROLE "` + role + `"`)
		defer w.exec(`DROP OWNED BY "`+role+`"`, `DROP ROLE "`+role+`"`)
		w.exec(documentedGrants(t, role)...)
		db := dbtest.Open(t, "postgres", w.dsn+" options='-c role="+role+"'")
		store, timeline := changes.NewStore(db, hooks.Postgres, nil), threadline.NewStore(db, hooks.Postgres, nil)
		reader := trail.NewReader(timeline, store)

		want, err := w.store.History(ctx, "orders", "1")
		w.must(err)
		history, err := store.History(ctx, "orders", "1")
		if err != nil || len(history) != len(want) || len(history) != 2 {
			t.Fatalf("History: %v, %v; want %v", history, err, want)
		}
		for i := range want {
			if got, want := history[i].By.String(), want[i].By.String(); got != want {
				t.Errorf("who made a change is %s, want %s", got, want)
			}
		}
		at := w.moment()
		errs := make(map[string]error)
		_, errs["RowAsOf"] = store.RowAsOf(ctx, "orders", at, "1")
		_, errs["RowAfter"] = store.RowAfter(ctx, history[0])
		for _, err := range store.TableAsOf(ctx, "orders", at) {
			errs["TableAsOf"] = errors.Join(errs["TableAsOf"], err)
		}
		_, errs["Page"] = store.Page(ctx, changes.Query{Tables: []string{"orders"}, ActorID: "alice"})
		_, errs["a follower"] = store.Page(ctx, changes.Query{Tables: []string{"orders"}, ActorID: "alice", OldestFirst: true})
		_, errs["Transaction"] = store.Transaction(ctx, history[0].XID, history[0].TxStartedAt, 10)
		_, errs["Breaks"] = store.Breaks(ctx, "orders")
		_, errs["Captured"] = store.Captured(ctx)
		_, errs["Reached"] = store.Reached(ctx, []string{"orders"})
		_, errs["the undo of a transaction"] = undo.Transaction(ctx, store, history[0].XID, history[0].TxStartedAt)
		_, errs["the undo of a change"] = undo.Change(ctx, store, history[1])
		_, errs["the undo of a row"] = undo.RowAsOf(ctx, store, "orders", at, "1")
		_, errs["Timeline"] = timeline.Timeline(ctx, threadline.Query{})
		_, errs["Story"] = timeline.Story(ctx, store, journal.TxKey{ID: history[0].XID, StartedAt: history[0].TxStartedAt})
		_, errs["Causes"] = timeline.Causes(ctx, store, history)
		_, errs["trail"] = reader.Page(ctx, trail.Query{Tables: []string{"orders"}})
		_, errs["a bundle"] = reader.WriteBundle(ctx, io.Discard, trail.Query{Tables: []string{"orders"}})
		_, errs["coverage"] = coverage.NewChecker(db, hooks.Postgres, &coverage.Options{Window: time.Hour}).Check(ctx)
		for question, err := range errs {
			if err != nil {
				t.Errorf("%s: %v", question, err)
			}
		}
		w.wantRightsFound(db, role)
	})
}

// wantRightsFound takes each grant of a role back, and wants package health to find it.
func (w *trailed) wantRightsFound(db *sql.DB, role string) {
	w.Helper()
	rights := func() (found []health.Result) {
		for _, r := range health.Check(ctx, db, hooks.Postgres, nil) {
			if r.Part == "rights" {
				found = append(found, r)
			}
		}
		return found
	}
	if found := rights(); len(found) > 0 {
		w.Errorf("with all grants: %v", found)
	}
	for _, grant := range documentedGrants(w.T, role) {
		list := regexp.MustCompile("SELECT ON (.*) TO").FindStringSubmatch(grant)
		if list == nil || list[1] == "orders" {
			continue
		}
		for table := range strings.SplitSeq(list[1], ", ") {
			w.exec("REVOKE SELECT ON " + table + ` FROM "` + role + `"`)
			found := rights()
			if len(found) != 1 || !strings.Contains(found[0].Text, "may not read "+table+":") {
				w.Errorf("without %s: %v", table, found)
				continue
			}
			w.exec(strings.Split(found[0].Fix, "; ")...)
		}
	}
}
