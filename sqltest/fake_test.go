package sqltest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// play runs the statements of a script, separated by |, on one connection and
// returns what became durable. A statement with a leading ! must fail.
func play(t *testing.T, fake *Fake, script string) string {
	t.Helper()
	c, err := fake.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range strings.Split(script, "|") {
		stmt, refused := strings.CutPrefix(strings.TrimSpace(q), "!")
		_, err := c.(driver.ExecerContext).ExecContext(t.Context(), stmt, nil)
		if (err != nil) != refused {
			t.Errorf("%q: error %v, want one: %v", stmt, err, refused)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	return strings.Join(fake.CommittedQueries(), " ")
}

func TestTransactionControl(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{"a", "a"},
		{"BEGIN | a | COMMIT", "a"},
		{"begin isolation level serializable | a | end", "a"},
		{"START TRANSACTION | a | ROLLBACK", ""},
		{"BEGIN | a | ABORT", ""},
		{"BEGIN | a", ""}, // closed
		{"BEGIN | a | SAVEPOINT s | b | ROLLBACK TO s | c | COMMIT", "a c"},
		{"BEGIN | SAVEPOINT s | a | SAVEPOINT S | b | ROLLBACK TO SAVEPOINT s | RELEASE s | COMMIT", "a"},
		{"BEGIN | SAVEPOINT s | a | SAVEPOINT s | b | RELEASE s | ROLLBACK TO s | c | COMMIT", "c"},
		{`BEGIN | SAVEPOINT "S" | a | !ROLLBACK TO s | COMMIT`, "a"},
		{"BEGIN; a; ROLLBACK; BEGIN; b; COMMIT; c", "b c"},
		{"BEGIN | a | COMMIT AND CHAIN | b | ROLLBACK AND CHAIN | c | COMMIT", "a c"},
		{"BEGIN | a | PREPARE TRANSACTION 'x' | b | COMMIT PREPARED 'x' | !COMMIT PREPARED 'x'", "b a"},
		{"BEGIN | a | PREPARE TRANSACTION 'x' | ROLLBACK PREPARED 'x'", ""},
		{"/* ; */ BEGIN -- ;\n | a';' | COMMIT", "a';'"},
		{"/* aftercommit */", ""},
		{"BEGIN | BEGIN | a | COMMIT | COMMIT", "a"},
		{"!SAVEPOINT s | !RELEASE s | !PREPARE TRANSACTION 'x'", ""},
	} {
		if got := play(t, NewFake(), c.script); got != c.want {
			t.Errorf("%s: committed %q, want %q", c.script, got, c.want)
		}
	}
}

func TestTransactionControlOfSQLite(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{"BEGIN | !BEGIN | a | COMMIT | !COMMIT | !ROLLBACK", "a"},
		{"SAVEPOINT s | a | SAVEPOINT r | b | RELEASE r | RELEASE s | c", "a b c"},
		{"SAVEPOINT s | a | ROLLBACK TO s | b | RELEASE s", "b"},
		{"SAVEPOINT s | a", ""},
	} {
		if got := play(t, NewFakeOf(Modern, hooks.SQLite), c.script); got != c.want {
			t.Errorf("%s: committed %q, want %q", c.script, got, c.want)
		}
	}
}

func TestTransactionControlOfMySQL(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{"BEGIN | a | BEGIN | b | ROLLBACK", "a"},
		{"SAVEPOINT s | a | !ROLLBACK TO s | !RELEASE s", "a"},
		{"BEGIN | SAVEPOINT s | a | SAVEPOINT s | b | ROLLBACK TO s | RELEASE s | !RELEASE s | COMMIT", "a"},
		{"BEGIN | SAVEPOINT s | SAVEPOINT r | a | SAVEPOINT s | b | ROLLBACK TO r | COMMIT", ""},
	} {
		if got := play(t, NewFakeOf(Modern, hooks.MySQL), c.script); got != c.want {
			t.Errorf("%s: committed %q, want %q", c.script, got, c.want)
		}
	}
}

