package changes_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// trailed is a world whose app records events, too.
type trailed struct {
	*app
	timeline *threadline.Store
	reader   *trail.Reader
}

// withTrail runs f on one of PostgreSQL's drivers.
func withTrail(t *testing.T, f func(w *trailed)) {
	t.Helper()
	withTrailOn(t, dbtest.PostgresEngines()[0], f)
}

func withTrailOn(t *testing.T, e dbtest.Engine, f func(w *trailed)) {
	t.Helper()
	with(t, func(w *world) {
		hub := forward.New(&forward.Options{Logger: zap.NewNop(), Relay: forward.RelayElsewhere})
		hub.Register(threadline.NewForwarder(nil), forward.Sync)
		name := dbtest.Name(e.Driver)
		e.Register(name, hub, driver.Capture(driver.AllTables()))
		f((&trailed{app: &app{w, dbtest.Open(t, name, w.dsn)}}).read())
	}, e)
}

// read opens the stores.
func (w *trailed) read() *trailed {
	same := map[string][]string{"order": {"orders"}}
	w.timeline = threadline.NewStore(w.world.db, w.dialect(), &threadline.Options{Aliases: same})
	w.store = changes.NewStore(w.world.db, w.dialect(), &changes.Options{Aliases: same})
	w.reader = trail.NewReader(w.timeline, w.store)
	return w
}

func (w *trailed) dialect() hooks.Dialect {
	if w.e.Dialect == hooks.SQLite {
		return hooks.SQLite
	}
	return hooks.Postgres // also of another database than the world's
}

// means writes to a table and records what that means, in one transaction.
func (w *trailed) means(by string, event hooks.Event, queries ...string) {
	w.Helper()
	tx, err := w.db.BeginTx(ctx, nil)
	w.must(err)
	defer tx.Rollback()
	who := ctx
	if by != "" {
		who = user(by)
	}
	for _, q := range queries {
		_, err := tx.ExecContext(who, q)
		w.must(err)
	}
	w.must(hooks.Record(who, tx, event))
	w.must(tx.Commit())
}

func (w *trailed) each(q trail.Query) (list []trail.Item) {
	w.Helper()
	for item, err := range w.reader.Each(ctx, q) {
		if err != nil {
			w.Fatalf("each of %+v: %v", q, err)
		}
		list = append(list, item)
	}
	return list
}

// pages returns what a query's pages have, one after the other. All but those of filters that look are full.
func (w *trailed) pages(q trail.Query) (list []trail.Item) {
	w.Helper()
	for {
		page, err := w.reader.Page(ctx, q)
		if err != nil {
			w.Fatalf("a page of %+v: %v", q, err)
		}
		if n := len(page.Items); n > q.Limit || n < q.Limit && page.Next != "" {
			w.Fatalf("a page has %d items, its limit is %d, and its next %q", n, q.Limit, page.Next)
		}
		list = append(list, page.Items...)
		if page.Next == "" {
			return list
		}
		if len(list) > 10_000 {
			w.Fatalf("the pages of %+v have no end", q)
		}
		q.Cursor = page.Next
	}
}

// line is an item as a test compares it.
func line(i trail.Item) string {
	if i.Action != nil {
		return i.Action.ID.String() + " " + i.String()
	}
	return brief(*i.Change)
}

func wantItems(t *testing.T, what string, got, want []trail.Item) {
	t.Helper()
	one := func(list []trail.Item, i int) string {
		if i >= len(list) {
			return "(nothing)"
		}
		return line(list[i])
	}
	for i := range max(len(got), len(want)) {
		if one(got, i) != one(want, i) {
			t.Fatalf("%s: %d items, want %d; the first that differs is %d:\n%s\nwant\n%s", what, len(got), len(want), i, one(got, i), one(want, i))
		}
	}
}

