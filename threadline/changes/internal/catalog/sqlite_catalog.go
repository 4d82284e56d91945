package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/sqlitetext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
	"github.com/go-aftercommit/aftercommit/threadline/internal/near"
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
	LastCapture  *sqliteCapture    // nil if there is none
}

// SQLiteIndex is a unique one.
type SQLiteIndex struct {
	Terms   []SQLiteTerm
	Where   string // of a partial one
	Unknown bool   // its text could not be read
	Name    string
}

// SQLiteTerm is a column or an expression of an index.
type SQLiteTerm struct{ Column, Expression, Collation string }

// sqliteCapture is a row of audit_captures, as [Capture] is one on PostgreSQL.
type sqliteCapture struct {
	Name    string
	columns []string
	uniques []string
	Hidden  SQLiteHidden
	Resumed int
	Shape   sql.NullInt64 // NULL: the capture was removed
}

// SQLiteHidden are the names of columns that were masked and excluded since the last plan, also of those that are gone: one
// that comes again is masked again.
type SQLiteHidden struct {
	Mask    []string `json:"mask,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
}

// SQLiteTriggers is how the names of ours go on behind the prefix.
const SQLiteTriggers = "capture_"

// Look looks a table up, and finds out which one it is.
func (s SQLite) Look(ctx context.Context, q Querier, name string) (*SQLiteTable, error) {
	schema, plain, err := ParseSQLiteName(name)
	if err != nil {
		return nil, fmt.Errorf("changes: table %s: %w", name, err)
	}
	if schema != "" && !strings.EqualFold(schema, "main") {
		return nil, fmt.Errorf("changes: table %s: only tables of the main database are captured: a trigger cannot write to another one", name)
	}
	t := &SQLiteTable{}
	var kind string
	err = q.QueryRowContext(ctx, `SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE`, plain).Scan(&t.Table, &kind, &t.WithoutRowID)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, fmt.Errorf("changes: there is no table %s in the main database%s", name, meantSQLite(ctx, q, plain))
	case err != nil:
		return nil, Wrap("look up the table "+name, err)
	}
	t.Schema = "main"
	switch {
	case kind == "view":
		return nil, fmt.Errorf("changes: %s is a view: capture the tables that it shows", name)
	case kind == "virtual", kind == "shadow":
		return nil, fmt.Errorf("changes: %s is a virtual table, or a part of one: SQLite has no triggers on it", name)
	case kind != "table":
		return nil, fmt.Errorf("changes: %s is not a table", name)
	case s.isOwn(strings.ToLower(t.Table)):
		return nil, fmt.Errorf("changes: %s is not a table of the app's", name)
	}
	for _, part := range []func(context.Context, Querier, *SQLiteTable) error{s.ReadColumns, s.ReadIndexes, s.attached, s.identify, s.number} {
		if err := part(ctx, q, t); err != nil {
			return nil, Wrap("look up the table "+name, err)
		}
	}
	return t, nil
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

// isConstant reports whether a default is a number or a text. An expression may have another value each time.
func isConstant(text string) bool {
	if text == "" {
		return false
	}
	_, err := strconv.ParseFloat(text, 64)
	return err == nil && strings.ContainsAny(text, "0123456789") || text[0] == '\'' && quotedLength(text) == len(text)
}

// ReadIndexes reads the unique ones.
func (s SQLite) ReadIndexes(ctx context.Context, q Querier, t *SQLiteTable) error {
	type one struct{ name, sql string }
	list, err := ReadAll(ctx, q, func(rows *sql.Rows) (i one, err error) { return i, rows.Scan(&i.name, &i.sql) },
		`SELECT i.name, coalesce(m.sql, '') FROM pragma_index_list(?, 'main') i LEFT JOIN main.sqlite_master m ON m.type = 'index' AND m.name = i.name WHERE i."unique" ORDER BY i.name`, t.Table)
	if err != nil {
		return err
	}
	for _, i := range list {
		index := SQLiteIndex{Name: i.name}
		index.Terms, err = ReadAll(ctx, q, func(rows *sql.Rows) (c SQLiteTerm, err error) {
			return c, rows.Scan(&c.Column, &c.Collation)
		}, `SELECT coalesce(name, ''), coalesce(coll, 'BINARY') FROM pragma_index_xinfo(?, 'main') WHERE key ORDER BY seqno`, i.name)
		if err != nil {
			return err
		}
		expressions, where, ok := parseIndex(i.sql)
		index.Where = where
		for n := range index.Terms {
			switch {
			case index.Terms[n].Column != "":
			case ok && len(expressions) == len(index.Terms):
				index.Terms[n].Expression = expressions[n]
			default:
				index.Unknown = true
			}
		}
		index.Unknown = index.Unknown || !ok && i.sql != ""
		t.Unique = append(t.Unique, index)
	}
	return nil
}

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
	err := q.QueryRowContext(ctx, "SELECT table_name, columns, uniques, hidden, resumed, shape_id FROM "+s.In("audit_captures")+" WHERE table_id = ? ORDER BY number DESC LIMIT 1", t.TableID()).Scan(&t.LastCapture.Name, &columns, &uniques, &hidden, &t.LastCapture.Resumed, &t.LastCapture.Shape)
	if errors.Is(err, sql.ErrNoRows) {
		t.LastCapture = nil
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(json.Unmarshal([]byte(columns), &t.LastCapture.columns), json.Unmarshal([]byte(uniques), &t.LastCapture.uniques), json.Unmarshal([]byte(hidden), &t.LastCapture.Hidden))
}

// SQLitePlace is the place of all captures.
const SQLitePlace = "main"

// number gives the columns numbers, which SQLite has not: that of a shape, if the column was there at each capture since, or
// else a new one. So a column that was dropped and made again under its name is another one.
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
			if c.Number > 0 || !slices.Contains(n.Columns, c.Name) {
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

// Formerly is the condition that the table of a capture had a name at some capture.
func (s SQLite) Formerly(capture, name string) string {
	return fmt.Sprintf("EXISTS (SELECT 1 FROM %s f WHERE f.table_id = %s.table_id AND f.table_name = %s COLLATE NOCASE)", s.In("audit_captures"), capture, name)
}

// Trigger is the name of one of ours.
func (s SQLite) Trigger(id int64, when string) string {
	return fmt.Sprintf("%s_%s%016x_%s", s.Schema, SQLiteTriggers, id, when)
}

// TriggerOf is an expression of it.
func (s SQLite) TriggerOf(id string) string {
	return "printf('%s_%s%016x_insert', " + sqlitetext.Literal(s.Schema) + ", '" + SQLiteTriggers + "', " + id + ")"
}

// sqliteEvents are those for which a table has one of ours, as their names go on behind the table's number.
var sqliteEvents = []string{"insert", "update", "delete", "replaces", "moves", SQLiteSettle}

// SQLiteSettle looks at an UPDATE, or only at one of some columns. Then SQLiteLetGo looks at each.
const (
	SQLiteSettle = "settle"
	SQLiteLetGo  = "let_go"
)

// Missing reports whether it has not all of them.
func (s SQLite) Missing(t *SQLiteTable) bool {
	wanted := sqliteEvents
	if strings.Contains(t.Triggers[s.Trigger(t.TableID(), SQLiteSettle)], " AFTER UPDATE OF ") {
		wanted = append(slices.Clip(wanted), SQLiteLetGo)
	}
	return slices.ContainsFunc(wanted, func(when string) bool { return t.Triggers[s.Trigger(t.TableID(), when)] == "" })
}

// Text is an index as audit_captures has it.
func (i *SQLiteIndex) Text() string {
	var list []string
	for _, t := range i.Terms {
		list = append(list, t.Column, t.Expression, t.Collation)
	}
	return rowtext.FormatSQLite(append(list, i.Where))
}

// ParseSQLiteName reads a name as SQL has it.
func ParseSQLiteName(text string) (schema, name string, err error) {
	var parts []string
	for rest := text; ; {
		var part string
		if part, rest, err = CutSQLiteName(rest); err != nil {
			return "", "", err
		}
		parts = append(parts, part)
		if rest == "" {
			break
		}
		if rest[0] != '.' {
			return "", "", errors.New("quote a name with other characters than letters, digits and _")
		}
		rest = rest[1:]
	}
	switch len(parts) {
	case 1:
		return "", parts[0], nil
	case 2:
		return parts[0], parts[1], nil
	}
	return "", "", errors.New("its name has more than two parts")
}

// meantSQLite names the table that may be meant by a name that no table has.
func meantSQLite(ctx context.Context, q Querier, name string) string {
	scan := func(rows *sql.Rows) (table string, err error) { return table, rows.Scan(&table) }
	names, err := ReadAll(ctx, q, scan, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') LIMIT "+strconv.Itoa(mostCandidates))
	similar := near.Of(name, names)
	if err != nil || similar == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %s?", similar)
}

// isOwn reports whether a table is SQLite's, or one of ours. Its name is in lower case.
func (s SQLite) isOwn(table string) bool {
	prefix := strings.ToLower(s.Schema)
	return strings.HasPrefix(table, "sqlite_") || strings.HasPrefix(table, "aftercommit_") || strings.HasPrefix(table, prefix+"_audit_") || table == prefix+"_schema_version"
}

// CutSQLiteName cuts a name, which may be quoted, off the start of a text.
func CutSQLiteName(text string) (name, rest string, err error) {
	if text == "" {
		return "", "", errors.New("it has no name")
	}
	if n := quotedLength(text); n > 0 {
		q := text[n-1 : n]
		return strings.ReplaceAll(text[1:n-1], q+q, q), text[n:], nil
	}
	if i := strings.IndexAny(text, `."'[] `+"`"); i == 0 {
		return "", "", errors.New("it has no name")
	} else if i > 0 {
		return text[:i], text[i:], nil
	}
	return text, "", nil
}

// quotedLength is the length of the quoted text at the start of an SQL text, 0 if there is none, or it does
// not end.
func quotedLength(text string) int {
	q := text[0]
	switch q {
	case '"', '`', '\'':
	case '[':
		return strings.IndexByte(text, ']') + 1
	default:
		return 0
	}
	for i := 1; i < len(text); i++ {
		if text[i] != q {
			continue
		}
		if i+1 < len(text) && text[i+1] == q {
			i++
			continue
		}
		return i + 1
	}
	return 0
}

