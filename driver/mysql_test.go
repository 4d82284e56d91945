package driver_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"testing"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// These are MySQL's own answers, where MariaDB, on which package
// sqltest/dbtest/mysql runs, has others.

var errUnknownVariable = &sqltest.MySQLError{Number: 1193, Message: "Unknown system variable"}

// openMySQL opens a fake that has no @@in_transaction.
func openMySQL(t *testing.T) (*sqltest.Fake, *spy, *sql.DB) {
	t.Helper()
	fake, s := sqltest.NewFakeOf(sqltest.Modern, hooks.MySQL), &spy{}
	s.flush = func(context.Context, hooks.Flush) (bool, error) { return true, nil }
	fake.On(sqltest.Call{Query: "SELECT @@in_transaction"}, sqltest.Fail(errUnknownVariable))
	answers(fake, "SELECT @@autocommit", "1", "NO_CHAIN", "shop", "STRICT_TRANS_TABLES")
	db := open(t, fake, s, adriver.WithDialect(hooks.MySQL), adriver.Capture(adriver.AllTables()))
	return fake, s, db
}

func answers(fake *sqltest.Fake, query string, values ...string) {
	row := make([]driver.Value, len(values))
	for i, v := range values {
		row[i] = v
	}
	fake.Answer(query, sqltest.Rows(make([]string, len(values)), row))
}

// fails executes what must fail with err.
func fails(t *testing.T, h hooks.Handle, query string, err error) {
	t.Helper()
	if _, got := h.ExecContext(context.Background(), query); !errors.Is(got, err) {
		t.Fatalf("%s: error %v, want %v", query, got, err)
	}
}

// TestMySQLRollsBack: of some errors the number alone says that the transaction
// was rolled back with the statement, and MySQL cannot be asked.
func TestMySQLRollsBack(t *testing.T) {
	for _, c := range []struct {
		number  uint16
		setting string // innodb_rollback_on_timeout; "" if it cannot be asked
		ends    bool
		told    []string
	}{
		{1213, "", true, []string{"rolled back things.inserted", "committed things.inserted"}},
		{1206, "", true, []string{"rolled back things.inserted", "committed things.inserted"}},
		{1205, "1", true, []string{"rolled back things.inserted", "committed things.inserted"}},
		{1205, "0", false, []string{"committed things.inserted"}},
		{1205, "", true, []string{"unknown things.inserted"}}, // which the witness decides
		{1205, "", false, []string{"committed things.inserted"}},
		{1062, "", false, []string{"committed things.inserted"}},
	} {
		fake, s, db := openMySQL(t)
		failed := &sqltest.MySQLError{Number: c.number}
		fault := sqltest.Fail(failed)
		if c.ends {
			fault = sqltest.End(hooks.RolledBack, failed)
		}
		fake.On(sqltest.Call{Query: "UPDATE"}, fault)
		const asks = "SELECT @@innodb_rollback_on_timeout"
		if answers(fake, asks, c.setting); c.setting == "" {
			fake.On(sqltest.Call{Query: asks}, sqltest.Fail(errUnknownVariable))
		}
		tx := begin(t, db)
		exec(t, tx, "INSERT INTO things VALUES (1)")
		fails(t, tx, "UPDATE things SET v = 1", failed)
		exec(t, tx, "INSERT INTO things VALUES (2)")
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if got := s.told(); !slices.Equal(got, c.told) {
			t.Errorf("%d with the setting %q, ended %v: told %q, want %q", c.number, c.setting, c.ends, got, c.told)
		}
		asked := slices.Contains(fake.Sent(), asks)
		if asked != (c.number == 1205) {
			t.Errorf("%d: asked for the setting %v: %q", c.number, asked, fake.Sent())
		}
	}
}

// TestMySQLRollsBackUnknown: what commits afterwards may commit another
// transaction.
func TestMySQLRollsBackUnknown(t *testing.T) {
	for _, query := range []string{"BEGIN", "CREATE TABLE x (a int)", "ROLLBACK"} {
		fake, s, db := openMySQL(t)
		failed := &sqltest.MySQLError{Number: 1205}
		fake.On(sqltest.Call{Query: "UPDATE"}, sqltest.End(hooks.RolledBack, failed))
		fake.On(sqltest.Call{Query: "SELECT @@innodb_rollback_on_timeout"}, sqltest.Fail(errUnknownVariable))
		tx := begin(t, db)
		exec(t, tx, "INSERT INTO things VALUES (1)")
		fails(t, tx, "UPDATE things SET v = 1", failed)
		exec(t, tx, query)
		_ = tx.Rollback()
		want(t, query+": told", s.told()[:1], "unknown things.inserted")
	}
}

// TestMySQLGoesOn: after a deadlock MySQL is in a transaction again, where MariaDB
// autocommits.
func TestMySQLGoesOn(t *testing.T) {
	fake, s, db := openMySQL(t)
	failed := &sqltest.MySQLError{Number: 1213}
	fake.On(sqltest.Call{Query: "UPDATE"}, sqltest.End(hooks.RolledBack, failed))
	fake.On(sqltest.Call{Query: "RELEASE SAVEPOINT aftercommit_probe"}, sqltest.Fail(nil))
	tx := begin(t, db)
	exec(t, tx, "INSERT INTO things VALUES (1)")
	fails(t, tx, "UPDATE things SET v = 1", failed)
	exec(t, tx, "INSERT INTO things VALUES (2)")
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	want(t, "told", s.told(), "rolled back things.inserted", "rolled back things.inserted")
}

