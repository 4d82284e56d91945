package changes

import "github.com/go-aftercommit/aftercommit/hooks"

// Dialect is that of the store's database.
func (s *Store) Dialect() hooks.Dialect { return s.speaks }
