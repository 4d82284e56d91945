package changes

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
)

// sqliteTable is a table in the main database.
type sqliteTable struct {
	found
	withoutRowID bool
	virtual      []string // generated columns that are not stored, and not captured: they follow from the others
	rowID        string   // a name of the row's number, "" without one
	primaryKey   []string
	defaults     map[string]string // of columns that are NOT NULL, where they are constants
	unique       []sqliteIndex
	triggers     map[string]string // ours, by name: the text behind it
	late         bool              // others were made after them, which therefore fire first
	noted        *sqliteNote       // the last note, nil without one
	hidden       sqliteHidden      // for the next note
}

// sqliteIndex is a unique one.
type sqliteIndex struct {
	terms   []sqliteTerm
	where   string // of a partial one
	unknown bool   // its text could not be read
	name    string
}

type sqliteTerm struct{ column, expression, collation string }

type sqliteNote struct {
	name    string
	columns []string
	uniques []string
	hidden  sqliteHidden
	resumed int
	shape   sql.NullInt64 // NULL: the capture was removed
}

// sqliteHidden are the names of columns that were masked and excluded since the last plan, also of those that are gone: one
// that comes again is masked again.
type sqliteHidden struct {
	Mask    []string `json:"mask,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
}

// sqliteTriggers is how the names of ours go on behind the prefix.
const sqliteTriggers = "capture_"

func (s sqlite) look(ctx context.Context, q querier, name string) (*sqliteTable, error) {
	schema, plain, err := parseSQLiteName(name)
	if err != nil {
		return nil, fmt.Errorf("changes: table %s: %w", name, err)
	}
	if schema != "" && !strings.EqualFold(schema, "main") {
		return nil, fmt.Errorf("changes: table %s: only tables of the main database are captured: a trigger cannot write to another one", name)
	}
	t := &sqliteTable{}
	var kind string
	err = q.QueryRowContext(ctx, `SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE`, plain).Scan(&t.Table, &kind, &t.withoutRowID)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, fmt.Errorf("changes: there is no table %s in the main database", name)
	case err != nil:
		return nil, wrap("look up the table "+name, err)
	}
	t.Schema = "main"
	switch {
	case kind == "view":
		return nil, fmt.Errorf("changes: %s is a view: capture the tables that it shows", name)
	case kind == "virtual", kind == "shadow":
		return nil, fmt.Errorf("changes: %s is a virtual table, or a part of one: SQLite has no triggers on it", name)
	case kind != "table":
		return nil, fmt.Errorf("changes: %s is not a table", name)
	case strings.HasPrefix(strings.ToLower(t.Table), "sqlite_"), strings.HasPrefix(strings.ToLower(t.Table), strings.ToLower(s.schema)+"_audit_"), strings.EqualFold(t.Table, "aftercommit_transaction"):
		return nil, fmt.Errorf("changes: %s is not a table of the app's", name)
	}
	for _, part := range []func(context.Context, querier, *sqliteTable) error{s.columns, s.indexes, s.attached, s.identify, s.number} {
		if err := part(ctx, q, t); err != nil {
			return nil, wrap("look up the table "+name, err)
		}
	}
	return t, nil
}

// columns reads the columns, the primary key, and by which name the row's number can be had.
func (s sqlite) columns(ctx context.Context, q querier, t *sqliteTable) error {
	type keyed struct {
		name string
		at   int
	}
	var key []keyed
	integer := false
	t.defaults = make(map[string]string)
	_, err := readAll(ctx, q, func(rows *sql.Rows) (_ struct{}, err error) {
		c := column{}
		var number, pk, hidden int // the number is another when a column before it is dropped
		var value string
		if err = rows.Scan(&number, &c.Name, &c.Type, &c.notNull, &pk, &hidden, &value); err != nil {
			return struct{}{}, err
		}
		c.generated = hidden == 2 || hidden == 3
		if !utf8.ValidString(c.Name) {
			return struct{}{}, fmt.Errorf("the name of column %d is not UTF-8", number)
		}
		if hidden == 2 {
			t.virtual = append(t.virtual, c.Name)
			return struct{}{}, nil
		}
		t.all = append(t.all, c)
		if (c.notNull || t.withoutRowID && pk > 0) && isConstant(value) {
			t.defaults[c.Name] = value
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
	t.primaryKey = slices.Clone(t.Key)
	if t.withoutRowID {
		return nil
	}
	for _, name := range []string{"_rowid_", "rowid", "oid"} {
		named := func(c string) bool { return strings.EqualFold(c, name) }
		if !slices.ContainsFunc(t.all, func(c column) bool { return named(c.Name) }) && !slices.ContainsFunc(t.virtual, named) {
			t.rowID = name
			return nil
		}
	}
	if len(key) == 1 && integer { // perhaps the row's number; if it is not, it tells rows apart all the same
		t.rowID = pgschema.Ident(key[0].name)
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

// indexes reads the unique ones.
func (s sqlite) indexes(ctx context.Context, q querier, t *sqliteTable) error {
	type one struct{ name, sql string }
	list, err := readAll(ctx, q, func(rows *sql.Rows) (i one, err error) { return i, rows.Scan(&i.name, &i.sql) },
		`SELECT i.name, coalesce(m.sql, '') FROM pragma_index_list(?, 'main') i LEFT JOIN main.sqlite_master m ON m.type = 'index' AND m.name = i.name WHERE i."unique" ORDER BY i.name`, t.Table)
	if err != nil {
		return err
	}
	for _, i := range list {
		index := sqliteIndex{name: i.name}
		index.terms, err = readAll(ctx, q, func(rows *sql.Rows) (c sqliteTerm, err error) {
			return c, rows.Scan(&c.column, &c.collation)
		}, `SELECT coalesce(name, ''), coalesce(coll, 'BINARY') FROM pragma_index_xinfo(?, 'main') WHERE key ORDER BY seqno`, i.name)
		if err != nil {
			return err
		}
		expressions, where, ok := parseIndex(i.sql)
		index.where = where
		for n := range index.terms {
			switch {
			case index.terms[n].column != "":
			case ok && len(expressions) == len(index.terms):
				index.terms[n].expression = expressions[n]
			default:
				index.unknown = true
			}
		}
		index.unknown = index.unknown || !ok && i.sql != ""
		t.unique = append(t.unique, index)
	}
	return nil
}

// attached reads our triggers on a table. Their names say which table it was when they were made.
func (s sqlite) attached(ctx context.Context, q querier, t *sqliteTable) error {
	type one struct{ name, sql string }
	list, err := readAll(ctx, q, func(rows *sql.Rows) (i one, err error) { return i, rows.Scan(&i.name, &i.sql) },
		`SELECT name, sql FROM main.sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY rowid`, t.Table)
	if err != nil {
		return err
	}
	t.triggers = make(map[string]string)
	for _, i := range list {
		if !strings.HasPrefix(i.name, s.schema+"_"+sqliteTriggers) {
			t.late = len(t.triggers) > 0
			continue
		}
		t.triggers[i.name] = i.sql
		digits, _, _ := strings.Cut(strings.TrimPrefix(i.name, s.schema+"_"+sqliteTriggers), "_")
		if id, err := strconv.ParseInt(digits, 16, 64); err == nil {
			t.setTableID(id)
		}
	}
	return nil
}

// identify finds out which table this is. One that was renamed has its triggers still. One without
// triggers may be what a migration has copied the old one into, and is taken for that if it has its
// name, or one that it had before, unless the old one is still there under another.
func (s sqlite) identify(ctx context.Context, q querier, t *sqliteTable) error {
	if len(t.triggers) == 0 {
		taken := func(id int64) (is bool, err error) {
			err = q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM main.sqlite_master WHERE type = 'trigger' AND name = ?)", s.trigger(id, "insert")).Scan(&is)
			return is, err
		}
		known, err := readAll(ctx, q, func(rows *sql.Rows) (id int64, err error) { return id, rows.Scan(&id) },
			"SELECT c.table_id FROM "+s.in("audit_captures")+" c WHERE c.number = (SELECT max(l.number) FROM "+s.in("audit_captures")+" l WHERE l.table_id = c.table_id)"+
				" AND (c.table_name = ?1 COLLATE NOCASE OR c.shape_id IS NOT NULL AND "+s.formerly("c", "?1")+" AND NOT EXISTS (SELECT 1 FROM main.sqlite_master m WHERE m.type = 'table' AND m.name = c.table_name COLLATE NOCASE))"+
				" ORDER BY c.table_name = ?1 COLLATE NOCASE DESC, c.noted_at DESC", t.Table)
		if err != nil {
			return err
		}
		id := tableID("main", t.Table)
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
			id = digest(fmt.Sprintf("%d again", id))
		}
		t.setTableID(id)
	}
	t.noted = &sqliteNote{}
	var columns, uniques, hidden string
	err := q.QueryRowContext(ctx, "SELECT table_name, columns, uniques, hidden, resumed, shape_id FROM "+s.in("audit_captures")+" WHERE table_id = ? ORDER BY number DESC LIMIT 1", t.tableID()).Scan(&t.noted.name, &columns, &uniques, &hidden, &t.noted.resumed, &t.noted.shape)
	if errors.Is(err, sql.ErrNoRows) {
		t.noted = nil
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(json.Unmarshal([]byte(columns), &t.noted.columns), json.Unmarshal([]byte(uniques), &t.noted.uniques), json.Unmarshal([]byte(hidden), &t.noted.hidden))
}

// sqlitePlace is where all shapes of a table were noted.
const sqlitePlace = "main"

// number gives the columns numbers, which SQLite has not: that of a shape, if the column was there at each note since, or
// else a new one. So a column that was dropped and made again under its name is another one.
func (s sqlite) number(ctx context.Context, q querier, t *sqliteTable) error {
	shapes, err := s.shapes(ctx, q, t.tableID())
	if err != nil {
		return err
	}
	notes, err := s.notes(ctx, q, t.tableID(), t.Table)
	if err != nil {
		return err
	}
	own, _ := splitNotes(notes, t.tableID())
	last := 0
	for _, sh := range shapes {
		for _, c := range sh.Columns {
			last = max(last, c.Number)
		}
	}
	for i := range t.all {
		c := &t.all[i]
		for _, n := range slices.Backward(own) {
			if c.Number > 0 || !slices.Contains(n.columns, c.Name) {
				break
			}
			if n.ShapeID == nil || shapes[*n.ShapeID] == nil {
				continue
			}
			if at := shapes[*n.ShapeID].position(c.Name); at >= 0 {
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

// formerly is the condition that the table of a note had a name at an earlier one.
func (s sqlite) formerly(note, name string) string {
	return fmt.Sprintf("EXISTS (SELECT 1 FROM %s f WHERE f.table_id = %s.table_id AND f.table_name = %s COLLATE NOCASE)", s.in("audit_captures"), note, name)
}

// trigger is the name of one of ours.
func (s sqlite) trigger(id int64, when string) string {
	return fmt.Sprintf("%s_%s%016x_%s", s.schema, sqliteTriggers, id, when)
}

// triggerOf is an expression of it.
func (s sqlite) triggerOf(id string) string {
	return "printf('%s_%s%016x_insert', " + sqlitetext.Literal(s.schema) + ", '" + sqliteTriggers + "', " + id + ")"
}

// sqliteEvents are those for which a table has one of ours, as their names go on behind the table's number.
var sqliteEvents = []string{"insert", "update", "delete", "replaces", "moves", "settle"}

// missing reports whether it has not all of them.
func (s sqlite) missing(t *sqliteTable) bool {
	return slices.ContainsFunc(sqliteEvents, func(when string) bool { return t.triggers[s.trigger(t.tableID(), when)] == "" })
}

// text is an index as a note has it.
func (i *sqliteIndex) text() string {
	var list []string
	for _, t := range i.terms {
		list = append(list, t.column, t.expression, t.collation)
	}
	return sqliteRowText(append(list, i.where))
}

// parseSQLiteName reads a name as SQL has it.
func parseSQLiteName(text string) (schema, name string, err error) {
	var parts []string
	for rest := text; ; {
		var part string
		if part, rest, err = cutSQLiteName(rest); err != nil {
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

func cutSQLiteName(text string) (name, rest string, err error) {
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
		if n := skipped(text[i:]); n > 0 {
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

// skipped is the length of a quoted text or comment at the start of an SQL text.
func skipped(text string) int {
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
		n := skipped(text[i:])
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
