package lent_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/go-aftercommit/aftercommit/internal/lent"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

var errOver = errors.New("the loan is over")

// owner lends a connection of the fake, and notes what it is asked.
type owner struct {
	base driver.Conn
	uses *lent.Uses
	in   bool // Within
	turn func(error) error

	mu    sync.Mutex
	held  int
	notes []string
}

var _ lent.Owner = (*owner)(nil)

func lend(t *testing.T) (*sqltest.Fake, *owner, *sql.DB) {
	t.Helper()
	fake := sqltest.NewFake()
	base, err := fake.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o := &owner{base: base, uses: &lent.Uses{}, turn: func(err error) error { return err }}
	db := sql.OpenDB(o)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return fake, o, db
}

func (o *owner) note(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.notes = append(o.notes, what)
}

func (o *owner) use(n int) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held += n
	return o.held
}

func (o *owner) Connect(context.Context) (driver.Conn, error) {
	return &lent.Conn{Owner: o, Uses: o.uses, Within: o.in}, nil
}

func (o *owner) Driver() driver.Driver { return nil }

func (o *owner) Enter() error {
	if o.uses.Ended() {
		return errOver
	}
	o.use(1)
	return nil
}

func (o *owner) Leave(err error) error {
	o.use(-1)
	return o.turn(err)
}

func (o *owner) Exec(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return o.base.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (o *owner) Query(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, func(error) error, error) {
	rows, err := o.base.(driver.QueryerContext).QueryContext(ctx, query, args)
	return rows, func(err error) error { o.note("rows end"); return err }, err
}

func (o *owner) Prepare(ctx context.Context, query string) (driver.Stmt, func(error), error) {
	st, err := o.base.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	return st, func(err error) { o.note("ran " + query) }, err
}

func (o *owner) Begin(ctx context.Context, opts driver.TxOptions) (driver.Tx, func(func() error) error, error) {
	tx, err := o.base.(driver.ConnBeginTx).BeginTx(ctx, opts)
	return tx, func(f func() error) error { o.note("tx ends"); return f() }, err
}

func (o *owner) CheckNamedValue(v *driver.NamedValue) error {
	if v.Value == any("refused") {
		return errors.New("this value is refused")
	}
	return driver.ErrSkip
}

func (o *owner) Close() error { return nil }

func (o *owner) want(t *testing.T, held int, notes ...string) {
	t.Helper()
	if n := o.use(0); n != held {
		t.Errorf("%d uses, want %d", n, held)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Equal(o.notes, notes) {
		t.Errorf("the owner was told %q, want %q", o.notes, notes)
	}
	o.notes = nil
}

func must[T any](t *testing.T) func(v T, err error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestUses: a call is one use, and what it opens lasts until it is closed.
func TestUses(t *testing.T) {
	ctx := t.Context()
	fake, o, db := lend(t)
	fake.Answer("SELECT", sqltest.Rows([]string{"n"}, nil, nil))

	must[sql.Result](t)(db.ExecContext(ctx, "UPDATE a"))
	o.want(t, 0)

	rows := must[*sql.Rows](t)(db.QueryContext(ctx, "SELECT 1")) //nolint:rowserrcheck // of the fake
	o.want(t, 1)
	_ = rows.Close()
	_ = rows.Close()
	o.want(t, 0, "rows end")

	tx := must[*sql.Tx](t)(db.BeginTx(ctx, nil))
	st := must[*sql.Stmt](t)(tx.PrepareContext(ctx, "SELECT 2"))
	o.want(t, 2)
	must[sql.Result](t)(st.ExecContext(ctx))
	rows = must[*sql.Rows](t)(st.QueryContext(ctx)) //nolint:rowserrcheck // of the fake
	o.want(t, 3, "ran SELECT 2", "ran SELECT 2")
	_ = rows.Close()
	_ = st.Close()
	o.want(t, 1)
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	o.want(t, 0, "tx ends")

	if _, err := db.ExecContext(ctx, "UPDATE b", "refused"); err == nil {
		t.Error("the owner's CheckNamedValue was not asked")
	}
	o.want(t, 0)
}

// TestErrors: each use that fails is over, and the borrower gets its error as the owner
// turns it.
func TestErrors(t *testing.T) {
	ctx := t.Context()
	fake, o, db := lend(t)
	native, turned := errors.New("native"), errors.New("turned")
	o.turn = func(err error) error {
		if errors.Is(err, native) {
			return turned
		}
		return err
	}
	fake.On(sqltest.Call{Query: "bad"}, sqltest.Fail(native))
	fake.On(sqltest.Call{Method: "BeginTx"}, sqltest.Fail(native).At(1))
	fake.On(sqltest.Call{Method: "Commit"}, sqltest.Fail(native))
	fake.On(sqltest.Call{Method: "Rows.Close"}, sqltest.Fail(native))
	fake.Answer("SELECT", sqltest.Rows([]string{"n"}, nil))
	st := must[*sql.Stmt](t)(db.PrepareContext(ctx, "SELECT good"))
	defer func() { _ = st.Close() }()
	for _, tt := range []struct {
		name string
		call func() error
	}{
		{"Exec", func() error { _, err := db.ExecContext(ctx, "bad"); return err }},
		{"Prepare", func() error { _, err := db.PrepareContext(ctx, "bad"); return err }},
		{"Query", func() error { _, err := db.QueryContext(ctx, "bad"); return err }}, //nolint:rowserrcheck // there are none
		{"Begin", func() error { _, err := db.BeginTx(ctx, nil); return err }},
		{"Commit", func() error { return must[*sql.Tx](t)(db.BeginTx(ctx, nil)).Commit() }},
		{"Rows.Close", func() error { return must[*sql.Rows](t)(db.QueryContext(ctx, "SELECT 1")).Close() }}, //nolint:rowserrcheck // of the fake
	} {
		if err := tt.call(); !errors.Is(err, turned) {
			t.Errorf("%s: %v, want %v", tt.name, err, turned)
		}
		if n := o.use(0); n != 1 { // the statement
			t.Errorf("%s: %d uses", tt.name, n)
		}
	}
}

// TestWithin: inside the owner's transaction the borrower's begin and end nothing, and are no
// use.
func TestWithin(t *testing.T) {
	ctx := t.Context()
	fake, o, db := lend(t)
	o.in = true
	for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
		tx := must[*sql.Tx](t)(db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable}))
		o.want(t, 0)
		must[sql.Result](t)(tx.ExecContext(ctx, "UPDATE a"))
		if err := end(tx); err != nil {
			t.Error(err)
		}
	}
	if sent := fake.Sent(); !slices.Equal(sent, []string{"UPDATE a", "UPDATE a"}) {
		t.Errorf("sent: %q", sent)
	}
	o.want(t, 0)
}