// everything is the trail by a naive merge of all actions and all changes.
func (w *trailed) everything() (list []trail.Item) {
	w.Helper()
	for a, err := range w.timeline.Each(ctx, threadline.Query{}) {
		w.must(err)
		list = append(list, trail.Item{Action: &a})
	}
	for c, err := range w.store.Each(ctx, changes.Query{}) {
		w.must(err)
		list = append(list, trail.Item{Change: &c})
	}
	slices.SortStableFunc(list, func(a, b trail.Item) int { return b.Time().Compare(a.Time()) })
	return list
}

// matchesItem is a naive reading of a query's documentation. "order" and "orders" are one.
func matchesItem(q trail.Query, i trail.Item, namesOf func(changes.Change) []string) bool {
	if i.Action != nil {
		return matchesAction(q, i.Action)
	}
	if q.Action != "" || q.ActionPrefix != "" || q.Outcome != "" {
		return false
	}
	tables := slices.Clone(q.Tables)
	for n, table := range tables {
		if table == "order" {
			tables[n] = "orders"
		}
	}
	if !matches(changes.Query{
		Tables: tables, Schema: q.Schema, Key: q.Key, XID: q.Tx.ID, TxStartedAt: q.Tx.StartedAt, Ops: q.Ops, Fields: q.Fields, Old: q.Old, New: q.New, Text: q.Text,
		ActorType: q.ActorType, ActorID: q.ActorID, Unattributed: q.Unattributed, TenantID: q.TenantID, CorrelationID: q.CorrelationID, RequestID: q.RequestID, From: q.From, To: q.To,
	}, *i.Change, namesOf) {
		return false
	}
	return !slices.ContainsFunc(q.Not, func(n trail.Query) bool { return matchesItem(n, i, namesOf) })
}

func matchesAction(q trail.Query, a *threadline.Action) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	if len(q.Ops)+len(q.Fields)+len(q.Old)+len(q.New) > 0 || q.Schema != "" && len(q.Tables) == 0 || len(q.Key) > 1 ||
		!is(string(q.ActorType), string(a.Actor.Type)) || !is(q.ActorID, a.Actor.ID) || q.Unattributed && a.Actor.Type != "" ||
		!is(q.TenantID, a.TenantID) || !is(q.CorrelationID, a.CorrelationID) || !is(q.RequestID, a.RequestID) ||
		!is(q.Action, a.Action) || !strings.HasPrefix(a.Action, q.ActionPrefix) || !is(string(q.Outcome), string(a.Outcome)) ||
		q.Tx.ID != 0 && (q.Tx.ID != a.Tx.ID || !q.Tx.StartedAt.Equal(a.Tx.StartedAt)) ||
		len(q.Key) == 1 && a.Target.ID != q.Key[0] ||
		!q.From.IsZero() && a.RecordedAt.Before(q.From) || !q.To.IsZero() && !a.RecordedAt.Before(q.To) {
		return false
	}
	if len(q.Tables) > 0 && !slices.ContainsFunc(q.Tables, func(table string) bool {
		of := a.Target.Type
		if of == "order" {
			of = "orders"
		}
		if !strings.Contains(of, ".") {
			of = "public." + of
		}
		if table == "order" {
			table = "orders"
		}
		return of == table || strings.HasSuffix(of, "."+table) && (q.Schema == "" || of == q.Schema+"."+table)
	}) {
		return false
	}
	texts := []string{a.Action, a.Actor.ID, a.Actor.Name, a.Target.Type, a.Target.ID, a.Target.Name, a.Reason, a.Comment}
	for _, v := range a.Metadata {
		texts = append(texts, fmt.Sprint(v))
	}
	for _, text := range q.Text {
		if !slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(text)) }) {
			return false
		}
	}
	return !slices.ContainsFunc(q.Not, func(n trail.Query) bool { return matchesAction(n, a) })
}

// randomTrail asks for what some item has, or does not have.
func randomTrail(r *rand.Rand, list []trail.Item) (q trail.Query) {
	some := func() trail.Item { return list[r.IntN(len(list))] }
	q = trailFilters(r, some)
	for range r.IntN(3) {
		if n := trailFilters(r, some); !reflect.DeepEqual(n, trail.Query{}) {
			q.Not = append(q.Not, n)
		}
	}
	if r.IntN(3) == 0 {
		q.From = some().Time()
	}
	if to := some().Time(); r.IntN(3) == 0 && q.From.Before(to) {
		q.To = to
	}
	return q
}

