package capture_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func itoa(n int) string { return strconv.Itoa(n) }

// role makes a role that may use orders and nothing else, and returns its name
// and the DSN of the app that logs in as it.
func (w *world) role() (name, dsn string) {
	w.Helper()
	name = strings.ReplaceAll(dbtest.Name("app"), "-", "_")
	w.setUp("CREATE ROLE " + name + " LOGIN; GRANT ALL ON orders TO " + name)
	w.Cleanup(func() {
		w.setUp("DROP OWNED BY " + name + "; DROP ROLE " + name)
	})
	return name, w.dsn + " user=" + name
}

// TestRights: an app whose role may do nothing but its work is told what it
// lacks by its first connection, and needs no more than that.
func TestRights(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newHub(t, e, e.DSN(t))
		w.setUp(ordersTable)
		role, dsn := w.role()
		owner := w.dsn
		w.dsn = dsn
		w.register(driver.Capture(driver.AllTables()))

		// The tables are missing, and the role may not make them.
		var setup *journal.SetupError
		if err := w.db.PingContext(ctx()); !errors.As(err, &setup) || !strings.Contains(err.Error(), role) {
			t.Fatalf("error %v, want a SetupError that names %s", err, role)
		}
		w.must(w.bare.ExecContext(ctx(), setup.SQL))

		// They are there, and the role may not write to them.
		setup = nil
		if err := w.db.PingContext(ctx()); !errors.As(err, &setup) || !strings.Contains(setup.SQL, "GRANT") {
			t.Fatalf("error %v, want a SetupError with what to grant", err)
		}
		w.must(w.bare.ExecContext(ctx(), setup.SQL))

		w.exec("INSERT INTO orders (id) VALUES (1)")
		tx := w.begin()
		w.execOn(tx, "DELETE FROM orders WHERE id = 1")
		w.record(tx, "n")
		w.must(tx.Commit())
		w.record(w.db, "auto")
		for _, e := range w.events() {
			if e.Role != role {
				t.Errorf("%s by role %q, want %s", e.Action, e.Role, role)
			}
		}
		if _, err := w.db.ExecContext(ctx(), "DELETE FROM aftercommit.journal"); stateOf(err) != "42501" {
			t.Errorf("the app may change its trail: %v", err)
		}
		w.dsn = owner
	}, pg...)
}

// TestSetLocalRole: a transaction that takes on a role without rights on the
// journal does not commit, and its error says what to grant.
func TestSetLocalRole(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		role, _ := w.role()
		insert := func(id int) error {
			tx := w.begin()
			defer tx.Rollback()
			w.execOn(tx, "SET LOCAL ROLE "+role)
			w.execOn(tx, "INSERT INTO orders (id) VALUES ("+itoa(id)+")")
			return tx.Commit()
		}
		grants := []string{
			`GRANT USAGE ON SCHEMA "aftercommit" TO `,
			`GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA "aftercommit" TO `,
		}
		err := insert(1)
		w.wantText(err, "SET ROLE", grants[0]+"the_role", grants[1]+"the_role")
		if got := hooks.SQLState(err); got != "42501" {
			w.Errorf("SQLSTATE %q, want the server's", got)
		}
		conn := w.conn()
		w.execOn(conn, "SET ROLE "+role)
		_, err = conn.ExecContext(ctx(), "INSERT INTO orders (id) VALUES (2)")
		w.wantText(err, grants[0])
		w.execOn(conn, "RESET ROLE")
		w.wantCount("orders", 0)

		w.setUp(grants[0] + role + "; " + grants[1] + role)
		w.must(insert(3))
		w.want("orders.inserted orders#3 statements=1 rows=1")
	}, pg...)
}

// TestSetRole: neither SET ROLE nor a search_path of the app's own keeps events
// from the journal, and its role is the one that the app had taken on.
func TestSetRole(t *testing.T) {
	each(t, ordersTable, func(w *world) {
		role, _ := w.role()
		w.must(w.db.PingContext(ctx()))
		w.setUp(`GRANT USAGE ON SCHEMA aftercommit TO ` + role + `; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA aftercommit TO ` + role)
		conn := w.conn()
		w.execOn(conn, "SET ROLE "+role)
		w.execOn(conn, "SET search_path = nowhere, public")
		w.execOn(conn, "INSERT INTO orders (id) VALUES (1)")
		w.execOn(conn, "RESET ROLE")
		w.execOn(conn, "INSERT INTO orders (id) VALUES (2)")
		got := ""
		for _, e := range w.events() {
			got += e.Role + " "
		}
		if got != role+" postgres " {
			w.Errorf("roles [%s], want %s and postgres", got, role)
		}
	}, pg...)
}
