package changes_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// liteClock is SQLite's, in a millisecond in which nothing was captured before.
func (w *world) liteClock() time.Time {
	w.Helper()
	const now = "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
	next := func(text string) string {
		for {
			if later := w.text(now); later != text {
				return later
			}
		}
	}
	text := next(w.text(now))
	at, err := time.Parse(time.RFC3339Nano, text)
	w.must(err)
	next(text)
	return at
}

// exactValue is a value with its type, to the bit, as exact has it.
func exactValue(v changes.Value) string {
	if v.Text == nil {
		return "NULL"
	}
	switch v.Storage {
	case "real":
		f, _ := strconv.ParseFloat(*v.Text, 64) // 9e999 is out of range
		return exact(f)
	case "text":
		return exact(*v.Text)
	}
	return v.Storage + " " + strings.ToLower(strings.Trim(strings.TrimPrefix(*v.Text, "X"), "'"))
}

func exactRow(row *changes.Row) string {
	var texts []string
	for _, v := range row.Values {
		texts = append(texts, exactValue(v.Value))
	}
	return strings.Join(texts, "; ")
}

// liteRows are the rows of a table, each with its key, of which each value has a letter for its type in front.
func (w *world) liteRows(t *liteTable) map[string]string {
	w.Helper()
	if t.key == nil {
		return nil
	}
	var parts []string
	for _, k := range t.key {
		parts = append(parts, "CASE typeof("+k+") WHEN 'integer' THEN 'i' || "+k+" WHEN 'real' THEN 'r' || printf('%!.17g', "+k+" + 0.0) WHEN 'text' THEN 't' || "+k+" WHEN 'blob' THEN 'b' || hex("+k+") ELSE char(2) END")
	}
	rows, err := w.db.QueryContext(ctx, "SELECT "+strings.Join(parts, ", ")+", "+w.liteColumns(t.name)+" FROM "+t.name)
	w.must(err)
	columns, err := rows.Columns()
	w.must(err)
	found := make(map[string]string)
	for rows.Next() {
		values, dest := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		w.must(rows.Scan(dest...))
		var key, texts []string
		for i, v := range values {
			if i < len(t.key) {
				key = append(key, v.(string))
			} else {
				texts = append(texts, exact(v))
			}
		}
		found[strings.Join(key, "\x01")] = strings.Join(texts, "; ")
	}
	w.must(errors.Join(rows.Err(), rows.Close()))
	return found
}

