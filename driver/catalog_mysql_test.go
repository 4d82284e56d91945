package driver_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

const shownThings = "CREATE TABLE `things` (\n  `id` int NOT NULL,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB"

// TestMySQLSnapshot: inside a transaction MySQL is not asked for triggers, which
// would begin the snapshot of the app's reads. MariaDB is, by a query that fails on
// MySQL.
func TestMySQLSnapshot(t *testing.T) {
	fake, s, db := openMySQL(t)
	db.SetMaxOpenConns(1)
	answers(fake, "SHOW CREATE TABLE", "things", shownThings)
	answers(fake, "SELECT 'before'", "sees", "")
	const mariaDB = "SELECT 'in', @@in_transaction"
	fake.On(sqltest.Call{Query: mariaDB}, sqltest.Fail(errUnknownVariable))
	inside := func() {
		t.Helper()
		tx := begin(t, db)
		exec(t, tx, "INSERT INTO things (id) VALUES (7)", "UPDATE things SET v = 1 WHERE id = 7")
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	inside()
	inside()
	asked := func(query string) (n int) {
		for _, call := range fake.Log() {
			if strings.HasPrefix(call.Query, query) {
				n++
			}
		}
		return n
	}
	if n := asked(mariaDB); n != 1 {
		t.Errorf("asked %d times for what MySQL does not have", n)
	}
	if asked("SELECT 'before'") > 0 {
		t.Error("asked inside a transaction")
	}
	exec(t, db, "INSERT INTO things (id) VALUES (8)")
	inside()
	want(t, "told", s.targets(), "things.inserted", "things.updated #7", "things.inserted", "things.updated #7",
		"things.inserted #8", "things.inserted #7", "things.updated #7")
}

// TestMySQLQuestionFails: a deadlock in a question is the app's, whose transaction is
// gone; what it may not ask is none of its business.
func TestMySQLQuestionFails(t *testing.T) {
	for number, fails := range map[uint16]bool{1213: true, 1142: false, 1100: false} {
		fake, s, db := openMySQL(t)
		failed := &sqltest.MySQLError{Number: number}
		fault := sqltest.Fail(failed)
		if fails {
			fault = sqltest.End(hooks.RolledBack, failed)
		}
		tx := begin(t, db)
		exec(t, tx, "INSERT INTO things (id) VALUES (7)")
		fake.On(sqltest.Call{Query: "SHOW CREATE TABLE `others`"}, fault)
		_, err := tx.ExecContext(t.Context(), "INSERT INTO others (id) VALUES (8)")
		if errors.Is(err, failed) != fails || (err == nil) == fails {
			t.Errorf("%d: error %v", number, err)
		}
		_ = tx.Commit()
		told := "committed things.inserted others.inserted"
		if fails {
			told = "rolled back things.inserted"
		}
		want(t, "told", s.told(), told)
	}
}

// targets are the events that were committed, with the rows that they name.
func (s *spy) targets() (lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.ended {
		for _, event := range e.Events {
			line := event.Action
			if event.Target.ID != "" {
				line += " #" + event.Target.ID
			}
			lines = append(lines, line)
		}
	}
	return lines
}
