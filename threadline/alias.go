package threadline

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// same has all names of each type of target that has several, sorted. It is never
// changed.
type same map[string][]string

// aliases makes one group of all names that are joined, also through others.
func aliases(declared map[string][]string) same {
	group := same{}
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

// as returns the names of a type, itself among them.
func (s same) as(name string) []string {
	if all := s[name]; all != nil {
		return all
	}
	return []string{name}
}

// validate refuses names that no target can have.
func (s same) validate() error {
	for name := range s {
		if name == "" || strings.IndexByte(name, 0) >= 0 || !utf8.ValidString(name) {
			return fmt.Errorf("threadline: Options.Aliases: %q cannot be a target's type: use UTF-8 text without NUL", name)
		}
	}
	return nil
}

// Aliases returns the names of a type of target, itself among them, as
// [Options.Aliases] declares them.
func (s *Store) Aliases(targetType string) []string {
	return slices.Clone(s.same.as(targetType))
}