// parseIndex reads the terms of a CREATE INDEX, and its WHERE. ok is false if it is none.
func parseIndex(text string) (terms []string, where string, ok bool) {
	depth, start := 0, -1
	add := func(end int) {
		term := strings.TrimSpace(text[start:end])
		for _, order := range []string{"ASC", "DESC"} {
			if before := len(term) - len(order); before > 0 && strings.EqualFold(term[before:], order) && strings.ContainsAny(term[before-1:before], " \t\r\n)\"`]'/") {
				term = strings.TrimSpace(term[:before])
				break
			}
		}
		terms = append(terms, term)
	}
	for i := 0; i < len(text); {
		if n := Skipped(text[i:]); n > 0 {
			i += n
			continue
		}
		switch text[i] {
		case '(':
			if depth++; depth == 1 && start < 0 {
				start = i + 1
			}
		case ',':
			if depth == 1 {
				add(i)
				start = i + 1
			}
		case ')':
			if depth--; depth == 0 {
				add(i)
				rest := strings.TrimSpace(withoutComments(text[i+1:]))
				if rest == "" {
					return terms, "", true
				}
				if len(rest) > 5 && strings.EqualFold(rest[:5], "WHERE") {
					return terms, strings.TrimSpace(rest[5:]), true
				}
				return nil, "", false
			}
		}
		i++
	}
	return nil, "", false
}

// Skipped is the length of a quoted text or comment at the start of an SQL text.
func Skipped(text string) int {
	switch {
	case strings.HasPrefix(text, "--"):
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			return i + 1
		}
		return len(text)
	case strings.HasPrefix(text, "/*"):
		if i := strings.Index(text[2:], "*/"); i >= 0 {
			return i + 4
		}
		return len(text)
	}
	return quotedLength(text)
}

// withoutComments replaces them by a space: one at the end of a condition would hide what is put behind it.
func withoutComments(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		n := Skipped(text[i:])
		switch {
		case n == 0:
			b.WriteByte(text[i])
			i++
			continue
		case text[i] == '-' || text[i] == '/':
			b.WriteByte(' ')
		default:
			b.WriteString(text[i : i+n])
		}
		i += n
	}
	return b.String()
}
