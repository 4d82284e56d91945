package changes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// snapshot reads the history and the tables in one transaction, which sees one state of the database.
type snapshot struct {
	store  *Store
	tx     *sql.Tx
	tables map[int64]*undoTable // by the digest that changes have
}

// inSnapshot calls f with a snapshot.
func (s *Store) inSnapshot(ctx context.Context, f func(*snapshot) error) error {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return wrap("read the history", err)
	}
	return errors.Join(f(&snapshot{store: s, tx: tx, tables: make(map[int64]*undoTable)}), tx.Rollback())
}

// pin sets what the texts of values depend on, as the triggers do. From then on names must be qualified.
func (r *snapshot) pin(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if _, err := r.tx.ExecContext(ctx, "SET LOCAL "+name+" = "+settings[name]); err != nil {
			return wrap("read the history", err)
		}
	}
	return nil
}

// table returns the table of changes.
func (r *snapshot) table(ctx context.Context, id int64) (*undoTable, error) {
	if t := r.tables[id]; t != nil {
		return t, nil
	}
	shapes, err := r.store.shapes(ctx, r.tx, id)
	if err != nil {
		return nil, err
	}
	t := &undoTable{id: id, shapes: shapes, named: lastOf(shapes)}
	r.tables[id] = t
	keys := make(map[string][]string)
	for _, sh := range shapes {
		keys[strconv.Quote(strings.Join(sh.Key, "\x00"))] = sh.Key
	}
	if len(keys) == 1 {
		for _, t.key = range keys {
		}
	}
	if t.named == nil {
		return t, nil
	}
	t.liveTable, err = r.store.live(ctx, r.tx, id, shapes)
	return t, wrap("look up the table "+t.name(), err)
}

// had reports whether the table had a name.
func (t *undoTable) had(schema, name string) bool {
	for _, sh := range t.shapes {
		if sh.Schema == schema && sh.Table == name {
			return true
		}
	}
	return false
}

// keyed reports whether rows were told apart when their changes were captured.
func (t *undoTable) keyed() bool {
	for _, sh := range t.shapes {
		if sh.keyed() {
			return true
		}
	}
	return false
}

func (t *undoTable) name() string {
	switch {
	case t.liveTable != nil:
		return t.Name
	case t.named != nil:
		return pgschema.Ident(t.named.Schema) + "." + pgschema.Ident(t.named.Table)
	}
	return fmt.Sprintf("table %d", t.id)
}

// keyed returns the table with a key, and what reads its rows' changes.
func (r *snapshot) keyed(ctx context.Context, id int64, key []string) (*undoTable, *lives, error) {
	t, err := r.table(ctx, id)
	switch {
	case err != nil:
		return nil, nil, err
	case t.named == nil:
		return nil, nil, fmt.Errorf("%w: the table was never captured", ErrNoChange)
	case !t.keyed():
		return nil, nil, fmt.Errorf("changes: rows without a key have no history: %s", t.name())
	case len(t.key) > 0 && len(key) != len(t.key):
		return nil, nil, fmt.Errorf("changes: the key of %s has %d columns, not %d: %s", t.name(), len(t.key), len(key), strings.Join(t.key, ", "))
	}
	return t, &lives{store: r.store, db: r.tx, tableID: id, under: make(map[string][]*row)}, nil
}

// undoTable is a table of changes: what they were recorded under, and what it is now.
type undoTable struct {
	id     int64
	shapes map[int64]*shape
	named  *shape   // the last of them
	key    []string // the columns of the key
	*liveTable
}
