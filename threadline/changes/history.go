package changes

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// History returns the changes of one row, the oldest first. key has the values of the key's columns. They may be written in
// another form than PostgreSQL prints them, such as a UUID in capitals; a time without a zone is in UTC. Of a table that is not in this
// database, that is so if the types of the key's columns are PostgreSQL's own.
//
// The history has all that happened under the key, also to rows that were deleted before. If a row's key has become this
// one, it goes back to that row's INSERT under its former keys. TRUNCATEs of the table are part of each row's history, and
// so are changes of which the key is not known, because the table had lost its columns. A table that was renamed keeps its
// history; one that was made again under an old name has a separate one. Of a table that was never captured the error is
// [ErrNotCaptured], of one without a key [ErrNoKey], and of a key that no row can have [ErrKey]. [Store.Breaks] says what may be missing.
func (s *Store) History(ctx context.Context, table string, key ...string) (history []Change, err error) {
	if s, ok := onSQLite(s.reader()); ok {
		return s.history(ctx, table, key)
	}
	if err = s.reader().Catalog.Supported(); err != nil {
		return nil, err
	}
	err = s.reader().InSnapshot(ctx, s.reader().Catalog.DB, func(r *reading.Snapshot) (err error) {
		r.Past = true
		history, err = readHistory(ctx, r, table, key)
		return err
	})
	return history, err
}

func readHistory(ctx context.Context, r *reading.Snapshot, table string, key []string) ([]Change, error) {
	f, err := r.Reader.LookPast(ctx, r.Tx, table)
	if err != nil {
		return nil, err
	}
	if len(key) == 0 {
		return nil, fmt.Errorf("changes: History needs the key of a row of %s", table)
	}
	shapes, err := r.Reader.Catalog.Shapes(ctx, r.Tx, f.TableID())
	if err != nil {
		return nil, err
	}
	t := reading.PastTable(f.TableID(), shapes)
	if t.LastShape == nil {
		return nil, reading.NotCaptured(table)
	}
	if err = t.CheckKey(key); err != nil {
		return nil, err
	}
	l := &reading.Lives{Reader: r.Reader, DB: r.Tx, TableID: f.TableID(), Under: make(map[string][]*reading.Row), Deferrable: f.Deferrable && slices.Equal(t.LastShape.Key, f.Key)}
	if key, err = printedKey(ctx, r, l, table, key); err != nil {
		return nil, err
	}
	rows, err := l.All(ctx, rowtext.Format(key))
	if err != nil {
		return nil, err
	}
	history := make([]Change, len(rows))
	for i, row := range rows {
		if history[i], err = row.Change(t); err != nil {
			return nil, catalog.Wrap("read the change at "+row.LSN, err)
		}
	}
	return history, r.Reader.Attribute(ctx, r.Tx, history)
}
