package changes

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// snapshot reads the history and the tables in one transaction, which sees one state of the database.
type snapshot struct {
	store  *Store
	tx     *sql.Tx
	tables map[int64]*undoTable        // by the digest that changes have
	found  map[int64]*catalog.Relation // those that were looked up by their names

	lite   map[int64]*catalog.SQLiteTable // these on SQLite
	pinned bool
}

// beginner is a *sql.DB or *sql.Conn.
type beginner interface {
	BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error)
}

// inSnapshot calls f with a snapshot.
func (s *Store) inSnapshot(ctx context.Context, db beginner, f func(*snapshot) error) (err error) {
	opts := &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	lite, isLite := s.sqlite()
	if isLite {
		opts.Isolation = sql.LevelDefault // which is serializable
	}
	tx, err := db.BeginTx(ctx, opts)
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
	return f(&snapshot{store: s, tx: tx, tables: make(map[int64]*undoTable), found: make(map[int64]*catalog.Relation), lite: make(map[int64]*catalog.SQLiteTable)})
}

// pin sets what the texts of values depend on, as the triggers do. From then on names must be qualified.
func (r *snapshot) pin(ctx context.Context) error {
	if r.pinned || r.store.catalog.Dialect == hooks.SQLite { // which has values, and no texts of them
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(catalog.Settings)) {
		if _, err := r.tx.ExecContext(ctx, "SET LOCAL "+name+" = "+catalog.Settings[name]); err != nil {
			return catalog.Wrap("read the history", err)
		}
	}
	r.pinned = true
	return nil
}

// look returns the table of changes that has a name, and pins: the name may need the search_path, and the types of its columns
// must not.
func (r *snapshot) look(ctx context.Context, name string) (*undoTable, error) {
	if s, ok := r.store.sqlite(); ok {
		t, err := s.Look(ctx, r.tx, name)
		if err != nil {
			return nil, err
		}
		r.lite[t.TableID()] = t
		return r.table(ctx, t.TableID())
	}
	f, err := r.store.lookPast(ctx, r.tx, name)
	if err != nil {
		return nil, err
	}
	if f.Unknown {
		return nil, fmt.Errorf("changes: which history is that of %s is in %s: run capture.Installer.Migrate, or grant SELECT on it", name, r.store.at("audit_captures"))
	}
	if err = r.pin(ctx); err != nil {
		return nil, err
	}
	if f, err = r.store.lookPast(ctx, r.tx, f.Qualified()); err != nil {
		return nil, err
	}
	r.found[f.TableID()] = f
	return r.table(ctx, f.TableID())
}

// live returns the table as it is now, nil if it is gone.
func (r *snapshot) live(ctx context.Context, t *undoTable) (*liveTable, error) {
	if s, ok := r.store.sqlite(); ok {
		return s.live(ctx, r, t)
	}
	if f := r.found[t.id]; f != nil {
		return r.store.describe(ctx, r.tx, f)
	}
	return r.store.live(ctx, r.tx, t.id, t.shapes)
}

// table returns the table of changes.
func (r *snapshot) table(ctx context.Context, id int64) (*undoTable, error) {
	if t := r.tables[id]; t != nil {
		return t, nil
	}
	shapes, err := r.store.catalog.Shapes(ctx, r.tx, id)
	if err != nil {
		return nil, err
	}
	t := pastTable(id, shapes)
	t.speaks = r.store.catalog.Dialect
	r.tables[id] = t
	if t.named == nil {
		return t, nil
	}
	if t.notes, t.others, err = r.notes(ctx, t); err != nil {
		return nil, catalog.Wrap("read the notes of "+t.label(), err)
	}
	catalog.SetPlaces(shapes, t.notes)
	if t.copied, err = r.store.catalog.Copied(ctx, r.tx); err == nil && !t.copied {
		t.liveTable, err = r.live(ctx, t)
	}
	if err != nil {
		return nil, catalog.Wrap("look up the table "+t.label(), err)
	}
	keys := make(map[string][]string)
	for _, sh := range shapes {
		key := t.calledNow(sh).Key
		keys[strconv.Quote(strings.Join(key, "\x00"))] = key
	}
	if len(keys) == 1 {
		for _, t.key = range keys {
		}
	}
	return t, nil
}

// notes are those of a table, and those of others that had its name. A role that may not read them has none.
func (r *snapshot) notes(ctx context.Context, t *undoTable) (own, others []*catalog.Capture, err error) {
	if s, ok := r.store.sqlite(); ok {
		all, failed := s.Notes(ctx, r.tx, t.id, t.named.Table)
		own, others = catalog.SplitNotes(all, t.id)
		return own, others, failed
	}
	readable, err := r.store.catalog.NotesReadable(ctx, r.tx)
	if err != nil || !readable {
		return nil, nil, err
	}
	all, here, err := r.store.catalog.Captures(ctx, r.tx, t.named, t.id)
	if err != nil {
		return nil, nil, err
	}
	t.here = here
	own, others = catalog.SplitNotes(all, t.id)
	return own, others, nil
}

