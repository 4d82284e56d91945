package driver_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"reflect"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// silent is a Hook and a Handler that writes nothing and refuses nothing.
type silent struct{}

func (silent) Open(hooks.Database) (hooks.Handler, error)           { return silent{}, nil }
func (silent) Connect(context.Context, *sql.DB) error               { return nil }
func (silent) Flush(context.Context, hooks.Flush) (bool, error)     { return true, nil }
func (silent) End(_ context.Context, end hooks.Ended) hooks.Outcome { return end.Outcome }
func (silent) Notify(hooks.Notice)                                  {}

const (
	fourOfConn = sqltest.ExecerContext | sqltest.QueryerContext | sqltest.SessionResetter | sqltest.Validator
	restOfConn = sqltest.ConnBeginTx | sqltest.ConnPrepareContext | sqltest.Pinger | sqltest.NamedValueChecker
	twoOfStmt  = sqltest.StmtNamedValueChecker | sqltest.StmtColumnConverter
	restOfStmt = sqltest.StmtExecContext | sqltest.StmtQueryContext
)

// baseShapes are those of base connections: the sixteen that must be kept, on
// drivers that have everything else, and on such that have nothing else; then
// those with a part of the rest, and those without contexts.
func baseShapes() []sqltest.Shape {
	var all []sqltest.Shape
	for s := range fourOfConn.Subsets() {
		all = append(all, s, s|restOfConn)
	}
	for s := range restOfConn.Subsets() {
		all = append(all, s|sqltest.ExecerContext|sqltest.QueryerContext)
	}
	for s := range (sqltest.Execer | sqltest.Queryer).Subsets() {
		all = append(all, s)
	}
	return all
}