func trailFilters(r *rand.Rand, some func() trail.Item) (q trail.Query) {
	for range r.IntN(3) {
		item := some()
		switch r.IntN(10) {
		case 0:
			q.ActorType, q.ActorID, q.Unattributed = "", []string{"alice", "bob", "eve"}[r.IntN(3)], false
		case 1:
			q.ActorType, q.ActorID, q.Unattributed = "", "", true
		case 2:
			q.TenantID = "shop"
		case 3:
			q.Tx = item.Tx()
		case 4:
			q.Text = []string{[]string{"REFUND", "paid", "order", "a", "late", "zzz"}[r.IntN(6)]}
		case 5:
			q.Tables = []string{[]string{"order", "orders", "public.orders", "Order Lines", "shop.Order Lines", "bare"}[r.IntN(6)]}
			if r.IntN(3) == 0 {
				q.Schema = "public"
			}
		case 6:
			if item.Change != nil && item.Change.Key != nil {
				q.Tables, q.Key = []string{item.Change.Table}, item.Change.Key
			} else if item.Action != nil && item.Action.Target.ID != "" {
				q.Tables, q.Key = []string{item.Action.Target.Type}, []string{item.Action.Target.ID}
			}
		case 7, 8:
			if item.Action == nil || len(q.Ops)+len(q.Fields)+len(q.Old)+len(q.New) > 0 {
				continue
			}
			switch r.IntN(3) {
			case 0:
				q.Action = item.Action.Action
			case 1:
				q.Outcome = item.Action.Outcome
			case 2:
				q.ActionPrefix, q.Action = "order", ""
			}
		case 9:
			if item.Change == nil || q.Action != "" || q.ActionPrefix != "" || q.Outcome != "" {
				continue
			}
			if r.IntN(2) == 0 {
				q.Ops = []changes.Op{item.Change.Op}
			} else {
				q.New = []changes.FieldValue{{Field: "status", Text: "paid"}}
			}
		}
	}
	if onlyChanges := q.Schema != "" && len(q.Tables) == 0 || len(q.Key) > 1; onlyChanges {
		q.Action, q.ActionPrefix, q.Outcome = "", "", ""
	}
	if !strings.HasPrefix(q.Action, q.ActionPrefix) {
		q.ActionPrefix = ""
	}
	return q
}

