package changes_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// all returns what Each yields.
func (w *world) all(q changes.Query) (list []changes.Change) {
	w.Helper()
	for c, err := range w.store.Each(ctx, q) {
		w.must(err)
		list = append(list, c)
	}
	return list
}

// pages returns what a query's pages have, one after the other.
func (w *world) pages(q changes.Query) (list []changes.Change) {
	w.Helper()
	for {
		page, err := w.store.Page(ctx, q)
		w.must(err)
		if len(page.Changes) > q.Limit {
			w.Fatalf("a page has %d changes, and its limit is %d", len(page.Changes), q.Limit)
		}
		list = append(list, page.Changes...)
		if page.Next == "" {
			return list
		}
		if page.Next == q.Cursor {
			w.Fatalf("the pages of %+v have no end", q)
		}
		q.Cursor = page.Next
	}
}

// brief is a change in a line, as a test compares it.
func brief(c changes.Change) string {
	return fmt.Sprintf("%d %s %s %s.%s %q %q %v", c.XID, c.CapturedAt.Format(time.RFC3339Nano), c.Op, c.Schema, c.Table, c.Key, c.FormerKey, c.Fields)
}

func (w *world) wantSame(what string, got, want []changes.Change) {
	w.Helper()
	one := func(list []changes.Change, i int) string {
		if i >= len(list) {
			return "(nothing)"
		}
		return brief(list[i])
	}
	for i := range max(len(got), len(want)) {
		if one(got, i) != one(want, i) {
			w.Fatalf("%s: %d changes, want %d; the first that differs is %d:\n%s\nwant\n%s", what, len(got), len(want), i, one(got, i), one(want, i))
		}
	}
}

// matches is a naive reading of a query's documentation.
func matches(q changes.Query, c changes.Change, namesOf func(changes.Change) []string) bool {
	names := namesOf(c)
	if len(q.Tables) > 0 && !slices.ContainsFunc(q.Tables, func(t string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return n == t || strings.HasSuffix(n, "."+t) })
	}) {
		return false
	}
	if q.Schema != "" && !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, q.Schema+".") }) {
		return false
	}
	if q.Key != nil && !reflect.DeepEqual(q.Key, c.Key) && !reflect.DeepEqual(q.Key, c.FormerKey) {
		return false
	}
	if q.XID != 0 && (q.XID != c.XID || !q.TxStartedAt.Equal(c.TxStartedAt)) {
		return false
	}
	if len(q.Ops) > 0 && !slices.Contains(q.Ops, c.Op) {
		return false
	}
	field := func(name string) *changes.Field {
		for i := range c.Fields {
			if c.Fields[i].Name == name {
				return &c.Fields[i]
			}
		}
		return nil
	}
	plain := func(v changes.Value) bool { return !v.Masked && !v.Shortened }
	for _, name := range q.Fields {
		f := field(name)
		if f == nil || c.Op == changes.Update && plain(f.Old) && plain(f.New) && reflect.DeepEqual(f.Old.Text, f.New.Text) {
			return false
		}
	}
	for _, side := range []struct {
		values []changes.FieldValue
		get    func(*changes.Field) changes.Value
		no     changes.Op
	}{
		{q.Old, func(f *changes.Field) changes.Value { return f.Old }, changes.Insert},
		{q.New, func(f *changes.Field) changes.Value { return f.New }, changes.Delete},
	} {
		for _, want := range side.values {
			f := field(want.Field)
			if f == nil || c.Op == side.no || !plain(side.get(f)) {
				return false
			}
			text := side.get(f).Text
			if want.Null != (text == nil) || text != nil && *text != want.Text {
				return false
			}
		}
	}
	for _, text := range q.Text {
		var texts []string
		for _, n := range names {
			_, table, _ := strings.Cut(n, ".")
			texts = append(texts, table)
		}
		texts = slices.Concat(texts, c.Key, c.FormerKey)
		for _, f := range c.Fields {
			for _, v := range []changes.Value{f.Old, f.New} {
				if v.Text != nil && plain(v) {
					texts = append(texts, *v.Text)
				}
			}
		}
		if !slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(text)) }) {
			return false
		}
	}
	if !q.From.IsZero() && c.CapturedAt.Before(q.From) || !q.To.IsZero() && !c.CapturedAt.Before(q.To) {
		return false
	}
	return matchesWho(q, c.By) && !slices.ContainsFunc(q.Not, func(n changes.Query) bool { return matches(n, c, namesOf) })
}

