package threadline_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// TestAliasesAreOneTarget asks by each name, in pages of every size, and finds all of
// them in the one order.
func TestAliasesAreOneTarget(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		plain, db := migrated(t, e)
		var want, ofOrder []journal.Entry
		var all []journal.Entry
		for i := range 21 {
			entry := entry(i / 2) // equal times, too
			entry.Target = hooks.Target{Type: []string{"order", "orders", "shop.orders", "user", "orders"}[i%5], ID: "42"}
			if i%7 == 6 {
				entry.Target.ID = "43"
			}
			entry.Ordinal = i
			all = append(all, entry)
			if entry.Target.Type == "user" || entry.Target.ID != "42" {
				continue
			}
			want = append(want, entry)
			if entry.Target.Type == "order" {
				ofOrder = append(ofOrder, entry)
			}
		}
		record(t, plain, all...)
		s := threadline.NewStore(db, e.Dialect, &threadline.Options{Aliases: map[string][]string{"order": {"orders", "shop.orders"}}})
		for _, name := range []string{"order", "orders", "shop.orders"} {
			for limit := 1; limit <= 20; limit++ {
				q := threadline.Query{TargetType: name, TargetID: "42", Limit: limit}
				if got := walk(t, s, q, nil); !slices.Equal(got, reversed(want)) {
					t.Fatalf("%s in pages of %d: %v, want %v", name, limit, got, reversed(want))
				}
			}
			var types []string
			for _, a := range timeline(t, s, threadline.Query{TargetType: name}).Actions {
				types = append(types, a.Target.Type)
			}
			slices.Sort(types)
			if types = slices.Compact(types); !slices.Equal(types, []string{"order", "orders", "shop.orders"}) {
				t.Errorf("%s without an id finds %v", name, types)
			}
		}
		if got := walk(t, plain, threadline.Query{TargetType: "order", TargetID: "42", Limit: 5}, nil); !slices.Equal(got, reversed(ofOrder)) {
			t.Errorf("without aliases: %v, want %v", got, reversed(ofOrder))
		}
	})
}

// TestTextAndNotLookAtSoMany: what few actions match takes several pages, some of them
// empty, none of which looks at more than MaxLooked.
func TestTextAndNotLookAtSoMany(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, _ := migrated(t, e)
		const rows = 3*threadline.MaxLooked + 1
		entries := planEntries(rows)
		var want []uuid.UUID
		for _, i := range []int{rows - 1, rows - threadline.MaxLooked, rows - threadline.MaxLooked - 1, 1, 0} {
			entries[i].Reason, entries[i].Outcome = "a refund", hooks.Failure
			want = append(want, entries[i].ID)
		}
		record(t, s, entries...)
		for _, q := range []threadline.Query{
			{Text: []string{"Refund"}},
			{Not: []threadline.Query{{Outcome: hooks.Success}}},
		} {
			for limit, pages := range map[int]int{50: 4, 2: 4, 1: 5} {
				q.Limit, q.Cursor = limit, ""
				var got []uuid.UUID
				for n := 1; ; n++ {
					page := timeline(t, s, q)
					got = append(got, ids(page.Actions)...)
					if page.Next == "" {
						if n < pages || n > pages+1 {
							t.Errorf("%+v: %d pages, want %d or one more", q, n, pages)
						}
						break
					}
					if n > 10 {
						t.Fatal("the pages have no end")
					}
					q.Cursor = page.Next
				}
				if !slices.Equal(got, want) {
					t.Errorf("%+v: %v, want %v", q, got, want)
				}
			}
			q.Cursor = ""
			if got := slices.Collect(each(t, s, q)); !slices.Equal(got, want) {
				t.Errorf("Each: %v, want %v", got, want)
			}
		}
	})
}

func each(t *testing.T, s *threadline.Store, q threadline.Query) func(func(uuid.UUID) bool) {
	t.Helper()
	q.Limit = 0
	return func(yield func(uuid.UUID) bool) {
		for a, err := range s.Each(context.Background(), q) {
			if err != nil {
				t.Error(err)
			} else if !yield(a.ID) {
				return
			}
		}
	}
}

