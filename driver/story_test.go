package driver

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
	act  act
	rows []string // table/id
}

// script keeps what happened beside a transaction that folds it.
type script struct {
	*testing.T
	tx   txn
	all  []done
	each map[*capture][]done
}

func newScript(t *testing.T) *script {
	t.Helper()
	return &script{T: t, each: make(map[*capture][]done)}
}

// run places a statement; id is the key that it shows.
func (w *script) run(d deed, table, id, actor string, rows ...string) {
	w.Helper()
	verb := [...]string{"inserted", "updated", "deleted", "upserted", "truncated", "merged", "updated", "upserted", "deleted", "changed"}[d]
	a := act{deed: d, key: foldKey{
		action: table + "." + verb, target: hooks.Target{Type: table, ID: id}, values: hooks.Values{Actor: hooks.Actor{ID: actor}},
	}}
	said := done{act: a, rows: rows}
	f, _ := w.tx.place(a, false)
	if f == nil {
		w.Fatal("no event")
	}
	f.add(int64(len(rows)))
	w.all, w.each[f] = append(w.all, said), append(w.each[f], said)
}

// folded is what happened by the events: the statements of each event
// together.
func (w *script) folded() (order []done) {
	for i := range w.tx.items {
		order = append(order, w.each[w.tx.items[i].fold]...)
	}
	return order
}

// last is what was done last to each row, and by whom.
func last(order []done) map[string]string {
	m := make(map[string]string)
	for _, s := range order {
		for _, row := range s.rows {
			m[row] = s.act.key.action + " by " + s.act.key.values.Actor.ID
		}
	}
	return m
}

func totals(order []done) map[string]int {
	m := make(map[string]int)
	for _, s := range order {
		m[s.act.key.action+" by "+s.act.key.values.Actor.ID] += len(s.rows)
	}
	return m
}

