package changes_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// asOf is a row in words, or why there is none.
func (w *world) asOf(table string, at time.Time, key ...string) string {
	w.Helper()
	row, err := w.store.RowAsOf(ctx, table, at, key...)
	var why *changes.AsOfError
	if errors.As(err, &why) {
		return why.Err.Error()
	}
	w.must(err)
	return row.String()
}

func (w *world) clock() (now time.Time) {
	w.Helper()
	w.must(w.db.QueryRowContext(ctx, "SELECT clock_timestamp()").Scan(&now))
	return now
}

// TestRowAsOfTruth: rows as of any moment between transactions are what the table had then, also rows
// from before the capture, and through changes of their keys.
func TestRowAsOfTruth(t *testing.T) {
	each(t, func(w *world) {
		r := rand.New(rand.NewPCG(dbtest.Seed(t), 1))
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text, b numeric, card text)")
		for id := range 4 {
			w.exec(fmt.Sprintf("INSERT INTO t VALUES (%d, 'old', %d.50, 'x')", id, id))
		}
		w.capture(capture.Table{Name: "t", Mask: []string{"card"}})
		type moment struct {
			at   time.Time
			rows map[string]string
		}
		var moments []moment
		note := func() {
			m := moment{rows: make(map[string]string)}
			rows, err := w.db.QueryContext(ctx, "SELECT id::text, format('a: %s; b: %s', coalesce(a, 'NULL'), coalesce(b::text, 'NULL')) FROM t")
			w.must(err)
			for rows.Next() {
				var id, text string
				w.must(rows.Scan(&id, &text))
				m.rows[id] = text
			}
			w.must(errors.Join(rows.Err(), rows.Close()))
			m.at = w.clock()
			moments = append(moments, m)
		}
		note()
		for range 25 {
			tx, err := w.db.BeginTx(ctx, nil)
			w.must(err)
			for range 1 + r.IntN(4) {
				id, other := r.IntN(6), r.IntN(6)
				for _, q := range []string{
					fmt.Sprintf("INSERT INTO t VALUES (%d, 'n%d', NULL, 'c') ON CONFLICT (id) DO UPDATE SET a = t.a || 'u'", id, other),
					fmt.Sprintf("UPDATE t SET a = 'w%d' WHERE id = %d", other, id),
					fmt.Sprintf("UPDATE t SET b = %d.%d WHERE id = %d", other, other, id),
					fmt.Sprintf("UPDATE t SET id = %d WHERE id = %d AND NOT EXISTS (SELECT FROM t o WHERE o.id = %d)", other, id, other),
					fmt.Sprintf("DELETE FROM t WHERE id = %d", id),
				}[r.IntN(5):][:1] {
					_, err := tx.ExecContext(ctx, q)
					w.must(err)
				}
			}
			w.must(tx.Commit())
			note()
		}
		gone := []string{changes.ErrGone.Error(), changes.ErrNotYet.Error()}
		for i, m := range moments {
			for id := range 6 {
				key := fmt.Sprint(id)
				got, want := w.asOf("t", m.at, key), m.rows[key]
				if want == "" {
					if !slices.Contains(gone, got) {
						t.Fatalf("moment %d: row %s is %s, and there was none", i, key, got)
					}
					continue
				}
				if want = fmt.Sprintf(`"public"."t" (%s): id: %s; %s; card: (masked)`, key, key, want); got != want {
					_, err := w.store.RowAsOf(ctx, "t", m.at, key)
					t.Fatalf("moment %d: row %s is %s, want %s: %v", i, key, got, want, err)
				}
			}
		}
	})
}

