package changes_test

import (
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// lite is a world on SQLite, of one connection.
func lite(t *testing.T) *world {
	t.Helper()
	dsn := dbtest.SQLite.DSN(t)
	w := &world{T: t, e: dbtest.SQLite, db: dbtest.Open(t, "sqlite", dsn), dsn: dsn}
	w.db.SetMaxOpenConns(1) // for PRAGMAs
	w.store = changes.NewStore(w.db, hooks.SQLite, nil)
	w.must(w.installer().Migrate(ctx))
	return w
}

// liteTable is one of TestSQLiteWorkload.
type liteTable struct {
	name, sql string
	key       []string
	columns   []string // to write to
}

// liteTables have each kind of key, of unique index and of column.
var liteTables = []liteTable{
	{"parent", `CREATE TABLE parent (id INTEGER PRIMARY KEY, u TEXT COLLATE NOCASE UNIQUE, a, r REAL DEFAULT 5, n NUMERIC, v GENERATED ALWAYS AS (a || 'x'), s GENERATED ALWAYS AS (r + 1) STORED)`, []string{"id"}, []string{"id", "u", "a", "r", "n"}},
	{"child", `CREATE TABLE child (p INTEGER REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE, q TEXT, a, u UNIQUE ON CONFLICT REPLACE, PRIMARY KEY (p, q)) WITHOUT ROWID`, []string{"p", "q"}, []string{"p", "q", "a", "u"}},
	{"folded", `CREATE TABLE folded (k TEXT COLLATE NOCASE PRIMARY KEY, a, u UNIQUE) WITHOUT ROWID`, []string{"k"}, []string{"k", "a", "u"}},
	{"untyped", `CREATE TABLE untyped (k, l COLLATE NOCASE, a, PRIMARY KEY (k, l)) WITHOUT ROWID`, []string{"k", "l"}, []string{"k", "l", "a"}},
	{"filled", `CREATE TABLE filled (id INTEGER PRIMARY KEY, u TEXT NOT NULL DEFAULT 1 UNIQUE, n NUMERIC NOT NULL ON CONFLICT REPLACE DEFAULT 'a', a, UNIQUE (n, a))`, []string{"id"}, []string{"id", "u", "n", "a"}},
	{"keyless", `CREATE TABLE keyless (a, u UNIQUE, c INT)`, nil, []string{"a", "u", "c"}},
	{`"or""der 'é"`, `CREATE TABLE "or""der 'é" ("k ""1" TEXT PRIMARY KEY NOT NULL, "a b", ü INT)`, []string{`"k ""1"`}, []string{`"k ""1"`, `"a b"`, "ü"}},
	{"strict", `CREATE TABLE strict (id INTEGER PRIMARY KEY, u ANY UNIQUE, t TEXT UNIQUE ON CONFLICT REPLACE, b BLOB, n INT, r REAL, g TEXT AS (t || n) STORED UNIQUE) STRICT`, []string{"id"}, []string{"id", "u", "t", "b", "n", "r"}},
	{"strictest", `CREATE TABLE strictest (k ANY, l TEXT COLLATE NOCASE, a ANY, u INT UNIQUE, PRIMARY KEY (k, l)) STRICT, WITHOUT ROWID`, []string{"k", "l"}, []string{"k", "l", "a", "u"}},
	{"indexed", `CREATE TABLE indexed (id INTEGER PRIMARY KEY, a, b, c); CREATE UNIQUE INDEX partly ON indexed (a DESC) WHERE b IN (1, ')"') /* ( */; CREATE UNIQUE INDEX computed ON indexed (coalesce(c, 'x,y') || 'z' COLLATE NOCASE DESC, b) -- end`, []string{"id"}, []string{"id", "a", "b", "c"}},
}

var liteValues = []any{nil, 0.0, int64(1), int64(2), int64(math.MaxInt64), 1.0, 0.1, math.Copysign(0, -1), math.Inf(1), 5e-324, 1.7976931348623157e308, "1", "a", "A", "", "x\x00y", "\xff\xfe", `"(,\'`, []byte("a"), []byte{}, []byte{0, 255}, "1.0"}

// TestSQLiteWorkload: what statements of all kinds do, replayed from the changes alone, is what is in the tables after
// each transaction.
func TestSQLiteWorkload(t *testing.T) {
	for _, recursive := range []string{"OFF", "ON"} {
		t.Run("recursive_triggers="+recursive, func(t *testing.T) {
			w := lite(t)
			w.exec("PRAGMA foreign_keys = ON", "PRAGMA recursive_triggers = "+recursive)
			var tables []capture.Table
			for _, table := range liteTables {
				w.exec(table.sql)
				tables = append(tables, capture.Table{Name: table.name})
			}
			w.exec("CREATE TRIGGER again AFTER INSERT ON parent WHEN NEW.a = 1 BEGIN UPDATE parent SET a = 2 WHERE id = NEW.id; DELETE FROM keyless WHERE a = 1; END")
			w.capture(tables...)
			if recursive == "ON" { // it would fire first
				w.exec("CREATE TRIGGER late AFTER UPDATE ON parent WHEN NEW.a = 2 BEGIN UPDATE parent SET a = 3 WHERE id = NEW.id; END")
				w.capture(tables...)
			}
			r := rand.New(rand.NewPCG(dbtest.Seed(t), 1))
			replayed := newReplay(w)
			for range 150 {
				w.liteTransaction(r)
				replayed.check()
				if w.Failed() {
					return
				}
			}
		})
	}
}

func (w *world) liteTransaction(r *rand.Rand) { w.liteMarked(r, 0) }

// liteMarked marks the transaction, as the driver does, unless the mark is 0.
func (w *world) liteMarked(r *rand.Rand, mark int64) {
	w.Helper()
	var log []string
	defer func() {
		if w.Failed() {
			w.Log(strings.Join(log, "\n"))
		}
	}()
	exec := func(query string, args ...any) error {
		_, err := w.db.ExecContext(ctx, query, args...)
		log = append(log, fmt.Sprintf("%s %#v: %v", query, args, err))
		return err
	}
	w.must(exec("BEGIN"))
	if mark != 0 {
		w.must(exec(liteMark, mark))
	}
	open := true
	for range 1 + r.IntN(5) {
		w.must(exec("SAVEPOINT s"))
		query, args := liteStatement(r)
		err := exec(query, args...)
		if err != nil && strings.Contains(query, "OR ROLLBACK") {
			open = false
			break
		}
		if r.IntN(6) == 0 {
			w.must(exec("ROLLBACK TO s"))
		}
		w.must(exec("RELEASE s"))
	}
	switch {
	case !open:
		_ = exec("ROLLBACK")
	case r.IntN(5) == 0:
		w.must(exec("ROLLBACK"))
	default:
		if mark != 0 {
			w.must(exec(liteMark, nil))
		}
		w.must(exec("COMMIT"))
	}
}

const liteMark = "UPDATE aftercommit_transaction SET tx_id = ?"

func liteStatement(r *rand.Rand) (query string, args []any) {
	t := &liteTables[r.IntN(len(liteTables))]
	or := []string{"", "", "OR REPLACE", "OR REPLACE", "OR IGNORE", "OR FAIL", "OR ABORT", "OR ROLLBACK"}[r.IntN(8)]
	value := func(column string) any {
		if column == "id" || column == "p" {
			return []any{int64(1), int64(2), int64(3), int64(-1), nil}[r.IntN(5)]
		}
		return liteValues[r.IntN(len(liteValues))]
	}
	var sets, marks []string
	set := func(n int) {
		sets, args = nil, nil
		for i := range n {
			c := t.columns[(i+r.IntN(len(t.columns)))%len(t.columns)]
			sets, args = append(sets, c+" = ?"), append(args, value(c))
		}
	}
	switch k := r.IntN(10); {
	case k < 5:
		rows := 1 + r.IntN(2)
		for range rows {
			marks = append(marks, "("+strings.TrimSuffix(strings.Repeat("?, ", len(t.columns)), ", ")+")")
			for _, c := range t.columns {
				args = append(args, value(c))
			}
		}
		query = fmt.Sprintf("INSERT %s INTO %s (%s) VALUES %s", or, t.name, strings.Join(t.columns, ", "), strings.Join(marks, ", "))
		if t.key != nil && or == "" && r.IntN(2) == 0 {
			query += " ON CONFLICT DO UPDATE SET " + t.columns[len(t.columns)-1] + " = ?"
			args = append(args, value(""))
		}
		return query, args
	case k < 8:
		set(1 + r.IntN(2))
		args = append(args, value(t.columns[0]))
		return fmt.Sprintf("UPDATE %s %s SET %s WHERE %s IS NOT ?", or, t.name, strings.Join(sets, ", "), t.columns[0]), args
	default:
		return fmt.Sprintf("DELETE FROM %s WHERE %s = ?", t.name, t.columns[r.IntN(len(t.columns))]), []any{liteValues[r.IntN(len(liteValues))]}
	}
}

// replay is what changes have left.
type replay struct {
	*world
	last   int64
	shapes map[int64][]string     // the columns
	names  map[int64]int          // which of liteTables
	rows   map[int]map[string]int // how many rows there are of each text
	keyed  map[int]map[string][]string
}

func newReplay(w *world) *replay {
	return &replay{world: w, shapes: make(map[int64][]string), names: make(map[int64]int), rows: make(map[int]map[string]int), keyed: make(map[int]map[string][]string)}
}

// exact is a value with its type, to the bit.
func exact(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case float64:
		if v == 0 {
			v = 0 // SQLite cannot tell 0.0 from -0.0
		}
		return fmt.Sprintf("real %x", math.Float64bits(v))
	case int64:
		return fmt.Sprintf("integer %d", v)
	case string:
		return fmt.Sprintf("text %q", v)
	case []byte:
		return fmt.Sprintf("blob %x", v)
	}
	return fmt.Sprintf("%T", v)
}

