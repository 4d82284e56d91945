package capture_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

const routines = `CREATE TABLE orders (id bigint PRIMARY KEY, note text);
	CREATE TABLE news (id bigint PRIMARY KEY, note text);
	CREATE PROCEDURE renew() LANGUAGE sql AS 'UPDATE orders SET note = ''renewed'''`

// TestUncaptured: a statement that may write to what is not seen is counted, so
// that nobody takes a gap for silence.
func TestUncaptured(t *testing.T) {
	cases := []struct {
		name    string
		query   string
		count   int
		reason  string
		engines []dbtest.Engine
	}{
		{"CALL", "CALL renew()", 1, "opaque", pg},
		{"DO", "DO 'BEGIN DELETE FROM news; END'", 1, "opaque", pg},
		{"COPY TO", "COPY orders TO '/dev/null'", 0, "", pg},
		{"EXECUTE", "PREPARE p AS DELETE FROM news; EXECUTE p; DEALLOCATE p", 1, "opaque", pg},
		{"SELECT INTO", "SELECT * INTO copied FROM orders", 0, "", pg}, // begins as any SELECT does
		{"EXPLAIN ANALYZE EXECUTE", "PREPARE p AS DELETE FROM news; EXPLAIN ANALYZE EXECUTE p; DEALLOCATE p", 1, "opaque", pg},
		{"a cursor", "BEGIN; DECLARE c CURSOR FOR SELECT * FROM orders; FETCH ALL FROM c; CLOSE c; COMMIT", 0, "", pg},
		{"PREPARE", "PREPARE q AS DELETE FROM news; DEALLOCATE q", 0, "", pg},
		{"EXPLAIN ANALYZE of a SELECT", "EXPLAIN ANALYZE SELECT 1", 0, "", pg},
		{"control words in a string", "BEGIN; DELETE FROM news; UPDATE orders SET note = 'x'; COMMIT", 2, "several_statements", nil},
		{"only control words", "BEGIN; COMMIT", 0, "", nil},
		{"VACUUM", "VACUUM", 0, "", nil},
		{"ANALYZE", "ANALYZE", 0, "", nil},
		{"SET", "SET application_name = 'x'", 0, "", pg},
		{"LOCK", "BEGIN; LOCK TABLE orders; COMMIT", 0, "", pg},
	}
	each(t, routines, func(w *world) {
		for _, c := range cases {
			if !w.speaks(c.engines) {
				continue
			}
			w.sub(c.name, func(w *world) {
				w.told.forget()
				w.exec(c.query)
				told := w.told.of(hooks.NoticeUncaptured)
				if n := w.told.total(hooks.NoticeUncaptured); n != c.count {
					w.Errorf("%d statements counted, want %d: %+v", n, c.count, told)
				}
				for _, n := range told {
					if n.Reason != c.reason {
						w.Errorf("reason %q, want %q", n.Reason, c.reason)
					}
				}
				w.want()
			})
		}
	}, pg...)
	each(t, "CREATE TABLE orders (id bigint PRIMARY KEY, note text); CREATE TABLE news (id bigint)", func(w *world) {
		for _, c := range cases {
			if c.engines == nil {
				w.sub(c.name, func(w *world) {
					w.told.forget()
					w.exec(c.query)
					if n := w.told.total(hooks.NoticeUncaptured); n != c.count {
						w.Errorf("%d statements counted, want %d", n, c.count)
					}
					w.want()
				})
			}
		}
	}, lite...)
}

// TestUncapturedInside is the same in a transaction, where what is seen is
// captured as ever.
func TestUncapturedInside(t *testing.T) {
	each(t, routines, func(w *world) {
		tx := w.begin()
		w.execOn(tx, "INSERT INTO orders (id) VALUES (1)")
		w.execOn(tx, "CALL renew()")
		w.execOn(tx, "DO 'BEGIN DELETE FROM news; END'")
		w.execOn(tx, "UPDATE orders SET note = 'x' WHERE id = 1")
		w.must(tx.Commit())
		w.want("orders.inserted orders#1 statements=1 rows=1", "orders.updated orders#1 statements=1 rows=1")
		if n := w.told.total(hooks.NoticeUncaptured); n != 2 {
			w.Errorf("%d statements counted, want 2", n)
		}
	}, pg...)
}

// TestSeveralWrites: without control words among them, each is an event; how
// many rows each changed, PostgreSQL's drivers do not say, and on SQLite they are
// executed one by one.
func TestSeveralWrites(t *testing.T) {
	const query = "INSERT INTO orders (id) VALUES (1); UPDATE orders SET note = 'x'; DELETE FROM orders WHERE id = 1"
	want := []string{"orders.inserted orders#1 statements=1 conditional=true", "orders.updated orders statements=1 conditional=true", "orders.deleted orders#1 statements=1 conditional=true"}
	each(t, ordersTable, func(w *world) {
		want := want
		if w.e.Dialect == hooks.SQLite {
			want = []string{"orders.inserted orders#1 statements=1 rows=1", "orders.updated orders statements=1 rows=1", "orders.deleted orders#1 statements=1 rows=1"}
		}
		w.exec(query)
		w.want(want...)
		tx := w.begin()
		w.execOn(tx, query)
		w.must(tx.Commit())
		w.want(want...)
		if n := w.told.total(hooks.NoticeUncaptured); n != 0 {
			w.Errorf("%d statements counted as uncaptured", n)
		}
	})
}
