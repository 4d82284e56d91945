package capture

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// generation is the version of capture functions and their notes. A program leaves functions of a later generation as they are:
// otherwise one of an earlier version would put its own function back, or lose what a field of the note says that it does not
// know. Raise it when the function for the same table and the same list changes, or when a note gets a field, at most once between
// two releases. Generation 1 had neither hashes nor moved rows.
const generation = 2

// note is what the capture is planned from now.
func (f *target) note() *catalog.Note {
	n := &catalog.Note{Generation: generation, Schema: f.Schema, Table: f.Table, OID: f.OID}
	for _, name := range f.declared {
		k := catalog.NotedColumn{Name: name}
		for i := range f.All {
			if f.All[i].Name == name {
				k.Number = f.All[i].Number
			}
		}
		n.Key = append(n.Key, k)
	}
	add := func(o catalog.NotedColumn, keeps catalog.Keeping) {
		switch keeps {
		case catalog.KeepsHashes:
			n.Hash = append(n.Hash, o)
		case catalog.KeepsThat:
			n.Mask = append(n.Mask, o)
		case catalog.KeepsNothing:
			n.Exclude = append(n.Exclude, o)
		}
	}
	for _, c := range f.All {
		add(catalog.NotedColumn{Name: c.Name, Number: c.Number}, c.Keeps())
	}
	for _, g := range f.gone {
		add(catalog.NotedColumn{Name: g.name}, g.keeps)
	}
	return n
}

// looser lists, for people, the key that was declared, if f has another, and the columns of which f would keep more than is kept now.
func (d *deployed) looser(f *target) (list []string) {
	wanted := f.declared
	if wanted == nil {
		wanted = f.Key
	}
	if was := d.declaredKey(f); was != nil && !slices.Equal(was, wanted) {
		list = append(list, fmt.Sprintf("the key was %s and is to be %s", keyText(was), keyText(wanted)))
	}
	for i := range f.All {
		c := &f.All[i]
		if before, now := d.Kept(f.Relation, c), c.Keeps(); before > now {
			list = append(list, fmt.Sprintf("%q was %s and is to be %s", c.Name, before, now))
		}
	}
	return list
}

// declaredKey returns the key that was declared for the table's capture, nil if none was.
func (d *deployed) declaredKey(f *target) (key []string) {
	for _, n := range d.Notes {
		if n != nil && n.Key != nil {
			key = n.DeclaredKey(f.Relation)
		}
	}
	return key
}

// keyText is a key for people.
func keyText(key []string) string {
	if len(key) == 0 {
		return "none"
	}
	return "(" + strings.Join(key, ", ") + ")"
}

// stricter returns t with the masks and exclusions that keep it from loosening anything: of no column is more kept than now. A key that
// was declared before stays, unless t declares one.
func (d *deployed) stricter(f *target, t Table) Table {
	hash, mask, exclude := slices.Clone(t.Hash), slices.Clone(t.Mask), slices.Clone(t.Exclude)
	for i := range f.All {
		c := &f.All[i]
		isColumn := func(name string) bool { return name == c.Name }
		switch kept := d.Kept(f.Relation, c); {
		case slices.Contains(exclude, c.Name):
		case kept == catalog.KeepsNothing:
			hash, mask, exclude = slices.DeleteFunc(hash, isColumn), slices.DeleteFunc(mask, isColumn), append(exclude, c.Name)
		case slices.Contains(mask, c.Name):
		case kept == catalog.KeepsThat:
			hash, mask = slices.DeleteFunc(hash, isColumn), append(mask, c.Name)
		case kept == catalog.KeepsHashes && !slices.Contains(hash, c.Name):
			hash = append(hash, c.Name)
		}
	}
	t.Hash, t.Mask, t.Exclude = hash, mask, exclude
	if t.Key == nil {
		t.Key = d.declaredKey(f)
	}
	return t
}
