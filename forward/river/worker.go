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

// Timeout is that of an attempt. River takes over a job from a process that has died
// only if there is one.
func (w *worker) Timeout(*riverqueue.Job[args]) time.Duration { return w.timeout }

// Work makes one attempt.
func (w *worker) Work(ctx context.Context, job *riverqueue.Job[args]) error {
	j := forward.Job{
		Forwarder: job.Args.Forwarder, Events: rest(job.JobRow, job.Args.Events),
		MaxAttempts: job.MaxAttempts, Attempt: job.Attempt, Identity: job.Args.Identity,
	}
	err := w.deliver(ctx, j)
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
