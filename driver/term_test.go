package driver

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
)

type valueKey struct{}

// TestTermIsUsedAgain, by one statement after the other, but not by two at once; nor one that
// has ended.
func TestTermIsUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &querier{is: dialects[hooks.Postgres].facts()}
		app, cancel := context.WithCancel(context.WithValue(context.Background(), valueKey{}, "app"))
		outer, doneOuter := q.outlast(app, time.Minute)
		inner, doneInner := q.outlast(outer, time.Second)
		if outer.Done() == inner.Done() {
			t.Error("two statements have one term")
		}
		if inner.Value(valueKey{}) != "app" {
			t.Error("a value of the app's context is missing")
		}
		doneInner()
		doneOuter()
		time.Sleep(time.Hour)
		if outer.Err() != nil {
			t.Errorf("a term that is in no use ended: %v", outer.Err())
		}

		again, done := q.outlast(app, time.Minute)
		if again.Done() != outer.Done() && again.Done() != inner.Done() {
			t.Error("no term is used again")
		}
		cancel()
		<-again.Done()
		done()
		for range 2 {
			fresh, done := q.outlast(context.Background(), time.Minute)
			if fresh.Err() != nil {
				t.Errorf("a term that has ended is used again: %v", fresh.Err())
			}
			defer done()
		}
	})
}

// TestTermFollows the app's context once a statement has taken some time, which may delay its
// end by that time; and only while it runs.
func TestTermFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &querier{is: dialects[hooks.Postgres].facts()}
		for _, after := range []time.Duration{0, time.Nanosecond, followAfter / 2, followAfter, 2 * followAfter} {
			app, cancel := context.WithCancel(context.Background())
			out, done := q.outlast(app, time.Minute)
			time.Sleep(after)
			cancel()
			start := time.Now()
			<-out.Done()
			if took := time.Since(start); took < grace || took > grace+followAfter || !errors.Is(out.Err(), context.Canceled) {
				t.Errorf("cancelled after %v: ended %v later with %v", after, took, out.Err())
			}
			done()
		}

		before, cancel := context.WithCancel(context.Background())
		_, done := q.outlast(before, time.Minute)
		time.Sleep(2 * followAfter)
		done()
		out, done := q.outlast(context.Background(), time.Minute)
		cancel()
		time.Sleep(2 * grace)
		if out.Err() != nil {
			t.Errorf("it ended with the context of the statement before: %v", out.Err())
		}
		done()
		next, cancel := context.WithCancel(context.Background())
		last, done := q.outlast(next, time.Minute)
		defer done()
		time.Sleep(2 * followAfter)
		cancel()
		time.Sleep(grace)
		synctest.Wait()
		if last.Err() == nil {
			t.Error("it does not end with its own")
		}
	})
}

// TestTermEndsWhatIsMadeOfIt: a base driver may make contexts of the one that it gets.
func TestTermEndsWhatIsMadeOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &querier{is: dialects[hooks.Postgres].facts()}
		for name, end := range map[string]func(context.Context){
			"its time":   func(context.Context) { time.Sleep(time.Second) },
			"endNow":     endNow,
			"the driver": func(context.Context) { q.terms.close() },
		} {
			out, done := q.outlast(context.Background(), time.Second)
			before := runtime.NumGoroutine()
			child, cancel := context.WithCancel(out)
			if n := runtime.NumGoroutine(); n > before {
				t.Error("a context that is made of it needs a goroutine")
			}
			if name == "the driver" { // closes the connection when the statement is over
				done()
			}
			end(out)
			<-child.Done()
			cancel()
			if name != "the driver" {
				done()
			}
		}
	})
}

// TestTermIsReleased: what comes late does not touch the next use, and nothing of the app's
// context is kept.
func TestTermIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &querier{is: dialects[hooks.Postgres].facts()}
		app := &followed{Context: context.Background(), done: make(chan struct{})}
		out, done := q.outlast(app, time.Second)
		time.Sleep(2 * followAfter)
		done()
		if app.followed != 1 || app.stopped != 1 {
			t.Errorf("followed %d times, stopped %d times, want once each", app.followed, app.stopped)
		}
		time.Sleep(time.Second)
		used := q.terms.idle[0]
		used.tick() // of a timer that was due when it was stopped
		if out.Err() != nil {
			t.Errorf("a term that is in no use ended: %v", out.Err())
		}
	})
}

// followed is a context that counts those who follow it.
type followed struct {
	context.Context
	done              chan struct{}
	followed, stopped int
}

func (f *followed) Done() <-chan struct{} { return f.done }

// AfterFunc is what context.AfterFunc uses.
func (f *followed) AfterFunc(func()) (stop func() bool) {
	f.followed++
	return func() bool {
		f.stopped++
		return true
	}
}