// TestTrailWorkload compares pages of random queries with a naive filter over the union of all actions and all
// changes: it has the same items, in the same order, each once. Many times are equal.
func TestTrailWorkload(t *testing.T) {
	withTrail(t, func(w *trailed) {
		r := rand.New(rand.NewPCG(dbtest.Seed(w), 2))
		namesOf := w.write(r)
		for n := range 40 {
			id := 1 + r.IntN(6)
			e := hooks.Event{
				Action: []string{"order.paid", "order.refunded", "orders.seen"}[r.IntN(3)], Outcome: []hooks.EventOutcome{hooks.Success, hooks.Failure}[r.IntN(2)],
				Target: hooks.Target{Type: []string{"order", "orders", "user"}[r.IntN(3)], ID: fmt.Sprint(id)}, Reason: []string{"", "late", "Refund"}[r.IntN(3)], Metadata: map[string]any{"n": n},
			}
			w.means([]string{"", "alice", "bob"}[r.IntN(3)], e, fmt.Sprintf("INSERT INTO orders (id, status) VALUES (%d, 'paid') ON CONFLICT (id) DO UPDATE SET status = concat('paid', %d)", id, n), randomWrite(r, `shop."Order Lines"`))
		}
		// Clocks that tick 20 times a second.
		const tick = "'epoch'::timestamptz + floor(extract(epoch FROM %[1]s) * 20) * interval '50 ms'"
		for table, columns := range map[string][]string{"audit_changes": {"captured_at"}, "audit_actions": {"recorded_at"}, "audit_contexts": {"first_recorded_at", "last_recorded_at"}} {
			for _, column := range columns {
				w.exec("UPDATE threadline." + table + " SET " + column + " = " + fmt.Sprintf(tick, column))
			}
		}
		all := w.everything()
		if got, want := fmt.Sprint(len(all)), w.text("SELECT (SELECT count(*) FROM threadline.audit_changes) + (SELECT count(*) FROM threadline.audit_actions)"); got != want {
			w.Fatalf("%s items, and the tables have %s", got, want)
		}
		wantItems(t, "all", w.each(trail.Query{}), all)
		found, ofBoth, refused := 0, 0, 0
		for n := range 30 {
			q := randomTrail(r, all)
			var want []trail.Item
			kinds := map[bool]int{}
			for _, item := range all {
				if matchesItem(q, item, namesOf) {
					want = append(want, item)
					kinds[item.Action != nil]++
				}
			}
			if q.Tx.ID != 0 { // its actions come first
				slices.SortStableFunc(want, func(a, b trail.Item) int {
					if (a.Action == nil) == (b.Action == nil) {
						return 0
					}
					return map[bool]int{true: -1, false: 1}[a.Action != nil]
				})
			}
			_, err := w.reader.Page(ctx, q)
			if errors.Is(err, changes.ErrNotCaptured) && len(want) == 0 {
				continue
			}
			if err != nil && strings.Contains(err.Error(), "there is no field") {
				refused++
				continue
			}
			found += len(want)
			ofBoth += min(kinds[true], kinds[false], 1)
			q.Limit = 5 + r.IntN(60)
			wantItems(t, fmt.Sprintf("%d: pages of %+v", n, q), w.pages(q), want)
			q.Limit = r.IntN(3) * 7
			if q.Limit > 0 {
				want = want[:min(len(want), q.Limit)]
			}
			wantItems(t, fmt.Sprintf("%d: each of %+v", n, q), w.each(q), want)
		}
		if found == 0 || ofBoth < 3 || refused > 15 {
			w.Errorf("%d items were found, by %d queries both kinds, and %d queries were refused", found, ofBoth, refused)
		}
	})
}

