package driver

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestOutlast: what the driver has to finish outlasts the app's context by grace,
// and then fails as the app's context did.
func TestOutlast(t *testing.T) {
	background := func() (context.Context, context.CancelFunc) { return context.Background(), func() {} }
	deadline := func(d time.Duration) func() (context.Context, context.CancelFunc) {
		return func() (context.Context, context.CancelFunc) { return context.WithTimeout(context.Background(), d) }
	}
	canceled := func(d time.Duration) func() (context.Context, context.CancelFunc) {
		return func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			time.AfterFunc(d, cancel)
			return ctx, cancel
		}
	}
	for _, c := range []struct {
		name    string
		dialect hooks.Dialect
		app     func() (context.Context, context.CancelFunc)
		limit   time.Duration
		want    time.Duration // after which it ends; 0 for never
		err     error
	}{
		{"nothing ends", hooks.Postgres, background, 0, 0, nil},
		{"the limit", hooks.Postgres, background, 5 * time.Second, 5 * time.Second, context.DeadlineExceeded},
		{"the app's deadline", hooks.Postgres, deadline(time.Second), 0, time.Second + grace, context.DeadlineExceeded},
		{"the app's deadline, before the limit", hooks.Postgres, deadline(time.Second), 5 * time.Second, time.Second + grace, context.DeadlineExceeded},
		{"the limit, before the app's deadline", hooks.Postgres, deadline(time.Minute), 5 * time.Second, 5 * time.Second, context.DeadlineExceeded},
		{"a deadline that is over", hooks.Postgres, deadline(-time.Minute), 0, grace, context.DeadlineExceeded},
		{"cancelled", hooks.Postgres, canceled(time.Second), 0, time.Second + grace, context.Canceled},
		{"cancelled, before the limit", hooks.Postgres, canceled(time.Second), 5 * time.Second, time.Second + grace, context.Canceled},
		{"SQLite does not follow", hooks.SQLite, deadline(time.Second), 0, 0, nil},
		{"SQLite has the limit", hooks.SQLite, canceled(time.Second), 5 * time.Second, 5 * time.Second, context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				app, cancelApp := c.app()
				defer cancelApp()
				q := &querier{is: dialects[c.dialect].facts()}
				for range 3 { // whose term is used again
					_, done := q.outlast(app, time.Minute)
					done()
				}
				out, done := q.outlast(app, c.limit)
				defer done()
				if c.want == 0 {
					time.Sleep(time.Hour / 2)
					if out.Err() != nil {
						t.Errorf("it has ended with %v", out.Err())
					}
					return
				}
				<-out.Done()
				if took := time.Since(start); took != c.want || !errors.Is(out.Err(), c.err) {
					t.Errorf("it ends after %v with %v, want %v and %v", took, out.Err(), c.want, c.err)
				}
			})
		})
	}
}
