package contract_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// writer is what a function of the database writes by.
const writer = `CREATE FUNCTION note(n bigint) RETURNS bigint LANGUAGE sql AS 'INSERT INTO things (id) VALUES (n) RETURNING id';
	CREATE PROCEDURE put(n bigint) LANGUAGE sql AS 'INSERT INTO things (id) VALUES (n)'`

// eachContexts runs f in worlds with CaptureTransactions.
func eachContexts(t *testing.T, f func(w *world), engines []dbtest.Engine, opts ...driver.Option) {
	t.Helper()
	forEach(t, func(t *testing.T, e dbtest.Engine) {
		t.Helper()
		w := newWorld(t, e, setup{driver: append(opts, driver.CaptureTransactions())})
		if e.Dialect == hooks.Postgres {
			w.must(w.bare.ExecContext(ctx(), writer))
		}
		w.makeJournal()
		f(w)
	}, engines...)
}

func as(id string) context.Context {
	if id == "" {
		return ctx()
	}
	return hooks.WithActor(ctx(), hooks.Actor{Type: hooks.User, ID: id})
}

// said is one statement, by whom.
type said struct{ by, query string }

// contexts executes statements in a transaction that the user begins, and returns the forwarded events, with their actors.
func (w *world) contexts(begin context.Context, opts *sql.TxOptions, statements ...said) string {
	w.Helper()
	tx, err := w.db.BeginTx(begin, opts)
	w.must(err)
	defer tx.Rollback()
	for _, s := range statements {
		if strings.HasPrefix(s.query, "SELECT") { // as apps do
			rows, err := tx.QueryContext(as(s.by), s.query)
			w.must(err)
			w.must(rows.Close())
			w.must(rows.Err())
			continue
		}
		w.must(tx.ExecContext(as(s.by), s.query))
	}
	w.must(tx.Commit())
	w.sink.mu.Lock()
	defer w.sink.mu.Unlock()
	var names []string
	for _, e := range w.sink.entries {
		names = append(names, nameOf(e.Event)+"/"+e.Actor.ID)
	}
	w.sink.entries = nil
	return strings.Join(names, " ")
}

