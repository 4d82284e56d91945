package sqltest

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Call is one call of a driver method, as the log keeps it and as [Fake.On]
// names it.
type Call struct {
	Method string
	// Query is the statement's text. Given to On it is a prefix, in any case.
	Query string
	// Conn is the number of the connection, from 1 in the order of opening.
	Conn int
	// Tx is the number of the transaction that was open when the call came; 0
	// outside any. On ignores it, and the fields below.
	Tx int
	// Args are copies.
	Args []driver.NamedValue
	// Options are those of BeginTx.
	Options driver.TxOptions
	// Err is what the call returned.
	Err error
}

// String gives the call in one line, without its error.
func (c Call) String() string {
	s := fmt.Sprintf("conn %d: %s", c.Conn, c.Method)
	if c.Query != "" {
		s += fmt.Sprintf(" %q", c.Query)
	}
	for _, a := range c.Args {
		s += fmt.Sprintf(" %v", a.Value)
	}
	return s
}

// names reports whether c, given to On, means the call d.
func (c Call) names(d *Call) bool {
	return (c.Method == "" || c.Method == d.Method) &&
		(c.Conn == 0 || c.Conn == d.Conn) &&
		hasPrefixFold(d.Query, c.Query)
}

func hasPrefixFold(s, prefix string) bool {
	s = strings.TrimSpace(s)
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// commits reports whether c asks for a commit, so that its failure means that
// the server refused and rolled back.
func (c *Call) commits() bool {
	return c.Method == "Commit" || hasPrefixFold(c.Query, "COMMIT") || hasPrefixFold(c.Query, "END")
}

// Fault is what happens to a call instead of, or beside, its effect. Faults are
// values; At, From and After return changed copies.
type Fault struct {
	// strike reports whether the call ends here, with err.
	strike func(ctx context.Context, c *conn) (ends bool, err error)
	first  int
	last   int
	after  bool
}

// At strikes only at the nth matching call, counted from 1.
func (f Fault) At(n int) Fault {
	f.first, f.last = n, n
	return f
}

// From strikes at the nth matching call and at all later ones.
func (f Fault) From(n int) Fault {
	f.first, f.last = n, 0
	return f
}

// After strikes when the server has done its part: a Lose().After() at Commit
// is a commit whose answer never arrives.
func (f Fault) After() Fault {
	f.after = true
	return f
}

// Fail returns err from the call, without its effect. A commit that fails so
// was refused: the transaction is rolled back. Of IsValid it makes false.
func Fail(err error) Fault {
	return Fault{strike: func(context.Context, *conn) (bool, error) { return true, err }}
}

// Panic panics with v.
func Panic(v any) Fault {
	return Fault{strike: func(context.Context, *conn) (bool, error) { panic(v) }}
}

// Lose loses the connection: the call and all later ones return
// driver.ErrBadConn, and the open transaction is rolled back.
func Lose() Fault { return LoseAs(driver.ErrBadConn) }

// LoseAs is Lose with another error of the call at which it happens, since not
// every driver says ErrBadConn there.
func LoseAs(err error) Fault {
	return Fault{strike: func(_ context.Context, c *conn) (bool, error) {
		c.lose()
		return true, err
	}}
}

// Abort returns err and leaves the transaction as PostgreSQL leaves it after an
// error: every statement but ROLLBACK is refused with SQLSTATE 25P02, a COMMIT
// rolls back and returns nil.
func Abort(err error) Fault {
	return Fault{strike: func(_ context.Context, c *conn) (bool, error) {
		c.abort()
		return true, err
	}}
}

// End ends the open transaction unseen, as a procedure or SQLite's ON CONFLICT
// ROLLBACK does, with the outcome Committed or RolledBack. The call returns
// err; if that is nil, it goes on to its effect, outside any transaction.
func End(outcome hooks.Outcome, err error) Fault {
	return Fault{strike: func(_ context.Context, c *conn) (bool, error) {
		c.end(outcome == hooks.Committed)
		return err != nil, err
	}}
}

// Hang makes the call wait until h is released, and then go on, or until its
// context ends, whose error it returns then.
func Hang(h *Hold) Fault {
	return Fault{strike: func(ctx context.Context, _ *conn) (bool, error) {
		h.enter()
		select {
		case <-ctx.Done():
			return true, ctx.Err()
		case <-h.released:
			return false, nil
		}
	}}
}

// Hold is where calls hang. Make one with [NewHold].
type Hold struct {
	reached  chan struct{}
	released chan struct{}
	enter    func()
	release  func()
}

// NewHold returns a Hold that has not been released.
func NewHold() *Hold {
	h := &Hold{reached: make(chan struct{}), released: make(chan struct{})}
	h.enter = sync.OnceFunc(func() { close(h.reached) })
	h.release = sync.OnceFunc(func() { close(h.released) })
	return h
}

// Reached is closed when the first call hangs.
func (h *Hold) Reached() <-chan struct{} { return h.reached }

// Release lets the calls that hang go on, and later ones pass.
func (h *Hold) Release() { h.release() }

// script is a fault with the calls it is for.
type script struct {
	Fault
	call Call
	seen int
}

// On makes the calls that call names meet the fault. Of several faults that are
// due the first one given strikes. The fault's count begins here.
func (f *Fake) On(call Call, fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scripts = append(f.scripts, &script{Fault: fault, call: call})
}

// due returns the fault that call meets, or nil. The caller holds f.mu.
func (f *Fake) due(call *Call) *script {
	var hit *script
	for _, s := range f.scripts {
		if !s.call.names(call) {
			continue
		}
		s.seen++
		if hit == nil && s.seen >= s.first && (s.last == 0 || s.seen <= s.last) {
			hit = s
		}
	}
	return hit
}
