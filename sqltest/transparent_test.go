package sqltest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// busyFake is a fake on which a script finds rows, errors and lost connections.
func busyFake() *Fake {
	fake := NewFakeOf(Modern|StmtNamedValueChecker, hooks.Postgres)
	items := Set{
		Columns: []Column{
			{Name: "id", DatabaseType: "INT4", ScanType: reflect.TypeFor[int32]()},
			{Name: "name", DatabaseType: "VARCHAR", Length: 40, Nullable: true},
			{Name: "amount", DatabaseType: "NUMERIC", Precision: 10, Scale: 2},
		},
		Rows: [][]driver.Value{{int64(1), "a", nil}, {int64(2), []byte("b"), "1.50"}},
	}
	// Which connection answers is what a session's state shows on a database.
	fake.AnswerFunc("SELECT", func(st Statement) (Answer, error) {
		return Answer{Sets: []Set{items, {}, Rows([]string{"conn"}, []driver.Value{int64(st.Conn)}).Sets[0]}}, nil
	})
	fake.AnswerFunc("SELECT current_setting", func(Statement) (Answer, error) {
		begins := fake.Log("BeginTx")
		return Rows([]string{"options"}, []driver.Value{fmt.Sprint(begins[len(begins)-1].Options)}), nil
	})
	fake.Answer("UPDATE", Answer{RowsAffected: 3, LastInsertID: 5, Sets: []Set{items}})
	fake.On(Call{Query: "SELEKT"}, Fail(&Error{Code: "42601", Message: "syntax error"}))
	fake.On(Call{Method: "Commit"}, Fail(errTest).At(2))
	fake.On(Call{Method: "ResetSession"}, Lose().At(3))
	fake.On(Call{Method: "IsValid"}, Fail(errTest).At(7))
	return fake
}

// wrapping is a wrapped driver: transparent, but for what conn does.
type wrapping struct {
	driver.Connector
	conn func(through) driver.Conn
}

// through passes everything through.
type through struct {
	modernConn
	driver.ExecerContext
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

func (w wrapping) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := w.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	t := through{c.(modernConn), c.(driver.ExecerContext), c.(driver.QueryerContext), c.(driver.SessionResetter), c.(driver.Validator)}
	return w.conn(t), nil
}

func same(t through) driver.Conn { return t }

func TestTransparentPassesAThinWrapper(t *testing.T) {
	TestTransparent(t,
		func(*testing.T) *sql.DB { return sql.OpenDB(busyFake()) },
		func(*testing.T) *sql.DB { return sql.OpenDB(wrapping{Connector: busyFake(), conn: same}) },
		hooks.Postgres)
}

func TestTransparentPassesEveryShapeWithItself(t *testing.T) {
	for _, shape := range connShapes() {
		for _, step := range transparentSteps {
			a := observe(t.Context(), sql.OpenDB(NewFakeOf(shape, hooks.SQLite)), hooks.SQLite, step)
			b := observe(t.Context(), sql.OpenDB(NewFakeOf(shape, hooks.SQLite)), hooks.SQLite, step)
			if d := a.differs(b); d != "" {
				t.Errorf("%s, %s: %s", shape, step.name, d)
			}
		}
	}
}

// The broken wrappers.

type execs struct {
	through
	exec func(driver.Result, error) (driver.Result, error)
}

func (c execs) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	return c.exec(c.through.ExecContext(ctx, q, args))
}

type queries struct {
	through
	query func(driver.Rows, error) (driver.Rows, error)
}

func (c queries) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	return c.query(c.through.QueryContext(ctx, q, args))
}

type noOptions struct{ through }

func (c noOptions) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	return c.through.BeginTx(ctx, driver.TxOptions{})
}

type optimist struct{ through }

func (c optimist) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := c.through.BeginTx(ctx, o)
	return optimistTx{tx}, err
}

type optimistTx struct{ driver.Tx }

func (tx optimistTx) Commit() error {
	_ = tx.Tx.Commit()
	return nil
}

type noReset struct{ through }

func (noReset) ResetSession(context.Context) error { return nil }

type alwaysValid struct{ through }

func (alwaysValid) IsValid() bool { return true }

type convertsDefault struct{ through }

func (convertsDefault) CheckNamedValue(nv *driver.NamedValue) (err error) {
	nv.Value, err = driver.DefaultParameterConverter.ConvertValue(nv.Value)
	return err
}

type skipsSavepoints struct{ through }

func (c skipsSavepoints) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	if strings.HasPrefix(q, "ROLLBACK TO") {
		return driver.RowsAffected(0), nil
	}
	return c.through.ExecContext(ctx, q, args)
}

type ownStmts struct{ through }

