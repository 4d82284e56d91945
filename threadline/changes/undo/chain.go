package undo

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// chain are changes of one row, in the order in which they were made.
type chain struct {
	table   *reading.Table
	changes []*reading.KeptChange
	at      int // where its last change was captured
}

// chains links the changes of each row, which come in the order in which they were captured, by the
// versions of rows that they have replaced and made.
func (r *undoer) chains(list []*reading.KeptChange) []*chain {
	after := func(c *reading.KeptChange) string {
		if c.Row.Key.Valid {
			return c.Row.Key.String
		}
		return c.Row.New.String + c.Native(func(f *change.Field) change.Value { return f.New })
	}
	before := func(c *reading.KeptChange) string {
		switch {
		case c.Row.FormerKey.Valid:
			return c.Row.FormerKey.String
		case c.Row.Key.Valid:
			return c.Row.Key.String
		}
		return c.Row.Old.String + c.Native(func(f *change.Field) change.Value { return f.Old })
	}
	rows, of := make([]*reading.Row, len(list)), make(map[*reading.Row]*reading.KeptChange, len(list))
	for i, c := range list {
		c.At = i
		rows[i], of[c.Row] = c.Row, c
	}
	next := make(map[*reading.KeptChange]*reading.KeptChange)
	follows := make(map[*reading.KeptChange]bool)
	for r, m := range reading.Makers(rows, func(r *reading.Row) string { return before(of[r]) }, func(r *reading.Row) string { return after(of[r]) }) {
		next[of[m]], follows[of[r]] = of[r], true
	}
	// An update that changes nothing makes a version, and is not kept: what comes after it follows the last
	// change that has left its key. Rows without a key that are the same may be taken for each other.
	type left struct {
		table int64
		row   string
	}
	last := make(map[left][]*reading.KeptChange)
	for _, c := range list {
		if t := r.Tables[c.Row.TableID]; c.Replaces() && !follows[c] && t.LiveTable != nil && (!t.Keyed() || t.Distinct(t.Key)) {
			ends := last[left{c.Row.TableID, before(c)}]
			i := len(ends) - 1
			for i >= 0 && (next[ends[i]] != nil || reaches(next, c, ends[i])) {
				i--
			}
			if i >= 0 {
				next[ends[i]], follows[c] = c, true
			}
		}
		if c.Makes() {
			of := left{c.Row.TableID, after(c)}
			last[of] = append(last[of], c)
		}
	}
	var chains []*chain
	for _, c := range list {
		if follows[c] {
			continue
		}
		one := &chain{table: r.Tables[c.Row.TableID]}
		for ; c != nil; c = next[c] {
			one.changes = append(one.changes, c)
			one.at = max(one.at, c.At)
		}
		chains = append(chains, one)
	}
	return chains
}

// reaches reports whether one change comes, some time, after another.
func reaches(next map[*reading.KeptChange]*reading.KeptChange, from, to *reading.KeptChange) bool {
	for ; from != nil; from = next[from] {
		if from == to {
			return true
		}
	}
	return false
}

// lives splits changes that are to be undone into those of each row, which are in one of the lists. That one begins with the
// key with which another has ended does not make them one row: they may have exchanged their keys. first says that
// there are none before them.
func (r *undoer) lives(t *reading.Table, lists [][]*reading.KeptChange, first bool) ([]*chain, error) {
	all := slices.Concat(lists...)
	if len(all) > MaxChanges {
		return nil, ErrTooMany
	}
	for i, c := range all {
		c.At = i
	}
	var chains []*chain
	for _, list := range lists {
		var last *reading.KeptChange
		for _, c := range list {
			goesOn := last != nil && last.Op != change.Delete && last.Op != change.Truncate && c.Op != change.Insert && c.Op != change.Truncate && slices.Equal(last.After(), c.Before())
			if last = c; !goesOn {
				chains = append(chains, &chain{table: t})
			}
			one := chains[len(chains)-1]
			one.changes, one.at = append(one.changes, c), c.At
		}
	}
	if len(all) > 0 {
		r.script.Cause = causeOf(all[0].XID, all[0].TxStartedAt)
	}
	if first && len(all) > 0 && all[0].Op != change.Insert {
		r.script.Warnings = append(r.script.Warnings, fmt.Sprintf("%s: its history begins at %s with its %s: the undo leads to what was there before that", reading.NameOf(t.Label(), t.Plain(all[0].Before())), all[0].CapturedAt.Format(time.RFC3339Nano), all[0].Op))
	}
	return chains, nil
}