// TestRowAsOfExchanged: what a row was is not mistaken for what another was that has had its key, and
// left it for a key that this one has had.
func TestRowAsOfExchanged(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text, b text)", "INSERT INTO t VALUES (0, 'zero', 'x'), (1, 'one', 'y')")
		w.capture(capture.Table{Name: "t"})
		w.exec("UPDATE t SET id = 5 WHERE id = 1", "UPDATE t SET a = 'zero again' WHERE id = 0", "UPDATE t SET id = 2 WHERE id = 0", "UPDATE t SET id = 1 WHERE id = 2",
			"UPDATE t SET id = 2 WHERE id = 5")
		at := w.clock()
		w.exec("UPDATE t SET a = 'later', b = 'later'")
		for key, want := range map[string]string{"1": `"public"."t" (1): id: 1; a: zero again; b: x`, "2": `"public"."t" (2): id: 2; a: one; b: y`} {
			if got := w.asOf("t", at, key); got != want {
				t.Errorf("row %s was %s, want %s", key, got, want)
			}
		}
	})
}

// TestRowAsOfErrors: that there was no row, and that it is not known, are told apart.
func TestRowAsOfErrors(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text, secret text)", "INSERT INTO t VALUES (1, 'x', 's')")
		before := w.clock()
		w.capture(capture.Table{Name: "t", Exclude: []string{"secret"}})
		at := map[string]time.Time{"before": before, "captured": w.clock()}
		do := func(name string, queries ...string) {
			w.exec(queries...)
			at[name] = w.clock()
		}
		do("inserted", "INSERT INTO t VALUES (2, 'y', 's')")
		do("renamed", "UPDATE t SET id = 3 WHERE id = 2")
		do("deleted", "DELETE FROM t WHERE id = 3")
		do("emptied", "TRUNCATE t")
		do("again", "INSERT INTO t VALUES (1, 'z', 's'), (7, 'old', 's')")
		do("wider", "ALTER TABLE t ADD n int DEFAULT 5")
		w.capture(capture.Table{Name: "t", Exclude: []string{"secret"}})
		do("widened", "UPDATE t SET a = 'zz' WHERE id = 1")
		do("retyping", "ALTER TABLE t ALTER a TYPE varchar(9)", "ALTER TABLE t DROP n")
		w.capture(capture.Table{Name: "t", Exclude: []string{"secret"}})
		do("retyped", "UPDATE t SET id = 8 WHERE id = 1")
		const row = `"public"."t" `
		for _, tt := range []struct{ when, key, want string }{
			{"before", "1", changes.ErrBeforeCapture.Error()},
			{"captured", "1", changes.ErrBroken.Error()}, // TRUNCATE does not say what it has removed
			{"captured", "2", changes.ErrNotYet.Error()},
			{"captured", "9", changes.ErrBroken.Error()},
			{"inserted", "2", row + "(2): id: 2; a: y"},
			{"renamed", "2", changes.ErrGone.Error()},
			{"renamed", "3", row + "(3): id: 3; a: y"},
			{"deleted", "3", changes.ErrGone.Error()},
			{"again", "9", changes.ErrGone.Error()}, // by TRUNCATE, if it was there
			{"emptied", "1", changes.ErrGone.Error()},
			{"again", "1", row + "(1): id: 1; a: z"},
			{"widened", "1", row + "(1): id: 1; a: zz; n: (unknown)"}, // it was dropped, and no change tells it
			{"retyped", "8", row + "(8): id: 8; a: zz"},
			{"widened", "7", row + "(7): id: 7; a: old; n: (unknown)"},
		} {
			if got := w.asOf("t", at[tt.when], tt.key); got != tt.want {
				t.Errorf("row %s as of %s: %s, want %s", tt.key, tt.when, got, tt.want)
			}
		}
		history, err := w.store.History(ctx, "t", "7")
		w.must(err)
		w.exec("CREATE TABLE fresh (id int PRIMARY KEY)")
		w.capture(capture.Table{Name: "fresh"})
		if got := w.asOf("fresh", w.clock(), "1"); got != changes.ErrNotYet.Error() {
			t.Errorf("a row that never was: %s", got)
		}
		last, err := w.store.RowAfter(ctx, history[len(history)-1])
		w.must(err)
		if got := last.String(); !strings.HasPrefix(got, row+"(7): id: 7; a: old") || last.Since == nil || last.Since.By == nil {
			t.Errorf("%s, since %+v", got, last.Since)
		}
		_, err = w.store.RowAsOf(ctx, "t", at["again"])
		if err == nil {
			t.Error("a key is needed")
		}
	})
}