func matchesWho(q changes.Query, by *changes.Attribution) bool {
	if q.Unattributed && slices.ContainsFunc(by.Contexts, func(c changes.Context) bool { return c.Actor.Type != "" }) {
		return false
	}
	if q.ActorID == "" && q.ActorType == "" && q.TenantID == "" && q.RequestID == "" && q.CorrelationID == "" {
		return true
	}
	for _, c := range by.Contexts {
		if (q.ActorID == "" || q.ActorID == c.Actor.ID) && (q.ActorType == "" || q.ActorType == c.Actor.Type) && (q.TenantID == "" || q.TenantID == c.TenantID) &&
			(q.RequestID == "" || q.RequestID == c.RequestID) && (q.CorrelationID == "" || q.CorrelationID == c.CorrelationID) {
			return true
		}
	}
	return false
}

// TestQueryWorkload compares pages of random queries, in both orders, with a naive filter over all changes.
func TestQueryWorkload(t *testing.T) {
	eachAppOn(t, dbtest.Engines(), func(w *world, open func(o forward.Options, timeline bool) *app) {
		r := rand.New(rand.NewPCG(dbtest.Seed(w), 1))
		namesOf := open(forward.Options{}, true).write(r)
		everything := w.all(changes.Query{OldestFirst: true})
		if n := w.changes(); n != strconv.Itoa(len(everything)) {
			w.Fatalf("%d changes, and the table has %s", len(everything), n)
		}
		if !slices.IsSortedFunc(everything, func(a, b changes.Change) int { return a.CapturedAt.Compare(b.CapturedAt) }) {
			w.Error("they are not in the order of the clock")
		}
		found := 0
		for range 80 {
			q := randomQuery(r, everything)
			var want []changes.Change
			for _, c := range everything {
				if matches(q, c, namesOf) {
					want = append(want, c)
				}
			}
			_, err := w.store.Page(ctx, q)
			if errors.Is(err, changes.ErrNotCaptured) {
				// Others that it names may have been.
				if !slices.ContainsFunc(q.Tables, func(table string) bool {
					return !slices.ContainsFunc(everything, func(c changes.Change) bool {
						return slices.ContainsFunc(namesOf(c), func(n string) bool {
							return (n == table || strings.HasSuffix(n, "."+table)) && strings.HasPrefix(n, q.Schema)
						})
					})
				}) {
					w.Errorf("%+v: %v, but each table has changes", q, err)
				}
				continue
			}
			if err != nil && strings.Contains(err.Error(), "there is no field") { // in the table that it names
				if len(want) > 0 && len(q.Not) == 0 {
					w.Errorf("%+v: %v, but it finds %d changes", q, err, len(want))
				}
				continue
			}
			found += len(want)
			if !q.OldestFirst {
				slices.Reverse(want)
			}
			q.Limit = 1 + r.IntN(40)
			w.wantSame(fmt.Sprintf("pages of %+v", q), w.pages(q), want)
			q.Limit = r.IntN(3) * 7
			if q.Limit > 0 {
				want = want[:min(len(want), q.Limit)]
			}
			w.wantSame(fmt.Sprintf("each of %+v", q), w.all(q), want)
		}
		if found == 0 {
			w.Error("no query has found anything")
		}
	})
}