// liteChange is a change with all columns of its table. It has values of some.
type liteChange struct {
	seq, table, shape int64
	op                string
	key, former       sql.NullString
	old, new          []string
	has               []bool
}

// check goes on to what the changes have left now, and compares it with the tables.
func (p *replay) check() {
	p.Helper()
	p.readShapes()
	for _, c := range p.read() {
		p.apply(c)
	}
	for i, t := range liteTables {
		want, got := p.live(t.name), p.rows[i]
		for text, n := range want {
			if got[text] != n {
				p.Errorf("%s: the changes leave %d of %s, and there are %d", t.name, got[text], text, n)
			}
		}
		for text, n := range got {
			if want[text] == 0 {
				p.Errorf("%s: the changes leave %d of %s, and there is none", t.name, n, text)
			}
		}
	}
}

// read returns the changes since the last time.
func (p *replay) read() (list []*liteChange) {
	p.Helper()
	rows, err := p.db.QueryContext(ctx, `SELECT c.seq, c.table_id, c.shape_id, c.op, c.key, c.former_key, coalesce(v.field, 0), v.old, v.new
		FROM threadline_audit_changes c LEFT JOIN threadline_audit_values v ON v.change = c.seq WHERE c.held IS NULL AND c.seq > ? ORDER BY c.seq`, p.last)
	p.must(err)
	for rows.Next() {
		var c liteChange
		var field int
		var o, n any
		p.must(rows.Scan(&c.seq, &c.table, &c.shape, &c.op, &c.key, &c.former, &field, &o, &n))
		if len(list) == 0 || list[len(list)-1].seq != c.seq {
			width := len(p.shapes[c.shape])
			c.old, c.new, c.has = slices.Repeat([]string{"NULL"}, width), slices.Repeat([]string{"NULL"}, width), make([]bool, width)
			list = append(list, &c)
		}
		if field > 0 {
			c := list[len(list)-1]
			c.old[field-1], c.new[field-1], c.has[field-1] = exact(o), exact(n), true
		}
		p.last = max(p.last, c.seq)
	}
	p.must(rows.Err())
	p.must(rows.Close())
	return list
}

