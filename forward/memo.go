package forward

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/internal/backoff"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// memo is what earlier attempts at a job have found out. It is stored as [Job.Note].
type memo struct {
	// Left are the events that are still to be delivered. The last Failed of them have
	// failed alone while the sink was up; nothing is known about the others.
	Left   []uuid.UUID `json:"left"`
	Failed int         `json:"failed,omitempty"`
	// Refused are those that the sink will never accept.
	Refused []uuid.UUID `json:"refused,omitempty"`
	// Waits is how many attempts in a row have found nothing that the sink accepts. It
	// sets the next pause, and which events are tried alone.
	Waits int `json:"waits,omitempty"`
	// OneByOne says that a call with several events did not return.
	OneByOne bool `json:"one_by_one,omitempty"`
	// At is when the last attempt ended. Why is its error, for operators.
	At  time.Time `json:"at,omitzero"`
	Why string    `json:"why,omitempty"`
}

// memoOf returns what the job's last attempt has noted.
func memoOf(job *Job) memo {
	var m memo
	if json.Unmarshal([]byte(job.Note), &m) != nil || len(m.Left) == 0 || m.Failed < 0 || m.Failed > len(m.Left) || m.Waits < 0 {
		return memo{Left: job.Events}
	}
	return m
}

func (m *memo) text() string {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // it has only what can be marshaled
	}
	return string(text)
}

// over is the note of a job that has ended without all of its events being accepted. An
// operator may have it tried again.
func (m *memo) over() string {
	o := memo{Left: slices.Concat(m.Left, m.Refused), Why: m.Why}
	return o.text()
}

// since is the time after which the sink must have accepted something, if what fails in
// this attempt is to be the events' fault.
func (m *memo) since(start time.Time) time.Time {
	if m.At.IsZero() {
		return start
	}
	return m.At
}

// next decides what happens to the job after an attempt. The attempt counts if the sink is
// up, each event that is left has failed alone, and one of them in this attempt: in one that
// made no call, because the journal could not be read or the process ends, say, none has.
// Otherwise the job waits. ending says
// that the attempt's ctx has ended, because its time was up or the process ends: then the
// next one need not be put off.
func (m *memo) next(job *Job, f *relay.Findings, up, ending bool) Verdict {
	n, untried := m.sort(f)
	counts := up && untried == 0 && slices.ContainsFunc(n.Left, func(id uuid.UUID) bool { _, failed := f.Failed[id]; return failed })
	v := Verdict{Err: jobError(f)}
	n.Why = shortText(v.Err)
	switch {
	case len(n.Left)+len(n.Refused) == 0:
		return Verdict{Next: JobDone}
	case len(n.Left) == 0:
		v.Next, v.Note = JobRefused, n.over()
	case counts && job.Attempt < job.MaxAttempts:
		v.Next, v.Note = JobAgain, n.text()
	case counts:
		v.Next, v.Note = JobDiscarded, n.over()
	default:
		if v.Next = JobWaits; !ending {
			v.Wait = backoff.After(m.Waits+1, firstWait, lastWait)
		}
		if !f.Proved {
			n.Waits = m.Waits + 1
		}
		v.Note = n.text()
	}
	return v
}

// sort returns the memo after an attempt, and how many of the events left have not failed
// alone so far.
func (m *memo) sort(f *relay.Findings) (n memo, untried int) {
	open := make(map[uuid.UUID]bool, len(f.Untried))
	for _, id := range f.Untried {
		open[id] = true
	}
	n = memo{Refused: slices.Clone(m.Refused), At: time.Now().UTC(), OneByOne: m.OneByOne || f.Several}
	var again, failed []uuid.UUID
	for i, id := range m.Left {
		switch failure, isFailed := f.Failed[id]; {
		case isFailed && failure.Permanent:
			n.Refused = append(n.Refused, id)
		case isFailed:
			failed = append(failed, id)
		case open[id] && i < len(m.Left)-m.Failed:
			n.Left = append(n.Left, id)
		case open[id]:
			again = append(again, id)
		}
	}
	untried, n.Failed = len(n.Left), len(again)+len(failed)
	n.Left = slices.Concat(n.Left, again, failed)
	return n, untried
}

// jobError returns an error for what an attempt has found, nil if nothing failed.
func jobError(f *relay.Findings) error {
	if len(f.Failed) > 0 {
		failed := make(map[uuid.UUID]error, len(f.Failed))
		for id, failure := range f.Failed {
			failed[id] = failure.Err
		}
		return Partial(failed)
	}
	return f.Why.Err
}

// shortText returns the text of err for a note, shortened, and in ASCII: not every database
// can store every text, and a Queue may store the results of several jobs in one statement.
func shortText(err error) string {
	if err == nil {
		return ""
	}
	const most = 300
	text := pgtext.Written(err.Error())
	if len(text) > most {
		text = text[:most] + "..."
	}
	return text
}