// TestContexts: a transaction that may have written unseen says who did, and one that has not is left alone.
func TestContexts(t *testing.T) {
	const says = "transaction.committed/"
	tests := []struct {
		name       string
		begin      string
		opts       *sql.TxOptions
		statements []said
		want       string
		sqlite     bool // there, too
	}{
		{name: "a function", statements: []said{{"alice", "SELECT note(1)"}}, want: says + "alice"},
		{name: "a procedure", statements: []said{{"alice", "CALL put(2)"}}, want: says + "alice"},
		{name: "a block", statements: []said{{"alice", "DO 'BEGIN INSERT INTO things VALUES (3); END'"}}, want: says + "alice"},
		{name: "a table that is left out", statements: []said{{"alice", "INSERT INTO things (id) VALUES (4)"}}, want: says + "alice", sqlite: true},
		{name: "who began it", begin: "alice", statements: []said{{"", "SELECT note(5)"}}, want: says + "alice"},
		{name: "no actor", statements: []said{{"", "SELECT note(6)"}}, want: says},
		{name: "two actors", statements: []said{{"alice", "SELECT note(7)"}, {"bob", "SELECT note(8)"}, {"alice", "SELECT note(9)"}}, want: says + "alice " + says + "bob"},
		{name: "an event of the same actor", statements: []said{{"alice", "SELECT note(10)"}, {"alice", "INSERT INTO orders (id) VALUES (1)"}}, want: "orders.inserted/alice"},
		{name: "an event of another", statements: []said{{"bob", "SELECT note(11)"}, {"alice", "INSERT INTO orders (id) VALUES (2)"}}, want: "orders.inserted/alice " + says + "bob"},
		{name: "an event, and no actor", statements: []said{{"", "SELECT note(12)"}, {"alice", "INSERT INTO orders (id) VALUES (3)"}}, want: "orders.inserted/alice"},
		{name: "made by SELECT INTO", statements: []said{{"alice", "SELECT id INTO made FROM things"}}, want: says + "alice"},
		{name: "nothing", begin: "alice", sqlite: true},
		{name: "a query", statements: []said{{"alice", "SELECT id FROM things"}, {"alice", "SELECT count(*) FROM things"}}, sqlite: true},
		{name: "read-only", opts: &sql.TxOptions{ReadOnly: true}, statements: []said{{"alice", "SELECT count(*) FROM things"}}},
		{name: "read-only no more", opts: &sql.TxOptions{ReadOnly: true}, statements: []said{{"alice", "SET TRANSACTION READ WRITE"}, {"alice", "SELECT note(13)"}}, want: says + "alice"},
		{name: "read-only since", statements: []said{{"alice", "SELECT note(14)"}, {"alice", "SET TRANSACTION READ ONLY"}}, want: says + "alice"},
		{name: "locks", statements: []said{{"alice", "SELECT id FROM (SELECT id FROM things WHERE id = 1 FOR UPDATE) l"}}, want: says + "alice"},
		{name: "rolled back to", statements: []said{{"alice", "INSERT INTO orders (id) VALUES (5)"}, {"alice", "SAVEPOINT s"}, {"bob", "INSERT INTO orders (id) VALUES (6)"}, {"", "ROLLBACK TO SAVEPOINT s"}}, want: "orders.inserted/alice", sqlite: true},
		{name: "taken back", statements: []said{{"alice", "SAVEPOINT s"}, {"alice", "SELECT note(30)"}, {"", "ROLLBACK TO SAVEPOINT s"}}},
		{name: "taken back after an early write", statements: []said{{"alice", "SELECT note(31)"}, {"alice", "SAVEPOINT s"}, {"bob", "SELECT note(32)"}, {"bob", "SAVEPOINT r; SAVEPOINT t"}, {"", "ROLLBACK TO SAVEPOINT s"}}, want: says + "alice"},
		{name: "by hand", statements: []said{{"alice", "SELECT note(15)"}, {"alice", "COMMIT"}, {"bob", "BEGIN"}, {"bob", "SELECT note(16)"}}, want: says + "alice " + says + "bob"},
		{name: "chained", statements: []said{{"alice", "SELECT note(17)"}, {"alice", "COMMIT AND CHAIN"}, {"bob", "SELECT note(18)"}}, want: says + "alice " + says + "bob"},
		{name: "chained reads", statements: []said{{"alice", "SELECT abs(17)"}, {"alice", "COMMIT AND CHAIN"}, {"bob", "SELECT abs(18)"}}},
		{name: "a string of several", statements: []said{{"alice", "SELECT note(19)"}, {"bob", "COMMIT; BEGIN"}, {"bob", "SELECT abs(1)"}}, want: says + "alice"},
		{name: "back in time", statements: []said{{"alice", "SELECT note(20)"}, {"", "ROLLBACK; BEGIN"}, {"bob", "SELECT note(21)"}}, want: says + "bob"},
	}
	eachContexts(t, func(w *world) {
		for _, tt := range tests {
			if w.e.Dialect == hooks.SQLite && !tt.sqlite {
				continue
			}
			if got := w.contexts(as(tt.begin), tt.opts, tt.statements...); got != tt.want {
				w.Errorf("%s: [%s], want [%s]", tt.name, got, tt.want)
			}
		}
	}, nil)
}

// TestContextsOfReaders: a transaction that has only read has no event, nor is
// it refused for want of an actor; what waits for its end is called.
func TestContextsOfReaders(t *testing.T) {
	eachContexts(t, func(w *world) {
		committed := 0
		tx := w.begin()
		w.must(hooks.OnCommit(ctx(), tx, func(context.Context) { committed++ }))
		w.must(tx.ExecContext(ctx(), "SELECT abs(1)"))
		stmt, err := tx.PrepareContext(ctx(), "SELECT abs(2)")
		w.must(err)
		rows, err := stmt.QueryContext(ctx())
		w.must(err)
		w.must(rows.Close())
		w.must(rows.Err())
		w.must(stmt.Close())
		w.must(tx.Commit())
		if committed != 1 {
			w.Errorf("what waited for the COMMIT was called %d times", committed)
		}
		w.want("", "", "") // a row of the journal takes a transaction ID, and nothing else here may have
		if got := w.told.of(hooks.NoticeUnattributed); len(got) > 0 {
			w.Errorf("reported: %+v", got)
		}
	}, dbtest.PostgresCommitEngines(), driver.RequireActor())
}

