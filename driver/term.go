package driver

import (
	"context"
	"errors"
	"sync"
	"time"
)

// followAfter is how long a statement of the driver's runs before it follows the app's
// context. Nearly all have ended by then, and following costs more than anything else here.
const followAfter = 100 * time.Millisecond

// A term ends a context at a time, or grace after the app's context ends. It goes through three
// phases: until followAfter has passed it only has a timer; then it follows the app's context by
// AfterFunc; when that ends, grace is set. A connection reuses one until it has fired.
type term struct {
	ctx   context.Context // ends with the term
	end   context.CancelFunc
	timer *time.Timer // calls tick
	stop  func()      // ends a use

	mu     sync.Mutex // guards what follows, which is of one use
	used   bool
	app    context.Context // to be followed, if there is one
	last   time.Time       // when it ends at the latest; zero for never
	follow func() bool     // stops following
	grace  time.Time       // when it ends because app has; zero for not yet
	err    error           // why it has ended
}

// terms are those of a connection that are not in use.
type terms struct {
	mu   sync.Mutex
	idle []*term
}

// take returns one that is in no use.
func (ts *terms) take() *term {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if n := len(ts.idle); n > 0 {
		t := ts.idle[n-1]
		ts.idle = ts.idle[:n-1]
		return t
	}
	t := &term{}
	t.ctx, t.end = context.WithCancel(context.Background())
	t.stop = func() {
		if t.release() {
			ts.mu.Lock()
			defer ts.mu.Unlock()
			ts.idle = append(ts.idle, t)
		}
	}
	return t
}

// close ends them, for goroutines that wait for it.
func (ts *terms) close() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, t := range ts.idle {
		t.abandon()
	}
	ts.idle = nil
}

// begin begins a use, which ends at last, unless that is zero, and grace after app, unless
// that is nil.
func (t *term) begin(app context.Context, now, last time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used, t.app, t.last, t.grace = true, app, last, time.Time{}
	t.schedule(now)
}

// release ends a use, and reports whether there may be another one.
func (t *term) release() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer.Stop()
	if t.follow != nil {
		t.follow()
	}
	t.used, t.app, t.follow = false, nil, nil
	return t.err == nil
}

// tick looks what is due. It may be called late, in the next use.
func (t *term) tick() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.used || t.err != nil {
		return
	}
	now := time.Now()
	switch {
	case isDue(t.last, now):
		t.finish(context.DeadlineExceeded)
		return
	case isDue(t.grace, now):
		t.finish(context.Canceled)
		return
	case t.app != nil && t.follow == nil && t.grace.IsZero():
		t.follow = context.AfterFunc(t.app, t.noticed)
	}
	t.schedule(now)
}

func isDue(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// noticed is called when app has ended, perhaps late, too.
func (t *term) noticed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.used || t.err != nil || t.app == nil || t.app.Err() == nil {
		return
	}
	if _, timed := t.app.Deadline(); timed && errors.Is(t.app.Err(), context.DeadlineExceeded) {
		return // last is by that
	}
	now := time.Now()
	t.grace = now.Add(grace)
	t.schedule(now)
}

// schedule sets the timer for what comes next.
func (t *term) schedule(now time.Time) {
	next := t.last
	if !t.grace.IsZero() && (next.IsZero() || t.grace.Before(next)) {
		next = t.grace
	}
	if t.app != nil && t.follow == nil && t.grace.IsZero() {
		if soon := now.Add(followAfter); next.IsZero() || soon.Before(next) {
			next = soon
		}
	}
	switch {
	case next.IsZero():
	case t.timer == nil:
		t.timer = time.AfterFunc(next.Sub(now), t.tick)
	default:
		t.timer.Reset(next.Sub(now))
	}
}

// finish ends the term.
func (t *term) finish(err error) {
	if t.err == nil {
		t.err = err
		t.end()
	}
}

// abandon ends the term although its time is not over.
func (t *term) abandon() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.finish(context.Canceled)
}

// why is the error of a context that ends with the term.
func (t *term) why() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// termed is the context of one use of a term.
type termed struct {
	context.Context // the term's
	values          context.Context
	term            *term
	last            time.Time
}

// Deadline implements context.Context.
func (c *termed) Deadline() (time.Time, bool) { return c.last, !c.last.IsZero() }

// Err implements context.Context.
func (c *termed) Err() error { return c.term.why() }

// Value implements context.Context. The term's context has only what package context
// looks for, by which contexts that are made of this one end with it.
func (c *termed) Value(key any) any {
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.values.Value(key)
}
