package capture

import (
	"cmp"
	"slices"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// goneColumn is the name of a column that was masked or excluded and is gone. If a migration adds a column of that name, it has to be
// masked or excluded, too.
type goneColumn struct {
	name  string
	keeps catalog.Keeping
}

// gone are the columns that captures were to mask, hash or exclude, and that the table no longer has.
func (d *deployed) gone(f *target) (list []goneColumn) {
	for _, n := range d.All() {
		if n == nil {
			continue
		}
		for _, o := range slices.Concat(n.Mask, n.Hash, n.Exclude) {
			known := func(g goneColumn) bool { return g.name == o.Name }
			if !f.Has(o.Name) && !slices.ContainsFunc(list, known) {
				list = append(list, goneColumn{o.Name, d.Kept(f.Relation, &catalog.Column{Name: o.Name})})
			}
		}
	}
	slices.SortFunc(list, func(a, b goneColumn) int { return cmp.Compare(a.name, b.name) })
	return list
}
