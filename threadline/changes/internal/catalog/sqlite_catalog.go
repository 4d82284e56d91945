package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// SQLiteTable is a table in the main database.
type SQLiteTable struct {
	Relation
	WithoutRowID bool
	Virtual      []string // generated columns that are not stored, and not captured: they follow from the others
	RowID        string   // a name of the row's number, "" without one
	PrimaryKey   []string
	Defaults     map[string]string // of columns that are NOT NULL, where they are constants
	Unique       []SQLiteIndex
	Triggers     map[string]string // ours, by name: the text behind it
	Late         bool              // others were made after them, which therefore fire first
	Ignores      bool              // one of those may end what fires: RAISE(IGNORE)
	LastCapture  *sqliteCapture    // nil if there is none
	Exchanged    []string          // columns whose names others had at the last capture
}

// sqliteCapture is a row of audit_captures, as [Capture] is one on PostgreSQL.
type sqliteCapture struct {
	Name    string
	NotedAt string
	columns []string
	uniques []string
	Hidden  SQLiteHidden
	Resumed int
	Shape   sql.NullInt64 // NULL: the capture was removed
}

// SQLiteHidden are the names of columns that were masked and excluded since the last plan, also of those that are gone: one
// that comes again is masked again. Key is the key that was declared, unless that is the primary key.
type SQLiteHidden struct {
	Mask    []string `json:"mask,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	Key     []string `json:"key,omitempty"`
}

// Look looks a table up, and finds out which one it is.
func (s SQLite) Look(ctx context.Context, q Querier, name string) (*SQLiteTable, error) {
	t := &SQLiteTable{}
	kind, err := s.find(ctx, q, name, t)
	if err != nil {
		return nil, err
	}
	t.Schema = "main"
	switch {
	case kind == "view":
		return nil, fmt.Errorf("changes: %s is a view: capture the tables that it shows", name)
	case kind == "virtual", kind == "shadow":
		return nil, fmt.Errorf("changes: %s is a virtual table, or a part of one: SQLite has no triggers on it", name)
	case kind != "table":
		return nil, fmt.Errorf("changes: %s is not a table", name)
	case s.IsOwn(t.Table):
		return nil, fmt.Errorf("changes: %s is not a table of the app's", name)
	}
	for _, part := range []func(context.Context, Querier, *SQLiteTable) error{s.ReadColumns, s.ReadIndexes, s.attached, s.identify, s.number} {
		if err := part(ctx, q, t); err != nil {
			return nil, Wrap("look up the table "+name, err)
		}
	}
	return t, nil
}

// Qualify returns the name of a table in quotes.
func (s SQLite) Qualify(ctx context.Context, q Querier, name string) (string, error) {
	t := &SQLiteTable{}
	_, err := s.find(ctx, q, name, t)
	return pgschema.Ident(t.Table), err
}

// find sets what the list of tables says of one, and returns its kind.
func (s SQLite) find(ctx context.Context, q Querier, name string, t *SQLiteTable) (kind string, err error) {
	schema, plain, err := ParseSQLiteName(name)
	if err != nil {
		return "", fmt.Errorf("changes: table %s: %w", name, err)
	}
	if schema != "" && !strings.EqualFold(schema, "main") {
		return "", fmt.Errorf("changes: table %s: only tables of the main database are captured: a trigger cannot write to another one", name)
	}
	err = q.QueryRowContext(ctx, `SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE`, plain).Scan(&t.Table, &kind, &t.WithoutRowID)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", &MissingError{fmt.Sprintf("changes: there is no table %s in the main database%s", name, meantSQLite(ctx, q, plain))}
	case err != nil:
		return "", Wrap("look up the table "+name, err)
	}
	return kind, nil
}

// ReadColumns reads the columns, the primary key, and by which name the row's number can be had.
func (s SQLite) ReadColumns(ctx context.Context, q Querier, t *SQLiteTable) error {
	type keyed struct {
		name string
		at   int
	}
	var key []keyed
	integer := false
	t.Defaults = make(map[string]string)
	_, err := ReadAll(ctx, q, func(rows *sql.Rows) (_ struct{}, err error) {
		c := Column{}
		var number, pk, hidden int // the number is another when a column before it is dropped
		var value string
		if err = rows.Scan(&number, &c.Name, &c.Type, &c.NotNull, &pk, &hidden, &value); err != nil {
			return struct{}{}, err
		}
		c.Generated = hidden == 2 || hidden == 3
		if !utf8.ValidString(c.Name) {
			return struct{}{}, fmt.Errorf("the name of column %d is not UTF-8", number)
		}
		if hidden == 2 {
			t.Virtual = append(t.Virtual, c.Name)
			return struct{}{}, nil
		}
		t.All = append(t.All, c)
		if (c.NotNull || t.WithoutRowID && pk > 0) && isConstant(value) {
			t.Defaults[c.Name] = value
		}
		if pk > 0 {
			key = append(key, keyed{c.Name, pk})
			integer = strings.EqualFold(c.Type, "INTEGER")
		}
		return struct{}{}, nil
	}, `SELECT cid, name, type, "notnull", pk, hidden, coalesce(dflt_value, '') FROM pragma_table_xinfo(?, 'main') WHERE hidden <> 1 ORDER BY cid`, t.Table)
	if err != nil {
		return err
	}
	slices.SortFunc(key, func(a, b keyed) int { return a.at - b.at })
	for _, k := range key {
		t.Key = append(t.Key, k.name)
	}
	t.PrimaryKey = slices.Clone(t.Key)
	if t.WithoutRowID {
		return nil
	}
	for _, name := range []string{"_rowid_", "rowid", "oid"} {
		named := func(c string) bool { return strings.EqualFold(c, name) }
		if !slices.ContainsFunc(t.All, func(c Column) bool { return named(c.Name) }) && !slices.ContainsFunc(t.Virtual, named) {
			t.RowID = name
			return nil
		}
	}
	if len(key) == 1 && integer { // perhaps the row's number; if it is not, it identifies the row all the same
		t.RowID = pgschema.Ident(key[0].name)
		return nil
	}
	return errors.New("it has columns of the names _rowid_, rowid and oid, so that nothing names a row: rename one")
}

// ignores finds a trigger that may end those that fire after it, and not the change itself: none that fires before a change does that.
var ignores = regexp.MustCompile(`(?is)\bAFTER\s.*\bRAISE\b[^;]*\bIGNORE\b`)

// attached reads our triggers on a table. Their names say which table it was when they were made.
func (s SQLite) attached(ctx context.Context, q Querier, t *SQLiteTable) error {
	type one struct{ name, sql string }
	list, err := ReadAll(ctx, q, func(rows *sql.Rows) (i one, err error) { return i, rows.Scan(&i.name, &i.sql) },
		`SELECT name, sql FROM main.sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY rowid`, t.Table)
	if err != nil {
		return err
	}
	t.Triggers = make(map[string]string)
	for _, i := range list {
		if !strings.HasPrefix(i.name, s.Schema+"_"+SQLiteTriggers) {
			t.Late = len(t.Triggers) > 0
			t.Ignores = t.Ignores || t.Late && ignores.MatchString(i.sql)
			continue
		}
		t.Triggers[i.name] = i.sql
		digits, _, _ := strings.Cut(strings.TrimPrefix(i.name, s.Schema+"_"+SQLiteTriggers), "_")
		if id, err := strconv.ParseInt(digits, 16, 64); err == nil {
			t.SetTableID(id)
		}
	}
	return nil
}

// identify finds out which table this is. One that was renamed has its triggers still. One without
// triggers may be what a migration has copied the old one into, and is taken for that if it has its
// name, or one that it had before, unless the old one is still there under another.
func (s SQLite) identify(ctx context.Context, q Querier, t *SQLiteTable) error {
	if len(t.Triggers) == 0 {
		taken := func(id int64) (is bool, err error) {
			err = q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM main.sqlite_master WHERE type = 'trigger' AND name = ?)", s.Trigger(id, "insert")).Scan(&is)
			return is, err
		}
		known, err := ReadAll(ctx, q, func(rows *sql.Rows) (id int64, err error) { return id, rows.Scan(&id) },
			"SELECT c.table_id FROM "+s.In("audit_captures")+" c WHERE c.number = (SELECT max(l.number) FROM "+s.In("audit_captures")+" l WHERE l.table_id = c.table_id)"+
				" AND (c.table_name = ?1 COLLATE NOCASE OR c.shape_id IS NOT NULL AND "+s.Formerly("c", "?1")+" AND NOT EXISTS (SELECT 1 FROM main.sqlite_master m WHERE m.type = 'table' AND m.name = c.table_name COLLATE NOCASE))"+
				" ORDER BY c.table_name = ?1 COLLATE NOCASE DESC, c.noted_at DESC", t.Table)
		if err != nil {
			return err
		}
		id := TableIDOf("main", t.Table)
		for n := 1; ; n++ {
			if n <= len(known) {
				id = known[n-1]
			}
			is, err := taken(id)
			if err != nil {
				return err
			}
			if !is {
				break
			}
			id = Digest(fmt.Sprintf("%d again", id))
		}
		t.SetTableID(id)
	}
	t.LastCapture = &sqliteCapture{}
	var columns, uniques, hidden string
	err := q.QueryRowContext(ctx, "SELECT table_name, noted_at, columns, uniques, hidden, resumed, shape_id FROM "+s.In("audit_captures")+" WHERE table_id = ? ORDER BY number DESC LIMIT 1", t.TableID()).Scan(&t.LastCapture.Name, &t.LastCapture.NotedAt, &columns, &uniques, &hidden, &t.LastCapture.Resumed, &t.LastCapture.Shape)
	if errors.Is(err, sql.ErrNoRows) {
		t.LastCapture = nil
		return nil
	}
	if err != nil {
		return err
	}
	err = errors.Join(json.Unmarshal([]byte(columns), &t.LastCapture.columns), json.Unmarshal([]byte(uniques), &t.LastCapture.uniques), json.Unmarshal([]byte(hidden), &t.LastCapture.Hidden))
	t.exchange()
	return err
}

// SQLitePlace is the place of all captures.
const SQLitePlace = "main"

// number gives the columns numbers, which SQLite has not: that of a shape, if the column was there at each capture since, or
// else a new one. So a column that was dropped and made again under its name is another one, and so is one that has got another's name.
func (s SQLite) number(ctx context.Context, q Querier, t *SQLiteTable) error {
	shapes, err := s.Shapes(ctx, q, t.TableID())
	if err != nil {
		return err
	}
	captures, err := s.Captures(ctx, q, t.TableID(), t.Table)
	if err != nil {
		return err
	}
	own, _ := SplitCaptures(captures, t.TableID())
	last := 0
	for _, sh := range shapes {
		for _, c := range sh.Columns {
			last = max(last, c.Number)
		}
	}
	for i := range t.All {
		c := &t.All[i]
		for _, n := range slices.Backward(own) {
			if c.Number > 0 || !slices.Contains(n.Columns, c.Name) || slices.Contains(t.Exchanged, c.Name) {
				break
			}
			if n.ShapeID == nil || shapes[*n.ShapeID] == nil {
				continue
			}
			if at := shapes[*n.ShapeID].Position(c.Name); at >= 0 {
				c.Number = shapes[*n.ShapeID].Columns[at].Number
			}
		}
		if c.Number == 0 {
			last++
			c.Number = last
		}
	}
	return nil
}