func (c ownStmts) PrepareContext(ctx context.Context, q string) (driver.Stmt, error) {
	st, err := c.through.PrepareContext(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	return shortStmt{st}, nil
}

// shortStmt has no contexts and wants no arguments counted.
type shortStmt struct{ driver.Stmt }

func (shortStmt) NumInput() int { return -1 }

type fixedAffected struct{ driver.Result }

func (fixedAffected) RowsAffected() (int64, error) { return 1, nil }

type fixedID struct{ driver.Result }

func (fixedID) LastInsertId() (int64, error) { return 0, nil }

type firstSet struct {
	driver.Rows
	columnTypes
}

type noTypes struct {
	driver.Rows
	resultSets
}

type halfRows struct{ firstSet }

func (halfRows) Next([]driver.Value) error { return io.EOF }

// brokenWrappers says in which steps a wrapper shows that does as named, at
// least.
var brokenWrappers = []struct {
	name  string
	conn  func(through) driver.Conn
	steps []string
}{
	{name: "hides Execer", conn: func(t through) driver.Conn {
		return struct {
			modernConn
			driver.QueryerContext
			driver.SessionResetter
			driver.Validator
		}{t, t, t, t}
	}, steps: []string{"Raw"}},
	{name: "wraps errors", conn: func(t through) driver.Conn {
		return execs{t, func(r driver.Result, err error) (driver.Result, error) {
			if err != nil {
				return nil, fmt.Errorf("exec: %w", err)
			}
			return r, nil
		}}
	}, steps: []string{"errors of the server", "savepoints"}},
	{name: "makes errors anew", conn: func(t through) driver.Conn {
		return execs{t, func(r driver.Result, err error) (driver.Result, error) {
			if e, ok := err.(*Error); ok { //nolint:errorlint // as broken wrappers do
				return nil, &Error{Code: "", Message: strings.TrimSuffix(e.Error(), " ()")}
			}
			return r, err
		}}
	}, steps: []string{"errors of the server"}},
	{name: "loses RowsAffected", conn: func(t through) driver.Conn {
		return execs{t, func(r driver.Result, err error) (driver.Result, error) { return fixedAffected{r}, err }}
	}, steps: []string{"exec"}},
	{name: "loses LastInsertId", conn: func(t through) driver.Conn {
		return execs{t, func(r driver.Result, err error) (driver.Result, error) { return fixedID{r}, err }}
	}, steps: []string{"exec"}},
	{name: "loses result sets", conn: func(t through) driver.Conn {
		return queries{t, func(r driver.Rows, err error) (driver.Rows, error) {
			if err != nil {
				return nil, err
			}
			return firstSet{r, r.(columnTypes)}, nil
		}}
	}, steps: []string{"multiple statements and result sets", "query"}},
	{name: "loses column types", conn: func(t through) driver.Conn {
		return queries{t, func(r driver.Rows, err error) (driver.Rows, error) {
			if err != nil {
				return nil, err
			}
			return noTypes{r, r.(resultSets)}, nil
		}}
	}, steps: []string{"column types"}},
	{name: "loses rows", conn: func(t through) driver.Conn {
		return queries{t, func(r driver.Rows, err error) (driver.Rows, error) {
			if err != nil {
				return nil, err
			}
			return halfRows{firstSet{r, r.(columnTypes)}}, nil
		}}
	}, steps: []string{"query", "RETURNING", "rows closed early"}},
	{name: "loses transaction options", conn: func(t through) driver.Conn { return noOptions{t} }, steps: []string{"transaction options"}},
	{name: "hides refused commits", conn: func(t through) driver.Conn { return optimist{t} }, steps: []string{"transaction options"}},
	{name: "resets nothing", conn: func(t through) driver.Conn { return noReset{t} }, steps: []string{"session reset"}},
	{name: "is always valid", conn: func(t through) driver.Conn { return alwaysValid{t} }, steps: []string{"exec", "session reset"}},
	{name: "converts by default", conn: func(t through) driver.Conn { return convertsDefault{t} }, steps: []string{"argument types"}},
	{name: "skips savepoints", conn: func(t through) driver.Conn { return skipsSavepoints{t} }, steps: []string{"savepoints"}},
	{name: "prepares otherwise", conn: func(t through) driver.Conn { return ownStmts{t} }, steps: []string{"prepared statements", "errors of the server"}},
}

func TestTransparentNamesTheStep(t *testing.T) {
	for _, broken := range brokenWrappers {
		t.Run(broken.name, func(t *testing.T) {
			var got []string
			for _, step := range transparentSteps {
				bare := observe(t.Context(), sql.OpenDB(busyFake()), hooks.Postgres, step)
				wrapped := observe(t.Context(), sql.OpenDB(wrapping{busyFake(), broken.conn}), hooks.Postgres, step)
				if bare.differs(wrapped) != "" {
					got = append(got, step.name)
				}
			}
			for _, step := range broken.steps {
				if !slices.Contains(got, step) {
					t.Errorf("%q does not show it, only %q", step, got)
				}
			}
		})
	}
}

// TestTransparentComparesErrorValues: same text and type are not enough.
func TestTransparentComparesErrorValues(t *testing.T) {
	type detailed struct {
		error
		Detail string
	}
	var a, b trace
	a.err("x", &detailed{errTest, "key (id)=(1)"})
	b.err("x", &detailed{errTest, ""})
	if d := a.differs(&b); !strings.Contains(d, "key (id)=(1)") {
		t.Errorf("difference %q", d)
	}
}

// TestTransparentShowsErrorTypes: a difference that the text does not show must
// be readable all the same.
func TestTransparentShowsErrorTypes(t *testing.T) {
	var a, b trace
	a.err("x", errTest)
	b.err("x", &Error{Message: strings.TrimSuffix(errTest.Error(), " ()")})
	c := trace{}
	c.err("x", fmt.Errorf("%w", errTest))
	if d := a.differs(&b); !strings.Contains(d, "*sqltest.Error") {
		t.Errorf("difference %q", d)
	}
	if d := a.differs(&c); !strings.Contains(d, "*fmt.wrapError *errors.errorString") {
		t.Errorf("difference %q", d)
	}
}
