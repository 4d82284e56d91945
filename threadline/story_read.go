package threadline

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// MaxTold is how many events, and how many changes, a [Story] has at most.
const MaxTold = 10_000

// Story returns the story of a transaction: its events are in s, and its row changes in rows. tx is that of
// either; on SQLite its ID alone counts. A transaction of which neither has anything is [ErrNotFound]. Events
// that were delivered before the timeline kept contexts (audit_contexts) are not found; row changes are not
// that old. An event of a partition, a parent or a view gets the changes of the table behind it, as far as
// [changes.Store.Reached] finds that. If rows is nil, the story has events alone.
func (s *Store) Story(ctx context.Context, rows *changes.Store, tx journal.TxKey) (*Story, error) {
	if err := s.known(); err != nil {
		return nil, err
	}
	actions, err := s.txActions(ctx, tx, MaxTold+1)
	if err != nil && !s.unmade(ctx, err) {
		return nil, s.explain(ctx, "story", err)
	}
	if rows == nil {
		return eventsAlone(tx, actions)
	}
	made, err := rows.Transaction(ctx, tx.ID, tx.StartedAt, MaxTold)
	if err != nil {
		return nil, err
	}
	if len(actions) == 0 && len(made.Changes) == 0 && len(made.Lost) == 0 {
		return nil, noneOf(tx)
	}
	names, err := rows.Captured(ctx)
	if err != nil {
		return nil, err
	}
	t := &tables{captured: make(map[string]bool), mixed: s.speaks == hooks.SQLite}
	for _, n := range names {
		t.captured[tableName(n[0], n[1])] = true
	}
	if t.reached, err = rows.Reached(ctx, targets(actions)); err != nil {
		return nil, err
	}
	more := made.More || made.MoreLost || len(actions) > MaxTold
	story := tell(tx, actions[:min(len(actions), MaxTold)], made, t)
	if story.More = more; more {
		story.Differences = nil // of parts
	}
	if len(made.Changes) > 0 {
		story.By = made.Changes[0].By
	}
	return story, nil
}

func noneOf(tx journal.TxKey) error {
	return fmt.Errorf("%w: none of transaction %d, begun %s", ErrNotFound, tx.ID, tx.StartedAt)
}

// eventsAlone is the story of a transaction whose row changes are not known: they are compared with nothing.
func eventsAlone(tx journal.TxKey, actions []Action) (*Story, error) {
	if len(actions) == 0 {
		return nil, noneOf(tx)
	}
	story := tell(tx, actions[:min(len(actions), MaxTold)], &changes.Transaction{}, &tables{})
	story.More, story.Differences = len(actions) > MaxTold, nil
	return story, nil
}

// targets are the tables, partitions and views that captured events name.
func targets(actions []Action) (names []string) {
	seen := make(map[string]bool)
	for i := range actions {
		if name := actions[i].Target.Type; actions[i].Captured && opsOf[actions[i].Verb()] != nil && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

// txActions returns the events of a transaction in order, limit at most.
func (s *Store) txActions(ctx context.Context, tx journal.TxKey, limit int) ([]Action, error) {
	columns, err := s.dialect.columns(ctx, s)
	if err != nil {
		return nil, err
	}
	of, between := s.dialect.ofTx(tx), s.between(tx)
	query := "SELECT " + columns + " FROM " + s.names.actions + " WHERE " + of.sql + " AND " + between.sql + " ORDER BY recorded_at, seq, id LIMIT ?"
	return s.scan(ctx, s.dialect.bind(query), append(slices.Concat(of.arg, between.arg), limit))
}

// between selects the actions at the times of a transaction's events: its contexts say from when until when
// they are, so that the index on the time finds them.
func (s *Store) between(tx journal.TxKey) condition {
	of := s.dialect.ofTx(tx)
	bound := func(what string) string { // without functions, which a search_path could lead elsewhere
		return "(SELECT " + strings.Fields(what)[0] + " FROM " + s.names.contexts + " WHERE " + of.sql + " ORDER BY " + what + " LIMIT 1)"
	}
	return condition{
		sql: "recorded_at >= " + bound("first_recorded_at") + " AND recorded_at <= " + bound("last_recorded_at DESC"),
		arg: slices.Concat(of.arg, of.arg),
	}
}
