package river

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	riverqueue "github.com/riverqueue/river"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// Kind is that of the jobs.
const Kind = "aftercommit_forward"

// newerPlace stands in Place of jobs that have a Key. Programs of earlier versions could not find
// their entries; they take such a job for one of another place and leave it alone.
const newerPlace = "a program of a later version of aftercommit"

// args point to entries of the journal. Their texts are those of [pgtext.Written].
type args struct {
	Forwarder string `json:"forwarder"`
	// Key is uuid.Nil in jobs of an earlier version.
	Key      uuid.UUID   `json:"key,omitzero"`
	Events   []uuid.UUID `json:"events"`
	Identity string      `json:"identity,omitempty"`
	// At is where a job with a Key belongs; Resume changes it. Place is that for jobs of earlier
	// versions, and newerPlace for the others.
	At    string `json:"at,omitempty"`
	Place string `json:"place,omitempty"`
	// Seconds are how long an attempt may take.
	Seconds     int `json:"seconds,omitempty"`
	MaxAttempts int `json:"max_attempts,omitempty"`
	// Timeout is what jobs of an earlier version have instead of Seconds.
	Timeout time.Duration `json:"timeout,omitempty"`

	unreadable error
}

// home is where the job belongs.
func (a *args) home() string {
	if a.Key == uuid.Nil {
		return a.Place
	}
	return a.At
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

// What a job's metadata has of its last attempt.
const (
	noteKey = "aftercommit_note" // forward.Verdict.Note
	// rescuesKey is for how often River had rescued the job by then. If it has since, the
	// process died in the attempt after that one. The numbers of attempts do not show it: an
	// attempt that is cancelled, also when its result is stored, keeps its number although
	// the job was to be snoozed.
	rescuesKey = "aftercommit_rescues"
)

// metadata is what a job's metadata has of earlier attempts.
type metadata struct {
	Note json.RawMessage `json:"aftercommit_note"`
	Rest []uuid.UUID     `json:"aftercommit_rest"` // an earlier version's note
	Seen int             `json:"aftercommit_rescues"`
	// Rescues is River's own count.
	Rescues int `json:"river:rescue_count"`
}

func metadataOf(job *riverqueue.Job[args]) (m metadata) {
	_ = json.Unmarshal(job.Metadata, &m) // an attempt without it has all events
	return m
}

// worker delivers jobs.
type worker struct {
	riverqueue.WorkerDefaults[args]
	deliver func(context.Context, forward.Job) forward.Verdict
	timeout time.Duration
	names   map[string]string // of forwarders, by how they are written in args
	served  func(ctx context.Context, queue, place string) bool
}

// rescueMargin is how long after an attempt's limit River takes its process for dead, and
// rescues the job. Until then the attempt has to return and River to store its result, or
// the job would be in two attempts at once. The clocks of the process that leads and of
// the one that works the job may differ by as much.
const rescueMargin = time.Minute

// Timeout is how old an attempt is when River takes its process for dead. River asks the
// program that leads, which may have other sinks than the one that works the job, so this
// goes by the limit that the job carries.
func (w *worker) Timeout(job *riverqueue.Job[args]) time.Duration {
	return w.limit(job.Args) + rescueMargin
}

// longest is the most that an attempt may take: ten calls of a forwarder with the longest
// timeout.
const longest = 10 * 24 * time.Hour

// limit is how long an attempt may take. Others than a Hub may have written the job.
func (w *worker) limit(a args) time.Duration {
	if a.Seconds > 0 {
		return min(time.Duration(a.Seconds), longest/time.Second) * time.Second
	}
	return min(cmp.Or(max(a.Timeout, 0), w.timeout), longest)
}

// Work makes one attempt.
func (w *worker) Work(ctx context.Context, job *riverqueue.Job[args]) error {
	j := w.jobOf(job)
	j.Served = j.Place != "" && w.served(ctx, job.Queue, j.Place)
	v := w.attempt(ctx, j)
	if job.Args.unreadable != nil {
		v.Err = errors.Join(fmt.Errorf("river: args of job %d: %w", job.ID, job.Args.unreadable), v.Err)
	}
	v.Err = storableError(v.Err)
	err := errors.Join(riverqueue.MetadataSet(ctx, rescuesKey, metadataOf(job).Rescues), riverqueue.MetadataSet(ctx, noteKey, json.RawMessage(cmp.Or(v.Note, "{}"))))
	if err != nil {
		return errors.Join(v.Err, err)
	}
	switch v.Next {
	case forward.JobDone:
		return nil
	case forward.JobRefused:
		return riverqueue.JobCancel(v.Err)
	case forward.JobWaits:
		return riverqueue.JobSnooze(v.Wait) // River cancels it instead, if it was asked to
	case forward.JobDiscarded:
		// River discards a job that has no further attempt. By its row in the database it
		// has one, see maxAttempts.
		job.MaxAttempts = job.Attempt
	}
	return v.Err
}

// attempt calls deliver for as long as an attempt may take, which ends before Timeout.
func (w *worker) attempt(ctx context.Context, j forward.Job) forward.Verdict {
	limited, cancel := context.WithTimeout(ctx, j.Timeout)
	defer cancel()
	return w.deliver(limited, j)
}

// jobOf returns the job as package forward is to see it.
func (w *worker) jobOf(job *riverqueue.Job[args]) forward.Job {
	m, most := metadataOf(job), cmp.Or(job.Args.MaxAttempts, job.MaxAttempts)
	return forward.Job{
		Forwarder: cmp.Or(w.names[pgtext.Written(job.Args.Forwarder)], job.Args.Forwarder), Key: job.Args.Key, Events: job.Args.Events, Identity: job.Args.Identity, Place: job.Args.home(),
		MaxAttempts: most, Attempt: job.Attempt, Timeout: w.limit(job.Args),
		// Those after it are what an operator has asked for. What an earlier version has
		// enqueued has no such attempt.
		Note: cmp.Or(string(m.Note), noteOf(m.Rest)), Died: m.Rescues > m.Seen && job.Attempt == most+1,
	}
}

// maxAttempts is the max_attempts of a job that is to have n attempts. If a process dies
// in the last of them, River makes one more, in which a worker discards the job with the
// notice; River itself would discard it without one.
func maxAttempts(n int) int { return min(n+1, math.MaxInt16) }