// write makes changes of all kinds by several actors, and returns the names that a change's table had.
func (a *app) write(r *rand.Rand) func(changes.Change) []string {
	lines := a.either(`shop."Order Lines"`, `"Order Lines"`)
	a.exec(a.either("CREATE SCHEMA shop", "SELECT 1"), `CREATE TABLE orders (id int PRIMARY KEY, status text, card text, pin text)`,
		"CREATE TABLE "+lines+" (id int, part text, note text, PRIMARY KEY (id, part))", `CREATE TABLE bare (a int, b text)`)
	list := []capture.Table{{Name: "orders", Mask: []string{"card"}, Hash: []string{"pin"}}, {Name: lines}, {Name: "bare"}}
	if a.e.Dialect == hooks.SQLite {
		list[0].Mask, list[0].Hash = []string{"card", "pin"}, nil
	}
	a.capture(list...)
	write := func(n int) {
		for range n {
			var queries, users []string
			for range 1 + r.IntN(3) {
				queries, users = append(queries, randomWrite(r, lines)), append(users, []string{"", "alice", "bob"}[r.IntN(3)])
			}
			if r.IntN(3) == 0 {
				a.exec(queries...) // by no app
			} else {
				a.tx(users, queries...)
			}
		}
	}
	write(40)
	a.exec("ALTER TABLE orders ADD extra text DEFAULT 'Refund'") // on PostgreSQL whole rows follow
	write(15)
	a.exec("ALTER TABLE bare RENAME TO plain")
	list[2].Name = "plain"
	a.capture(list...)
	a.exec(`CREATE TABLE bare (a int, b text)`) // another
	a.capture(capture.Table{Name: "bare"})
	another := a.later()
	write(40)
	a.exec(a.either("TRUNCATE orders", "DELETE FROM orders"), "INSERT INTO orders (id, status, card, pin) SELECT 1000 + n, "+a.either("repeat('long ', 20000)", "printf('%.100000c', 'x')")+", 'c', 'p' FROM "+a.numbers(4), "INSERT INTO plain VALUES (1, 'x')")
	write(10)
	return func(c changes.Change) []string {
		if c.Table == "plain" || c.Table == "bare" && c.CapturedAt.Before(another) {
			return []string{c.Schema + ".bare", c.Schema + ".plain"}
		}
		return []string{c.Schema + "." + c.Table}
	}
}

// later is a time that the database's clock shows, after all changes.
func (w *world) later() time.Time {
	w.Helper()
	last := w.text("SELECT CAST(max(captured_at) AS text) FROM " + w.either("threadline.audit_changes", "threadline_audit_changes"))
	for {
		now := w.text(w.either(`SELECT CAST(clock_timestamp() AS text)`, `SELECT strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')`))
		if now == last {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, w.text(w.either(`SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`, "SELECT '"+now+"'")))
		w.must(err)
		return at
	}
}

func randomWrite(r *rand.Rand, lines string) string {
	id := 1 + r.IntN(6)
	status := []string{"'paid'", "'new'", "'Refund due'", "''", "NULL"}[r.IntN(5)]
	switch r.IntN(8) {
	case 0, 1:
		return fmt.Sprintf("INSERT INTO orders (id, status, card, pin) VALUES (%d, %s, 'paid', 'paid') ON CONFLICT (id) DO UPDATE SET status = %s, card = 'card%d'", id, status, status, r.IntN(3))
	case 2:
		return fmt.Sprintf("UPDATE orders SET status = %s, pin = 'pin%d' WHERE id = %d", status, r.IntN(3), id)
	case 3:
		return fmt.Sprintf("DELETE FROM orders WHERE id = %d", id)
	case 4:
		return fmt.Sprintf(`INSERT INTO `+lines+` VALUES (%d, 'a "b"', 'paid %d') ON CONFLICT (id, part) DO UPDATE SET note = excluded.note, part = 'c,' WHERE NOT EXISTS (SELECT 1 FROM `+lines+` l WHERE l.id = excluded.id AND l.part = 'c,')`, id, r.IntN(4))
	case 5:
		return fmt.Sprintf(`UPDATE `+lines+` SET id = id + (SELECT max(l.id) FROM `+lines+` l) WHERE id = %d`, id)
	case 6:
		return fmt.Sprintf("INSERT INTO bare VALUES (%d, %s)", id, status)
	}
	return fmt.Sprintf("UPDATE bare SET b = %s WHERE a = %d", status, id)
}

// randomQuery asks for what some change has, or does not have.
func randomQuery(r *rand.Rand, everything []changes.Change) (q changes.Query) {
	some := func() changes.Change { return everything[r.IntN(len(everything))] }
	q = randomFilters(r, some)
	for range r.IntN(3) {
		if n := randomFilters(r, some); !reflect.DeepEqual(n, changes.Query{}) {
			q.Not = append(q.Not, n)
		}
	}
	if r.IntN(3) == 0 {
		q.From = some().CapturedAt
	}
	if to := some().CapturedAt; r.IntN(3) == 0 && q.From.Before(to) {
		q.To = to
	}
	q.OldestFirst = r.IntN(2) == 0
	return q
}

