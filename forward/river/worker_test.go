package river

import (
	"context"
	"testing"
	"time"

	riverqueue "github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/go-aftercommit/aftercommit/forward"
)

// TestTimeout: an attempt ends a minute before River takes the job for one of a process
// that has died, and goes by the job's own time where it has one.
func TestTimeout(t *testing.T) {
	for _, tt := range []struct {
		name           string
		own, old, want time.Duration
	}{
		{"a job without one", 0, 0, 15 * time.Minute},
		{"an earlier version's job", 0, time.Hour, time.Hour},
		{"a job with a longer time", time.Hour, 0, time.Hour},
		{"a job of others with an endless time", 1<<63 - 1, 0, 240 * time.Hour},
		{"an earlier version's job with an endless time", 0, 1<<63 - 1, 240 * time.Hour},
		{"a job with a shorter time", time.Minute, 0, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			began := time.Now()
			var limit time.Duration
			w := &worker{timeout: 15 * time.Minute, deliver: func(ctx context.Context, job forward.Job) forward.Verdict {
				if end, ok := ctx.Deadline(); !ok || time.Until(end) > job.Timeout || end.Before(began.Add(job.Timeout)) {
					t.Errorf("the attempt ends at %v, which is not in %v", end, job.Timeout)
				}
				limit = job.Timeout
				return forward.Verdict{}
			}}
			job := &riverqueue.Job[args]{JobRow: &rivertype.JobRow{}, Args: args{Seconds: int(tt.own.Seconds()), Timeout: tt.old}}
			w.attempt(t.Context(), w.jobOf(job))
			if limit != tt.want || w.Timeout(job) != tt.want+time.Minute {
				t.Errorf("an attempt takes %v, and is over after %v, want %v and a minute more", limit, w.Timeout(job), tt.want)
			}
		})
	}
}