func wrap(t *testing.T, fake *sqltest.Fake, dialect hooks.Dialect) sqldriver.Connector {
	t.Helper()
	c, err := driver.WrapConnector(fake, silent{}, driver.WithDialect(dialect), driver.Capture(driver.AllTables()))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func connect(t *testing.T, c sqldriver.Connector) sqldriver.Conn {
	t.Helper()
	conn, err := c.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestConnsAdvertiseWhatTheBaseHas(t *testing.T) {
	for _, base := range baseShapes() {
		got := sqltest.ConnShape(connect(t, wrap(t, sqltest.NewFakeOf(base, hooks.Postgres), hooks.Postgres)))
		want := base&fourOfConn | restOfConn
		if base&sqltest.Execer != 0 {
			want |= sqltest.ExecerContext
		}
		if base&sqltest.Queryer != 0 {
			want |= sqltest.QueryerContext
		}
		if got != want {
			t.Errorf("base %s: wrapped %s, want %s", base, got, want)
		}
	}
}

func TestStmtsAdvertiseWhatTheBaseHas(t *testing.T) {
	for _, query := range []string{"SELECT 1", "INSERT INTO orders (id) VALUES (1)", "COMMIT", "UPDATE a SET b = 1; COMMIT"} {
		for base := range (twoOfStmt | restOfStmt).Subsets() {
			fake := sqltest.NewFakeOf(base|restOfConn, hooks.Postgres)
			st, err := connect(t, wrap(t, fake, hooks.Postgres)).Prepare(query)
			if err != nil {
				t.Fatal(err)
			}
			if got := sqltest.StmtShape(st) & twoOfStmt; got != base&twoOfStmt {
				t.Errorf("%s: base %s: wrapped %s", query, base, got)
			}
		}
	}
}

// TestRowsScanWhereTheBaseDoes: of the interfaces of rows, ColumnScanner alone
// cannot be made up for, so it must be there exactly where the base has it.
func TestRowsScanWhereTheBaseDoes(t *testing.T) {
	const scanner = sqltest.ColumnScanner
	for _, dialect := range []hooks.Dialect{hooks.Postgres, hooks.SQLite} {
		for base := range (scanner | sqltest.NextResultSet | sqltest.ColumnTypes).Subsets() {
			for _, inTx := range []bool{true, false} {
				fake := sqltest.NewFakeOf(base|sqltest.ExecerContext|sqltest.QueryerContext|restOfConn, dialect)
				fake.Answer("UPDATE", sqltest.Rows([]string{"id"}, []sqldriver.Value{int64(1)}))
				conn := connect(t, wrap(t, fake, dialect))
				if inTx {
					if _, err := conn.(sqldriver.ConnBeginTx).BeginTx(t.Context(), sqldriver.TxOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				rows := returning(t, conn)
				want := sqltest.RowsShape(returning(t, connect(t, fake))) & scanner
				if got := sqltest.RowsShape(rows) & scanner; got != want {
					t.Errorf("%s, base %s, in a transaction %v: wrapped %s", dialect, base, inTx, got)
				}
			}
		}
	}
}

func returning(t *testing.T, conn sqldriver.Conn) sqldriver.Rows {
	t.Helper()
	rows, err := conn.(sqldriver.QueryerContext).QueryContext(t.Context(), "UPDATE a SET b = 1 RETURNING id", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rows.Close() })
	return rows
}

// TestEveryShapeIsTransparent runs the script over every base shape: what the
// base lacks is done as database/sql does it for a bare driver.
func TestEveryShapeIsTransparent(t *testing.T) {
	full := fourOfConn | restOfConn | restOfStmt | sqltest.NextResultSet | sqltest.ColumnTypes
	bases := baseShapes()
	for s := range (twoOfStmt | restOfStmt).Subsets() {
		bases = append(bases, full&^restOfStmt|s, restOfConn|s)
	}
	for s := range (sqltest.NextResultSet | sqltest.ColumnTypes | sqltest.ColumnScanner).Subsets() {
		bases = append(bases, fourOfConn|restOfConn|restOfStmt|s)
	}
	for _, base := range bases {
		// The dialect changes what is sent, not what a shape lacks: the extremes
		// are enough for the second one.
		dialects := []hooks.Dialect{hooks.Postgres, hooks.SQLite}
		if base != full && base != sqltest.Bare {
			dialects = dialects[:1]
		}
		for _, dialect := range dialects {
			t.Run(string(dialect)+" "+base.String(), func(t *testing.T) {
				sqltest.TestTransparent(t,
					func(*testing.T) *sql.DB { return sql.OpenDB(furnished(base, dialect)) },
					func(t *testing.T) *sql.DB {
						t.Helper()
						return sql.OpenDB(wrap(t, furnished(base, dialect), dialect))
					},
					dialect)
			})
		}
	}
}

// furnished is a fake with rows to read and errors to make, which remembers no
// more than it must.
func furnished(shape sqltest.Shape, dialect hooks.Dialect) *sqltest.Fake {
	fake := sqltest.NewFakeOf(shape, dialect)
	fake.Forget()
	items := sqltest.Set{
		Columns: []sqltest.Column{
			{Name: "id", DatabaseType: "INT4", ScanType: reflect.TypeFor[int32]()},
			{Name: "amount", DatabaseType: "NUMERIC", Precision: 10, Scale: 2, Length: 4, Nullable: true},
		},
		Rows: [][]sqldriver.Value{{int64(1), nil}, {int64(2), []byte("1.50")}},
	}
	fake.Answer("SELECT", sqltest.Answer{Sets: []sqltest.Set{items, items}})
	fake.Answer("UPDATE", sqltest.Answer{RowsAffected: 2, LastInsertID: 5, Sets: []sqltest.Set{items}})
	fake.Answer("INSERT", sqltest.Answer{RowsAffected: 1, LastInsertID: 7, Sets: []sqltest.Set{items}})
	fake.AnswerFunc("SELEKT", func(sqltest.Statement) (sqltest.Answer, error) {
		return sqltest.Answer{}, &sqltest.Error{Code: "42601", Message: "syntax error"}
	})
	return fake
}
