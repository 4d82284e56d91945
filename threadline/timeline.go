package threadline

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/threadline/internal/paging"
)

// ErrNotFound means that the timeline has no such action.
var ErrNotFound = errors.New("threadline: no such action")

// Page is a part of the timeline, newest first.
type Page struct {
	Actions []Action `json:"actions"`
	// Next is the cursor of the page after this one, "" at the end. A page that has
	// one may be short, or empty, if its query has Text or Not: see [MaxLooked].
	Next string `json:"next,omitempty"`

	query Query // for CursorAfter
}

// Timeline returns the actions that match q, newest first, a page at a time. A
// query that makes no sense is a [*QueryError]. On SQLite, where the first event
// makes the tables, there are no actions before it; on PostgreSQL tables that are
// missing are an error.
func (s *Store) Timeline(ctx context.Context, q Query) (Page, error) {
	if q.Limit > MaxLimit {
		return Page{}, &QueryError{Field: "limit", Reason: fmt.Sprintf("%d is above %d: take several pages, or Store.Each", q.Limit, MaxLimit)}
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
	return paging.Each(q.Limit, MaxLimit, q.Cursor, func(limit int, cursor string) ([]Action, string, error) {
		part := q
		part.Limit, part.Cursor = limit, cursor
		page, err := s.page(ctx, part)
		return page.Actions, page.Next, err
	})
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
	if err := errors.Join(s.known(), s.same.Validate(), q.validate()); err != nil {
		return Page{}, err
	}
	if q.Cursor != "" {
		if _, err := q.position(); err != nil {
			return Page{}, err
		}
	}
	actions, end, err := s.find(ctx, q, nil)
	if isLacking(err) {
		// No event can have such a text, but one may have what was written for it.
		var lacks map[rune]bool
		if lacks, err = s.lacking(ctx, q.texts()); err == nil {
			actions, end, err = s.find(ctx, q, lacks)
		}
	}
	switch {
	case s.unmade(ctx, err):
		return Page{}, nil
	case err != nil:
		return Page{}, s.explain(ctx, "timeline", err)
	}
	last := end
	switch {
	case len(actions) > q.Limit:
		actions = actions[:q.Limit]
		last = &actions[q.Limit-1]
	case end == nil:
		return Page{Actions: actions, query: q}, nil
	}
	if last.ID == uuid.Nil {
		return Page{}, fmt.Errorf("threadline: timeline: a page ends with an action that has no place in it (%s): repair its row in %s, or use another limit",
			last.Unreadable, s.names.actions)
	}
	return Page{Actions: actions, Next: q.cursor(positionOf(last)), query: q}, nil
}

// find reads a page. If it looks at no more than [MaxLooked] actions, end is the last of
// them. In its filters, characters of lacks, which the server's encoding does not have,
// are written as <U+1F600>.
func (s *Store) find(ctx context.Context, q Query, lacks map[rune]bool) (actions []Action, end *Action, err error) {
	columns, err := s.dialect.columns(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	where := q.filters(s.dialect, s.same)
	if q.Tx.ID != 0 {
		where = append(where, s.between(q.Tx))
	}
	if q.Cursor != "" {
		p, posErr := q.position()
		if posErr != nil {
			return nil, nil, posErr
		}
		where = append(where, s.beside(p, "<"))
	}
	if looked := q.looked(s.dialect, s.same); len(looked) > 0 {
		// The end comes first, by itself: an action that is recorded meanwhile is
		// then on this page or above it, and no page has it twice.
		if end, err = s.end(ctx, columns, where, lacks); err != nil {
			return nil, nil, err
		}
		if end != nil {
			where = append(where, s.beside(positionOf(end), ">="))
		}
		where = append(where, looked...)
	}
	query, args := s.walk(columns, where, q.Limit+1, lacks)
	actions, err = s.scan(ctx, s.dialect.bind(query), args)
	return actions, end, err
}

// end is the last of the first [MaxLooked] actions, or nil if there are no more than that.
func (s *Store) end(ctx context.Context, columns string, where []condition, lacks map[rune]bool) (*Action, error) {
	query, args := s.walk("recorded_at, seq, id", where, MaxLooked+1, lacks)
	query = "SELECT " + columns + " FROM " + s.names.actions + " WHERE id = (SELECT id FROM (" + query +
		") AS looked ORDER BY recorded_at DESC, seq DESC, id DESC LIMIT 1 OFFSET " + strconv.Itoa(MaxLooked-1) +
		") AND EXISTS (SELECT 1 FROM (" + query + ") AS more LIMIT 1 OFFSET " + strconv.Itoa(MaxLooked) + ")"
	found, err := s.scan(ctx, s.dialect.bind(query), append(args, args...))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// walk selects the newest of the actions that meet the conditions, as many as the
// limit. For a condition of several values it takes as many of each value and merges
// them: PostgreSQL and SQLite walk an index for one value, and would sort the rows of
// them all.
func (s *Store) walk(columns string, where []condition, limit int, lacks map[rune]bool) (string, []any) {
	split := slices.IndexFunc(where, func(c condition) bool { return c.column != "" })
	if split < 0 {
		return s.selects(columns, where, limit, lacks)
	}
	var b strings.Builder
	var args []any
	b.WriteString("SELECT " + columns + " FROM (")
	for i, value := range where[split].arg {
		branch := slices.Clone(where)
		branch[split] = condition{sql: where[split].column + " = ?", arg: []any{value}}
		query, arg := s.selects("*", branch, limit, lacks)
		if i > 0 {
			b.WriteString(" UNION ALL ")
		}
		b.WriteString("SELECT * FROM (" + query + ") AS of" + strconv.Itoa(i))
		args = append(args, arg...)
	}
	b.WriteString(") AS merged" + order + strconv.Itoa(limit))
	return b.String(), args
}

const order = " ORDER BY recorded_at DESC, seq DESC, id DESC LIMIT "

func (s *Store) selects(columns string, where []condition, limit int, lacks map[rune]bool) (string, []any) {
	var b strings.Builder
	var args []any
	b.WriteString("SELECT " + columns + " FROM " + s.names.actions)
	for i, c := range where {
		if i == 0 {
			b.WriteString(" WHERE ")
		} else {
			b.WriteString(" AND ")
		}
		c = s.dialect.filter(c, lacks)
		b.WriteString(c.sql)
		args = append(args, c.arg...)
	}
	b.WriteString(order + strconv.Itoa(limit))
	return b.String(), args
}

func positionOf(a *Action) position {
	return position{a.RecordedAt, int64(a.Ordinal), a.ID, a.Unreadable != ""}
}

// beside selects what comes after p, by "<", or what does not, by ">=".
func (s *Store) beside(p position, operator string) condition {
	if p.byID {
		return condition{
			sql: "(recorded_at, seq, id) " + operator + " (SELECT recorded_at, seq, id FROM " + s.names.actions + " WHERE id = ?)",
			arg: []any{p.id.String()},
		}
	}
	return condition{sql: "(recorded_at, seq, id) " + operator + " (?, ?, ?)", arg: []any{s.dialect.moment(p.recordedAt), p.seq, p.id.String()}}
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
