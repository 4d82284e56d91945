package trail

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/internal/paging"
)

// Reader reads actions and row changes together. It is safe for concurrent use, and needs one connection of each store
// at a time.
type Reader struct {
	timeline *threadline.Store
	rows     *changes.Store
}

// NewReader returns the trail that the two stores keep. They may be in different databases; their clocks then are
// different ones, too. If there are no row changes ([changes.ErrNotMigrated]), rows may be nil: then there are actions alone,
// and a query that they cannot match is a [*QueryError].
func NewReader(timeline *threadline.Store, rows *changes.Store) *Reader {
	return &Reader{timeline: timeline, rows: rows}
}

// Page is a part of the trail, newest first.
type Page struct {
	Items []Item `json:"items"`
	// Next is the cursor of the page after this one, "" at the end. A page that has one may be short, or empty,
	// if filters have to look at the items: see [threadline.MaxLooked], [changes.MaxLooked] and [changes.MaxBytes].
	Next string `json:"next,omitempty"`

	query *Query   // for CursorAfter
	ends  []*place // behind each of Items
}

// CursorAfter returns the cursor of the page that begins behind p.Items[i], or "" if that is an action that has no place
// because its ID cannot be read. p must come from a [Reader], not from JSON. [Page.Next] is that of the last item, unless
// there is nothing behind it.
func (p *Page) CursorAfter(i int) string {
	if p.ends[i].nowhere() {
		return ""
	}
	return p.query.cursor(p.ends[i])
}

// Page returns the items that match q, a page at a time. A query that makes no sense is a [*QueryError]. So is one for a
// table that was never captured, or a key that no row can have, unless an action matches the query; that error is also
// [changes.ErrNotCaptured], [changes.ErrKey] or [changes.ErrNoKey].
func (r *Reader) Page(ctx context.Context, q Query) (Page, error) {
	if q.Limit > MaxLimit {
		return Page{}, refuse("limit", "%d is above %d: take several pages, or Reader.Each", q.Limit, MaxLimit)
	}
	if q.Limit == 0 {
		q.Limit = DefaultLimit
	}
	list, next, err := r.page(ctx, &q)
	page := Page{Next: next, query: &q}
	for i := range list {
		page.Items, page.ends = append(page.Items, list[i].Item), append(page.ends, list[i].end)
	}
	return page, err
}

// Each returns all items that match q, newest first, or the q.Limit newest of them. It reads pages of [MaxLimit] and
// has no connection while the loop's body runs. Its only error is the last thing that it yields.
func (r *Reader) Each(ctx context.Context, q Query) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for item, err := range r.each(ctx, q) {
			if !yield(item.Item, err) {
				return
			}
		}
	}
}

// each is Each, with the place behind each item.
func (r *Reader) each(ctx context.Context, q Query) iter.Seq2[placed, error] {
	return paging.Each(q.Limit, MaxLimit, q.Cursor, func(limit int, cursor string) ([]placed, string, error) {
		part := q
		part.Limit, part.Cursor = limit, cursor
		return r.page(ctx, &part)
	})
}

func (r *Reader) page(ctx context.Context, q *Query) (list []placed, next string, err error) {
	if err = r.validate(q); err != nil {
		return nil, "", err
	}
	from, err := q.begins()
	if err != nil {
		return nil, "", err
	}
	actions, err := r.actions(ctx, q, from)
	if err != nil {
		return nil, "", searchable(err)
	}
	rows, err := r.changes(ctx, q, from)
	if len(actions.items) > 0 || actions.rest != nil || from != nil {
		if errors.Is(err, changes.ErrNotCaptured) {
			rows, err = r.capturedChanges(ctx, q, from) // a target is none of the tables
		}
		if errors.Is(err, changes.ErrKey) || errors.Is(err, changes.ErrNoKey) {
			rows, err = &part{}, nil // and its ID is that of no row
		}
	}
	if err != nil {
		return nil, "", searchable(err)
	}
	if q.Tx.ID != 0 {
		actions.level(furthest)
		rows.level(time.Time{})
	}
	list, end := merge(actions, rows, q.Limit)
	switch {
	case end == nil:
		return list, "", nil
	case end.nowhere():
		return nil, "", errors.New("trail: a page ends with an action that has no place in it, because its ID cannot be read: repair its row, or use another limit")
	}
	return list, q.cursor(end), nil
}

// ActionsOnly reports whether the reader has no row changes: see [NewReader].
func (r *Reader) ActionsOnly() bool { return r.rows == nil }

