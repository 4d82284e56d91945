package threadline

import (
	"context"
	"slices"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// MaxCauses is how many events of a transaction [Store.Causes] reads.
const MaxCauses = 100

// Cause is what the events of a row change's transaction say about it.
type Cause struct {
	// Statements are the captured events that may have made it, in the order of the transaction. If there is one, it was that one, or
	// what the timeline has no event of. There are none for what a trigger has made, and for
	// programs without the wrapped driver. What a foreign key has made may be taken for that of a statement on the same table.
	Statements []Action
	// Recorded are the events that the app has recorded in the transaction: what it meant, and why.
	Recorded []Action
	// More says that the transaction has more than [MaxCauses] events. Then there are no Statements, and Recorded are the first.
	More bool
}

// Causes returns for each of the row changes, such as those of a page, its Cause. It looks at one change at a time, and not at
// how many rows a statement counts, so that it needs nothing but the events: at most [MaxCauses] of each transaction.
// [Store.Story] has the whole of a transaction, and says more. The events are in s, and rows is the store of the changes.
func (s *Store) Causes(ctx context.Context, rows *changes.Store, list []changes.Change) ([]Cause, error) {
	if err := s.known(); err != nil {
		return nil, err
	}
	events := make(map[journal.TxKey][]Action)
	var names []string
	for i := range list {
		tx := s.txOf(&list[i])
		if _, known := events[tx]; known || tx.ID == 0 {
			continue
		}
		actions, err := s.txActions(ctx, tx, MaxCauses+1)
		if err != nil && !s.unmade(ctx, err) {
			return nil, s.explain(ctx, "causes", err)
		}
		events[tx] = actions
		names = append(names, targets(actions)...)
	}
	slices.Sort(names)
	reached, err := rows.Reached(ctx, slices.Compact(names))
	if err != nil {
		return nil, err
	}
	t := &tables{reached: reached}
	causes := make([]Cause, len(list))
	for i := range list {
		causes[i] = t.cause(&list[i], events[s.txOf(&list[i])])
	}
	return causes, nil
}

// txOf is the transaction of a change. On SQLite its number identifies it, and each change has another start.
func (s *Store) txOf(c *changes.Change) journal.TxKey {
	if s.speaks == hooks.SQLite {
		return journal.TxKey{ID: c.XID}
	}
	return journal.TxKey{ID: c.XID, StartedAt: c.TxStartedAt.UTC()}
}

// cause is that of a change, among the events of its transaction.
func (t *tables) cause(c *changes.Change, events []Action) (cause Cause) {
	if cause.More = len(events) > MaxCauses; cause.More {
		events = events[:MaxCauses]
	}
	for i := range events {
		switch a := &events[i]; {
		case !a.Captured:
			cause.Recorded = append(cause.Recorded, *a)
		case !cause.More && !c.Nested && c.ForeignKey == "" && t.mayHaveMade(a, c):
			cause.Statements = append(cause.Statements, *a)
		}
	}
	return cause
}
