package threadline

import (
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

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
	any suspects          // those that name none
	in  map[string]*named // by the column of which their IDs are
}

// named are statements that name a row by the same column.
type named struct {
	all suspects
	of  map[string]*suspects // by the ID
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
				m.add(tableOp{table, op}, a, i)
			}
		}
	}
	return m
}

func (m *makers) add(at tableOp, a *Action, statement int) {
	b := m.at[at]
	if b == nil {
		b = &byID{in: make(map[string]*named)}
		m.at[at] = b
	}
	id, column := a.Target.ID, a.idColumn()
	if id == "" {
		b.any.list = append(b.any.list, statement)
		return
	}
	n := b.in[column]
	if n == nil {
		n = &named{of: make(map[string]*suspects)}
		b.in[column] = n
	}
	if id = plainID(id); n.of[id] == nil {
		n.of[id] = &suspects{}
	}
	n.all.list = append(n.all.list, statement)
	n.of[id].list = append(n.of[id].list, statement)
}

// of returns one of the statements that may have made a change, if there is one: of those in its group.
func (m *makers) of(c *changes.Change) (statement int, ok bool) {
	b := m.at[tableOp{tableName(c.Schema, c.Table), c.Op}]
	if b == nil {
		return 0, false
	}
	found := []*suspects{&b.any}
	for column, n := range b.in {
		values, known := valuesOf(c, column)
		if !known {
			found = append(found, &n.all)
		}
		for _, v := range values {
			if of := n.of[plainID(v)]; of != nil {
				found = append(found, of)
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

// idColumn returns the column whose value is the target's ID, of a captured event.
func (a *Action) idColumn() string {
	if column, ok := a.Metadata["column"].(string); ok {
		return column
	}
	return "id"
}

// names reports whether a captured event names the row of a change. It is not known if the change does not have the value of
// that column, because the column is not in the key and an update has not changed it.
func (a *Action) names(c *changes.Change) (is, known bool) {
	values, known := valuesOf(c, a.idColumn())
	id := plainID(a.Target.ID)
	return slices.ContainsFunc(values, func(v string) bool { return plainID(v) == id }), known
}

// plainID is the same for an ID as a statement has it, and as the database prints it with the scale or the length of its column: 7 and
// 7.00, "a" and "a  ".
func plainID(id string) string {
	id = strings.TrimRight(id, " ")
	whole, fraction, ok := strings.Cut(id, ".")
	if !ok || strings.Trim(fraction, "0123456789") != "" || whole == "" || strings.Trim(strings.TrimPrefix(whole, "-"), "0123456789") != "" {
		return id
	}
	return strings.TrimSuffix(whole+"."+strings.TrimRight(fraction, "0"), ".")
}

// valuesOf returns what the row of a change has, and had before, in a column. known is false if the change does not say.
func valuesOf(c *changes.Change, column string) (values []string, known bool) {
	if i := slices.Index(c.KeyColumns, column); i >= 0 && i < len(c.Key) {
		values = append(values, c.Key[i])
		if i < len(c.FormerKey) {
			values = append(values, c.FormerKey[i])
		}
		return values, true
	}
	i := slices.IndexFunc(c.Fields, func(f changes.Field) bool { return f.Name == column })
	if i < 0 {
		return nil, false
	}
	for _, v := range []changes.Value{c.Fields[i].Old, c.Fields[i].New} {
		switch {
		case v.Masked, v.Shortened:
			return nil, false
		case v.Text != nil:
			values = append(values, *v.Text)
		}
	}
	return values, true
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
