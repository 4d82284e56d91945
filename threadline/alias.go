package threadline

import "slices"

// Aliases returns the names of a type of target, itself among them, as
// [Options.Aliases] declares them.
func (s *Store) Aliases(targetType string) []string {
	return slices.Clone(s.same.As(targetType))
}
