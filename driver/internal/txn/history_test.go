package txn

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// done is a statement as the database executed it: what it did, to which rows.
type done struct {
	op   Operation
	rows []string // table/id
}

// script keeps what happened beside a transaction that folds it.
type script struct {
	*testing.T
	tx   Record
	all  []done
	each map[*Captured][]done
}

func newScript(t *testing.T) *script {
	t.Helper()
	return &script{T: t, each: make(map[*Captured][]done)}
}

// run places a statement; id is the key that it shows.
func (w *script) run(e Effect, table, id, actor string, rows ...string) {
	w.Helper()
	verb := [...]string{"inserted", "updated", "deleted", "upserted", "truncated", "merged", "updated", "upserted", "deleted", "changed"}[e]
	o := Operation{Effect: e, Key: Key{
		Action: table + "." + verb, Target: hooks.Target{Type: table, ID: id}, Values: hooks.Values{Actor: hooks.Actor{ID: actor}},
	}}
	said := done{op: o, rows: rows}
	f, _ := w.tx.place(o, false)
	if f == nil {
		w.Fatal("no event")
	}
	f.Add(int64(len(rows)))
	w.all, w.each[f] = append(w.all, said), append(w.each[f], said)
}

// folded is what happened by the events: the statements of each event
// together.
func (w *script) folded() (order []done) {
	for i := range w.tx.items {
		order = append(order, w.each[w.tx.items[i].captured]...)
	}
	return order
}

// last is what was done last to each row, and by whom.
func last(order []done) map[string]string {
	m := make(map[string]string)
	for _, s := range order {
		for _, row := range s.rows {
			m[row] = s.op.Key.Action + " by " + s.op.Key.Values.Actor.ID
		}
	}
	return m
}

func totals(order []done) map[string]int {
	m := make(map[string]int)
	for _, s := range order {
		m[s.op.Key.Action+" by "+s.op.Key.Values.Actor.ID] += len(s.rows)
	}
	return m
}

// TestCountingKeepsTheOrder executes random statements on two small tables. The
// events, expanded in their order, must leave each row with what was done to it
// last, and count the same.
func TestCountingKeepsTheOrder(t *testing.T) {
	sequences := 20_000
	if testing.Short() {
		sequences = 2_000
	}
	for seed := range sequences {
		w := newScript(t)
		m := &model{script: w, rand: rand.New(rand.NewPCG(1, uint64(seed))), tables: map[string]map[int]bool{"a": {}, "b": {}}}
		for range 2 + m.rand.IntN(14) {
			m.step()
		}
		want, got := last(w.all), last(w.folded())
		if !maps.Equal(got, want) || !maps.Equal(totals(w.folded()), totals(w.all)) {
			t.Fatalf("seed %d\nexecuted %s\nfolded   %s\nlast     %v\nwant     %v", seed, lines(w.all), lines(w.folded()), got, want)
		}
	}
}

func lines(order []done) string {
	var b strings.Builder
	for _, s := range order {
		fmt.Fprintf(&b, "\n  %s#%s by %s %v", s.op.Key.Action, s.op.Key.Target.ID, s.op.Key.Values.Actor.ID, s.rows)
	}
	return b.String()
}

// model is a database of two tables, whose rows are their keys.
type model struct {
	*script
	rand   *rand.Rand
	tables map[string]map[int]bool
}

func (m *model) step() {
	table := []string{"a", "b"}[m.rand.IntN(2)]
	actor := []string{"x", "x", "x", "y"}[m.rand.IntN(4)]
	id := m.rand.IntN(3)
	rows, shown := m.tables[table], ""
	if m.rand.IntN(3) > 0 {
		shown = strconv.Itoa(id)
	}
	name := func(ids ...int) (names []string) {
		for _, id := range ids {
			names = append(names, table+"/"+strconv.Itoa(id))
		}
		return names
	}
	// Without a key that is shown, a statement may be about several rows.
	some := func(there bool) (ids []int) {
		for i := range 3 {
			if rows[i] == there && (i == id || shown == "" && m.rand.IntN(2) > 0) {
				ids = append(ids, i)
			}
		}
		return ids
	}
	set := func(ids []int, there bool) {
		for _, id := range ids {
			rows[id] = there
		}
	}
	switch Effect(m.rand.IntN(effects + 2)) {
	case Inserted:
		if ids := some(false); len(ids) > 0 {
			set(ids, true)
			m.run(Inserted, table, shown, actor, name(ids...)...)
		}
	case Updated:
		if ids := some(true); len(ids) > 0 {
			m.run(Updated, table, shown, actor, name(ids...)...)
		}
	case Deleted:
		if ids := some(true); len(ids) > 0 {
			set(ids, false)
			m.run(Deleted, table, shown, actor, name(ids...)...)
		}
	case Upserted:
		ids := append(some(true), some(false)...)
		set(ids, true)
		m.run(Upserted, table, shown, actor, name(ids...)...)
	case Truncated:
		m.run(Truncated, table, "", actor, name(0, 1, 2)...)
		clear(rows)
	case Merged:
		ids := append(some(true), some(false)...)
		for _, id := range ids {
			rows[id] = m.rand.IntN(2) > 0
		}
		m.run(Merged, table, "", actor, name(ids...)...)
	case Moved:
		if to := (id + 1) % 3; rows[id] && !rows[to] {
			rows[id], rows[to] = false, true
			m.run(Moved, table, shown, actor, name(id, to)...)
		}
	case Replaced: // which deletes the row that is in its way
		way := (id + 1) % 3
		there := rows[way]
		rows[id], rows[way] = true, false
		if there {
			m.run(Replaced, table, shown, actor, name(id, way)...)
		} else {
			m.run(Replaced, table, shown, actor, name(id)...)
		}
	case Cascaded: // which takes the next row along, if it is there
		m.cascade(table, shown, actor, id, (id+1)%3)
	case Altered: // DROP TABLE and CREATE TABLE
		m.run(Altered, table, "", actor, name(0, 1, 2)...)
		clear(rows)
	default:
		m.tx.history.recorded(hooks.Target{Type: "thing", ID: strconv.Itoa(id)})
		m.tx.items = append(m.tx.items, item{})
	}
}

