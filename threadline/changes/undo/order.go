package undo

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// order puts steps into an order in which each succeeds, and groups those that have to be in one statement. It is the reverse
// of the order in which the changes were captured, except where that would break a rule that the server checks at once:
//
//   - The row that a foreign key refers to is there before those that refer to it, and goes after
//     them. What a foreign key cascades is captured after the change that it follows from, so that
//     the reverse order alone is wrong.
//   - Values of a unique index are free before another row gets them.
//
// Rows that refer to each other are changed by one statement, since foreign keys are checked at its
// end. Rows that have exchanged values of a unique index get back, one after the other, the values that they
// had in between.
func order(steps []*step) [][]*step {
	slices.SortStableFunc(steps, func(a, b *step) int { return cmp.Compare(b.at, a.at) })
	steps = slices.Clone(steps)
	carry(steps)
	exchange(steps)
	g := newGraph(steps)
	g.addUniques(nil)
	if len(steps) > 0 && steps[0].table.Dialect == hooks.SQLite {
		g.addForeignKeys() // no statement changes two rows in different ways
	}
	exchanged := make(map[*reading.Table]bool)
	for _, group := range g.components() {
		if len(group) > 1 && slices.ContainsFunc(group, func(i int) bool { return len(steps[i].changes) > 1 }) {
			for _, i := range group {
				exchanged[steps[i].table] = true
			}
		}
	}
	if len(exchanged) > 0 {
		var unfolded []*step
		for _, st := range steps {
			if exchanged[st.table] {
				unfolded = append(unfolded, st.unfold()...)
			} else {
				unfolded = append(unfolded, st)
			}
		}
		slices.SortStableFunc(unfolded, func(a, b *step) int { return cmp.Compare(b.at, a.at) })
		g = newGraph(unfolded)
		g.keepOrder(exchanged)
		g.addUniques(exchanged)
	}
	g.addForeignKeys()
	return g.sorted()
}

// unfold returns a step for each change, the last one first.
func (st *step) unfold() (list []*step) {
	for _, c := range st.changes {
		one := fold(st.table, []*reading.KeptChange{c}, c.At)
		one.live, one.origin = st.live, st
		list = append(list, one)
	}
	slices.Reverse(list)
	list[0].exchanged = st.exchanged
	return list
}

// exchange marks the steps of rows whose keys others get.
func exchange(steps []*step) {
	type key struct {
		table *reading.Table
		key   string
	}
	taken := make(map[key]bool)
	for _, st := range steps {
		if st.before != nil {
			taken[key{st.table, st.table.Text(st.before)}] = true
		}
	}
	for _, st := range steps {
		st.exchanged = st.op() == change.Update && st.before != nil && !slices.Equal(st.before, st.after) && taken[key{st.table, st.table.Text(st.after)}]
	}
}

// carry finds the columns that a foreign key's ON UPDATE CASCADE restores when the key that they referred to is restored.
func carry(steps []*step) {
	children := make(map[int64][]*step)
	for _, st := range steps {
		if st.table.LiveTable != nil && st.op() == change.Update {
			children[st.table.OID] = append(children[st.table.OID], st)
		}
	}
	for again := true; again; {
		again = false
		for _, p := range steps {
			for _, k := range p.cascading() {
				now, _ := p.takesAway(k.References, k.Same)
				then, _ := p.brings(k.References, k.Same)
				for _, c := range children[k.Child] {
					from, refers := c.takesAway(k.Columns, k.Same)
					to, will := c.brings(k.Columns, k.Same)
					if c == p || !refers || !will || from != now || to != then || c.carried[k.Columns[0]] {
						continue
					}
					for _, name := range k.Columns {
						c.carried[name] = true
					}
					c.carriers = append(c.carriers, p)
					again = true
				}
			}
		}
	}
}

// cascading are the foreign keys by which the step's change of a key changes other rows, too.
func (st *step) cascading() (list []*reading.ForeignKey) {
	if st.op() != change.Update {
		return nil
	}
	for _, k := range st.table.Referred {
		if _, takes := st.takesAway(k.References, k.Same); takes && k.OnUpdate == reading.Cascades {
			list = append(list, k)
		}
	}
	return list
}

// graph has the steps, in the order that they get unless edges forbid it.
type graph struct {
	steps []*step
	after []map[int]bool // after[i] are the steps that come after i
}

func newGraph(steps []*step) *graph {
	g := &graph{steps: steps, after: make([]map[int]bool, len(steps))}
	for i := range g.after {
		g.after[i] = make(map[int]bool)
	}
	return g
}

func (g *graph) edge(from, to int) {
	if from != to {
		g.after[from][to] = true
	}
}

// constraintValues are the values that a row has in the columns of a unique index, by its number among the table's Uniques, or of a
// foreign key, by its child and name.
type constraintValues struct {
	table        int64
	constraint   int
	name, values string
}

// addUniques adds the edges by which values of a unique index are free before another row gets them; not in the tables except.
func (g *graph) addUniques(except map[*reading.Table]bool) {
	frees := make(map[constraintValues]int)
	each := func(f func(i int, p constraintValues, takes bool)) {
		for i, st := range g.steps {
			if except[st.table] {
				continue
			}
			for n, u := range st.table.Uniques {
				if v, ok := st.takesAway(u.Columns, u.Same); ok {
					f(i, constraintValues{table: st.table.OID, constraint: n, values: v}, false)
				}
				if v, ok := st.brings(u.Columns, u.Same); ok {
					f(i, constraintValues{table: st.table.OID, constraint: n, values: v}, true)
				}
			}
		}
	}
	each(func(i int, p constraintValues, takes bool) {
		if _, ok := frees[p]; !takes && !ok {
			frees[p] = i
		}
	})
	each(func(i int, p constraintValues, takes bool) {
		if from, ok := frees[p]; takes && ok {
			g.edge(from, i)
		}
	})
}