// TestRowAsOfGap: what may have changed in a gap is not told.
func TestRowAsOfGap(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 'x')")
		first := w.clock()
		w.lose("UPDATE t SET a = 'lost' WHERE id = 1")
		if got, want := w.asOf("t", first, "1"), `"public"."t" (1): id: 1; a: x`; got != want {
			t.Errorf("before the gap: %s, want %s", got, want)
		}
		if got := w.asOf("t", w.clock(), "1"); got != changes.ErrBroken.Error() {
			t.Errorf("after the gap: %s", got)
		}
		w.exec("DELETE FROM t")
		if got := w.asOf("t", w.clock(), "1"); got != changes.ErrGone.Error() {
			t.Errorf("deleted after the gap: %s", got)
		}
	})
}

// TestRowAsOfUncaptured: while a capture was off, nothing says that a row was not there, or what it was.
func TestRowAsOfUncaptured(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text)", "INSERT INTO t VALUES (1, 'x'), (2, 'x'), (3, 'x')")
		w.capture(capture.Table{Name: "t"})
		first := w.clock()
		w.exec("DELETE FROM t WHERE id = 3")
		w.must(w.installer().Remove(ctx, "t"))
		removed := w.clock()
		w.exec("DELETE FROM t WHERE id = 1", "UPDATE t SET a = 'y' WHERE id = 2", "INSERT INTO t VALUES (3, 'again')")
		want := func(key string, at time.Time, want error) {
			t.Helper()
			if got := w.asOf("t", at, key); got != want.Error() {
				t.Errorf("row %s: %s, want %s", key, got, want)
			}
		}
		want("2", removed, changes.ErrBroken)
		w.capture(capture.Table{Name: "t"})
		want("1", first, changes.ErrBroken)
		want("2", first, changes.ErrBroken)
		want("3", w.clock(), changes.ErrBroken)
	})
}

// TestRowAsOfHides: values of a masked column are not read from the row as it is now, whatever it is called.
func TestRowAsOfHides(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, note text, card text)", "INSERT INTO t VALUES (1, 'n', '4111')")
		w.capture(capture.Table{Name: "t", Mask: []string{"card"}})
		if got, want := w.asOf("t", w.clock(), "1"), `"public"."t" (1): id: 1; note: n; card: (masked)`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		w.exec("ALTER TABLE t RENAME note TO old", "ALTER TABLE t RENAME card TO note", "ALTER TABLE t RENAME old TO card")
		if got := w.asOf("t", w.clock(), "1"); strings.Contains(got, "4111") {
			t.Errorf("it shows %s", got)
		}
	})
}

// TestRowAsOfPartitions: a TRUNCATE of one partition does not say that another's rows are gone.
func TestRowAsOfPartitions(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE p (id int, r text, PRIMARY KEY (id, r)) PARTITION BY LIST (r)",
			"CREATE TABLE eu PARTITION OF p FOR VALUES IN ('eu')", "CREATE TABLE us PARTITION OF p FOR VALUES IN ('us')")
		w.capture(capture.Table{Name: "p"})
		w.exec("INSERT INTO p VALUES (1, 'us')", "TRUNCATE eu")
		if got := w.asOf("p", w.clock(), "1", "us"); got != changes.ErrBroken.Error() {
			t.Error(got)
		}
	})
}

