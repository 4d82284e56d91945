package mysql_test

import (
	"context"
	"testing"
)

// TestExecReturning: go-sql-driver counts no rows of what is executed though it
// returns some. No event is lost for that, and none has a number.
func TestExecReturning(t *testing.T) {
	for _, inside := range []bool{false, true} {
		for _, args := range [][]any{nil, {7}} {
			value := "7"
			if args != nil {
				value = "?"
			}
			w := newWorld(t)
			tx := w.begin()
			var h execer = w.db
			if inside {
				h = tx
			}
			for _, query := range []string{
				"INSERT INTO t (id) VALUES (" + value + ") RETURNING id", "REPLACE INTO t (id) VALUES (" + value + ") RETURNING id", "DELETE FROM t WHERE id = " + value + " RETURNING id",
			} {
				if _, err := h.ExecContext(context.Background(), query, args...); err != nil {
					t.Fatalf("%s: %v", query, err)
				}
			}
			w.commit(tx)
			if got := w.story(); got != "t.inserted #7, t.upserted #7, t.deleted #7" {
				t.Errorf("inside a transaction %v, arguments %v: %s", inside, args, got)
			}
		}
	}
}

// TestMovesByQualifiedName: an UPDATE may name the key's column with its table.
func TestMovesByQualifiedName(t *testing.T) {
	for _, set := range []string{"id = 12", "t.id = 12", "`t`.`id` = 12", "v = 1, t.id = 12"} {
		w := newWorld(t)
		w.exec(w.bare, "INSERT INTO t (id) VALUES (9), (12)")
		if got := w.ids(true, "DELETE FROM t WHERE id = 12", "UPDATE t SET "+set+" WHERE id = 9", "DELETE FROM t WHERE id = 12"); got != "t.deleted #12, t.updated #9, t.deleted #12" {
			t.Errorf("SET %s: %s", set, got)
		}
	}
}