// TestTrailOf: everything an actor did, of a correlation, a request, a transaction, a row, a table, and of none.
func TestTrailOf(t *testing.T) {
	withTrail(t, func(w *trailed) {
		w.exec("CREATE TABLE orders (id int PRIMARY KEY, status text)", "CREATE SCHEMA shop", "CREATE TABLE shop.lines (id int PRIMARY KEY, part text)")
		w.capture(capture.Table{Name: "orders"}, capture.Table{Name: "shop.lines"})
		w.means("alice", hooks.Event{Action: "order.placed", CorrelationID: "corr-1", Target: hooks.Target{Type: "order", ID: "1"}}, "INSERT INTO orders VALUES (1, 'new')", "INSERT INTO shop.lines VALUES (7, 'bolt')")
		w.means("bob", hooks.Event{Action: "order.paid", Target: hooks.Target{Type: "order", ID: "1"}}, "UPDATE orders SET status = 'paid'")
		w.exec("UPDATE shop.lines SET part = 'nut'") // by no app
		w.means("alice", hooks.Event{Action: "user.warned", Target: hooks.Target{Type: "user", ID: "9"}}, "INSERT INTO orders VALUES (2, 'new')")
		last := w.each(trail.Query{Limit: 1})[0]
		told := func(q trail.Query) (lines []string) {
			for _, item := range w.each(q) {
				if item.Action != nil {
					lines = append(lines, item.Action.Action)
				} else {
					lines = append(lines, fmt.Sprintf("%s %s %s", item.Change.Op, item.Change.Table, item.Change.Key))
				}
			}
			return lines
		}
		for _, c := range []struct {
			what string
			q    trail.Query
			want string
		}{
			{"alice", trail.Query{ActorID: "alice"}, "user.warned, orders.inserted, insert orders [2], order.placed, shop.lines.inserted, orders.inserted, insert lines [7], insert orders [1]"},
			{"bob", trail.Query{ActorType: hooks.User, ActorID: "bob"}, "order.paid, orders.updated, update orders [1]"},
			{"nobody", trail.Query{Unattributed: true}, "update lines [7]"},
			{"a correlation", trail.Query{CorrelationID: "corr-1"}, "order.placed, insert lines [7], insert orders [1]"},
			{"a transaction", trail.Query{Tx: last.Tx()}, "user.warned, orders.inserted, insert orders [2]"},
			{"a request of alice", trail.Query{RequestID: "req-1", ActorID: "alice", Tables: []string{"shop.lines"}}, "shop.lines.inserted, insert lines [7]"},
			{"a row", trail.Query{Tables: []string{"order"}, Key: []string{"1"}}, "order.paid, update orders [1], order.placed, insert orders [1]"},
			{"a table", trail.Query{Tables: []string{"lines"}}, "update lines [7], shop.lines.inserted, insert lines [7]"},
			{"a table and its schema", trail.Query{Tables: []string{"lines"}, Schema: "shop"}, "update lines [7], shop.lines.inserted, insert lines [7]"},
			{"a target that is no table", trail.Query{Tables: []string{"user"}}, "user.warned"},
			{"a table of public", trail.Query{Tables: []string{"public.orders"}, ActorID: "bob"}, "order.paid, orders.updated, update orders [1]"},
			{"an operation", trail.Query{Ops: []changes.Op{changes.Update}}, "update lines [7], update orders [1]"},
			{"no operation", trail.Query{Not: []trail.Query{{Ops: []changes.Op{changes.Insert}}}, ActorID: "bob"}, "order.paid, orders.updated, update orders [1]"},
			{"an old value", trail.Query{Old: []changes.FieldValue{{Field: "part", Text: "bolt"}}}, "update lines [7]"},
			{"an outcome", trail.Query{Outcome: hooks.Success, ActorID: "bob"}, "order.paid, orders.updated"},
		} {
			if got := strings.Join(told(c.q), ", "); got != c.want {
				t.Errorf("%s: %s\nwant %s", c.what, got, c.want)
			}
		}
		doc, err := json.Marshal(w.each(trail.Query{ActorID: "bob", Not: []trail.Query{{ActionPrefix: "orders."}}}))
		w.must(err)
		if s := string(doc); !strings.HasPrefix(s, `[{"action":{"id":"`) || !strings.Contains(s, `},{"change":{"op":"update","schema":"public","table":"orders","key":["1"]`) {
			t.Errorf("as JSON: %s", s)
		}
	})
}