func randomFilters(r *rand.Rand, some func() changes.Change) (q changes.Query) {
	for range 1 + r.IntN(2) {
		c := some()
		var f changes.Field
		if len(c.Fields) > 0 {
			f = c.Fields[r.IntN(len(c.Fields))]
		}
		switch r.IntN(13) {
		case 0:
			q.Tables = []string{c.Table}
		case 1:
			q.Tables = []string{some().Table, c.Schema + "." + c.Table}
		case 2:
			q.Schema = c.Schema
		case 3:
			if c.Key != nil {
				q.Tables, q.Key = []string{c.Table}, c.Key
			}
		case 4:
			if c.XID != 0 { // which on SQLite only the driver gives
				q.XID, q.TxStartedAt = c.XID, c.TxStartedAt
			}
		case 5:
			q.Ops = []changes.Op{c.Op, some().Op}
		case 6:
			q.Fields = []string{cmp.Or(f.Name, "id")}
		case 7, 8:
			for _, v := range []changes.Value{f.Old, f.New} {
				value := changes.FieldValue{Field: f.Name, Null: v.Text == nil}
				if v.Text != nil {
					value.Text = *v.Text
				}
				if f.Name != "" && f.Name != "card" && f.Name != "pin" { // which are refused
					if r.IntN(2) == 0 {
						q.Old = []changes.FieldValue{value}
					} else {
						q.New = []changes.FieldValue{value}
					}
				}
			}
		case 9:
			q.Text = []string{[]string{"REFUND", "paid", "order", "a", "c,", "zzz"}[r.IntN(6)]}
		case 10:
			q.ActorType, q.ActorID, q.Unattributed = hooks.User, []string{"alice", "bob", "eve", ""}[r.IntN(4)], false
		case 11:
			q.ActorType, q.ActorID, q.Unattributed = "", "", true
		case 12:
			q.TenantID = "shop"
		}
	}
	return q
}

// TestFollow: under concurrent writers, of which some commit late, each change appears once.
func TestFollow(t *testing.T) {
	both(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE u (id int PRIMARY KEY, a int)")
		w.capture(capture.Table{Name: "t"}, capture.Table{Name: "u"})
		var writers sync.WaitGroup
		late := make(chan struct{})
		done := make(chan struct{})
		write := func(table string, n int, wait bool) error {
			tx, err := w.db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()
			for i := range 5 {
				if _, err := tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s VALUES (%d, 0)", table, n*10+i)); err != nil {
					return err
				}
			}
			if wait {
				<-late
			}
			return tx.Commit()
		}
		for n := range 12 {
			writers.Go(func() {
				for _, table := range []string{"t", "u"} {
					if err := write(table, n, n%4 == 0); err != nil {
						t.Error(err)
					}
				}
			})
		}
		go func() {
			writers.Wait()
			close(done)
		}()
		seen := map[string]int{}
		q, last, finished := changes.Query{OldestFirst: true, Limit: 7}, time.Time{}, false
		for rounds := 0; ; rounds++ {
			page, err := w.store.Page(ctx, q)
			w.must(err)
			for _, c := range page.Changes {
				seen[c.Table+c.Key[0]]++
				if c.CapturedAt.Before(last) {
					t.Errorf("a change is older than the one before it: %s", brief(c))
				}
				last = c.CapturedAt
			}
			if q.Cursor = cmp.Or(page.Next, page.Follow); q.Cursor == "" {
				t.Fatal("there is nothing to follow")
			}
			if rounds == 40 {
				close(late)
			}
			if finished && page.Next == "" {
				break
			}
			select {
			case <-done:
				finished = rounds > 40
			default:
			}
		}
		for key, n := range seen {
			if n != 1 {
				t.Errorf("%s: %d times", key, n)
			}
		}
		if len(seen) != 120 {
			t.Errorf("%d changes, want 120", len(seen))
		}
	})
}
