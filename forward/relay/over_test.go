package relay_test

import (
	"database/sql"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// TestOver: what a borrower ends after its time does not reach the connection that it had.
func TestOver(t *testing.T) {
	ctx := t.Context()
	for _, tt := range []struct {
		method string
		leave  func(conn *sql.Conn) (end func() error, err error)
	}{
		{"Commit", func(conn *sql.Conn) (func() error, error) {
			tx, err := conn.BeginTx(ctx, nil)
			return tx.Commit, err
		}},
		{"Rollback", func(conn *sql.Conn) (func() error, error) {
			tx, err := conn.BeginTx(ctx, nil)
			return tx.Rollback, err
		}},
		{"Stmt.Close", func(conn *sql.Conn) (func() error, error) {
			st, err := conn.PrepareContext(ctx, "SELECT 1")
			return st.Close, err
		}},
	} {
		fake := sqltest.NewFake()
		pool := sql.OpenDB(fake)
		defer func() { _ = pool.Close() }()
		var end func() error
		r := relay.NewLender(pool, 0).Call(func(db *sql.DB) relay.Result {
			conn, err := db.Conn(ctx)
			if err == nil {
				end, err = tt.leave(conn)
			}
			if err != nil {
				t.Fatal(err)
			}
			return relay.Result{}
		})
		if r.Err != nil {
			t.Fatal(r.Err.Err)
		}
		before := len(fake.Log(tt.method))
		if err := end(); err == nil && tt.method != "Stmt.Close" {
			t.Errorf("%s after the call: no error", tt.method)
		}
		if n := len(fake.Log(tt.method)); n > before {
			t.Errorf("%s after the call reached the connection", tt.method)
		}
	}
}

// TestRowsLeftOpen: the relay closes them before it gives up their connection. SQLite would
// keep their lock on its file.
func TestRowsLeftOpen(t *testing.T) {
	fake := sqltest.NewFake()
	fake.Answer("SELECT", sqltest.Rows([]string{"n"}, nil, nil))
	pool := sql.OpenDB(fake)
	defer func() { _ = pool.Close() }()
	relay.NewLender(pool, 0).Call(func(db *sql.DB) (r relay.Result) {
		rows, err := db.QueryContext(t.Context(), "SELECT 1") //nolint:rowserrcheck // left open: the point
		if err != nil || !rows.Next() {
			t.Fatal(err)
		}
		return r
	})
	calls := fake.Log("Rows.Close", "Close")
	if len(calls) != 2 || calls[0].Method != "Rows.Close" {
		t.Errorf("the rows and the connection were closed by %v", calls)
	}
}