// TestTextWhileActionsArrive records actions at the top between pages: none is repeated and
// none of the old ones is lost.
func TestTextWhileActionsArrive(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		s, _ := migrated(t, e)
		entries := planEntries(threadline.MaxLooked + 100)
		var want []uuid.UUID
		for i := len(entries) - 1; i >= 0; i -= 50 {
			entries[i].Comment = "needle"
			want = append(want, entries[i].ID)
		}
		record(t, s, entries...)
		q := threadline.Query{Text: []string{"needle"}, Limit: 7}
		var got []uuid.UUID
		for n := 0; ; n++ {
			page := timeline(t, s, q)
			got = append(got, ids(page.Actions)...)
			late := entry(len(entries) + n)
			late.Comment = "needle"
			record(t, s, late)
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

var actorTypes = []hooks.ActorType{hooks.User, hooks.Admin, hooks.ServiceAccount, hooks.Job, hooks.System, hooks.Anonymous}

// TestMergedPagesWalkTheIndex: each name's rows come from the index in order, as many as
// the page has, and only these are sorted.
func TestMergedPagesWalkTheIndex(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		db, statements := spied(t, e)
		s := threadline.NewStore(db, e.Dialect, &threadline.Options{Aliases: map[string][]string{"order": {"orders"}}})
		if err := s.Migrate(context.Background()); err != nil {
			t.Fatal(err)
		}
		rows := planRows
		if e.Dialect == hooks.SQLite {
			rows = 5000
		}
		entries := planEntries(rows)
		for i := range entries {
			if i/100%2 == 0 {
				entries[i].Target.Type = "orders"
			}
			entries[i].Actor.Type = actorTypes[i/100%len(actorTypes)]
		}
		record(t, s, entries...)
		exec(t, db, "ANALYZE")
		for index, q := range map[string]threadline.Query{
			"audit_actions_target": {TargetType: "order", TargetID: "7"},
			"audit_actions_actor":  {ActorID: "7"},
		} {
			q.Limit = 10
			q.Cursor = timeline(t, s, q).Next
			statements.reset()
			timeline(t, s, q)
			plan := explain(t, db, e, statements.all()[0])
			branches := strings.Count(plan, index)
			if want := map[string]int{"audit_actions_target": 2, "audit_actions_actor": 6}[index]; branches < want {
				t.Errorf("%d walks along %s, want %d:\n%s", branches, index, want, plan)
			}
			sorted, before := 0, "" // PostgreSQL sorts to merge, SQLite what each name has given
			for line := range strings.Lines(plan) {
				if sorts(line) && !strings.HasPrefix(before, "SCAN of") {
					sorted++
				}
				before = line
				for _, bad := range []string{"Seq Scan", "Bitmap"} {
					if strings.Contains(line, bad) {
						t.Errorf("%s:\n%s", bad, plan)
					}
				}
			}
			if sorted > 1 {
				t.Errorf("%d sorts, want that of the merge alone:\n%s", sorted, plan)
			}
		}
	})
}

// TestTextBesideMetadataThatIsNoJSON: one damaged row hides no other.
func TestTextBesideMetadataThatIsNoJSON(t *testing.T) {
	s, db := migrated(t, dbtest.SQLite)
	damaged, whole := entry(1), entry(2)
	whole.Metadata = map[string]any{"why": "needle"}
	damaged.Metadata = map[string]any{"why": "x"}
	record(t, s, damaged, whole)
	exec(t, db, "UPDATE threadline_audit_actions SET metadata = '{needle' WHERE seq = 1")
	page := timeline(t, s, threadline.Query{Text: []string{"needle"}})
	if got := ids(page.Actions); !slices.Equal(got, []uuid.UUID{whole.ID}) {
		t.Errorf("%v, want %v", got, whole.ID)
	}
	page = timeline(t, s, threadline.Query{Not: []threadline.Query{{Text: []string{"needle"}}}})
	if got := ids(page.Actions); !slices.Equal(got, []uuid.UUID{damaged.ID}) {
		t.Errorf("left out: %v, want %v", got, damaged.ID)
	}
}