var errTest = errors.New("test")

func TestFaultsAndWhatRemains(t *testing.T) {
	for _, c := range []struct {
		name   string
		call   Call
		fault  Fault
		script string
		want   string
	}{
		{"fail", Call{Query: "x"}, Fail(errTest), "BEGIN | a | !x | COMMIT", "a"},
		{"fail at", Call{Query: "a"}, Fail(errTest).At(2), "a | !a | a", "a a"},
		{"fail from", Call{Query: "a"}, Fail(errTest).From(2), "a | !a | !a", "a"},
		{"fail after", Call{Query: "a"}, Fail(errTest).After(), "!a", "a"},
		{"other connection", Call{Query: "a", Conn: 2}, Fail(errTest), "a", "a"},
		{"refused commit", Call{Query: "COMMIT"}, Fail(errTest), "BEGIN | a | !COMMIT | b", "b"},
		{"abort", Call{Query: "x"}, Abort(errTest), "BEGIN | a | !x | !c | COMMIT | d", "d"},
		{"abort to savepoint", Call{Query: "x"}, Abort(errTest), "BEGIN | a | SAVEPOINT s | !x | !c | ROLLBACK TO s | d | COMMIT", "a d"},
		{"lose", Call{Query: "x"}, Lose(), "BEGIN | a | !x | !c | !COMMIT", ""},
		{"lose before commit", Call{Query: "COMMIT"}, Lose(), "BEGIN | a | !COMMIT", ""},
		{"lose after commit", Call{Query: "COMMIT"}, Lose().After(), "BEGIN | a | !COMMIT", "a"},
		{"end, committed", Call{Query: "x"}, End(hooks.Committed, nil), "BEGIN | a | x | COMMIT", "a x"},
		{"end, rolled back", Call{Query: "x"}, End(hooks.RolledBack, errTest), "BEGIN | a | !x | c", "c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := NewFake()
			fake.On(c.call, c.fault)
			if got := play(t, fake, c.script); got != c.want {
				t.Errorf("committed %q, want %q", got, c.want)
			}
			if n := fake.OpenConns(); n != 0 {
				t.Errorf("%d connections are open", n)
			}
		})
	}
}

func TestPanic(t *testing.T) {
	fake := NewFake()
	fake.On(Call{Method: "Ping"}, Panic(errTest))
	c, err := fake.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if v := recover(); v != any(errTest) {
			t.Errorf("panic %v, want %v", v, errTest)
		}
	}()
	_ = c.(driver.Pinger).Ping(t.Context())
}

