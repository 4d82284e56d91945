package sqltest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestTransparent shows that a wrapped driver behaves as the bare one does: it
// runs the same script through database/sql on both and compares results,
// column types, error values with their types, and what the pool has left.
//
// bare and wrapped open a database for one subtest, which closes it. They may
// open the same one each time, since bare's part is over when wrapped is
// called: the script makes a table named sqltest_item and drops it.
//
// A [Fake] serves as well as a real database, to which it adds what a real one
// does not do on demand: call [Fake.On] in both functions.
func TestTransparent(t *testing.T, bare, wrapped func(t *testing.T) *sql.DB, dialect hooks.Dialect) {
	t.Helper()
	for _, step := range transparentSteps {
		t.Run(step.name, func(t *testing.T) {
			want := observe(t.Context(), bare(t), dialect, step)
			got := observe(t.Context(), wrapped(t), dialect, step)
			if d := want.differs(got); d != "" {
				t.Errorf("the wrapped driver behaves otherwise in: %s (- bare, + wrapped):\n%s", step.name, d)
			}
		})
	}
}

type transparentStep struct {
	name string
	run  func(ctx context.Context, s *trace)
}

// trace is one run of a step: the database, and the trace of what it did.
type trace struct {
	db    *sql.DB
	sql   statements
	lines []string
	errs  []error
}

func observe(ctx context.Context, db *sql.DB, dialect hooks.Dialect, step transparentStep) *trace {
	s := &trace{db: db, sql: statementsOf(dialect)}
	// What is left of an interrupted run would be mistaken for a difference.
	for _, q := range s.sql.drop {
		_, _ = db.ExecContext(ctx, q)
	}
	_, err := db.ExecContext(ctx, s.sql.create)
	s.err("create", err)
	func() {
		defer func() {
			if v := recover(); v != nil {
				s.note("panic %v", v)
			}
		}()
		step.run(ctx, s)
	}()
	for _, q := range s.sql.drop {
		_, err := db.ExecContext(ctx, q)
		s.err("drop", err)
	}
	s.err("close", db.Close())
	s.err("ping after close", db.PingContext(ctx))
	return s
}

// note adds a line to the trace.
func (s *trace) note(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// err adds an error to the trace and reports whether there was one.
func (s *trace) err(what string, err error) bool {
	s.note("%s: %s", what, describeError(err))
	s.errs = append(s.errs, err)
	return err != nil
}

// sentinels are errors that callers compare with.
var sentinels = []error{
	driver.ErrBadConn, driver.ErrSkip, driver.ErrRemoveArgument, io.EOF,
	sql.ErrNoRows, sql.ErrTxDone, sql.ErrConnDone, context.Canceled, context.DeadlineExceeded,
}

// describeError gives an error's text, the types of its chain and the
// sentinels that it is: what callers can tell an error by.
func describeError(err error) string {
	if err == nil {
		return "ok"
	}
	desc := fmt.Sprintf("%q", err)
	for e := err; e != nil; e = errors.Unwrap(e) {
		desc += fmt.Sprintf(" %T", e)
	}
	for _, s := range sentinels {
		if err == s { //nolint:errorlint // database/sql compares some of them so
			desc += fmt.Sprintf(" ==%q", s)
		} else if errors.Is(err, s) {
			desc += fmt.Sprintf(" is %q", s)
		}
	}
	return desc
}

// differs compares two traces; empty means that they are the same.
func (s *trace) differs(got *trace) string {
	if d := diff(s.lines, got.lines); d != "" {
		return d
	}
	var b strings.Builder
	for i, want := range s.errs {
		if !sameError(want, got.errs[i]) {
			fmt.Fprintf(&b, "  - %#v\n  + %#v\n", want, got.errs[i])
		}
	}
	return b.String()
}

// sameError tells whether two errors hold the same values: identical where one
// database gives out the same error twice, else equal in all their fields.
func sameError(a, b error) bool {
	return reflect.DeepEqual(a, b)
}
