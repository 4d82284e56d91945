package txn

import (
	"slices"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// NoteContext notes in which context a statement was executed that may have written unseen. Beyond the
// limit on events further ones are not noted.
func (r *Record) NoteContext(v hooks.Values) {
	if !slices.Contains(r.contexts, v) && len(r.contexts) < r.cfg.MaxEvents {
		r.contexts = append(r.contexts, v)
	}
}

// Contexts returns what NoteContext has noted, and what no ROLLBACK TO has undone since.
func (r *Record) Contexts() []hooks.Values { return r.contexts }

// Events returns all events that the transaction holds.
func (r *Record) Events() []hooks.Event { return eventsOf(r.items, r.written) }
