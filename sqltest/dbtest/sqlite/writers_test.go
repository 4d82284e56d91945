package sqlite_test

import (
	"database/sql"
	"sync"
	"testing"
)

// TestWritersWait: captured statements of many connections wait for each other as
// their busy_timeout says. What begins a transaction as a reading one would fail
// at once instead.
func TestWritersWait(t *testing.T) {
	const (
		writers, each = 8, 20
		insert        = "INSERT INTO orders (note) VALUES ('x')"
	)
	ways := map[string]func(db *sql.DB) error{
		"Exec": func(db *sql.DB) error {
			_, err := db.ExecContext(ctx, insert)
			return err
		},
		"Query": func(db *sql.DB) error {
			var id int
			return db.QueryRowContext(ctx, insert+" RETURNING id").Scan(&id)
		},
		"Prepare": func(db *sql.DB) error {
			st, err := db.PrepareContext(ctx, insert)
			if err == nil {
				_, err = st.ExecContext(ctx)
				_ = st.Close()
			}
			return err
		},
		"a script": func(db *sql.DB) error {
			_, err := db.ExecContext(ctx, insert+"; UPDATE counts SET n = n + 1")
			return err
		},
		"a script with an argument": func(db *sql.DB) error {
			_, err := db.ExecContext(ctx, "INSERT INTO orders (note) VALUES (?); UPDATE counts SET n = n + 1", "x")
			return err
		},
	}
	for _, mode := range []string{"WAL", "DELETE"} {
		for name, way := range ways {
			t.Run(mode+"/"+name, func(t *testing.T) {
				w := newWorld(t)
				w.must(w.bare.ExecContext(ctx, "PRAGMA journal_mode = "+mode))
				w.must(w.bare.ExecContext(ctx, "CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT); CREATE TABLE counts (n INT)"))
				w.must(w.bare.ExecContext(ctx, "INSERT INTO counts VALUES (0)"))
				db := w.open("_pragma=busy_timeout(120000)")
				db.SetMaxOpenConns(writers)
				var wg sync.WaitGroup
				for range writers {
					wg.Go(func() {
						for range each {
							if err := way(db); err != nil {
								t.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				if got := w.text(w.bare, "SELECT count(*) FROM orders"); got != "160" {
					t.Errorf("%s rows", got)
				}
				if got := w.text(w.bare, "SELECT count(*) FROM aftercommit_audit_events WHERE action = 'orders.inserted'"); got != "160" {
					t.Errorf("%s events", got)
				}
			})
		}
	}
}
