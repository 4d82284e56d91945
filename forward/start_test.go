package forward

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestFailedStart: it is tried again beside the app if the app gets its connection all
// the same. Otherwise the app's next connection does.
func TestFailedStart(t *testing.T) {
	cause := errors.New("no tables")
	for name, test := range map[string]struct {
		mode  hooks.Mode
		err   error
		again bool
		want  error // of the connection; the driver ignores it in best effort
	}{
		"strict":             {hooks.Strict, cause, false, cause},
		"strict, on standby": {hooks.Strict, errStandby, true, nil},
		"strict, read-only":  {hooks.Strict, errReadOnly, true, nil},
		"best effort":        {hooks.BestEffort, cause, true, cause},
	} {
		w := newWorld(t, nil)
		w.h = w.open(hooks.Postgres)
		w.h.db.Connector, w.h.db.Mode = nowhere{}, func() hooks.Mode { return test.mode }
		if err := w.h.failed(ctx, w.conn, test.err); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: the connection's error is %v", name, err)
		}
		if again := w.h.starter.waitsFor() != nil; again != test.again {
			t.Errorf("%s: tried again %t", name, again)
		}
		if err := w.h.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// refusing is a connector that notes when it was tried, and fails.
type refusing struct {
	mu    sync.Mutex
	err   error
	tried []time.Time
}

func (r *refusing) Connect(context.Context) (driver.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tried = append(r.tried, time.Now())
	return nil, r.err
}

func (r *refusing) Driver() driver.Driver { return nil }

// take returns the attempts since the last call, after since.
func (r *refusing) take(since time.Time) (after []time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, at := range r.tried {
		after = append(after, at.Sub(since))
	}
	r.tried = nil
	return after
}

func (r *refusing) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// TestAttemptsToStart follow each other less and less often, and a commit with events
// brings the next one forward, to a second after the last; so does a flush that fails. What
// they wait for is logged once.
func TestAttemptsToStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := &refusing{err: errNowhere}
		w := newWorld(t, nil)
		w.h = w.open(hooks.Postgres)
		w.h.db.Connector, w.h.db.Mode = base, func() hooks.Mode { return hooks.BestEffort }
		begun := time.Now()
		want := func(since time.Time, want ...time.Duration) {
			t.Helper()
			synctest.Wait()
			if got := base.take(since); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("attempts after %v, want %v", got, want)
			}
		}
		wait := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		_ = w.h.failed(ctx, w.conn, errNowhere)
		const s = time.Second
		wait(125 * s)
		want(begun, s/4, 3*s/4, 7*s/4, 15*s/4, 31*s/4, 63*s/4, 127*s/4, 247*s/4, 367*s/4, 487*s/4)
		w.h.starter.owe(1) // more than a second after the last attempt
		now := time.Now()
		want(now, 0)
		w.h.starter.owe(1)
		want(now)
		wait(60 * s)
		want(now, s, 31*s)
		lines := func() int { return w.logs.FilterMessageSnippet("delivery waits").Len() }
		if n := lines(); n != 1 {
			t.Errorf("%d lines say what it waits for, want 1", n)
		}
		now = time.Now()
		j, err := journal.New(hooks.Postgres, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.h.journal = j
		if _, err := w.h.Flush(ctx, hooks.Flush{Conn: lentDB{w.conn}, Events: w.events("a.b")}); err == nil {
			t.Fatal("something was written nowhere")
		}
		want(now, 0) // a start may make what was missing
		base.fail(errors.New("another reason"))
		wait(60 * s)
		if n := lines(); n != 2 {
			t.Errorf("%d lines once it waits for something else, want 2", n)
		}
		if err := w.h.Close(); err != nil {
			t.Error(err)
		}
		base.take(now)
		wait(time.Hour)
		want(now)
	})
}

// readOnlyServer answers each question with no, or with an empty text, and refuses to write.
type readOnlyServer struct{ driver.Conn }

type sqlState string

func (s sqlState) Error() string    { return "SQLSTATE " + string(s) }
func (s sqlState) SQLState() string { return string(s) }

func (s readOnlyServer) Connect(context.Context) (driver.Conn, error) { return s, nil }
func (readOnlyServer) Driver() driver.Driver                          { return nil }
func (readOnlyServer) Close() error                                   { return nil }

func (readOnlyServer) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return nil, sqlState(readOnly)
}

func (readOnlyServer) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	if strings.Contains(query, "encode(") {
		return &oneRow{value: ""}, nil
	}
	return &oneRow{value: false}, nil
}

type oneRow struct {
	value driver.Value
	read  bool
}

func (*oneRow) Columns() []string { return []string{"value"} }
func (*oneRow) Close() error      { return nil }

// Next gives the row.
func (r *oneRow) Next(dest []driver.Value) error {
	if r.read {
		return io.EOF
	}
	dest[0], r.read = r.value, true
	return nil
}

// TestStartWhereNothingCanBeWritten waits, though the server says that it is no standby.
func TestStartWhereNothingCanBeWritten(t *testing.T) {
	store, err := relay.New(hooks.Postgres, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(h *Hub) { h.Register(&taker{}, Auto) })
	w.h = w.open(hooks.Postgres)
	w.h.queue.store = store
	conn := sql.OpenDB(readOnlyServer{})
	defer conn.Close()
	if err := w.h.start(ctx, conn); !errors.Is(err, errReadOnly) || w.h.started.Load() {
		t.Errorf("error %v, started %t", err, w.h.started.Load())
	}
}
