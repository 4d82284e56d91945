package changes

import "slices"

// A column is the same in two shapes if it has the same number there (pg_attribute.attnum): columns may have
// exchanged their names, and one may have been dropped and made again under its name. A restore numbers the columns
// anew, and an OID may be the same there by chance, so numbers are compared only where both shapes
// were noted at one place. SQLite has no numbers, so a plan makes them: a column keeps its number from one note to the next. Shapes of earlier versions have no numbers: there a column is known by its name.

// sameTable reports whether numbers mean the same in both shapes.
func (s *shape) sameTable(o *shape) bool {
	return s.OID == o.OID && slices.ContainsFunc(s.places, func(p string) bool { return slices.Contains(o.places, p) })
}

// numbered reports whether the shape has the numbers of its columns.
func (s *shape) numbered() bool {
	return !slices.ContainsFunc(s.Columns, func(c column) bool { return c.Number == 0 })
}

// find returns where s has a column of another shape, -1 if it has not.
func (s *shape) find(of *shape, name string) int {
	i := of.position(name)
	if i < 0 || !s.sameTable(of) || !s.numbered() || !of.numbered() {
		return s.position(name)
	}
	return slices.IndexFunc(s.Columns, func(c column) bool { return c.Number == of.Columns[i].Number })
}

// sameKey reports whether both have the same columns as the key, whatever they are called.
func (s *shape) sameKey(o *shape) bool {
	return slices.EqualFunc(s.Key, o.Key, func(a, b string) bool {
		i := s.find(o, b)
		return i >= 0 && s.Columns[i].Name == a || i < 0 && a == b && s.position(a) < 0
	})
}

// calledAs returns the shape with its columns called as they are in another. Those that the other has not get a name that
// it has not.
func (s *shape) calledAs(o *shape) *shape {
	called := *s
	called.Columns, called.Key = slices.Clone(s.Columns), slices.Clone(s.Key)
	for n := range called.Columns {
		name := &called.Columns[n].Name
		if i := o.find(s, *name); i >= 0 {
			*name = o.Columns[i].Name
		} else {
			for o.position(*name) >= 0 {
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

// placed sets where shapes were noted.
func placed(shapes map[int64]*shape, notes []*captured) {
	for _, n := range notes {
		if n.ShapeID == nil {
			continue
		}
		if sh := shapes[*n.ShapeID]; sh != nil && sh.OID == n.OID && !slices.Contains(sh.places, n.Place) {
			sh.places = append(sh.places, n.Place)
		}
	}
}