// TestContextsOfPrepared: statements that were prepared count when they are executed.
func TestContextsOfPrepared(t *testing.T) {
	eachContexts(t, func(w *world) {
		stmt, err := w.db.PrepareContext(ctx(), "SELECT note($1)")
		w.must(err)
		tx := w.begin()
		var id int
		w.must(tx.StmtContext(as("alice"), stmt).QueryRowContext(as("alice"), 1).Scan(&id))
		w.must(tx.Commit())
		w.want("1", "transaction.committed", "transaction.committed")
		tx = w.begin()
		w.must(tx.QueryRowContext(as("alice"), "SELECT note($1)", 2).Scan(&id))
		w.must(tx.Rollback())
		w.want("1", "transaction.committed", "transaction.committed")
		if e := w.sink.got()[0]; e.Actor.ID != "alice" || e.Metadata["conditional"] != true {
			w.Errorf("%+v", e)
		}
		w.must(stmt.Close())
	}, dbtest.PostgresCommitEngines())
}

// TestContextsOfStrings: what may end the transaction out of sight has the event written before it.
func TestContextsOfStrings(t *testing.T) {
	eachContexts(t, func(w *world) {
		conn := w.conn()
		for _, s := range []string{"BEGIN", "SELECT note(1)", "COMMIT; SELECT 1"} {
			w.must(conn.ExecContext(as("alice"), s))
		}
		w.want("1", "transaction.committed", "transaction.committed")
		for _, s := range []string{"BEGIN", "SELECT note(2)", "ROLLBACK; SELECT 1"} {
			w.must(conn.ExecContext(as("alice"), s))
		}
		w.want("1", "transaction.committed", "transaction.committed")
	}, dbtest.PostgresCommitEngines())
}

// TestContextsOfFailed: a transaction that has failed ends as the bare driver ends it.
func TestContextsOfFailed(t *testing.T) {
	eachContexts(t, func(w *world) {
		end := func(db *sql.DB) string {
			tx, err := db.BeginTx(ctx(), nil)
			w.must(err)
			w.must(tx.ExecContext(ctx(), "SELECT note(1)"))
			if _, err = tx.ExecContext(ctx(), "SELECT 1/0"); err == nil {
				w.Error("1/0")
			}
			return kind(tx.Commit())
		}
		if got, want := end(w.db), end(w.bare); got != want {
			w.Errorf("Commit: %s\nbare:   %s", got, want)
		}
		w.want("", "", "")
	}, dbtest.PostgresCommitEngines())
}

// TestContextsCost counts what the option costs beyond the app's own round trips.
func TestContextsCost(t *testing.T) {
	throughProxy(t, func(w *world, p *dbtest.Proxy) {
		w.must(w.bare.ExecContext(ctx(), writer))
		name := dbtest.Name(w.e.Driver)
		hub := forward.New(&forward.Options{Logger: zap.NewNop(), Relay: forward.RelayElsewhere})
		w.e.Register(name, hub, driver.Capture(driver.Tables("orders")), driver.WriteTimeout(dbtest.Patience), driver.CaptureTransactions())
		open := func(name string) *sql.DB {
			db := dbtest.Open(w, name, dbtest.Via(w.dsn, p.Addr()))
			db.SetMaxOpenConns(1)
			return db
		}
		bare, told := open(w.e.Driver), open(name)
		trips := func(db *sql.DB, opts *sql.TxOptions, query string) int64 {
			run := func() {
				tx, err := db.BeginTx(ctx(), opts)
				w.must(err)
				if query != "" {
					w.must(tx.ExecContext(ctx(), query))
				}
				w.must(tx.Commit())
			}
			run() // so that what is to be prepared is
			before := p.Trips()
			run()
			return p.Trips() - before
		}
		flush := int64(1)
		if w.e.Name == dbtest.PGXDriver.Name {
			flush = 0 // the COMMIT is in its message
		}
		for _, tt := range []struct {
			query string
			opts  *sql.TxOptions
			extra int64
		}{
			{query: ""},
			{query: "SELECT id FROM things"},
			{query: "SELECT abs(1)", opts: &sql.TxOptions{ReadOnly: true}},
			{query: "SELECT abs(1)", extra: flush},
			{query: "SELECT note(nextval('pg_temp.n'))", extra: flush},
		} {
			if strings.Contains(tt.query, "nextval") {
				for _, db := range []*sql.DB{bare, told} {
					w.must(db.ExecContext(ctx(), "CREATE TEMP SEQUENCE n START "+map[bool]string{true: "1", false: "100"}[db == bare]))
				}
			}
			was := trips(bare, tt.opts, tt.query)
			if is := trips(told, tt.opts, tt.query); is != was+tt.extra {
				w.Errorf("%s: %d round trips, %d bare, want %d more", tt.query, is, was, tt.extra)
			}
		}
	})
}