func TestHang(t *testing.T) {
	fake := NewFake()
	hold := NewHold()
	fake.On(Call{Method: "Commit"}, Hang(hold))
	db := open(t, fake)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- tx.Commit() }()
	<-hold.Reached()
	hold.Release()
	if err := <-done; err != nil {
		t.Errorf("commit after release: %v", err)
	}

	fake.On(Call{Method: "ExecContext"}, Hang(NewHold()))
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	if _, err := db.ExecContext(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func open(t *testing.T, fake *Fake) *sql.DB {
	t.Helper()
	db := sql.OpenDB(fake)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// TestEveryShapeWorks sends the same transaction through database/sql with
// every shape of connection; what reaches the server is always the same.
func TestEveryShapeWorks(t *testing.T) {
	for _, shape := range connShapes() {
		for _, stmts := range []Shape{0, stmtShape} {
			fake := NewFakeOf(shape|stmts, hooks.Postgres)
			fake.Answer("SELECT", Rows([]string{"n"}, []driver.Value{int64(7)}))
			db := open(t, fake)
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = tx.ExecContext(t.Context(), "INSERT $1", 1); err != nil {
				t.Errorf("%s: %v", shape|stmts, err)
			}
			var n int
			if err = tx.QueryRowContext(t.Context(), "SELECT ?", 2).Scan(&n); err != nil || n != 7 {
				t.Errorf("%s: %d, %v", shape|stmts, n, err)
			}
			if err = tx.Commit(); err != nil {
				t.Error(err)
			}
			want := []string{"BEGIN", "INSERT $1", "SELECT ?", "COMMIT"}
			if got := fake.Sent(); !slices.Equal(got, want) {
				t.Errorf("%s: sent %q", shape|stmts, got)
			}
			if got := fake.CommittedQueries(); !slices.Equal(got, []string{"INSERT $1"}) {
				t.Errorf("%s: committed %q", shape|stmts, got)
			}
		}
	}
}

func TestAnswers(t *testing.T) {
	fake := NewFake()
	fake.Answer("UPDATE", Answer{RowsAffected: 3, LastInsertID: 9})
	fake.AnswerFunc("update b", func(st Statement) (Answer, error) {
		if st.Args[0].Value != int64(5) || st.Tx != 0 {
			t.Errorf("asked with %+v", st)
		}
		return Answer{}, errTest
	})
	fake.Answer("SELECT", Answer{Sets: []Set{
		{Columns: []Column{{Name: "a", DatabaseType: "INT8", ScanType: reflect.TypeFor[int64]()}}, Rows: [][]driver.Value{{int64(1)}}},
		{Columns: []Column{{Name: "b", Precision: 10, Scale: 2, Length: 4}}},
	}})
	db := open(t, fake)

	res, err := db.ExecContext(t.Context(), "UPDATE a")
	if err != nil {
		t.Fatal(err)
	}
	n, _ := res.RowsAffected()
	id, _ := res.LastInsertId()
	if n != 3 || id != 9 {
		t.Errorf("affected %d, last id %d", n, id)
	}
	if _, err = db.ExecContext(t.Context(), "UPDATE b SET c = ?", 5); !errors.Is(err, errTest) {
		t.Errorf("error %v", err)
	}
	if got := fake.CommittedQueries(); !slices.Equal(got, []string{"UPDATE a"}) {
		t.Errorf("committed %q", got)
	}

	rows, err := db.QueryContext(t.Context(), "SELECT 1")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	types, _ := rows.ColumnTypes()
	if types[0].DatabaseTypeName() != "INT8" || types[0].ScanType() != reflect.TypeFor[int64]() {
		t.Errorf("type %+v", types[0])
	}
	if !rows.Next() || rows.Next() || !rows.NextResultSet() || rows.Next() || rows.NextResultSet() {
		t.Error("want one row, then an empty second set")
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
}

func TestLog(t *testing.T) {
	fake := NewFake()
	fake.On(Call{Method: "ExecContext"}, Fail(errTest))
	name := fake.Register()
	db, err := sql.Open(name, "dsn")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "a", int8(4)); !errors.Is(err, errTest) {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	var got []string
	for _, c := range fake.Log() {
		got = append(got, c.String())
	}
	want := []string{
		`conn 0: Driver.OpenConnector "dsn"`, "conn 1: Connector.Connect", "conn 1: CheckNamedValue 4",
		`conn 1: ExecContext "a" 4`, "conn 1: IsValid", "conn 1: Close", "conn 0: Connector.Close",
	}
	if !slices.Equal(got, want) {
		t.Errorf("log\n%s", strings.Join(got, "\n"))
	}
	if c := fake.Log("ExecContext")[0]; c.Err != errTest { //nolint:errorlint // the very value
		t.Errorf("logged error %v", c.Err)
	}
	fake.Reset()
	if len(fake.Log()) != 0 || fake.CommittedQueries() != nil {
		t.Error("reset keeps")
	}
}

func TestCountParams(t *testing.T) {
	for query, want := range map[string]int{
		"SELECT 1":                           0,
		"? '?' \"?\" ? -- ?":                 2,
		"$1 $2 $1 $$ $3 $$ $t$ $4 $t$":       2,
		":a @b :a a::text":                   2,
		"?1 ?2 ?1":                           2,
		"INSERT INTO t VALUES ($1,$2), ($3)": 3,
	} {
		if got := countParams(query); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
}
