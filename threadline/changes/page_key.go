package changes

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
	"github.com/go-aftercommit/aftercommit/threadline/internal/errtext"
)

// meantKeys are the texts of the keys that a query and its Not may mean in a table, by the texts of the keys as they are written.
type meantKeys map[string][]string

// readKeys finds out which keys are meant.
func (r *pageReader) readKeys(ctx context.Context) error {
	r.keys = make(map[int64]meantKeys)
	for id := range r.tables {
		r.keys[id] = make(meantKeys)
	}
	read := r.readKey
	if s, ok := onSQLite(r.reader); ok {
		read = func(ctx context.Context, q *Query) error { return s.readKey(ctx, r, q) }
	}
	for i := range r.query.Not {
		if err := read(ctx, &r.query.Not[i]); err != nil && !errors.Is(err, ErrKey) { // to leave out no row leaves out nothing
			return err
		}
	}
	return read(ctx, r.query)
}

// readKey finds out how PostgreSQL prints the key of a query in each table. It refuses one that no row of the tables can have.
func (r *pageReader) readKey(ctx context.Context, q *Query) error {
	if len(q.Key) == 0 {
		return nil
	}
	var refused error
	can := false
	written := rowtext.Format(q.Key)
	for _, id := range slices.Sorted(maps.Keys(r.tables)) {
		r.keys[id][written] = []string{written}
		t, err := r.past.of(ctx, r.reader, r.tx, id)
		if err != nil {
			return err
		}
		if t.CheckKey(q.Key) != nil || !r.tables[id].is(q, r.reader.Aliases) {
			continue
		}
		switch printed, err := r.reader.PrintedIn(ctx, r.tx, id, q.Key); {
		case errors.Is(err, ErrKey):
			refused = err
		case err != nil:
			return err
		default:
			can = true
			r.keys[id][written] = []string{rowtext.Format(printed)}
		}
	}
	if refused == nil || can {
		return nil
	}
	return &refusal{refuse("key", "%s", errtext.Of(refused)), ErrKey}
}

// readKey is [pageReader.readKey]: a text may mean values of several storage classes.
func (s sqlite) readKey(ctx context.Context, r *pageReader, q *Query) error {
	if len(q.Key) == 0 {
		return nil
	}
	keys, err := s.Keys(ctx, r.tx, q.Key)
	if err != nil {
		return err
	}
	var texts []string
	for _, typed := range keys {
		texts = append(texts, rowtext.FormatSQLite(typed))
	}
	for _, meant := range r.keys {
		meant[rowtext.Format(q.Key)] = texts
	}
	return nil
}