func (p *replay) apply(c *liteChange) {
	p.Helper()
	table := p.names[c.table]
	if p.rows[table] == nil {
		p.rows[table], p.keyed[table] = make(map[string]int), make(map[string][]string)
	}
	rows, keyed := p.rows[table], p.keyed[table]
	take := func(row []string) {
		text := strings.Join(row, "; ")
		if rows[text]--; rows[text] < 0 {
			p.Errorf("change %d, %s of %s, begins with a row that is not there: %s", c.seq, c.op, liteTables[table].name, text)
		} else if rows[text] == 0 {
			delete(rows, text)
		}
	}
	put := func(row []string) {
		rows[strings.Join(row, "; ")]++
		if c.key.Valid {
			keyed[c.key.String] = row
		}
	}
	switch c.op {
	case "I":
		put(c.new)
	case "D":
		take(c.old)
		delete(keyed, c.key.String)
	case "U":
		was := c.key.String
		if c.former.Valid {
			was = c.former.String
		}
		before := keyed[was]
		if !c.key.Valid { // all values are there
			before = c.old
		}
		if before == nil {
			p.Fatalf("change %d of %s changes %s, which is not there", c.seq, liteTables[table].name, was)
		}
		take(before)
		delete(keyed, was)
		put(p.after(c, before))
	}
}

