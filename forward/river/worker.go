package river

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	riverqueue "github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/go-aftercommit/aftercommit/forward"
)

// Kind is that of the jobs.
const Kind = "aftercommit_forward"

// args point to entries of the journal.
type args struct {
	Forwarder string      `json:"forwarder"`
	Events    []uuid.UUID `json:"events"`
	Identity  string      `json:"identity,omitempty"`
	// Timeout is in nanoseconds.
	Timeout time.Duration `json:"timeout,omitempty"`

	unreadable error
}

// Kind implements River's JobArgs.
func (args) Kind() string { return Kind }

// UnmarshalJSON keeps its error for the worker: River would try a job again
// whose args it cannot read.
func (a *args) UnmarshalJSON(text []byte) error {
	type plain args
	var p plain
	if err := json.Unmarshal(text, &p); err != nil {
		a.unreadable = err
		return nil
	}
	*a = args(p)
	return nil
}

// restKey is where a job's metadata has the ids of the events that the next
// attempt is to have, if these are not all.
const restKey = "aftercommit_rest"

// worker delivers jobs.
type worker struct {
	riverqueue.WorkerDefaults[args]
	deliver func(context.Context, forward.Job) error
	timeout time.Duration
}

// rescueMargin is how long after an attempt's limit River takes the job for one of a
// process that has died. Within it the attempt returns and River stores its result;
// otherwise the job would be in two attempts at once. The clocks of the process that
// leads and of the one that took the job may differ by as much.
const rescueMargin = time.Minute

// Timeout is when River takes over a job from a process that has died. It asks the
// program that leads, which may have other sinks than the one that works the job, so it
// goes by the job's own limit.
func (w *worker) Timeout(job *riverqueue.Job[args]) time.Duration {
	return w.limit(job.Args) + rescueMargin
}

// limit is how long an attempt may take.
func (w *worker) limit(a args) time.Duration {
	if a.Timeout > 0 {
		return a.Timeout
	}
	return w.timeout
}

// Work makes one attempt.
func (w *worker) Work(ctx context.Context, job *riverqueue.Job[args]) error {
	j := forward.Job{
		Forwarder: job.Args.Forwarder, Events: rest(job.JobRow, job.Args.Events),
		MaxAttempts: job.MaxAttempts, Attempt: job.Attempt, Identity: job.Args.Identity, Timeout: w.limit(job.Args),
	}
	limited, cancel := context.WithTimeout(ctx, j.Timeout)
	defer cancel()
	err := w.deliver(limited, j)
	if job.Args.unreadable != nil {
		err = errors.Join(fmt.Errorf("river: args of job %d: %w", job.ID, job.Args.unreadable), err)
	}
	var (
		permanent *forward.PermanentError
		partial   *forward.PartialError
	)
	if errors.As(err, &partial) {
		left := slices.DeleteFunc(slices.Clone(j.Events), func(id uuid.UUID) bool { return partial.Failed[id] == nil })
		if e := riverqueue.MetadataSet(ctx, restKey, left); e != nil {
			err = errors.Join(err, e)
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.As(err, &permanent):
		return riverqueue.JobCancel(err)
	case errors.Is(ctx.Err(), context.Canceled) && !errors.Is(context.Cause(ctx), rivertype.ErrJobCancelledRemotely):
		return riverqueue.JobSnooze(0) // the process ends, which is no attempt
	default:
		return err
	}
}

// rest returns what earlier attempts have left of events.
func rest(row *rivertype.JobRow, events []uuid.UUID) []uuid.UUID {
	var metadata struct {
		Rest []uuid.UUID `json:"aftercommit_rest"`
	}
	if err := json.Unmarshal(row.Metadata, &metadata); err != nil || len(metadata.Rest) == 0 {
		return events
	}
	return metadata.Rest
}