// keepOrder adds the edges by which the steps of some tables stay in their order.
func (g *graph) keepOrder(of map[*reading.Table]bool) {
	last := make(map[*reading.Table]int)
	for i, st := range g.steps {
		if !of[st.table] {
			continue
		}
		if j, ok := last[st.table]; ok {
			g.edge(j, i)
		}
		last[st.table] = i
	}
}

// addForeignKeys adds the edges by which a row is there while others refer to it.
func (g *graph) addForeignKeys() {
	brings, takes := make(map[constraintValues][]int), make(map[constraintValues][]int)
	for i, st := range g.steps {
		for _, k := range st.table.Referred {
			if v, ok := st.brings(k.References, k.Same); ok {
				p := constraintValues{table: k.Child, name: k.Name, values: v}
				brings[p] = append(brings[p], i)
			}
			if v, ok := st.takesAway(k.References, k.Same); ok {
				p := constraintValues{table: k.Child, name: k.Name, values: v}
				takes[p] = append(takes[p], i)
			}
		}
	}
	for i, st := range g.steps {
		for _, k := range st.table.Keys {
			if st.carried[k.Columns[0]] {
				continue
			}
			if v, ok := st.brings(k.Columns, k.Same); ok {
				for _, p := range brings[constraintValues{table: k.Child, name: k.Name, values: v}] {
					g.edge(p, i)
				}
			}
			if v, ok := st.takesAway(k.Columns, k.Same); ok {
				for _, p := range takes[constraintValues{table: k.Child, name: k.Name, values: v}] {
					g.edge(i, p)
				}
			}
		}
		for _, p := range st.carriers {
			for j, st := range g.steps {
				if st == p || st.origin == p {
					g.edge(j, i)
				}
			}
		}
	}
}

// components are the strongly connected components of the graph (Tarjan's algorithm), in no order: groups of steps of which each
// would have to come after each other.
func (g *graph) components() (groups [][]int) {
	n := len(g.steps)
	index, low, on := make([]int, n), make([]int, n), make([]bool, n)
	var stack []int
	next := 0
	var visit func(v int)
	visit = func(v int) {
		next++
		index[v], low[v], on[v] = next, next, true
		stack = append(stack, v)
		for w := range g.after[v] {
			if index[w] == 0 {
				visit(w)
				low[v] = min(low[v], low[w])
			} else if on[w] {
				low[v] = min(low[v], index[w])
			}
		}
		if low[v] != index[v] {
			return
		}
		var group []int
		for w := -1; w != v; {
			w = stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			on[w] = false
			group = append(group, w)
		}
		slices.Sort(group)
		groups = append(groups, group)
	}
	for v := range n {
		if index[v] == 0 {
			visit(v)
		}
	}
	return groups
}

// sorted returns the steps so that each comes after those that it has to, and otherwise in their order.
func (g *graph) sorted() (list [][]*step) {
	groups := g.components()
	of := make([]int, len(g.steps))
	for n, group := range groups {
		for _, i := range group {
			of[i] = n
		}
	}
	waits := make([]int, len(groups))
	after := make([]map[int]bool, len(groups))
	for i := range g.steps {
		for j := range g.after[i] {
			if a, b := of[i], of[j]; a != b && !after[a][b] {
				if after[a] == nil {
					after[a] = make(map[int]bool)
				}
				after[a][b] = true
				waits[b]++
			}
		}
	}
	ready := &readyGroups{groups: groups}
	for n := range groups {
		if waits[n] == 0 {
			heap.Push(ready, n)
		}
	}
	for ready.Len() > 0 {
		n := heap.Pop(ready).(int)
		var group []*step
		for _, i := range groups[n] {
			group = append(group, g.steps[i])
		}
		if repeats(group) {
			for _, st := range group {
				list = append(list, []*step{st})
			}
		} else {
			list = append(list, group)
		}
		for m := range after[n] {
			if waits[m]--; waits[m] == 0 {
				heap.Push(ready, m)
			}
		}
	}
	return list
}

// repeats reports whether two steps are of one row, so that one statement cannot have both.
func repeats(group []*step) bool {
	rows := make(map[*step]bool)
	for _, st := range group {
		if st.origin != nil {
			if rows[st.origin] {
				return true
			}
			rows[st.origin] = true
		}
	}
	return false
}

// readyGroups is a heap of groups by their first steps.
type readyGroups struct {
	groups [][]int
	heap   []int
}

func (f *readyGroups) Len() int { return len(f.heap) }

func (f *readyGroups) Less(i, j int) bool { return f.groups[f.heap[i]][0] < f.groups[f.heap[j]][0] }

func (f *readyGroups) Swap(i, j int) { f.heap[i], f.heap[j] = f.heap[j], f.heap[i] }

func (f *readyGroups) Push(x any) { f.heap = append(f.heap, x.(int)) }

func (f *readyGroups) Pop() any {
	x := f.heap[len(f.heap)-1]
	f.heap = f.heap[:len(f.heap)-1]
	return x
}
