package change

import "slices"

// Changed returns the fields that the change has changed. They are all of Fields, but not of an update that is Drifted, which has the whole
// row: of it they are those that are not surely [Field.Unchanged].
func (c *Change) Changed() []Field {
	if c.Op != Update || !c.Drifted {
		return c.Fields
	}
	return slices.DeleteFunc(slices.Clone(c.Fields), func(f Field) bool { return f.Unchanged() })
}

// FieldTexts returns the fields that the change has changed, for people: "status: new → paid" of an update, and "status: paid" of an insert
// and a delete. An insert's are without those of the key.
func (c *Change) FieldTexts() []string {
	var texts []string
	for _, f := range c.Changed() {
		switch {
		case c.Op == Insert && slices.Contains(c.KeyColumns, f.Name):
		case c.Op == Insert:
			texts = append(texts, f.Name+": "+f.New.String())
		case c.Op == Delete:
			texts = append(texts, f.Name+": "+f.Old.String())
		default:
			texts = append(texts, f.Name+": "+f.Old.String()+" → "+f.New.String())
		}
	}
	return texts
}
