package reading

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// Snapshot reads the history and the tables in one transaction, which sees one state of the database.
type Snapshot struct {
	Reader *Reader
	Tx     *sql.Tx
	Tables map[int64]*Table            // by their IDs
	found  map[int64]*catalog.Relation // those of them that were looked up by their names

	// Past says that Tables need not have what decides whether statements on them succeed: constraints, foreign keys, triggers and rules.
	Past bool

	Lite   map[int64]*catalog.SQLiteTable // the same as found on SQLite
	pinned bool
}

// InSnapshot calls f with a snapshot, and again with another one if CheckIntact has found that a table is not what the snapshot sees.
func (s *Reader) InSnapshot(ctx context.Context, db catalog.Beginner, f func(*Snapshot) error) (err error) {
	for range mostSnapshots {
		if err = s.inOne(ctx, db, f); !errors.Is(err, errNotIntact) {
			break
		}
	}
	return err
}

// inOne calls f with a snapshot.
func (s *Reader) inOne(ctx context.Context, db catalog.Beginner, f func(*Snapshot) error) (err error) {
	opts := &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	lite, isLite := s.OnSQLite()
	if isLite {
		opts.Isolation = sql.LevelDefault // which is serializable
	}
	tx, err := s.Catalog.BeginRead(ctx, db, opts)
	if err != nil {
		return catalog.Wrap("read the history", err)
	}
	defer func() {
		if failed := tx.Rollback(); !errors.Is(failed, sql.ErrTxDone) { // f may commit
			err = errors.Join(err, failed)
		}
	}()
	if isLite {
		if err = lite.Check(ctx, tx); err != nil {
			return err
		}
	}
	return f(&Snapshot{Reader: s, Tx: tx, Tables: make(map[int64]*Table), found: make(map[int64]*catalog.Relation), Lite: make(map[int64]*catalog.SQLiteTable)})
}

// LiteralSettings are the settings, beside catalog.Settings, that decide which value a literal is: with array_nulls = off, the element of
// {NULL} is the text NULL.
var LiteralSettings = map[string]string{"array_nulls": "on", "xmloption": "content"}

// Pin sets the settings on which the texts of values depend to what the triggers set, and those on which literals depend. Among them is
// the search_path: from then on names must be qualified.
func (r *Snapshot) Pin(ctx context.Context) error {
	if r.pinned || r.Reader.Catalog.Dialect == hooks.SQLite { // which has values, and no texts of them
		return nil
	}
	var set []string
	for _, settings := range []map[string]string{catalog.Settings, LiteralSettings} {
		for _, name := range slices.Sorted(maps.Keys(settings)) {
			set = append(set, "pg_catalog.set_config('"+name+"', '"+strings.Trim(settings[name], "'")+"', true)")
		}
	}
	_, err := r.Tx.ExecContext(ctx, "SELECT "+strings.Join(set, ", "))
	r.pinned = err == nil
	return catalog.Wrap("read the history", err)
}

// Look returns the captured table that has a name, and pins: the name may need the search_path, and the types of its columns
// must not.
func (r *Snapshot) Look(ctx context.Context, name string) (*Table, error) {
	t, err := r.look(ctx, name)
	if err == nil && t.LastShape == nil {
		return nil, NotCaptured(name)
	}
	return t, err
}

// NotCaptured is [change.ErrNotCaptured] of one table.
func NotCaptured(table string) error {
	return fmt.Errorf("changes: %s: %w: name it in capture.Of, or apply a plan for it", table, change.ErrNotCaptured)
}

func (r *Snapshot) look(ctx context.Context, name string) (*Table, error) {
	if s, ok := r.Reader.OnSQLite(); ok {
		t, err := s.Look(ctx, r.Tx, name)
		if err != nil {
			return nil, err
		}
		r.Lite[t.TableID()] = t
		return r.Table(ctx, t.TableID())
	}
	copied, err := r.Reader.Catalog.Copied(ctx, r.Tx)
	if err == nil && !copied {
		name, err = r.Reader.Catalog.Qualify(ctx, r.Tx, name)
		err = r.Reader.beforeCopies(ctx, r.Tx, err)
	}
	if err != nil {
		return nil, err
	}
	if err = r.Pin(ctx); err != nil {
		return nil, err
	}
	f, err := r.Reader.LookPast(ctx, r.Tx, name)
	if err != nil {
		return nil, err
	}
	if f.Unknown {
		return nil, r.unreadable(ctx, name)
	}
	r.found[f.TableID()] = f
	return r.Table(ctx, f.TableID())
}