// liteKeys are all keys that the changes of a table have.
func (w *world) liteKeys(t *liteTable) (keys []string) {
	w.Helper()
	name := strings.ReplaceAll(strings.Trim(t.name, `"`), `""`, `"`)
	rows, err := w.db.QueryContext(ctx, "SELECT DISTINCT k.key FROM (SELECT table_id, key FROM threadline_audit_changes UNION SELECT table_id, former_key FROM threadline_audit_changes) k WHERE k.key IS NOT NULL AND k.table_id IN (SELECT table_id FROM threadline_audit_captures WHERE table_name = ?)", name)
	w.must(err)
	for rows.Next() {
		var text string
		w.must(rows.Scan(&text))
		parts := strings.Split(text[2:len(text)-2], `","`)
		for i, p := range parts {
			parts[i] = strings.NewReplacer(`\\`, `\`, `""`, `"`).Replace(p)
		}
		keys = append(keys, strings.Join(parts, "\x01"))
	}
	w.must(errors.Join(rows.Err(), rows.Close()))
	return keys
}

// plainKey are the values of a key as a caller has them.
func plainKey(key string) []string {
	parts := strings.Split(key, "\x01")
	for i, p := range parts {
		if parts[i] = p[1:]; p[0] == 'b' {
			parts[i] = "X'" + p[1:] + "'"
		}
	}
	return parts
}

// meansKey reports whether a key as it is written means that of a row: each value has that text, or is the real of that integer.
func meansKey(written []string, key string) bool {
	typed := strings.Split(key, "\x01")
	return slices.EqualFunc(written, plainKey(key), func(w, k string) bool {
		t := typed[0]
		typed = typed[1:]
		_, err := strconv.ParseInt(w, 10, 64)
		return w == k || err == nil && t == "r"+w+".0"
	})
}

// liteMoment is what was in a table at a time, by the exact values of its key.
type liteMoment struct {
	at   time.Time
	rows []map[string]string // of each of liteTables, by their keys
}

// TestSQLiteRowAsOfTruth: rows as of any moment between transactions are what the table had then, to the bit.
func TestSQLiteRowAsOfTruth(t *testing.T) {
	for _, through := range []string{"the driver", "no driver"} {
		t.Run("through "+through, func(t *testing.T) {
			w := lite(t)
			var tables []capture.Table
			for _, table := range liteTables {
				w.exec(table.sql)
				tables = append(tables, capture.Table{Name: table.name})
			}
			r := rand.New(rand.NewPCG(dbtest.Seed(t), 3))
			w.liteTransaction(r) // rows from before the capture
			w.capture(tables...)
			if through == "the driver" {
				w.db.Close()
				w.db, _ = liteApp(w)
				w.db.SetMaxOpenConns(1)
				w.store = changes.NewStore(w.db, "sqlite", nil)
			}
			var moments []liteMoment
			note := func() {
				m := liteMoment{}
				for i := range liteTables {
					m.rows = append(m.rows, w.liteRows(&liteTables[i]))
				}
				m.at = w.liteClock()
				moments = append(moments, m)
			}
			note()
			for range 25 {
				w.liteTransaction(r)
				note()
			}
			checked := 0
			for i, table := range liteTables {
				keys := w.liteKeys(&table)
				if table.key == nil || len(keys) == 0 {
					continue
				}
				for n := 0; n < 4 || checked < 10 && n < 100; n++ { // many keys were not there most of the time
					m := moments[r.IntN(len(moments))]
					if n == 0 {
						m = moments[0]
					}
					for range 5 {
						if w.wantLiteRow(&table, m.at, keys[r.IntN(len(keys))], m.rows[i]) {
							checked++
						}
					}
				}
			}
			if checked < 10 {
				t.Errorf("only %d rows were there", checked)
			}
		})
	}
}

// wantLiteRow fails the test unless the row of a key was what the table had.
func (w *world) wantLiteRow(t *liteTable, at time.Time, key string, had map[string]string) (was bool) {
	w.Helper()
	plain := plainKey(key)
	var want []string
	for k, row := range had {
		if meansKey(plain, k) {
			want = append(want, row)
		}
	}
	row, err := w.store.RowAsOf(ctx, t.name, at, plain...)
	switch {
	case len(want) > 1: // in different storage classes
		if err == nil {
			w.Errorf("%s %q is %s, and there were %q", t.name, plain, row, want)
		}
	case len(want) == 0:
		if !errors.Is(err, changes.ErrGone) && !errors.Is(err, changes.ErrNotYet) {
			w.Errorf("%s %q is %v, and there was none: %v", t.name, plain, row, err)
		}
	case err != nil:
		w.Errorf("%s %q is %v, and there was %s", t.name, plain, err, want[0])
	case exactRow(row) != want[0]:
		w.Errorf("%s %q is\n%s, and was\n%s", t.name, plain, exactRow(row), want[0])
	}
	return len(want) == 1
}

// TestSQLiteRowAsOfErrors: that there was no row, and that it is not known, are told apart.
func TestSQLiteRowAsOfErrors(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, a, secret, card)", "INSERT INTO t VALUES (1, 'x', 's', 4111), (5, x'00', 's', 4111)")
	at := map[string]time.Time{"before": w.liteClock()}
	do := func(name string, queries ...string) {
		t.Helper()
		w.exec(queries...)
		at[name] = w.liteClock()
	}
	table := capture.Table{Name: "t", Exclude: []string{"secret"}, Mask: []string{"card"}}
	w.capture(table)
	do("captured")
	do("inserted", "INSERT INTO t VALUES (2, 1.0, 's', NULL)")
	do("moved", "UPDATE t SET id = 3 WHERE id = 2")
	do("deleted", "DELETE FROM t WHERE id = 3")
	do("retyped", "UPDATE t SET a = '1.0' WHERE id = 1")
	const row = `"main"."t" `
	want := func(when, key, want string) {
		t.Helper()
		if got := w.asOf("t", at[when], key); got != want {
			t.Errorf("row %s as of %s: %s, want %s", key, when, got, want)
		}
	}
	want("before", "1", changes.ErrBeforeCapture.Error())
	want("captured", "1", row+"(1): id: 1; a: x; card: (masked)")
	want("captured", "5", row+"(5): id: 5; a: X'00'; card: (masked)")
	want("captured", "2", changes.ErrNotYet.Error())
	want("captured", "3", changes.ErrNotYet.Error())
	want("inserted", "2", row+"(2): id: 2; a: 1.0; card: (masked)")
	want("moved", "2", changes.ErrGone.Error())
	want("moved", "3", row+"(3): id: 3; a: 1.0; card: (masked)")
	want("deleted", "3", changes.ErrGone.Error())
	want("retyped", "9", changes.ErrNotYet.Error())
	want("retyped", "x", changes.ErrNotYet.Error())

	// While a capture is off, nothing says that a row was not there, or what it was.
	do("removed", "INSERT INTO t VALUES (6, 0.1, 's', 1)")
	w.must(w.installer().Remove(ctx, "t"))
	want("retyped", "5", changes.ErrBroken.Error())
	do("off", "UPDATE t SET a = 'lost' WHERE id = 1", "DELETE FROM t WHERE id = 5")
	w.capture(table)
	do("again", "INSERT INTO t VALUES (7, 'new', 's', 1)")
	want("removed", "6", row+"(6): id: 6; a: 0.1; card: (masked)")
	want("removed", "1", changes.ErrBroken.Error()) // no change has told all of it before
	want("again", "6", changes.ErrBroken.Error())
	want("off", "1", changes.ErrBroken.Error())
	want("retyped", "5", changes.ErrBroken.Error())
	want("again", "7", row+"(7): id: 7; a: new; card: (masked)")

	// A column that is not captured yet may have had any value.
	do("added", "ALTER TABLE t ADD n DEFAULT 5")
	want("again", "7", changes.ErrBroken.Error()) // nor does anything say since when it was there
	want("added", "7", changes.ErrBroken.Error())
	w.capture(table)
	w.exec("INSERT INTO t VALUES (8, 'last', 's', 1, 7)")
	do("renamed", "ALTER TABLE t RENAME card TO number")
	if got := w.asOf("t", at["renamed"], "1"); strings.Contains(got, "4111") {
		t.Errorf("it shows %s", got)
	}
	history, err := w.store.History(ctx, "t", "8")
	w.must(err)
	w.exec("DROP TABLE t") // the history has all of the row
	last, err := w.store.RowAfter(ctx, history[0])
	w.must(err)
	if got, want := last.String(), row+"(8): id: 8; a: last; card: (masked); n: 7"; got != want {
		t.Errorf("of a table that is gone: %s, want %s", got, want)
	}
}

