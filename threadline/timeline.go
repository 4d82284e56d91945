package threadline

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
)

// ErrNotFound means that the timeline has no such action.
var ErrNotFound = errors.New("threadline: no such action")

// Page is a part of the timeline, newest first.
type Page struct {
	Actions []Action `json:"actions"`
	// Next is the cursor of the page after this one, "" at the end.
	Next string `json:"next,omitempty"`
}

// Timeline returns the actions that match q, newest first, a page at a time. A
// query that makes no sense is a [*QueryError]. On SQLite, where the first event
// makes the tables, there are no actions before it; on PostgreSQL tables that are
// missing are an error.
func (s *Store) Timeline(ctx context.Context, q Query) (Page, error) {
	if q.Limit > MaxLimit {
		return Page{}, &QueryError{"limit", fmt.Sprintf("%d is above %d: take several pages, or Store.Each", q.Limit, MaxLimit)}
	}
	if q.Limit == 0 {
		q.Limit = DefaultLimit
	}
	return s.page(ctx, q)
}

// Each returns all actions that match q, newest first, or the q.Limit newest of
// them. It reads pages of [MaxLimit] and has no connection while the loop's body
// runs. Its only error is the last thing that it yields.
func (s *Store) Each(ctx context.Context, q Query) iter.Seq2[Action, error] {
	return func(yield func(Action, error) bool) {
		left := q.Limit
		for {
			part := q
			if q.Limit == 0 || left > MaxLimit {
				part.Limit = MaxLimit
			} else {
				part.Limit = left
			}
			page, err := s.page(ctx, part)
			if err != nil {
				yield(Action{}, err)
				return
			}
			for _, a := range page.Actions {
				if !yield(a, nil) {
					return
				}
			}
			left -= len(page.Actions)
			if page.Next == "" || q.Limit != 0 && left <= 0 {
				return
			}
			q.Cursor = page.Next
		}
	}
}

// Get returns one action by its event's ID, or [ErrNotFound].
func (s *Store) Get(ctx context.Context, id uuid.UUID) (Action, error) {
	if err := s.known(); err != nil {
		return Action{}, err
	}
	columns, err := s.dialect.columns(ctx, s)
	if err != nil {
		return Action{}, s.explain(ctx, "get", err)
	}
	query := "SELECT " + columns + " FROM " + s.names.actions + " WHERE id = ?"
	actions, err := s.scan(ctx, s.dialect.bind(query), []any{id.String()})
	switch {
	case s.unmade(ctx, err), err == nil && len(actions) == 0:
		return Action{}, fmt.Errorf("%w: %s", ErrNotFound, id)
	case err != nil:
		return Action{}, s.explain(ctx, "get", err)
	}
	return actions[0], nil
}

// page reads one page of q.Limit actions, and one more to know whether it is the
// last.
func (s *Store) page(ctx context.Context, q Query) (Page, error) {
	if err := errors.Join(s.known(), q.validate()); err != nil {
		return Page{}, err
	}
	if q.Cursor != "" {
		if _, err := q.position(); err != nil {
			return Page{}, err
		}
	}
	actions, err := s.find(ctx, q, nil)
	if isLacking(err) {
		// No event can have such a text, but one may have what was written for it.
		var lacks map[rune]bool
		if lacks, err = s.lacking(ctx, q.ActorID+q.TargetType+q.TargetID+q.TenantID+q.CorrelationID+q.RequestID); err == nil {
			actions, err = s.find(ctx, q, lacks)
		}
	}
	switch {
	case s.unmade(ctx, err):
		return Page{}, nil
	case err != nil:
		return Page{}, s.explain(ctx, "timeline", err)
	}
	if len(actions) <= q.Limit {
		return Page{Actions: actions}, nil
	}
	actions = actions[:q.Limit]
	last := actions[q.Limit-1]
	if last.ID == uuid.Nil {
		return Page{}, fmt.Errorf("threadline: timeline: a page ends with an action that has no place in it (%s): repair its row in %s, or use another limit",
			last.Unreadable, s.names.actions)
	}
	return Page{Actions: actions, Next: q.cursor(position{last.RecordedAt, int64(last.Ordinal), last.ID, last.Unreadable != ""})}, nil
}

// find reads a page. In its filters, characters of lacks, which the server's encoding
// does not have, are written as <U+1F600>.
func (s *Store) find(ctx context.Context, q Query, lacks map[rune]bool) ([]Action, error) {
	columns, err := s.dialect.columns(ctx, s)
	if err != nil {
		return nil, err
	}
	query, args, err := s.pageQuery(q, columns, lacks)
	if err != nil {
		return nil, err
	}
	return s.scan(ctx, query, args)
}

func (s *Store) pageQuery(q Query, columns string, lacks map[rune]bool) (string, []any, error) {
	conditions := q.conditions(s.dialect.moment)
	if q.Cursor != "" {
		p, err := q.position()
		if err != nil {
			return "", nil, err
		}
		conditions = append(conditions, s.after(p))
	}
	var b strings.Builder
	var args []any
	b.WriteString("SELECT " + columns + " FROM " + s.names.actions)
	for i, c := range conditions {
		if i == 0 {
			b.WriteString(" WHERE ")
		} else {
			b.WriteString(" AND ")
		}
		c = s.dialect.filter(c, lacks)
		b.WriteString(c.sql)
		args = append(args, c.arg...)
	}
	b.WriteString(" ORDER BY recorded_at DESC, seq DESC, id DESC LIMIT " + strconv.Itoa(q.Limit+1))
	return s.dialect.bind(b.String()), args, nil
}

// after selects what comes after p.
func (s *Store) after(p position) condition {
	if p.byID {
		return condition{"(recorded_at, seq, id) < (SELECT recorded_at, seq, id FROM " + s.names.actions + " WHERE id = ?)", []any{p.id.String()}}
	}
	return condition{"(recorded_at, seq, id) < (?, ?, ?)", []any{s.dialect.moment(p.recordedAt), p.seq, p.id.String()}}
}

func (s *Store) scan(ctx context.Context, query string, args []any) ([]Action, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var actions []Action
	in := row{Row: lenient.Row{Hex: s.dialect.hex()}}
	for rows.Next() {
		a, err := in.scan(rows)
		if err != nil {
			return nil, err
		}
		actions = append(actions, a)
	}
	return actions, rows.Err()
}