// unreadable says why it is not known which history is that of a table.
func (r *Snapshot) unreadable(ctx context.Context, name string) error {
	there, err := r.Reader.Catalog.Migrated(ctx, r.Tx)
	switch {
	case err != nil:
		return err
	case !there:
		return catalog.ErrNotMigrated
	}
	return fmt.Errorf("changes: to find the history of %s, this role has to read %s: grant SELECT on it", name, r.Reader.At("audit_captures"))
}

// live returns the table as it is now, nil if it is gone.
func (r *Snapshot) live(ctx context.Context, t *Table) (*LiveTable, error) {
	if s, ok := r.Reader.OnSQLite(); ok {
		return s.live(ctx, r, t)
	}
	if f := r.found[t.ID]; f != nil {
		return r.Reader.describe(ctx, r.Tx, f, r.Past)
	}
	return r.Reader.live(ctx, r.Tx, t.ID, t.Shapes, r.Past)
}

// Table returns the captured table with an ID.
func (r *Snapshot) Table(ctx context.Context, id int64) (*Table, error) {
	if t := r.Tables[id]; t != nil {
		return t, nil
	}
	shapes, err := r.Reader.Catalog.Shapes(ctx, r.Tx, id)
	if err != nil {
		return nil, err
	}
	t := PastTable(id, shapes)
	t.Dialect = r.Reader.Catalog.Dialect
	r.Tables[id] = t
	if t.LastShape == nil {
		return t, nil
	}
	if t.Captures, t.others, err = r.captures(ctx, t); err != nil {
		return nil, catalog.Wrap("read the captures of "+t.Label(), err)
	}
	catalog.SetPlaces(shapes, t.Captures)
	if t.Copied, err = r.Reader.Catalog.Copied(ctx, r.Tx); err == nil && !t.Copied {
		t.LiveTable, err = r.live(ctx, t)
	}
	if err != nil {
		return nil, catalog.Wrap("look up the table "+t.Label(), err)
	}
	t.Key, err = r.keyOf(ctx, t)
	return t, catalog.Wrap("find out the key of "+t.Label(), err)
}

// captures are those of a table, and those of others that had its name. For a role that may not read them there are none.
func (r *Snapshot) captures(ctx context.Context, t *Table) (own, others []*catalog.Capture, err error) {
	if s, ok := r.Reader.OnSQLite(); ok {
		all, failed := s.Captures(ctx, r.Tx, t.ID, t.LastShape.Table)
		own, others = catalog.SplitCaptures(all, t.ID)
		return own, others, failed
	}
	readable, err := r.Reader.Catalog.CapturesReadable(ctx, r.Tx)
	if err != nil || !readable {
		return nil, nil, err
	}
	all, here, err := r.Reader.Catalog.Captures(ctx, r.Tx, t.LastShape, t.ID)
	if err != nil {
		return nil, nil, err
	}
	t.Here = here
	own, others = catalog.SplitCaptures(all, t.ID)
	return own, others, nil
}

// Keyed returns a table whose rows have keys, what reads their changes, and key as the changes have it.
func (r *Snapshot) Keyed(ctx context.Context, id int64, key []string) (*Table, *Lives, []string, error) {
	t, err := r.Table(ctx, id)
	if err != nil {
		return nil, nil, nil, err
	}
	if err = t.CheckKey(key); err != nil {
		return nil, nil, nil, err
	}
	l := r.Lives(t)
	key, err = r.Printed(ctx, l, key)
	return t, l, key, err
}

// Lives reads the changes of a table's rows.
func (r *Snapshot) Lives(t *Table) *Lives {
	deferrable := t.Copied || t.LiveTable != nil && !t.Distinct(t.Key) && slices.ContainsFunc(t.Uniques, func(u uniqueKey) bool { return slices.Equal(u.Columns, t.Key) })
	return &Lives{Reader: r.Reader, DB: r.Tx, TableID: t.ID, Under: make(map[string][]*Row), table: t, Deferrable: deferrable}
}
