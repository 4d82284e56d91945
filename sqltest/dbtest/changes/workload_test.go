package changes_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// columns are those of the tables of TestWorkload, each with values.
var columns = []struct {
	name, typ string
	values    []string
}{
	{"a", "int DEFAULT 0", []string{"0", "1", "2147483647", "NULL"}},
	{"b", "text", []string{"''", "'x'", `E'"a,b\\c'`, "repeat('long ', 2000)", "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 300) n)", "NULL"}},
	{"c", "numeric", []string{"1", "1.0", "1.00", "'NaN'"}},
	{"d", "jsonb", []string{`'{}'`, `'{"a": [1, "b"]}'`, "NULL"}},
	{"e", "timestamptz", []string{"'2026-01-01 00:00+00'", "'infinity'"}},
	{"f", "text[]", []string{"'{}'", `ARRAY['a', NULL, 'b,"c']`}},
	{"g", "bytea", []string{`''`, `'\x00ff'`}},
}

// TestWorkload: what several sessions do at the same time, replayed from the changes alone, ends in what is in the
// tables, and each change begins with what the one before it has left.
func TestWorkload(t *testing.T) {
	each(t, func(w *world) {
		n := dbtest.Seed(w)
		var list []string
		for _, c := range columns {
			list = append(list, c.name+" "+c.typ)
		}
		w.exec("CREATE TABLE parent (id int PRIMARY KEY, "+strings.Join(list, ", ")+")",
			"CREATE TABLE child (id int, part text, parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE, "+strings.Join(list, ", ")+", PRIMARY KEY (id, part))",
			// It fires before ours, and changes the row again.
			"CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.a = 1 THEN UPDATE parent SET a = 2 WHERE id = NEW.id; END IF; RETURN NULL; END $$",
			"CREATE TRIGGER a_first AFTER INSERT OR UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION again()")
		tables := []capture.Table{{Name: "parent"}, {Name: "child"}}
		w.capture(tables...)
		for round := range 4 {
			var group sync.WaitGroup
			for session := range 4 {
				r := rand.New(rand.NewPCG(n, uint64(round*10+session)))
				group.Go(func() {
					for range 40 {
						w.transaction(r, statement)
					}
				})
			}
			group.Wait()
			if w.Failed() {
				return
			}
			w.checkReplay("parent", "id")
			w.checkReplay("child", "id", "part")
			w.exec([]string{"ALTER TABLE parent ADD h int DEFAULT 5", "ALTER TABLE child DROP g", "ALTER TABLE parent RENAME h TO i", "TRUNCATE parent CASCADE"}[round])
			if round == 1 {
				w.capture(tables...)
			}
		}
		if n := w.text("SELECT count(*) FROM threadline.audit_gaps"); n != "0" {
			w.Errorf("%s gaps", n)
		}
	})
}

// transaction executes some statements; those that fail, and some others, are rolled back.
func (w *world) transaction(r *rand.Rand, statements ...func(*rand.Rand) string) {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		w.Error(err)
		return
	}
	defer tx.Rollback()
	for range 1 + r.IntN(4) {
		_, err := tx.ExecContext(ctx, "SAVEPOINT s")
		if err == nil {
			_, err = tx.ExecContext(ctx, statements[r.IntN(len(statements))](r))
		}
		if err != nil || r.IntN(6) == 0 {
			if _, err := tx.ExecContext(ctx, "ROLLBACK TO s"); err != nil {
				return
			}
		}
	}
	if r.IntN(5) > 0 {
		_ = tx.Commit()
	}
}