// TestTrailCursor: a cursor belongs to its filters, what is written meanwhile moves nothing, and a restored
// database goes on with it.
func TestTrailCursor(t *testing.T) {
	withTrail(t, func(w *trailed) {
		w.exec("CREATE TABLE orders (id int PRIMARY KEY, status text)")
		w.capture(capture.Table{Name: "orders"})
		for id := range 4 {
			w.means("alice", hooks.Event{Action: "order.placed", Target: hooks.Target{Type: "order", ID: fmt.Sprint(id)}}, fmt.Sprintf("INSERT INTO orders VALUES (%d, 'new')", id))
		}
		all := w.everything()
		cursors := []string{""}
		for n := range all {
			page, err := w.reader.Page(ctx, trail.Query{Limit: n + 1})
			w.must(err)
			if (page.Next == "") != (n == len(all)-1) {
				t.Errorf("%d of %d: the next is %q", n+1, len(all), page.Next)
			}
			cursors = append(cursors, page.Next)
		}
		w.means("bob", hooks.Event{Action: "order.placed", Target: hooks.Target{Type: "order", ID: "9"}}, "INSERT INTO orders VALUES (9, 'new')")
		rest := func(w *trailed, how string) {
			for n, cursor := range cursors[1 : len(cursors)-1] {
				wantItems(t, fmt.Sprintf("%s, after %d", how, n+1), w.pages(trail.Query{Limit: 5, Cursor: cursor}), all[n+1:])
			}
		}
		rest(w, "meanwhile")
		wantError := func(q trail.Query, field, says string) {
			t.Helper()
			_, err := w.reader.Page(ctx, q)
			var wrong *trail.QueryError
			if !errors.As(err, &wrong) || wrong.Field != field || !strings.Contains(wrong.Reason, says) {
				t.Errorf("%+v: %v, want %s: … %s", q, err, field, says)
			}
		}
		wantError(trail.Query{Cursor: cursors[1], ActorID: "alice"}, "cursor", "other filters")
		wantError(trail.Query{Cursor: cursors[1][1:]}, "cursor", "damaged")
		wantError(trail.Query{Cursor: "x"}, "cursor", "damaged")
		actions, err := w.timeline.Timeline(ctx, threadline.Query{Limit: 1})
		w.must(err)
		wantError(trail.Query{Cursor: actions.Next}, "cursor", "other filters")
		wantError(trail.Query{Limit: trail.MaxLimit + 1}, "limit", "Reader.Each")
		wantError(trail.Query{Tables: []string{"\x00"}}, "table", "UTF-8")
		wantError(trail.Query{Tables: []string{"ordres"}}, "table", `did you mean "orders"?`)
		wantError(trail.Query{Key: []string{"1"}}, "key", "needs a table")
		wantError(trail.Query{Not: []trail.Query{{ActorType: "nobody"}}}, "-actor", "use user")
		wantError(trail.Query{Tx: journal.TxKey{ID: 7}}, "transaction", "needs both")
		wantError(trail.Query{From: time.Unix(2, 0), To: time.Unix(1, 0)}, "after", "swap")
		wantError(trail.Query{Outcome: hooks.Failure, Fields: []string{"status"}}, "outcome", "no item matches both")

		to := &trailed{app: &app{world: w.elsewhere(dbtest.Start(t, nil).Database(t))}}
		w.dumpTo(to.world)
		rest(to.read(), "restored")
	})
}

// TestTrailOrder: T1 has the lower xid, waits for T2, which commits first, and commits last. The changes of their common row
// are in the order of its versions, which is that of the commits and not of the xids. Of rows that only one of them has
// written, the list says in which order they were written, which is that of neither.
func TestTrailOrder(t *testing.T) {
	withTrail(t, func(w *trailed) {
		w.exec("CREATE TABLE orders (id int PRIMARY KEY, status text)", "INSERT INTO orders SELECT n, 'new' FROM generate_series(1, 3) n")
		w.capture(capture.Table{Name: "orders"})
		begin := func(action string) (write func(id int) error, commit func()) {
			tx, err := w.db.BeginTx(ctx, nil)
			w.must(err)
			t.Cleanup(func() { _ = tx.Rollback() })
			write = func(id int) error {
				_, err := tx.ExecContext(user(action), fmt.Sprintf("UPDATE orders SET status = '%s' WHERE id = %d", action, id))
				return err
			}
			return write, func() {
				w.must(hooks.Record(user(action), tx, hooks.Event{Action: "tx." + action}))
				w.must(tx.Commit())
			}
		}
		first, commitFirst := begin("first")
		w.must(first(1)) // has an xid, the lower one
		second, commitSecond := begin("second")
		w.must(second(2))
		w.must(second(3))
		done := make(chan error, 1)
		go func() { done <- first(3) }() // waits
		w.await("SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'transactionid' AND NOT l.granted AND a.datname = current_database()")
		commitSecond()
		w.must(<-done)
		commitFirst()
		var got []string
		xids := map[string]int64{}
		for _, item := range w.each(trail.Query{}) {
			if item.Change != nil {
				by := *item.Change.Fields[0].New.Text
				got = append(got, by+" "+item.Change.Key[0])
				xids[by] = item.Change.XID
			} else if !item.Action.Captured {
				got = append(got, item.Action.Action)
			}
		}
		if xids["first"] >= xids["second"] {
			t.Fatalf("the xids are %v", xids)
		}
		// Newest first.
		if want := "tx.first, first 3, tx.second, second 3, second 2, first 1"; strings.Join(got, ", ") != want {
			t.Errorf("the trail is %s\nwant %s", strings.Join(got, ", "), want)
		}
		var history []string
		for _, item := range w.each(trail.Query{Tables: []string{"orders"}, Key: []string{"3"}, Ops: []changes.Op{changes.Update}}) {
			history = append(history, *item.Change.Fields[0].New.Text)
		}
		if got, now := strings.Join(history, ", "), w.text("SELECT status FROM orders WHERE id = 3"); got != "first, second" || now != "first" {
			t.Errorf("the row's changes are by %s, and it ends as %s", got, now)
		}
	})
}

