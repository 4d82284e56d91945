package changes

import "slices"

// version is a version of a row, which a transaction has made.
type version struct {
	table        int64
	xid, started string
	truncated    int    // how often the transaction had emptied the table by then
	tid, row     string // a tid alone may be in several partitions
}

// makers finds, for changes in the order in which they were captured, the one that has made the version which each
// replaces. before and after are what tells the row that a change has replaced, and the one that it has made, from others.
//
// A place of a row has several versions in one transaction if that rewrites or empties the table in between, as CLUSTER,
// ALTER TABLE and TRUNCATE do. Each version is replaced once, so the maker is the last one before that has not been
// replaced yet. It is captured after what replaces its version only if a trigger of the app's, which fires before
// ours, changes the row again: that is deeper.
func makers(captured []*row, before, after func(*row) string) map[*row]*row {
	made := make(map[version][]int) // by which of captured
	replaced := make([]version, len(captured))
	truncated := make(map[int64]int)
	for i, r := range captured {
		if r.op == "T" {
			truncated[r.tableID]++
		}
		v := version{table: r.tableID, xid: r.xid, started: r.started, truncated: truncated[r.tableID]}
		if r.oldTID.Valid {
			v.tid, v.row = r.oldTID.String, before(r)
			replaced[i] = v
		}
		if r.newTID.Valid {
			v.tid, v.row = r.newTID.String, after(r)
			made[v] = append(made[v], i)
		}
	}
	makers, gone := make(map[*row]*row), make([]bool, len(captured))
	for i, r := range captured {
		maker := -1
		for _, m := range made[replaced[i]] {
			if m > i {
				if maker < 0 && !gone[m] && captured[m].depth < r.depth {
					maker = m
				}
				break
			}
			if m < i && !gone[m] {
				maker = m
			}
		}
		if maker >= 0 {
			makers[r], gone[maker] = captured[maker], true
		}
	}
	return makers
}

// byVersion puts changes, which come in the order in which they were captured, into that in which
// they were made: each behind the one, of the same transaction, that has made the version which it
// replaces.
func byVersion(captured []*row) []*row {
	// A row that moves to another partition may have the place there that one of its versions had here, under another key.
	maker := makers(captured, (*row).keyBefore, func(r *row) string { return r.key.String })
	made := make([]*row, 0, len(captured))
	done := make(map[*row]bool, len(captured))
	for _, r := range captured {
		var chain []*row
		for r != nil && !done[r] {
			done[r] = true
			chain = append(chain, r)
			r = maker[r]
		}
		slices.Reverse(chain)
		made = append(made, chain...)
	}
	return made
}

// keyBefore is the key that the row had before the change.
func (r *row) keyBefore() string {
	if r.formerKey.Valid {
		return r.formerKey.String
	}
	return r.key.String
}
