package reading

import (
	"slices"
)

// version is a version of a row, which a transaction has made.
type version struct {
	table        int64
	xid, started string
	truncated    int    // how often the transaction had emptied the table by then
	tid, row     string // its place, and what names the row: several partitions may have the same tid
}

// Makers finds, for each change, the change of the same transaction that has made the version which it replaces. The
// changes come in the order in which they were captured. before and after name the row of the version that a change has
// replaced, and of the one that it has made.
//
// A transaction can make several versions at one tid: if it rewrites or empties the table in between, as CLUSTER,
// ALTER TABLE and TRUNCATE do. Each version is replaced once, so the maker is the last change before that made a version
// there, and whose version has not been replaced yet. Only if a trigger of the app's, which fires before ours, changes
// the row again is the maker captured later; then its trigger depth is less.
func Makers(captured []*Row, before, after func(*Row) string) map[*Row]*Row {
	made := make(map[version][]int) // the changes that made each version, as indexes of captured
	replaced := make([]version, len(captured))
	truncated := make(map[int64]int)
	for i, r := range captured {
		if r.Op == "T" {
			truncated[r.TableID]++
		}
		v := version{table: r.TableID, xid: r.XID, started: r.Started, truncated: truncated[r.TableID]}
		if r.oldTID.Valid {
			v.tid, v.row = r.oldTID.String, before(r)
			replaced[i] = v
		}
		if r.newTID.Valid {
			v.tid, v.row = r.newTID.String, after(r)
			made[v] = append(made[v], i)
		}
	}
	found, replacedYet := make(map[*Row]*Row), make([]bool, len(captured)) // of each maker, whether its version was replaced
	for i, r := range captured {
		maker := -1
		for _, m := range made[replaced[i]] {
			if m > i {
				if maker < 0 && !replacedYet[m] && captured[m].Depth < r.Depth {
					maker = m
				}
				break
			}
			if m < i && !replacedYet[m] {
				maker = m
			}
		}
		if maker >= 0 {
			found[r], replacedYet[maker] = captured[maker], true
		}
	}
	return found
}

// ByVersion puts changes that are in the order of their capture into the order in which they were made: each behind
// the change of the same transaction that has made the version which it replaces.
func ByVersion(captured []*Row) []*Row {
	// A row that moves to another partition may have the place there that one of its versions had here, under another key.
	maker := Makers(captured, (*Row).keyBefore, func(r *Row) string { return r.Key.String })
	made := make([]*Row, 0, len(captured))
	done := make(map[*Row]bool, len(captured))
	for _, r := range captured {
		var chain []*Row
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
func (r *Row) keyBefore() string {
	if r.FormerKey.Valid {
		return r.FormerKey.String
	}
	return r.Key.String
}
