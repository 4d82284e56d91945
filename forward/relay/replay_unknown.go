package relay

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// existIDs returns an error if no entry has one of the IDs. found are those that the journal and the row changes have; the
// table of an earlier version may have others.
func (s *Store) existIDs(ctx context.Context, q querier, ids []uuid.UUID, found named) error {
	known := make(map[uuid.UUID]bool, len(found))
	for _, id := range found {
		known[id] = true
	}
	unknown := without(ids, known)
	if len(unknown) == 0 {
		return nil
	}
	if err := s.historyHas(ctx, q, unknown, known); err != nil {
		return err
	}
	if unknown = without(unknown, known); len(unknown) == 0 {
		return nil
	}
	return &unknownError{unknown}
}

// historyHas adds those of the IDs to known that the table of an earlier version has.
func (s *Store) historyHas(ctx context.Context, q querier, ids []uuid.UUID, known map[uuid.UUID]bool) (err error) {
	table, err := s.history(ctx, q)
	if err != nil || table == "" {
		return err
	}
	rows, err := q.QueryContext(ctx, "SELECT e.id FROM "+table+" e WHERE e.id IN ("+idList(ids)+")")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		if err = rows.Scan(&id); err != nil {
			return err
		}
		known[id] = true
	}
	return rows.Err()
}

// without returns those of the IDs that are not known, each once, in order.
func without(ids []uuid.UUID, known map[uuid.UUID]bool) (rest []uuid.UUID) {
	seen := make(map[uuid.UUID]bool)
	for _, id := range ids {
		if !known[id] && !seen[id] {
			rest = append(rest, id)
		}
		seen[id] = true
	}
	return rest
}

// ErrNoEntry means that no entry has an ID that was named. It comes in an error that says which.
var ErrNoEntry = errors.New("relay: there is no such entry")

// unknownError names IDs that no entry has.
type unknownError struct{ ids []uuid.UUID }

// Is says that it is [ErrNoEntry].
func (e *unknownError) Is(target error) bool { return target == ErrNoEntry }

// Error implements error.
func (e *unknownError) Error() string {
	const most = 5
	what := "ID"
	if len(e.ids) > 1 {
		what += "s"
	}
	var list []string
	for _, id := range e.ids[:min(most, len(e.ids))] {
		list = append(list, id.String())
	}
	more := ""
	if n := len(e.ids) - most; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("nothing is replayed: no entry has the %s %s%s: it was purged, or recorded more than a day before or after the time in its ID, or the ID is of another journal", what, strings.Join(list, ", "), more)
}