// TestFoldingKeepsTheStory executes random statements on two small tables. The
// events, expanded in their order, must leave each row with what was done to it
// last, and count the same.
func TestFoldingKeepsTheStory(t *testing.T) {
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
		fmt.Fprintf(&b, "\n  %s#%s by %s %v", s.act.key.action, s.act.key.target.ID, s.act.key.values.Actor.ID, s.rows)
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
	switch deed(m.rand.IntN(deeds + 2)) {
	case inserted:
		if ids := some(false); len(ids) > 0 {
			set(ids, true)
			m.run(inserted, table, shown, actor, name(ids...)...)
		}
	case updated:
		if ids := some(true); len(ids) > 0 {
			m.run(updated, table, shown, actor, name(ids...)...)
		}
	case deleted:
		if ids := some(true); len(ids) > 0 {
			set(ids, false)
			m.run(deleted, table, shown, actor, name(ids...)...)
		}
	case upserted:
		ids := append(some(true), some(false)...)
		set(ids, true)
		m.run(upserted, table, shown, actor, name(ids...)...)
	case truncated:
		m.run(truncated, table, "", actor, name(0, 1, 2)...)
		clear(rows)
	case merged:
		ids := append(some(true), some(false)...)
		for _, id := range ids {
			rows[id] = m.rand.IntN(2) > 0
		}
		m.run(merged, table, "", actor, name(ids...)...)
	case moved:
		if to := (id + 1) % 3; rows[id] && !rows[to] {
			rows[id], rows[to] = false, true
			m.run(moved, table, shown, actor, name(id, to)...)
		}
	case replaced: // which deletes the row that is in its way
		way := (id + 1) % 3
		there := rows[way]
		rows[id], rows[way] = true, false
		if there {
			m.run(replaced, table, shown, actor, name(id, way)...)
		} else {
			m.run(replaced, table, shown, actor, name(id)...)
		}
	case cascaded: // which takes the next row along, if it is there
		m.cascade(table, shown, actor, id, (id+1)%3)
	case altered: // DROP TABLE and CREATE TABLE
		m.run(altered, table, "", actor, name(0, 1, 2)...)
		clear(rows)
	default:
		m.tx.story.record(hooks.Target{Type: "thing", ID: strconv.Itoa(id)})
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
	m.run(cascaded, table, shown, actor, names...)
}

// wantFolded asks for the events, as action#ID×statements.
func (w *script) wantFolded(want ...string) {
	w.Helper()
	var got []string
	for i := range w.tx.items {
		f := w.tx.items[i].fold
		if f == nil {
			got = append(got, "recorded")
			continue
		}
		s := f.key.action
		if f.key.target.ID != "" {
			s += "#" + f.key.target.ID
		}
		got = append(got, s+"×"+strconv.Itoa(f.statements))
	}
	if !slices.Equal(got, want) {
		w.Errorf("events %q, want %q", got, want)
	}
}

func TestFoldingSmallest(t *testing.T) {
	w := newScript(t)
	w.run(inserted, "a", "7", "x")
	w.run(deleted, "a", "7", "x")
	w.run(inserted, "a", "7", "x")
	w.wantFolded("a.inserted#7×1", "a.deleted#7×1", "a.inserted#7×1")

	w = newScript(t) // another row's, and another table's, do not disturb
	w.run(inserted, "a", "7", "x")
	w.run(deleted, "a", "8", "x")
	w.run(deleted, "b", "", "x")
	w.run(inserted, "a", "7", "x")
	w.wantFolded("a.inserted#7×2", "a.deleted#8×1", "b.deleted×1")

	w = newScript(t) // one that shows no key may be about any row
	w.run(updated, "a", "7", "x")
	w.run(deleted, "a", "", "x")
	w.run(updated, "a", "7", "x")
	w.wantFolded("a.updated#7×1", "a.deleted×1", "a.updated#7×1")

	w = newScript(t) // an UPDATE is not moved in front of the INSERT of its row
	w.run(updated, "a", "", "x")
	w.run(inserted, "a", "8", "x")
	w.run(updated, "a", "", "x")
	w.wantFolded("a.updated×1", "a.inserted#8×1", "a.updated×1")

	w = newScript(t) // one that sets the key makes room for another row of it
	w.run(inserted, "a", "7", "x")
	w.run(updated, "a", "7", "x")
	w.run(moved, "a", "7", "x")
	w.run(inserted, "a", "7", "x")
	w.wantFolded("a.inserted#7×1", "a.updated#7×1", "a.updated#7×1", "a.inserted#7×1")

	w = newScript(t) // and may be about a row that it does not name
	w.run(deleted, "a", "8", "x")
	w.run(moved, "a", "7", "x")
	w.run(deleted, "a", "8", "x")
	w.wantFolded("a.deleted#8×1", "a.updated#7×1", "a.deleted#8×1")

	w = newScript(t) // a DELETE may take along a row that it does not name
	w.run(inserted, "a", "8", "x")
	w.run(cascaded, "a", "7", "x")
	w.run(inserted, "a", "8", "x")
	w.wantFolded("a.inserted#8×1", "a.deleted#7×1", "a.inserted#8×1")

	w = newScript(t) // what the app recorded of a row keeps its place among what was done to it
	w.run(updated, "a", "7", "x")
	w.run(updated, "a", "8", "x")
	w.tx.story.record(hooks.Target{Type: "thing", ID: "7"})
	w.tx.items = append(w.tx.items, item{})
	w.run(updated, "a", "7", "x")
	w.run(updated, "a", "8", "x")
	w.wantFolded("a.updated#7×1", "a.updated#8×2", "recorded", "a.updated#7×1")
}

// TestFoldingLoops: a loop is one event, two interleaved ones are two, and one
// that undoes what it does is bounded, which one of its events says.
func TestFoldingLoops(t *testing.T) {
	const times = 5_000
	w := newScript(t)
	for range times {
		w.run(inserted, "a", "", "x")
		w.run(deleted, "b", "", "x")
	}
	w.wantFolded("a.inserted×5000", "b.deleted×5000")

	w = newScript(t)
	for i := range times {
		w.run(inserted, "a", strconv.Itoa(i), "x")
		w.run(updated, "a", strconv.Itoa(i), "x")
	}
	if n := len(w.tx.items); n != 2*(maxTargets+1) {
		t.Errorf("%d events of rows inserted and updated, want %d and one for the rest, of each", n, maxTargets)
	}

	for _, id := range []string{"", "7"} {
		w = newScript(t)
		for range times {
			w.run(inserted, "a", id, "x")
			w.run(deleted, "a", id, "x")
		}
		events, statements, interleaved := len(w.tx.items), 0, 0
		for i := range w.tx.items {
			f := w.tx.items[i].fold
			statements += f.statements
			if f.interleaved {
				interleaved++
			}
		}
		if events > 4*(maxTargets+1) || statements != 2*times || interleaved != 1 {
			t.Errorf("id %q: %d events, %d of them interleaved, of %d statements", id, events, interleaved, statements)
		}
	}
}
