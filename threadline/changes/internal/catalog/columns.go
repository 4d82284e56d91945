package catalog

import (
	"slices"
)

// A column is the same in two shapes if it has the same number there (pg_attribute.attnum): columns may have
// exchanged their names, and one may have been dropped and made again under its name. A restore numbers the columns
// anew, and an OID may be the same there by chance, so numbers are compared only where both shapes
// were captured at one place. SQLite has no numbers, so a plan makes them: a column keeps its number from one capture to the next.
// Shapes of earlier versions have no numbers: there a column is known by its name.

// SameTable reports whether numbers mean the same in both shapes.
func (s *Shape) SameTable(o *Shape) bool {
	return s.OID == o.OID && slices.ContainsFunc(s.Places, func(p string) bool { return slices.Contains(o.Places, p) })
}

// Numbered reports whether the shape has the numbers of its columns.
func (s *Shape) Numbered() bool {
	return !slices.ContainsFunc(s.Columns, func(c Column) bool { return c.Number == 0 })
}

// Find returns where s has a column of another shape, -1 if it has not.
func (s *Shape) Find(of *Shape, name string) int {
	i := of.Position(name)
	if i < 0 || !s.SameTable(of) || !s.Numbered() || !of.Numbered() {
		return s.Position(name)
	}
	return slices.IndexFunc(s.Columns, func(c Column) bool { return c.Number == of.Columns[i].Number })
}

// SameKey reports whether both have the same columns as the key, whatever they are called.
func (s *Shape) SameKey(o *Shape) bool {
	return slices.EqualFunc(s.Key, o.Key, func(a, b string) bool {
		i := s.Find(o, b)
		return i >= 0 && s.Columns[i].Name == a || i < 0 && a == b && s.Position(a) < 0
	})
}

// CalledAs returns the shape with its columns called as they are in another. Those that the other has not get a name that
// it has not.
func (s *Shape) CalledAs(o *Shape) *Shape {
	called := *s
	called.Columns, called.Key = slices.Clone(s.Columns), slices.Clone(s.Key)
	for n := range called.Columns {
		name := &called.Columns[n].Name
		if i := o.Find(s, *name); i >= 0 {
			*name = o.Columns[i].Name
		} else {
			for o.Position(*name) >= 0 {
				*name += " (dropped)"
			}
		}
		for k := range s.Key {
			if s.Key[k] == s.Columns[n].Name {
				called.Key[k] = *name
			}
		}
	}
	return &called
}

// SetPlaces sets Places of shapes.
func SetPlaces(shapes map[int64]*Shape, captures []*Capture) {
	for _, n := range captures {
		if n.ShapeID == nil {
			continue
		}
		if sh := shapes[*n.ShapeID]; sh != nil && sh.OID == n.OID && !slices.Contains(sh.Places, n.Place) {
			sh.Places = append(sh.Places, n.Place)
		}
	}
}