func (m *model) cascade(table, shown, actor string, id, next int) {
	rows := m.tables[table]
	if !rows[id] {
		return
	}
	names := []string{table + "/" + strconv.Itoa(id)}
	if rows[next] {
		names = append(names, table+"/"+strconv.Itoa(next))
	}
	rows[id], rows[next] = false, false
	m.run(Cascaded, table, shown, actor, names...)
}

// wantFolded asks for the events, as action#ID×statements.
func (w *script) wantFolded(want ...string) {
	w.Helper()
	var got []string
	for i := range w.tx.items {
		f := w.tx.items[i].captured
		if f == nil {
			got = append(got, "recorded")
			continue
		}
		s := f.key.Action
		if f.key.Target.ID != "" {
			s += "#" + f.key.Target.ID
		}
		got = append(got, s+"×"+strconv.Itoa(f.statements))
	}
	if !slices.Equal(got, want) {
		w.Errorf("events %q, want %q", got, want)
	}
}

func TestFoldingSmallest(t *testing.T) {
	w := newScript(t)
	w.run(Inserted, "a", "7", "x")
	w.run(Deleted, "a", "7", "x")
	w.run(Inserted, "a", "7", "x")
	w.wantFolded("a.inserted#7×1", "a.deleted#7×1", "a.inserted#7×1")

	w = newScript(t) // another row's, and another table's, do not disturb
	w.run(Inserted, "a", "7", "x")
	w.run(Deleted, "a", "8", "x")
	w.run(Deleted, "b", "", "x")
	w.run(Inserted, "a", "7", "x")
	w.wantFolded("a.inserted#7×2", "a.deleted#8×1", "b.deleted×1")

	w = newScript(t) // one that shows no key may be about any row
	w.run(Updated, "a", "7", "x")
	w.run(Deleted, "a", "", "x")
	w.run(Updated, "a", "7", "x")
	w.wantFolded("a.updated#7×1", "a.deleted×1", "a.updated#7×1")

	w = newScript(t) // an UPDATE is not moved in front of the INSERT of its row
	w.run(Updated, "a", "", "x")
	w.run(Inserted, "a", "8", "x")
	w.run(Updated, "a", "", "x")
	w.wantFolded("a.updated×1", "a.inserted#8×1", "a.updated×1")

	w = newScript(t) // one that sets the key makes room for another row of it
	w.run(Inserted, "a", "7", "x")
	w.run(Updated, "a", "7", "x")
	w.run(Moved, "a", "7", "x")
	w.run(Inserted, "a", "7", "x")
	w.wantFolded("a.inserted#7×1", "a.updated#7×1", "a.updated#7×1", "a.inserted#7×1")

	w = newScript(t) // and may be about a row that it does not name
	w.run(Deleted, "a", "8", "x")
	w.run(Moved, "a", "7", "x")
	w.run(Deleted, "a", "8", "x")
	w.wantFolded("a.deleted#8×1", "a.updated#7×1", "a.deleted#8×1")

	w = newScript(t) // a DELETE may take along a row that it does not name
	w.run(Inserted, "a", "8", "x")
	w.run(Cascaded, "a", "7", "x")
	w.run(Inserted, "a", "8", "x")
	w.wantFolded("a.inserted#8×1", "a.deleted#7×1", "a.inserted#8×1")

	w = newScript(t) // what the app recorded of a row keeps its place among what was done to it
	w.run(Updated, "a", "7", "x")
	w.run(Updated, "a", "8", "x")
	w.tx.history.recorded(hooks.Target{Type: "thing", ID: "7"})
	w.tx.items = append(w.tx.items, item{})
	w.run(Updated, "a", "7", "x")
	w.run(Updated, "a", "8", "x")
	w.wantFolded("a.updated#7×1", "a.updated#8×2", "recorded", "a.updated#7×1")
}

// TestFoldingLoops: a loop is one event, two interleaved ones are two, and one
// that undoes what it does is bounded, which one of its events says.
func TestFoldingLoops(t *testing.T) {
	const times = 5_000
	w := newScript(t)
	for range times {
		w.run(Inserted, "a", "", "x")
		w.run(Deleted, "b", "", "x")
	}
	w.wantFolded("a.inserted×5000", "b.deleted×5000")

	w = newScript(t)
	for i := range times {
		w.run(Inserted, "a", strconv.Itoa(i), "x")
		w.run(Updated, "a", strconv.Itoa(i), "x")
	}
	if n := len(w.tx.items); n != 2*(MaxTargets+1) {
		t.Errorf("%d events of rows inserted and updated, want %d and one for the rest, of each", n, MaxTargets)
	}

	for _, id := range []string{"", "7"} {
		w = newScript(t)
		for range times {
			w.run(Inserted, "a", id, "x")
			w.run(Deleted, "a", id, "x")
		}
		events, statements, interleaved := len(w.tx.items), 0, 0
		for i := range w.tx.items {
			f := w.tx.items[i].captured
			statements += f.statements
			if f.interleaved {
				interleaved++
			}
		}
		if events > 4*(MaxTargets+1) || statements != 2*times || interleaved != 1 {
			t.Errorf("id %q: %d events, %d of them interleaved, of %d statements", id, events, interleaved, statements)
		}
	}
}
