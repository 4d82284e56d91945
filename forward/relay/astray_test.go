package relay

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// state is an error as those of lib/pq and pgx are.
type state string

func (s state) Error() string    { return "state " + string(s) }
func (s state) SQLState() string { return string(s) }

// failing is a server that answers all with an error.
type failing struct{ err error }

func (f failing) Connect(context.Context) (driver.Conn, error) { return failingConn(f), nil }
func (f failing) Driver() driver.Driver                        { return nil }

type failingConn struct{ err error }

func (c failingConn) Prepare(string) (driver.Stmt, error) { return nil, c.err }
func (c failingConn) Begin() (driver.Tx, error)           { return nil, c.err }
func (c failingConn) Close() error                        { return nil }

// TestConnectionLedAstray: no connection stays in the pool that leads to a server which
// cannot be written to, whatever has used it.
func TestConnectionLedAstray(t *testing.T) {
	s, err := New(hooks.Postgres, nil)
	if err != nil {
		t.Fatal(err)
	}
	users := map[string]func(r *Relay, db *sql.DB) error{
		"worker": func(r *Relay, _ *sql.DB) error { _, err := r.workers[0].step(context.Background()); return err },
		"renewer": func(r *Relay, _ *sql.DB) error {
			_, err := newRenewer(r).attempt(context.Background(), []*lease{{name: "a"}})
			return err
		},
		"heartbeat": func(r *Relay, _ *sql.DB) error {
			_, err := newRenewer(r).attempt(context.Background(), nil)
			return err
		},
		"lent": func(_ *Relay, db *sql.DB) error {
			conn, err := db.Conn(context.Background())
			if err != nil {
				return err
			}
			return LendOnce(conn, func(db *sql.DB) error { _, err := db.ExecContext(context.Background(), "x"); return err })
		},
	}
	for name, use := range users {
		for err, kept := range map[error]int{
			state("25006"): 0, state("08006"): 0, state("57P01"): 0, state("57P03"): 0, state("57P05"): 0,
			&PlaceError{}: 0, state("42501"): 1, state("57014"): 1, state("25P02"): 0, errLost: 0,
		} {
			t.Run(fmt.Sprintf("%s %v", name, err), func(t *testing.T) {
				db := sql.OpenDB(failing{err})
				defer db.Close()
				if got := use(newRelay(s, db, Config{Targets: []Target{{Name: "a"}}}), db); !errors.Is(got, err) {
					t.Fatalf("error %v, want %v", got, err)
				}
				if n := db.Stats().OpenConnections; n != kept {
					t.Errorf("%d connections are kept, want %d", n, kept)
				}
			})
		}
	}
}
