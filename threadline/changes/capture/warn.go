package capture

import (
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/internal/personal"
)

// warnings are those of one table, without its name.
type warnings []string

func (w *warnings) add(format string, args ...any) { *w = append(*w, fmt.Sprintf(format, args...)) }

// named are the warnings for people, each with the name of the table.
func (w warnings) named(f *target) (list []string) {
	for _, text := range w {
		list = append(list, f.Qualified()+": "+text)
	}
	return list
}

// warnings are about what the capture of a table loosens, or does not keep. key is one about its key, "" if there is none.
func (f *target) warnings(is *deployed, key string) (list warnings) {
	if key != "" {
		list.add("%s", key)
	}
	if looser := is.looser(f); looser != nil {
		list.add("this loosens what there is: %s", strings.Join(looser, ", "))
	}
	if f.Persistence == "u" {
		list.add("it is unlogged: a crash empties it, which no trigger sees")
	}
	if f.whyByRow != "" {
		list.add("it is captured row by row, although Bulk is set: %s", f.whyByRow)
	}
	for _, t := range f.Foreign {
		list.add("it has the foreign table %s as a partition: what is done to it in the database where it is is not captured, nor is a TRUNCATE of it alone", t)
	}
	if len(f.Heirs) > 0 {
		list.add("these inherit from it: %s: what is written through it to their rows is captured only if they are captured, too", strings.Join(f.Heirs, ", "))
	}
	if !f.Keyed() {
		list.add("it has no key: its rows are kept whole, and History cannot follow one: %s", catalog.NameKey)
	}
	for i := range f.Columns {
		c := &f.Columns[i]
		if of := f.hiddenOf(c.From); !c.Masked && len(of) > 0 {
			list.add("column %q is computed from %s, of which the values are not kept, and its values are kept: mask it, too, unless they say nothing of the others", c.Name, strings.Join(of, ", "))
		}
	}
	return list
}

// warnKey warns of a key that seems to have personal data or a secret, such as the token of a session. It cannot be masked.
func (f *target) warnKey() (list warnings) {
	for _, name := range f.Key {
		if word, is := personal.Looks(name); is {
			list.add("each change has the key, and the name of its column %q suggests personal data or a secret (%s): "+
				"name the columns of another unique index over NOT NULL columns in Key, and mask it, unless its values may be kept", name, word)
		}
	}
	return list
}

// hiddenOf are those of the named columns of which no values are kept.
func (f *target) hiddenOf(names []string) (hidden []string) {
	for _, name := range names {
		if i := f.Position(name); i < 0 || f.Columns[i].Masked {
			hidden = append(hidden, name)
		}
	}
	return hidden
}