// validate refuses a query that makes no sense, or that this reader cannot answer.
func (r *Reader) validate(q *Query) error {
	if err := q.validate(); err != nil {
		return err
	}
	if name := q.ofChanges(); name != "" && r.ActionsOnly() {
		return refuse(name, "is of row changes only, and there are none here")
	}
	return nil
}

// actions reads the next actions.
func (r *Reader) actions(ctx context.Context, q *Query, from *place) (*part, error) {
	p := &part{}
	if !q.kind().actions || from.isChange() && q.Tx.ID != 0 {
		return p, nil
	}
	var names [][2]string
	if q.asksTables() && !r.ActionsOnly() {
		var err error
		if names, err = r.rows.Captured(ctx); err != nil {
			return nil, err
		}
	}
	a := q.actions(names)
	switch {
	case from.isChange():
		a.To = earlier(a.To, from.at.Time())
	case from != nil:
		a.Cursor = paging.Cursor(from.kind, from.at, a)
	}
	if !a.To.IsZero() && !a.From.Before(a.To) {
		return p, nil
	}
	a.Limit = q.Limit
	page, err := r.timeline.Timeline(ctx, a)
	if err != nil {
		return nil, err
	}
	// The time of an action that cannot be read is not known: it takes that of the one above it.
	last := furthest
	if from != nil {
		last = from.at.Time()
	}
	for i := range page.Actions {
		end, err := placeOf(page.CursorAfter(i), last)
		if err != nil {
			return nil, err
		}
		last = end.at.Time()
		p.add(Item{Action: &page.Actions[i]}, end)
	}
	return p, p.end(page.Next, last)
}

// changes reads the next row changes.
func (r *Reader) changes(ctx context.Context, q *Query, from *place) (*part, error) {
	p := &part{}
	if !q.kind().changes || r.ActionsOnly() {
		return p, nil
	}
	c := q.changes()
	switch {
	case from.isChange():
		c.Cursor = paging.Cursor(from.kind, from.at, c)
	case from != nil && q.Tx.ID == 0:
		// Those of the action's own microsecond come after it.
		c.To = earlier(c.To, from.at.Time().Add(time.Microsecond))
	}
	if !c.To.IsZero() && !c.From.Before(c.To) {
		return p, nil
	}
	c.Limit = q.Limit
	page, err := r.rows.Page(ctx, c)
	if err != nil {
		return nil, err
	}
	for i := range page.Changes {
		end, err := placeOf(page.CursorAfter(i), furthest)
		if err != nil {
			return nil, err
		}
		p.add(Item{Change: &page.Changes[i]}, end)
	}
	return p, p.end(page.Next, furthest)
}

// capturedChanges reads the next row changes of those of the query's tables that were ever captured.
func (r *Reader) capturedChanges(ctx context.Context, q *Query, from *place) (*part, error) {
	if len(q.Tables) == 1 {
		return &part{}, nil
	}
	some := *q
	some.Tables = nil
	for _, name := range q.Tables {
		// A page of what is yet to come reads no change.
		_, err := r.rows.Page(ctx, changes.Query{Tables: []string{name}, Schema: q.Schema, From: furthest, Limit: 1})
		switch {
		case errors.Is(err, changes.ErrNotCaptured):
			continue
		case err != nil:
			return nil, err
		}
		some.Tables = append(some.Tables, name)
	}
	if len(some.Tables) == 0 {
		return &part{}, nil
	}
	return r.changes(ctx, &some, from)
}

// asksTables reports whether the filters name tables without a schema.
func (q *Query) asksTables() bool {
	if len(q.Tables) > 0 && q.Schema == "" {
		return true
	}
	for i := range q.Not {
		if q.Not[i].asksTables() {
			return true
		}
	}
	return false
}

// searchable gives a QueryError the field's name in package search.
func searchable(err error) error {
	var query *QueryError
	if !errors.As(err, &query) || errors.Is(err, changes.ErrNotCaptured) || errors.Is(err, changes.ErrKey) || errors.Is(err, changes.ErrNoKey) {
		return err
	}
	name, negated := strings.CutPrefix(query.Field, "-")
	name = cmp.Or(searchKeys[name], name)
	if negated {
		name = "-" + name
	}
	return refuse(name, "%s", query.Reason)
}

// searchKeys are the keys of package search, by the fields of threadline.QueryError where these differ.
var searchKeys = map[string]string{
	"target_type": "table", "target_id": "key", "correlation_id": "correlation", "request_id": "request", "from": "after", "to": "before",
}