// TestEnd: the end of the loan cancels what is running, refuses what comes, and lets what is
// open be closed.
func TestEnd(t *testing.T) {
	ctx := t.Context()
	fake, o, db := lend(t)
	fake.Answer("SELECT", sqltest.Rows([]string{"n"}, nil, nil))
	hold := sqltest.NewHold()
	fake.On(sqltest.Call{Query: "UPDATE hangs"}, sqltest.Hang(hold))
	tx := must[*sql.Tx](t)(db.BeginTx(ctx, nil))
	st := must[*sql.Stmt](t)(tx.PrepareContext(ctx, "SELECT 1"))
	got := make(chan error)
	go func() {
		_, err := tx.ExecContext(ctx, "UPDATE hangs")
		got <- err
	}()
	<-hold.Reached()
	if o.uses.Acquire(0) {
		t.Error("acquired in the middle of a call")
	}
	o.uses.End()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("the call that ran: %v", err)
	}
	if _, err := st.ExecContext(ctx); !errors.Is(err, errOver) {
		t.Errorf("a call after the end: %v", err)
	}
	if _, err := tx.QueryContext(ctx, "SELECT 1"); !errors.Is(err, errOver) { //nolint:rowserrcheck // there are none
		t.Errorf("a query after the end: %v", err)
	}
	o.want(t, 2)
	_ = st.Close()
	_ = tx.Rollback()
	o.want(t, 0, "tx ends")
}

// TestReturn: what the borrower closes once the connection is back does not reach it.
func TestReturn(t *testing.T) {
	ctx := t.Context()
	fake, o, db := lend(t)
	conn := must[*sql.Conn](t)(db.Conn(ctx))
	st := must[*sql.Stmt](t)(conn.PrepareContext(ctx, "SELECT 1"))
	o.uses.End()
	o.uses.Return()
	_ = st.Close()
	if closed := fake.Log("Stmt.Close"); len(closed) > 0 {
		t.Errorf("it was closed on the connection: %v", closed)
	}
	_ = conn.Close()
}

// borrowRows returns the lent connection and rows that are open on it.
func borrowRows(t *testing.T, o *owner) (*lent.Conn, driver.Rows) {
	t.Helper()
	c := &lent.Conn{Owner: o, Uses: o.uses}
	return c, must[driver.Rows](t)(c.QueryContext(t.Context(), "SELECT 1", nil))
}

// TestCloseRows: the owner closes rows that the borrower has left open. They are over for the
// borrower then, and its Close does nothing.
func TestCloseRows(t *testing.T) {
	fake, o, _ := lend(t)
	fake.Answer("SELECT", sqltest.Rows([]string{"n"}, []driver.Value{int64(1)}))
	_, rows := borrowRows(t, o)
	o.uses.End()
	if !o.uses.Acquire(0) {
		t.Fatal("not acquired between two calls")
	}
	o.uses.CloseRows()
	o.uses.Release()
	o.want(t, 0, "rows end")
	if err := rows.Next(make([]driver.Value, 1)); err == nil {
		t.Error("closed rows have another row")
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	o.want(t, 0)
	if n := len(fake.Log("Rows.Close")); n != 1 {
		t.Errorf("closed %d times", n)
	}
}

// TestAbandon: rows that cannot be closed now, because a call is running, are closed when it
// returns.
func TestAbandon(t *testing.T) {
	fake, o, _ := lend(t)
	fake.Answer("SELECT", sqltest.Rows([]string{"n"}, nil, nil))
	reached, release := make(chan struct{}), make(chan struct{})
	fake.AnswerFunc("UPDATE hangs", func(sqltest.Statement) (sqltest.Answer, error) {
		close(reached)
		<-release
		return sqltest.Affected(1), nil
	})
	c, _ := borrowRows(t, o)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = c.ExecContext(context.Background(), "UPDATE hangs", nil)
	}()
	<-reached
	o.uses.End()
	o.uses.Abandon()
	o.want(t, 2)
	close(release)
	<-done
	o.want(t, 0, "rows end")
}

// TestUntilAfterTheEnd: what begins after the end of the loan is over at once.
func TestUntilAfterTheEnd(t *testing.T) {
	var uses lent.Uses
	uses.End()
	ctx, cancel := uses.Until(t.Context())
	defer cancel()
	<-ctx.Done()
}
