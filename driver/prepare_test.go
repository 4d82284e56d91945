package driver_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest"
)

// A connection that is lost while the handler prepares it costs the app nothing:
// nothing of the app's has been sent yet, so another one is opened.
func TestLostWhilePrepared(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fault sqltest.Fault
		conns int
		fails bool
	}{
		{"once", sqltest.Lose().At(1), 2, false},
		{"each time", sqltest.Lose(), 3, true},
		{"not lost", sqltest.Fail(errors.New("no rights")), 1, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fake, conns := sqltest.NewFake(), 0
			fake.On(sqltest.Call{Query: "CREATE journal"}, tc.fault)
			db := open(t, fake, &spy{connect: func(ctx context.Context, db *sql.DB) error {
				conns++
				_, err := db.ExecContext(ctx, "CREATE journal")
				return err
			}})
			_, err := db.ExecContext(t.Context(), "SELECT 1")
			if (err != nil) != tc.fails || conns != tc.conns {
				t.Errorf("%v after %d connections, want %d", err, conns, tc.conns)
			}
			if tc.name == "not lost" && errors.Is(err, driver.ErrBadConn) {
				t.Errorf("%v is ErrBadConn", err)
			}
		})
	}
}
