package driver_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// off wraps a fake with the mode off.
func off(t *testing.T, fake *sqltest.Fake, dialect hooks.Dialect) *sql.DB {
	t.Helper()
	c, err := driver.WrapConnector(fake, silent{},
		driver.WithDialect(dialect), driver.Capture(driver.AllTables()), driver.WithMode(hooks.Off))
	if err != nil {
		t.Fatal(err)
	}
	return sql.OpenDB(c)
}

var pointers = regexp.MustCompile("0x[0-9a-f]+")

// calls are what reached a fake.
func calls(fakes []*sqltest.Fake) string {
	var lines []string
	for i, fake := range fakes {
		for _, c := range fake.Log() {
			line := fmt.Sprintf("step %d: %s, %v", i, c, c.Err)
			lines = append(lines, pointers.ReplaceAllString(line, "a pointer"))
		}
	}
	return strings.Join(lines, "\n")
}

// TestOffIsTheBareDriver: with the mode off the app sees what it would see
// without the wrapper, and the base driver gets the same calls, and no others.
func TestOffIsTheBareDriver(t *testing.T) {
	full := fourOfConn | restOfConn | restOfStmt | sqltest.NextResultSet | sqltest.ColumnTypes
	for _, dialect := range []hooks.Dialect{hooks.Postgres, hooks.SQLite} {
		t.Run(string(dialect), func(t *testing.T) {
			var bare, wrapped []*sqltest.Fake
			sqltest.TestTransparent(t,
				func(*testing.T) *sql.DB {
					bare = append(bare, furnished(full, dialect))
					return sql.OpenDB(bare[len(bare)-1])
				},
				func(t *testing.T) *sql.DB {
					t.Helper()
					wrapped = append(wrapped, furnished(full, dialect))
					return off(t, wrapped[len(wrapped)-1], dialect)
				}, dialect)
			wantSame(t, calls(wrapped), calls(bare))
		})
	}
}

func wantSame(t *testing.T, got, want string) {
	t.Helper()
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("call %d is\n\t%s\nand on the bare driver\n\t%s", i, a[i], b[i])
		}
	}
	if len(a) != len(b) {
		t.Errorf("%d calls, and on the bare driver %d", len(a), len(b))
	}
}

// TestOffControl: nor are there calls of its own around transaction control that
// cannot be followed, such as several statements in a string and Raw.
func TestOffControl(t *testing.T) {
	script := func(db *sql.DB) {
		ctx := context.Background()
		conn, err := db.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		do := func(queries ...string) {
			for _, q := range queries {
				_, _ = conn.ExecContext(ctx, q)
			}
		}
		do("BEGIN", "INSERT INTO a VALUES (1)", "SAVEPOINT s", "ROLLBACK TO s", "RELEASE s", "COMMIT")
		do("BEGIN; INSERT INTO a VALUES (1); COMMIT", "INSERT INTO a VALUES (1); ROLLBACK; BEGIN", "SELEKT", "COMMIT")
		do("DO 'x'", "CALL x()", "CREATE INDEX CONCURRENTLY i ON a (b)", "DELETE FROM a")
		tx, err := conn.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = tx.ExecContext(ctx, "UPDATE a SET b = 1")
		_ = conn.Raw(func(dc any) error {
			_, err := driver.Raw(dc).(sqldriver.ExecerContext).ExecContext(ctx, "ROLLBACK", nil)
			return err
		})
		_, _ = tx.ExecContext(ctx, "UPDATE a SET b = 2")
		_ = tx.Commit()
		do("SELECT 1", "INSERT INTO a VALUES (1)")
	}
	for _, dialect := range []hooks.Dialect{hooks.Postgres, hooks.SQLite} {
		t.Run(string(dialect), func(t *testing.T) {
			run := func(open func(*sqltest.Fake) *sql.DB) string {
				fake := sqltest.NewFakeOf(sqltest.Modern, dialect)
				fake.On(sqltest.Call{Query: "SELEKT"}, sqltest.Fail(&sqltest.Error{Code: "42601", Message: "syntax error"}))
				db := open(fake)
				defer db.Close()
				script(db)
				return calls([]*sqltest.Fake{fake})
			}
			bare := run(func(f *sqltest.Fake) *sql.DB { return sql.OpenDB(f) })
			wantSame(t, run(func(f *sqltest.Fake) *sql.DB { return off(t, f, dialect) }), bare)
		})
	}
}

// TestOffRaw: what sql.Conn.Raw has is the one difference, since the mode may be
// changed while the connection is in a pool; driver.Raw has the base connection.
func TestOffRaw(t *testing.T) {
	fake := sqltest.NewFake()
	db := off(t, fake, hooks.Postgres)
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var types []string
	for _, open := range []*sql.DB{db, sql.OpenDB(fake)} {
		conn, err := open.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Raw(func(dc any) error {
			types = append(types, fmt.Sprintf("%T", dc), fmt.Sprintf("%T", driver.Raw(dc)))
			return nil
		})
		_ = conn.Close()
		_ = open.Close()
	}
	if types[1] != types[3] || types[2] != types[3] || slices.Contains(types[1:], types[0]) {
		t.Errorf("Raw has %q", types)
	}
}

// TestWrapped: a connection says that it is wrapped, also with the mode off and within a
// transaction, and nothing reaches the base driver or the handler.
func TestWrapped(t *testing.T) {
	ctx := context.Background()
	fake := sqltest.NewFake()
	for name, db := range map[string]*sql.DB{"off": off(t, fake, hooks.Postgres), "strict": open(t, fake, &spy{})} {
		tx := begin(t, db)
		before := len(fake.Log())
		if ok, err := hooks.Wrapped(ctx, tx); !ok || err != nil {
			t.Errorf("%s: %t, %v", name, ok, err)
		}
		if log := fake.Log()[before:]; len(log) != 0 {
			t.Errorf("%s: the base driver got %v", name, log)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		_ = db.Close()
	}
	bare := sql.OpenDB(fake)
	if ok, err := hooks.Wrapped(ctx, bare); ok || err != nil {
		t.Errorf("not wrapped: %t, %v", ok, err)
	}
	_ = bare.Close()
}