// TestSQLiteRowAsOfNull: a row whose key was NULL was no row of the key that it has now.
func TestSQLiteRowAsOfNull(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE t (k TEXT PRIMARY KEY, a)")
	w.capture(capture.Table{Name: "t"})
	w.exec("INSERT INTO t VALUES (NULL, 1)")
	null := w.liteClock()
	w.exec("UPDATE t SET k = 'x'")
	named := w.liteClock()
	if got, want := w.asOf("t", named, "x"), `"main"."t" (x): k: x; a: 1`; got != want {
		t.Errorf("with the key: %s, want %s", got, want)
	}
	w.exec("UPDATE t SET k = NULL")
	if got := w.asOf("t", null, "x"); got != changes.ErrNotYet.Error() {
		t.Errorf("before it had the key: %s", got)
	}
	if got := w.asOf("t", named, "x"); got != changes.ErrBroken.Error() { // what it had in the other column is not followed
		t.Errorf("with the key: %s", got)
	}
	if got := w.asOf("t", w.liteClock(), "x"); got != changes.ErrGone.Error() {
		t.Errorf("after it had the key: %s", got)
	}
}

// TestSQLiteRowAfter: a row as each of its changes has left it, also of those that were captured in one millisecond, and that a
// program has rebuilt from what they say.
func TestSQLiteRowAfter(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE t (k PRIMARY KEY, a, b)")
	w.capture(capture.Table{Name: "t"})
	w.inOne("INSERT INTO t VALUES (1, 'i', NULL), ('1', 't', NULL), (1.5, 'r', NULL)", "UPDATE t SET b = 2.5", "UPDATE t SET b = x'0a' WHERE typeof(k) = 'integer'")
	history, err := w.store.History(ctx, "t", "1")
	w.must(err)
	var rows []string
	for _, c := range history {
		row, err := w.store.RowAfter(ctx, c)
		w.must(err)
		rows = append(rows, exactRow(row))
		copied := changes.Change{XID: c.XID, TxStartedAt: c.TxStartedAt, CapturedAt: c.CapturedAt, Op: c.Op, Schema: c.Schema, Table: c.Table, Key: c.Key, FormerKey: c.FormerKey, Fields: c.Fields}
		again, err := w.store.RowAfter(ctx, copied)
		if err != nil && c.Op == changes.Update && *c.Fields[0].New.Text == "2.5" {
			continue // two rows have had it
		}
		w.must(err)
		if exactRow(again) != exactRow(row) || again.Since == nil || again.Since.By == nil {
			t.Errorf("a copy of the change leads to %s, and not to %s", exactRow(again), exactRow(row))
		}
	}
	want := []string{`integer 1; text "i"; NULL`, `text "1"; text "t"; NULL`, `integer 1; text "i"; real 4004000000000000`, `text "1"; text "t"; real 4004000000000000`, `integer 1; text "i"; blob 0a`}
	if !slices.Equal(rows, want) {
		t.Errorf("the rows were\n%s\nwant\n%s", strings.Join(rows, "\n"), strings.Join(want, "\n"))
	}
}

// liteColumns are those of a table that are stored.
func (w *world) liteColumns(table string) string {
	w.Helper()
	return w.text(`SELECT group_concat('"' || replace(name, '"', '""') || '"') FROM pragma_table_xinfo(` + "'" + strings.NewReplacer(`""`, `"`, `"`, "", "'", "''").Replace(table) + `') WHERE hidden <> 2`)
}