// TestTrailOnSQLite: pages of any size have the union of both kinds, and of a transaction's its actions, and then its row changes.
func TestTrailOnSQLite(t *testing.T) {
	withTrailOn(t, dbtest.SQLite, func(w *trailed) {
		w.exec("CREATE TABLE orders (id INTEGER PRIMARY KEY, status TEXT)")
		w.capture(capture.Table{Name: "orders"})
		w.means("alice", hooks.Event{Action: "order.placed", Target: hooks.Target{Type: "order", ID: "1"}}, "INSERT INTO orders VALUES (1, 'new'), (2, 'new')")
		w.exec("UPDATE orders SET status = 'stolen' WHERE id = 2") // by no app
		w.means("bob", hooks.Event{Action: "order.paid", Target: hooks.Target{Type: "order", ID: "1"}}, "UPDATE orders SET status = 'paid' WHERE id = 1")
		all := w.everything()
		if len(all) != 8 {
			t.Fatalf("%d items", len(all))
		}
		for limit := 1; limit <= len(all)+1; limit++ {
			wantItems(t, fmt.Sprintf("pages of %d", limit), w.pages(trail.Query{Limit: limit}), all)
		}
		none := func(c changes.Change) []string { return []string{"public." + c.Table} }
		for _, q := range []trail.Query{
			{ActorID: "alice"},
			{ActorID: "bob", Tables: []string{"orders"}},
			{Tables: []string{"order"}, Key: []string{"1"}},
			{Ops: []changes.Op{changes.Update}},
			{New: []changes.FieldValue{{Field: "status", Text: "stolen"}}},
			{Outcome: hooks.Success},
			{Text: []string{"paid"}},
			{Not: []trail.Query{{ActorID: "alice"}}},
		} {
			var want []trail.Item
			for _, item := range all {
				if matchesItem(q, item, none) {
					want = append(want, item)
				}
			}
			if len(want) == 0 {
				t.Errorf("%+v finds nothing", q)
			}
			q.Limit = 2
			wantItems(t, fmt.Sprintf("%+v", q), w.pages(q), want)
		}
		// A transaction is found by the start that its actions have, and by that of its row changes.
		for _, item := range all {
			var want []trail.Item
			for _, other := range all {
				if other.Tx().ID == item.Tx().ID {
					want = append(want, other)
				}
			}
			slices.SortStableFunc(want, func(a, b trail.Item) int { return kindOf(a) - kindOf(b) })
			if item.Tx().ID == 0 {
				if _, err := w.reader.Page(ctx, trail.Query{Tx: item.Tx()}); err == nil {
					t.Error("a transaction without a number was asked for")
				}
				continue
			}
			for limit := 1; limit <= len(want)+1; limit++ {
				wantItems(t, fmt.Sprintf("pages of %d of a transaction", limit), w.pages(trail.Query{Tx: item.Tx(), Limit: limit}), want)
			}
			var others []trail.Item
			for _, other := range all {
				if other.Tx().ID != item.Tx().ID {
					others = append(others, other)
				}
			}
			wantItems(t, "without a transaction", w.pages(trail.Query{Not: []trail.Query{{Tx: item.Tx()}}, Limit: 3}), others)
		}
	})
}

// kindOf is 0 of an action, and 1 of a row change.
func kindOf(i trail.Item) int {
	if i.Action != nil {
		return 0
	}
	return 1
}