// after is a row after an UPDATE.
func (p *replay) after(c *liteChange, before []string) []string {
	p.Helper()
	after := slices.Clone(before)
	for i := range after {
		if !c.has[i] {
			continue
		}
		if c.old[i] != before[i] {
			p.Errorf("change %d begins with %s, and it was %s", c.seq, c.old[i], before[i])
		}
		after[i] = c.new[i]
	}
	if c.key.Valid && slices.Equal(before, after) {
		p.Errorf("change %d changes nothing", c.seq)
	}
	return after
}

func (p *replay) readShapes() {
	rows, err := p.db.QueryContext(ctx, `SELECT s.id, s.table_id, s.shape ->> 'table', c.value ->> 'name' FROM threadline_audit_shapes s, json_each(s.shape, '$.columns') c ORDER BY s.id, c.key`)
	p.must(err)
	p.shapes = make(map[int64][]string)
	for rows.Next() {
		var id, table int64
		var name, column string
		p.must(rows.Scan(&id, &table, &name, &column))
		p.shapes[id] = append(p.shapes[id], column)
		p.names[table] = slices.IndexFunc(liteTables, func(t liteTable) bool {
			return t.name == name || t.name == `"`+strings.ReplaceAll(name, `"`, `""`)+`"`
		})
	}
	p.must(rows.Err())
	p.must(rows.Close())
}

func (w *world) live(table string) map[string]int {
	w.Helper()
	list := w.text(`SELECT group_concat('"' || replace(name, '"', '""') || '"') FROM pragma_table_xinfo(` + "'" + strings.NewReplacer(`""`, `"`, `"`, "", "'", "''").Replace(table) + `') WHERE hidden <> 2`)
	rows, err := w.db.QueryContext(ctx, "SELECT "+list+" FROM "+table)
	w.must(err)
	columns, err := rows.Columns()
	w.must(err)
	live := make(map[string]int)
	for rows.Next() {
		values, dest := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		w.must(rows.Scan(dest...))
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = exact(v)
		}
		live[strings.Join(texts, "; ")]++
	}
	w.must(rows.Err())
	w.must(rows.Close())
	return live
}