func statement(r *rand.Rand) string {
	one := func() string { return strconv.Itoa(1 + r.IntN(8)) }
	part := func() string { return []string{"'a'", "'b,\"'", "''"}[r.IntN(3)] }
	var names, values, sets []string
	for _, c := range columns[:6] { // the last one is dropped
		v := c.values[r.IntN(len(c.values))]
		names, values = append(names, c.name), append(values, v)
		if r.IntN(3) == 0 {
			sets = append(sets, c.name+" = "+v)
		}
	}
	sets = append(sets, "a = a")
	if len(sets) > 1 {
		sets = sets[:len(sets)-1]
	}
	set := strings.Join(sets, ", ")
	switch r.IntN(9) {
	case 0, 1:
		return fmt.Sprintf("INSERT INTO parent (id, %s) VALUES (%s, %s)", strings.Join(names, ", "), one(), strings.Join(values, ", "))
	case 2:
		return fmt.Sprintf("INSERT INTO parent (id, %s) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET %s", strings.Join(names, ", "), one(), strings.Join(values, ", "), strings.ReplaceAll(set, "a = a", "a = excluded.a"))
	case 3:
		return fmt.Sprintf("INSERT INTO child (id, part, parent, %s) VALUES (%s, %s, %s, %s)", strings.Join(names, ", "), one(), part(), one(), strings.Join(values, ", "))
	case 4:
		return "UPDATE parent SET " + set + " WHERE id > " + one()
	case 5:
		return "UPDATE child SET " + set + " WHERE id = " + one()
	case 6:
		return fmt.Sprintf("UPDATE parent SET id = %s WHERE id = %s", one(), one())
	case 7:
		return fmt.Sprintf("UPDATE child SET id = %s, part = %s WHERE id = %s", one(), part(), one())
	default:
		return "DELETE FROM " + []string{"parent", "child"}[r.IntN(2)] + " WHERE id = " + one()
	}
}

// checkReplay compares each row, and each that is no longer there, with what its history leaves.
func (w *world) checkReplay(table string, key ...string) {
	w.Helper()
	rows, err := w.db.QueryContext(ctx, "SELECT * FROM "+table+" -- "+strconv.Itoa(rand.Int())) // pgx prepares each, and columns change
	w.must(err)
	names, err := rows.Columns()
	w.must(err)
	is := make(map[string]map[string]string)
	for rows.Next() {
		values, dest := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range values {
			dest[i] = &values[i]
		}
		w.must(rows.Scan(dest...))
		row := make(map[string]string)
		for i, n := range names {
			row[n] = "NULL"
			if values[i].Valid {
				row[n] = values[i].String
			}
		}
		is[keyText(row, key)] = row
	}
	w.must(rows.Err())
	w.must(rows.Close())
	ids := [][]string{}
	for i := 1; i <= 8; i++ {
		if len(key) == 1 {
			ids = append(ids, []string{strconv.Itoa(i)})
			continue
		}
		for _, part := range []string{"a", `b,"`, ""} {
			ids = append(ids, []string{strconv.Itoa(i), part})
		}
	}
	for _, id := range ids {
		history, err := w.store.History(ctx, table, id...)
		w.must(err)
		row := w.replay(table, id, history)
		want := is[strings.Join(id, "\x00")]
		if (row == nil) != (want == nil) {
			w.Errorf("%s %q: the history ends with %v, the table has %v", table, id, row, want)
			continue
		}
		for _, name := range names {
			// Each driver writes times and bytes in another form.
			if got, ok := row[name]; ok && want[name] != got && name != "e" && name != "g" && !strings.HasPrefix(want[name], strings.Repeat("long ", 10)) {
				w.Errorf("%s %q: the history ends with %s = %q, the table has %q", table, id, name, got, want[name])
			}
		}
	}
}

func keyText(row map[string]string, key []string) string {
	var parts []string
	for _, k := range key {
		parts = append(parts, row[k])
	}
	return strings.Join(parts, "\x00")
}

// replay returns what a row's history leaves, nil if that is nothing.
func (w *world) replay(table string, id []string, history []changes.Change) map[string]string {
	w.Helper()
	var row map[string]string
	elsewhere := false // the row has another key than id
	for i, c := range history {
		if c.Op == changes.Insert && elsewhere {
			row = nil
		}
		if c.Op != changes.Truncate && (c.Op == changes.Insert) != (row == nil) {
			w.Errorf("%s %q: change %d of %d is an %s, and the row is %v", table, id, i, len(history), c.Op, row)
		}
		for _, f := range c.Fields {
			before, known := row[f.Name]
			if c.Op != changes.Insert && known && before != f.Old.String() {
				w.Errorf("%s %q: change %d begins with %s = %q, and it was %q", table, id, i, f.Name, f.Old, before)
			}
		}
		if c.Op == changes.Delete || c.Op == changes.Truncate {
			row = nil
			continue
		}
		if row == nil {
			row = make(map[string]string)
		}
		for _, f := range c.Fields {
			row[f.Name] = f.New.String()
		}
		elsewhere = strings.Join(c.Key, "\x00") != strings.Join(id, "\x00")
	}
	if elsewhere {
		return nil
	}
	return row
}
