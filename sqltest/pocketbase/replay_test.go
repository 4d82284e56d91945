package pocketbase_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// table is the content of a table: its columns, their types, and the values of each row by its key.
type table struct {
	columns []string
	types   string
	rows    map[string]map[string]string
}

// replay applies the changes in their order, and so has what the tables must have.
type replay struct {
	*app
	store  *changes.Store
	tables map[string]*table
	cursor string
	count  int
	made   []tx // the transactions, in their order
}

// tx is a transaction that has changed rows.
type tx struct {
	xid     int64
	started time.Time
}

// newReplay begins with what is in the tables, before any change is captured.
func newReplay(a *app) *replay {
	a.Helper()
	r := &replay{app: a, store: changes.NewStore(a.db, hooks.SQLite, nil), tables: a.content()}
	r.read()
	return r
}

// read returns the changes since the last time.
func (r *replay) read() (list []changes.Change) {
	r.Helper()
	for {
		p, err := r.store.Page(r.Context(), changes.Query{OldestFirst: true, Cursor: r.cursor})
		r.must(err)
		list = append(list, p.Changes...)
		if p.Next == "" {
			r.cursor, r.count = p.Follow, r.count+len(list)
			return list
		}
		r.cursor = p.Next
	}
}

// check applies the changes since the last call, and compares the result with the tables. All these changes must be by the actor. A
// table whose columns the step has changed begins anew with its content, because DDL gives values to rows that no change has.
func (r *replay) check(step, actor string) {
	r.Helper()
	live := r.content()
	for name := range r.tables {
		if live[name] == nil || live[name].types != r.tables[name].types {
			delete(r.tables, name)
		}
	}
	for _, c := range r.read() {
		if n := len(r.made); n == 0 || r.made[n-1].xid != c.XID {
			r.made = append(r.made, tx{c.XID, c.TxStartedAt})
		}
		if got := by(c); got != actor {
			r.Errorf("%s: the %s of %s %q is by %s, want %s", step, c.Op, c.Table, c.Key, got, actor)
		}
		if live[c.Table] == nil {
			continue // it was dropped, or renamed
		}
		if t := r.tables[c.Table]; t == nil && c.Op == changes.Insert {
			r.tables[c.Table] = &table{columns: live[c.Table].columns, types: live[c.Table].types, rows: make(map[string]map[string]string)}
		} else if t == nil {
			continue
		}
		r.apply(step, c)
	}
	for name, is := range live {
		t := r.tables[name]
		if t == nil || len(t.rows) == 0 && len(is.rows) == 0 {
			r.tables[name] = is
			continue
		}
		for key := range is.rows {
			if !maps.Equal(t.rows[key], is.rows[key]) {
				r.Errorf("%s: %s %s: the changes lead to %v, and there is %v", step, name, key, t.rows[key], is.rows[key])
			}
		}
		if len(t.rows) != len(is.rows) {
			r.Errorf("%s: the changes of %s lead to %d rows, and there are %d", step, name, len(t.rows), len(is.rows))
		}
	}
	if r.Failed() {
		r.FailNow()
	}
}

func by(c changes.Change) string {
	var list []string
	for _, context := range c.By.Contexts {
		text := string(context.Actor.Type)
		if context.Actor.ID != "" {
			text += ":" + context.Actor.ID
		}
		list = append(list, text)
	}
	if len(list) == 0 {
		return c.By.String()
	}
	return strings.Join(list, ", ")
}

