package threadline

import "github.com/go-aftercommit/aftercommit/threadline/changes"

// makers finds the statements that may have made a change, and puts those into one group that may have
// made the same. It takes about as long as there are statements and changes: no change looks at each
// statement.
type makers struct {
	groups groups
	at     map[tableOp]*byID
}

type tableOp struct {
	table string
	op    changes.Op
}

// byID are the statements on a table, by the row that they name.
type byID struct {
	all, any suspects // any: those that name none
	of       map[string]*suspects
}

// suspects are statements. Once a change is one that each of them may have made, they are one group, of
// which one stands for all.
type suspects struct {
	list   []int
	joined bool
}

func newMakers(statements []Statement, tables *tables) *makers {
	m := &makers{groups: newGroups(len(statements)), at: make(map[tableOp]*byID)}
	for i := range statements {
		a := &statements[i].Action
		for _, table := range tables.of(a.Target.Type) {
			for _, op := range opsOf[a.Verb()] {
				m.add(tableOp{table, op}, a.Target.ID, i)
			}
		}
	}
	return m
}

func (m *makers) add(at tableOp, id string, statement int) {
	b := m.at[at]
	if b == nil {
		b = &byID{of: make(map[string]*suspects)}
		m.at[at] = b
	}
	b.all.list = append(b.all.list, statement)
	named := &b.any
	if id != "" {
		if named = b.of[id]; named == nil {
			named = &suspects{}
			b.of[id] = named
		}
	}
	named.list = append(named.list, statement)
}

// of returns one of the statements that may have made a change, if there is one: of those in its group.
func (m *makers) of(c *changes.Change) (statement int, ok bool) {
	b := m.at[tableOp{tableName(c.Schema, c.Table), c.Op}]
	if b == nil {
		return 0, false
	}
	found := []*suspects{&b.all}
	if c.Key != nil {
		found = []*suspects{&b.any}
		for _, key := range [][]string{c.Key, c.FormerKey} {
			if len(key) == 1 && key[0] != "" && b.of[key[0]] != nil {
				found = append(found, b.of[key[0]])
			}
		}
	}
	for _, f := range found {
		if len(f.list) == 0 {
			continue
		}
		if !f.joined {
			f.joined = true
			for _, other := range f.list {
				m.groups.join(f.list[0], other)
			}
		}
		if ok {
			m.groups.join(statement, f.list[0])
		}
		statement, ok = f.list[0], true
	}
	return statement, ok
}

// groups are disjoint sets of statements that may have made the same changes.
type groups []int // each is of the same set as the one that it points to

func newGroups(n int) groups {
	g := make(groups, n)
	for i := range g {
		g[i] = i
	}
	return g
}

func (g groups) of(i int) int {
	for g[i] != i {
		g[i] = g[g[i]] // the way is half as long the next time
		i = g[i]
	}
	return i
}

func (g groups) join(a, b int) { g[g.of(b)] = g.of(a) }

// all returns the sets, each in order.
func (g groups) all() (sets [][]int) {
	at := make(map[int]int)
	for i := range g {
		n, ok := at[g.of(i)]
		if !ok {
			n = len(sets)
			at[g.of(i)] = n
			sets = append(sets, nil)
		}
		sets[n] = append(sets[n], i)
	}
	return sets
}
