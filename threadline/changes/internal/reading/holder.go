package reading

import (
	"slices"
)

// byHolder puts changes under a key, which come in the order in which they were captured, into that in which rows have had it.
// A transaction may give a deferrable key to a row before it takes it from another. And whatever the key, a trigger of the app's may make a
// row with the key that its statement has taken from another one: if it fires before ours, its INSERT is captured first.
func byHolder(captured []*Row, key string, deferrable bool) []*Row {
	var list []*Row
	for rest := captured; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].SameTx(rest[0]) {
			n++
		}
		held := len(list) > 0 && list[len(list)-1].Key.Valid && !list[len(list)-1].Ended(key)
		if len(list) == 0 {
			held = heldBefore(rest[:n], key)
		}
		list = append(list, inTurn(rest[:n], key, held, deferrable)...)
		rest = rest[n:]
	}
	return list
}

// inTurn is byHolder for the changes of one transaction. held says whether a row had the key before. Changes of a row that has got the key
// follow each other by its versions; the others are of the row that had it, or may have had it, before. At the end one row has it. If the
// changes do not fit that, the order of capture is kept.
func inTurn(captured []*Row, key string, held, deferrable bool) []*Row {
	has := func(of []*Row) bool { return !of[len(of)-1].Ended(key) }
	first, twice := []*Row(nil), false
	var others [][]*Row
	for _, r := range captured {
		// One without a key may be of any row, and those of a statement that was captured as a whole are in order.
		if !r.Key.Valid || r.Op != "I" && !r.oldTID.Valid {
			return captured
		}
		some := slices.ContainsFunc(others, has)
		if r.Op == "I" || r.Began(key) {
			twice = twice || held || some
			others = append(others, []*Row{r})
			continue
		}
		i := slices.IndexFunc(others, func(of []*Row) bool { return has(of) && r.oldTID.Valid && of[len(of)-1].newTID == r.oldTID })
		switch {
		case i >= 0:
			others[i] = append(others[i], r)
		case held && some && !deferrable && !slices.ContainsFunc(others, func(of []*Row) bool { return has(of) && of[0].Depth > r.Depth }):
			return captured // it is of the row that has got the key: what took that from the other one was not kept
		case held || !some:
			first, held = append(first, r), held && !r.Ended(key)
		default:
			return captured
		}
	}
	if !twice || held {
		return captured
	}
	slices.SortStableFunc(others, func(a, b []*Row) int {
		switch {
		case has(a) == has(b):
			return 0
		case has(b):
			return -1
		}
		return 1
	})
	return slices.Concat(first, slices.Concat(others...))
}

// heldBefore reports whether a row had the key before the first transaction that has changes under it: unless one gets it first,
// and those that leave it may be the ones that have got it.
func heldBefore(captured []*Row, key string) bool {
	var got []*Row // what has made, or changed, those that have it
	for _, r := range captured {
		if r.Op == "I" || r.Began(key) {
			got = append(got, r)
			continue
		}
		i := slices.IndexFunc(got, func(g *Row) bool { return r.oldTID.Valid && g.newTID == r.oldTID })
		if i < 0 { // updates that change nothing are not kept
			i = slices.IndexFunc(got, func(g *Row) bool { return r.wasMadeBy(g) })
		}
		switch {
		case i < 0:
			return true
		case r.Ended(key):
			got = slices.Delete(got, i, i+1)
		default:
			got[i] = r
		}
	}
	return false
}

// wasMadeBy reports whether a DELETE took the very row that an INSERT had made.
func (r *Row) wasMadeBy(g *Row) bool {
	return g.Op == "I" && r.Op == "D" && g.Depth <= r.Depth && r.ShapeID == g.ShapeID && r.Old == g.New
}