// TestMySQLIsAskedOnce for what it does not have.
func TestMySQLIsAskedOnce(t *testing.T) {
	fake, _, db := openMySQL(t)
	failed := &sqltest.MySQLError{Number: 1062}
	fake.On(sqltest.Call{Query: "UPDATE"}, sqltest.Fail(failed))
	tx := begin(t, db)
	exec(t, tx, "INSERT INTO things VALUES (1)")
	fails(t, tx, "UPDATE things SET v = 1", failed)
	fails(t, tx, "UPDATE things SET v = 2", failed)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(strings.Join(fake.Sent(), "\n"), "@@in_transaction"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestMySQLWithoutEvents asks nothing after a statement that failed.
func TestMySQLWithoutEvents(t *testing.T) {
	fake, _, db := openMySQL(t)
	failed := &sqltest.MySQLError{Number: 1146}
	fake.On(sqltest.Call{Query: "SELECT v"}, sqltest.Fail(failed))
	tx := begin(t, db)
	fails(t, tx, "SELECT v FROM missing", failed)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	want(t, "sent", fake.Sent(), "SELECT @@autocommit, @@completion_type, DATABASE(), @@sql_mode", "BEGIN", "SELECT v FROM missing", "ROLLBACK")
}

// TestMySQLWithoutWitness: if it cannot be set, neither is the event accepted, nor
// the statement executed.
func TestMySQLWithoutWitness(t *testing.T) {
	fake, s, db := openMySQL(t)
	refused := &sqltest.MySQLError{Number: 1399}
	fake.On(sqltest.Call{Query: "SAVEPOINT aftercommit_witness"}, sqltest.Fail(refused))
	tx := begin(t, db)
	fails(t, tx, "INSERT INTO things VALUES (1)", refused)
	if err := hooks.Record(context.Background(), tx, hooks.Event{Action: "thing.made"}); !errors.Is(err, refused) {
		t.Errorf("Record: %v, want %v", err, refused)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	want(t, "committed", fake.CommittedQueries())
	want(t, "told", s.told())
}

// TestMySQLIsLost in a statement after which nobody can say whether it has
// committed what came before.
func TestMySQLIsLost(t *testing.T) {
	for _, query := range []string{"CREATE TABLE x (a int)", "BEGIN", "CALL p()", "SELECT 1; CALL p()"} {
		fake, s, db := openMySQL(t)
		fake.On(sqltest.Call{Query: query}, sqltest.Lose())
		tx := begin(t, db)
		exec(t, tx, "INSERT INTO things VALUES (1)")
		fails(t, tx, query, driver.ErrBadConn)
		_ = tx.Rollback()
		want(t, query+": told", s.told(), "unknown things.inserted")
		if n := fake.OpenConns(); n != 0 {
			t.Errorf("%s: %d connections are kept", query, n)
		}
	}
}

// TestMySQLCommitFails: what a statement would have committed before it executes is
// not, if that is what failed.
func TestMySQLCommitFails(t *testing.T) {
	for _, query := range []string{"CREATE TABLE x (a int)", "SET autocommit = 1"} {
		fake, s, db := openMySQL(t)
		failed := &sqltest.MySQLError{Number: 1213}
		fake.On(sqltest.Call{Query: query}, sqltest.End(hooks.RolledBack, failed))
		tx := begin(t, db)
		exec(t, tx, "INSERT INTO things VALUES (1)")
		fails(t, tx, query, failed)
		_ = tx.Rollback()
		want(t, query+": told", s.told(), "unknown things.inserted")
	}
}

// TestMySQLSessionUnknown: if it cannot be asked how the session commits, the
// connection is asked before each statement whether it is in a transaction.
func TestMySQLSessionUnknown(t *testing.T) {
	fake, s, db := openMySQL(t)
	fake.On(sqltest.Call{Query: "SELECT @@autocommit"}, sqltest.Fail(errUnknownVariable))
	exec(t, db, "INSERT INTO things (id) VALUES (7)", "INSERT INTO things (id) VALUES (8)")
	want(t, "told", s.told(), "committed things.inserted", "committed things.inserted")
	if !slices.Contains(fake.Sent(), "SAVEPOINT aftercommit_probe") {
		t.Errorf("sent %q, and no probe", fake.Sent())
	}
	for _, e := range s.ended {
		if id := e.Events[0].Target.ID; id != "" {
			t.Errorf("the key %s is named, though the mode may not be strict", id)
		}
	}
}

// TestMySQLModeUnknown: what cannot be read for certain is not believed.
func TestMySQLModeUnknown(t *testing.T) {
	fake, s, db := openMySQL(t)
	fake.On(sqltest.Call{Query: "SELECT @@sql_mode"}, sqltest.Fail(errUnknownVariable))
	tx := begin(t, db)
	exec(t, tx, "INSERT INTO things VALUES (1)", `INSERT INTO things VALUES ('\'); COMMIT; -- ')`)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	want(t, "told", s.told(), "unknown things.inserted")
}