// shapeOf is what a change was kept under. Of one that has drifted, its row of audit_changes says it.
func (t *undoTable) shapeOf(r *row) (*catalog.Shape, error) {
	if sh := t.shapes[r.shapeID.Int64]; sh != nil {
		return sh, nil
	}
	sh := &catalog.Shape{}
	if !r.columns.Valid {
		return sh, nil
	}
	if err := json.Unmarshal([]byte(r.columns.String), &sh.Columns); err != nil {
		return nil, err
	}
	for _, n := range t.notes {
		if len(sh.Columns) > 0 && n.OID == sh.Columns[0].Table && r.system.Valid && strings.HasPrefix(n.Place, strconv.FormatInt(r.system.Int64, 10)+"/") {
			sh.OID, sh.Places = n.OID, append(sh.Places, n.Place)
		}
	}
	return sh, nil
}

// calledNow returns a shape with its columns called as they are now.
func (t *undoTable) calledNow(sh *catalog.Shape) *catalog.Shape {
	if t.liveTable == nil {
		return sh
	}
	if called := t.called[sh]; called != nil {
		return called
	}
	called := sh.CalledAs(t.now)
	if sh.Number > 0 { // and not of one change
		t.called[sh] = called
	}
	return called
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
		if sh.Keyed() {
			return true
		}
	}
	return false
}

// label names the table for people.
func (t *undoTable) label() string {
	switch {
	case t.liveTable != nil:
		return t.Name
	case t.named != nil:
		return pgschema.Ident(t.named.Schema) + "." + pgschema.Ident(t.named.Table)
	}
	return fmt.Sprintf("table %d", t.id)
}

// keyed returns the table with a key, what reads its rows' changes, and the key as they have it.
func (r *snapshot) keyed(ctx context.Context, id int64, key []string) (*undoTable, *lives, []string, error) {
	t, err := r.table(ctx, id)
	switch {
	case err != nil:
		return nil, nil, nil, err
	case t.named == nil:
		return nil, nil, nil, fmt.Errorf("%w: the table was never captured", ErrNoChange)
	case !t.keyed():
		return nil, nil, nil, fmt.Errorf("changes: rows without a key have no history: %s", t.label())
	case len(t.key) > 0 && len(key) != len(t.key):
		return nil, nil, nil, fmt.Errorf("changes: the key of %s has %d columns, not %d: %s", t.label(), len(t.key), len(key), strings.Join(t.key, ", "))
	}
	l := r.lives(t)
	key, err = r.printed(ctx, l, key)
	return t, l, key, err
}

// lives reads the changes of a table's rows.
func (r *snapshot) lives(t *undoTable) *lives {
	deferrable := t.copied || t.liveTable != nil && !t.distinct(t.key) && slices.ContainsFunc(t.Uniques, func(u uniqueKey) bool { return slices.Equal(u.Columns, t.key) })
	return &lives{store: r.store, db: r.tx, tableID: t.id, under: make(map[string][]*row), table: t, deferrable: deferrable}
}

// pastTable is a table of which only the shapes are known.
func pastTable(id int64, shapes map[int64]*catalog.Shape) *undoTable {
	return &undoTable{id: id, shapes: shapes, named: lastOf(shapes), called: make(map[*catalog.Shape]*catalog.Shape)}
}

// pastTables are the tables of changes, of which only the shapes are known. They are read once.
type pastTables map[int64]*undoTable

func (tables pastTables) of(ctx context.Context, s *Store, db catalog.Querier, id int64) (*undoTable, error) {
	if tables[id] == nil {
		shapes, err := s.catalog.Shapes(ctx, db, id)
		if err != nil {
			return nil, err
		}
		tables[id] = pastTable(id, shapes)
	}
	return tables[id], nil
}

// undoTable is a table of changes: what they were recorded under, and what it is now.
type undoTable struct {
	id     int64
	shapes map[int64]*catalog.Shape
	called map[*catalog.Shape]*catalog.Shape // with their columns called as they are now
	named  *catalog.Shape                    // the last of them
	key    []string                          // the columns of the key, as they are called now
	notes  []*catalog.Capture                // of its captures, in order
	others []*catalog.Capture                // of other tables that had its name
	here   string                            // where captures are noted now
	*liveTable

	speaks hooks.Dialect
	copied bool // see Store.copied
}

// text is that of a key's values, as changes have it.
func (t *undoTable) text(key []string) string {
	if t.speaks == hooks.SQLite {
		return rowtext.FormatSQLite(key)
	}
	return rowtext.Format(key)
}

// plain are a key's values without their storage classes, which are in the texts of keys on SQLite.
func (t *undoTable) plain(key []string) []string {
	if t.speaks != hooks.SQLite {
		return key
	}
	plain := slices.Clone(key)
	for i, text := range plain {
		if v, err := parseSQLiteKey(text); err == nil {
			plain[i] = *v.Text
		}
	}
	return plain
}
