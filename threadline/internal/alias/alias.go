// Package alias has what an app declares to be other names of one thing.
package alias

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Names has all names of each type of target that has several, sorted. It is never
// changed.
type Names map[string][]string

// Of makes one group of all names that are joined, also through others.
func Of(declared map[string][]string) Names {
	group := Names{}
	for name, others := range declared {
		all := []string{name}
		for _, n := range append([]string{name}, others...) {
			all = append(append(all, n), group[n]...)
		}
		slices.Sort(all)
		all = slices.Compact(all)
		for _, n := range all {
			group[n] = all
		}
	}
	return group
}

// As returns the names of a type, itself among them.
func (s Names) As(name string) []string {
	if all := s[name]; all != nil {
		return all
	}
	return []string{name}
}

// Validate refuses names that no target can have.
func (s Names) Validate() error {
	for name := range s {
		if name == "" || strings.IndexByte(name, 0) >= 0 || !utf8.ValidString(name) {
			return fmt.Errorf("threadline: Options.Aliases: %q cannot be a target's type: use UTF-8 text without NUL", name)
		}
	}
	return nil
}
