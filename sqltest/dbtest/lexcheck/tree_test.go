package lexcheck

// tree is a part of the parser's JSON: an object, a list or a value.
type tree struct{ v any }

// at follows the names into nested objects; the result is empty where one of
// them is missing.
func (t tree) at(names ...string) tree {
	for _, n := range names {
		m, _ := t.v.(map[string]any)
		t = tree{m[n]}
	}
	return t
}

func (t tree) there() bool { return t.v != nil }

// empty reports whether there is no list, or nothing in it.
func (t tree) empty() bool { return len(t.list()) == 0 }

func (t tree) list() []tree {
	l, _ := t.v.([]any)
	out := make([]tree, len(l))
	for i, v := range l {
		out[i] = tree{v}
	}
	return out
}

func (t tree) text() string {
	s, _ := t.v.(string)
	return s
}

func (t tree) isTrue() bool {
	b, _ := t.v.(bool)
	return b
}

// node takes {"InsertStmt": {…}} apart.
func (t tree) node() (string, tree) {
	m, _ := t.v.(map[string]any)
	for name, v := range m {
		return name, tree{v}
	}
	return "", tree{}
}