// TestUndoHidesExchanged: the undo of exchanged keys compares no masked value.
func TestUndoHidesExchanged(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text, card text)", "INSERT INTO t VALUES (1, 'x', '4111'), (2, 'y', '4222')")
		w.capture(capture.Table{Name: "t", Mask: []string{"card"}})
		w.exec("BEGIN; UPDATE t SET id = 3 WHERE id = 1; UPDATE t SET id = 1 WHERE id = 2; UPDATE t SET id = 2 WHERE id = 3; COMMIT")
		history, err := w.store.History(ctx, "t", "1")
		w.must(err)
		last := history[len(history)-1]
		undo, err := undo.Transaction(ctx, w.store, last.XID, last.TxStartedAt)
		w.must(err)
		if script := undo.String(); len(undo.Statements) == 0 || strings.Contains(script, "4111") || strings.Contains(script, "4222") {
			t.Errorf("the undo is\n%s", script)
		}
		w.exec(undo.String())
		if got := w.text("SELECT string_agg(id || a || card, ' ' ORDER BY id) FROM t"); got != "1x4111 2y4222" {
			t.Errorf("the undo leads to %s", got)
		}
	})
}

// TestRowAsOfFarAway: times that PostgreSQL has not are in the future, or before all changes.
func TestRowAsOfFarAway(t *testing.T) {
	both(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, v text)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 'a')", "UPDATE t SET v = 'b'")
		for _, at := range []time.Time{time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), time.Date(10001, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1<<62, 0), time.Unix(1<<63-62135596801, 999999999)} {
			w.wantFuture(at)
		}
		for _, at := range []time.Time{{}, time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(-1<<62, 0)} {
			if row, err := w.store.RowAsOf(ctx, "t", at, "1"); !errors.Is(err, changes.ErrBeforeCapture) {
				t.Errorf("%s: %v, %v", at, row, err)
			}
			if rows, errs := w.tableAsOf("t", at); len(rows) > 0 || len(errs) != 1 || !errors.Is(errs[0], changes.ErrBeforeCapture) {
				t.Errorf("%s: %v, %v", at, rows, errs)
			}
		}
	})
}

// wantFuture wants each question as of a time to be refused.
func (w *world) wantFuture(at time.Time) {
	w.Helper()
	row, asOf := w.store.RowAsOf(ctx, "t", at, "1")
	script, undone := undo.RowAsOf(ctx, w.store, "t", at, "1")
	rows, errs := w.tableAsOf("t", at)
	for question, err := range map[string]error{"RowAsOf": asOf, "the undo": undone, "TableAsOf": errors.Join(errs...)} {
		if !errors.Is(err, changes.ErrFuture) || !strings.Contains(err.Error(), "by the database's clock") {
			w.Errorf("%s as of %s: %v", question, at, err)
		}
	}
	if row != nil || script != nil || rows != nil {
		w.Errorf("as of %s: %v, %v, %v", at, row, script, rows)
	}
}

// TestAsOfFuture: what a row is now is not what it will be tomorrow. The clocks of database and caller may differ a little.
func TestAsOfFuture(t *testing.T) {
	both(t, func(w *world) {
		w.exec("CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v text)")
		w.capture(capture.Table{Name: "t"})
		w.exec("INSERT INTO t VALUES (1, 'a')")
		w.wantFuture(w.moment().Add(time.Hour))
		if row, err := w.store.RowAsOf(ctx, "t", w.moment().Add(changes.ClockTolerance/2), "1"); err != nil || row.Values[1].String() != "a" {
			t.Errorf("a little ahead: %v, %v", row, err)
		}
		// The clock was ahead by a day, and was set back.
		w.exec(w.either("UPDATE threadline.audit_changes SET captured_at = captured_at + interval '1 day'",
			"UPDATE threadline_audit_changes SET captured_at = strftime('%Y-%m-%dT%H:%M:%f000Z', captured_at, '+1 day') WHERE held IS NULL"))
		if row, err := w.store.RowAsOf(ctx, "t", w.moment().Add(24*time.Hour-changes.ClockTolerance), "1"); errors.Is(err, changes.ErrFuture) {
			t.Errorf("before the last change, by its clock: %v, %v", row, err)
		}
		w.wantFuture(w.moment().Add(25 * time.Hour))
	})
}