func (r *replay) apply(step string, c changes.Change) {
	r.Helper()
	rows := r.tables[c.Table].rows
	former, key := c.Key, strings.Join(c.Key, ",")
	if c.FormerKey != nil {
		former = c.FormerKey
	}
	row := maps.Clone(rows[strings.Join(former, ",")])
	if (row == nil) != (c.Op == changes.Insert) {
		r.Errorf("%s: before the %s of %s %s the row is %v", step, c.Op, c.Table, key, row)
		return
	}
	if row == nil {
		row = make(map[string]string)
		for _, name := range r.tables[c.Table].columns {
			row[name] = "NULL"
		}
	}
	for _, f := range c.Fields {
		if was := row[f.Name]; was != typed(f.Old) {
			r.Errorf("%s: %s of %s %s was %s, and its %s begins with %s", step, f.Name, c.Table, key, was, c.Op, typed(f.Old))
		}
		row[f.Name] = typed(f.New)
	}
	delete(rows, strings.Join(former, ","))
	if c.Op != changes.Delete {
		rows[key] = row
	}
}

// undo undoes transactions, the last one first.
func (r *replay) undo(list []tx) {
	r.Helper()
	for _, one := range slices.Backward(list) {
		u, err := undo.Transaction(r.Context(), r.store, one.xid, one.started)
		r.must(err)
		if len(u.Conflicts)+len(u.Refusals) > 0 {
			r.Fatalf("the undo is not clean:\n%s", u)
		}
		tx, err := r.db.BeginTx(r.Context(), nil)
		r.must(err)
		for _, s := range u.Statements {
			result, err := tx.ExecContext(r.Context(), s.SQL)
			r.must(err)
			if n, err := result.RowsAffected(); err != nil || n != s.Rows {
				r.Fatalf("%s: %d rows, %v", s.SQL, n, err)
			}
		}
		r.must(tx.Commit())
	}
	if len(list) < len(lastSteps()) {
		r.Errorf("only %d transactions were undone", len(list))
	}
}

// typed is a value with its storage class.
func typed(v changes.Value) string {
	if v.Text == nil && !v.Masked {
		return "NULL"
	}
	return v.Storage + " " + v.String()
}

// content is the content of all tables.
func (a *app) content() map[string]*table {
	a.Helper()
	all := make(map[string]*table)
	for _, name := range a.tables() {
		t := &table{columns: a.column("SELECT name FROM pragma_table_info(?)", name), rows: make(map[string]map[string]string)}
		keys := a.column("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", name)
		t.types = strings.Join(a.column("SELECT name || ' ' || type FROM pragma_table_info(?)", name), ", ")
		all[name] = t
		rows, err := a.db.QueryContext(a.Context(), `SELECT "`+strings.Join(t.columns, `", "`)+`" FROM "`+name+`"`)
		a.must(err)
		for rows.Next() {
			values, into := make([]any, len(t.columns)), make([]any, len(t.columns))
			for i := range values {
				into[i] = &values[i]
			}
			a.must(rows.Scan(into...))
			row, key := make(map[string]string), make([]string, len(keys))
			for i, column := range t.columns {
				row[column] = stored(values[i])
				if at := slices.Index(keys, column); at >= 0 {
					key[at] = fmt.Sprint(values[i])
				}
			}
			t.rows[strings.Join(key, ",")] = row
		}
		a.must(rows.Err())
		a.must(rows.Close())
	}
	return all
}

// constantContent is the content of all tables, without what differs from run to run.
func (a *app) constantContent() map[string][]string {
	a.Helper()
	all := make(map[string][]string)
	for name, t := range a.content() {
		lines := []string{t.types}
		for _, row := range t.rows {
			var values []string
			for _, column := range t.columns {
				if column == "tokenKey" || column == "password" || column == "applied" || name == "_authOrigins" && column == "id" {
					continue
				}
				values = append(values, column+": "+constant(row[column]))
			}
			lines = append(lines, strings.Join(values, ", "))
		}
		slices.Sort(lines)
		all[name] = lines
	}
	return all
}

// stored is a value that the driver returns, written as typed writes it.
func stored(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case int64:
		return fmt.Sprintf("integer %d", v)
	case float64:
		return fmt.Sprintf("real %v", v)
	case []byte:
		return fmt.Sprintf("blob X'%X'", v)
	}
	return fmt.Sprintf("text %v", v)
}
