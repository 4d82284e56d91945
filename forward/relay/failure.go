package relay

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// States of a failure.
const (
	stateRetrying  = "retrying"
	stateDiscarded = "discarded"
)

// retryAfter is the pause after a failed attempt that is counted, from 1: attempt⁴ and 15
// seconds, and up to a tenth more, so that what failed together does not come
// back together.
func retryAfter(attempt int) time.Duration {
	a := time.Duration(attempt)
	d := a*a*a*a*time.Second + 15*time.Second
	return d + rand.N(d/10)
}

// verdict is what is written about an entry that failed.
type verdict struct {
	at       journal.Position
	id       uuid.UUID // of its event, zero if it has none
	failure  Failure
	attempts int
	discard  bool
	next     time.Time
}

func judge(a *candidate, f Failure, most int, now time.Time) verdict {
	v := verdict{at: a.entry.Position, id: a.entry.ID, failure: f, attempts: a.attempts + 1}
	v.next = now.Add(retryAfter(v.attempts))
	v.discard = f.Permanent || v.attempts >= most
	return v
}

// failureOf returns why an entry was not accepted, nil if it was: failed has those that the
// sink has refused, by the IDs of their events. One that cannot be read is kept for a person
// to repair and replay.
func (a *candidate) failureOf(failed map[uuid.UUID]Failure) *Failure {
	if e := a.entry; e.Unreadable != "" {
		return &Failure{Reason: ReasonUnreadable, Permanent: true, Err: &UnreadableError{e.Position, e.Unreadable}}
	}
	if f, ok := failed[a.entry.ID]; ok {
		return &f
	}
	return nil
}

// Reasons of failures without a call.
const (
	// ReasonUnreadable is that of an entry that cannot be read.
	ReasonUnreadable = "unreadable"
	// ReasonGone is that of an entry that was purged before it was delivered.
	ReasonGone = "journal_gone"
)

// UnreadableError says what of an entry cannot be read, and where it is.
type UnreadableError struct {
	Position journal.Position
	What     string
}

// Error gives the row, because the entry may have no event's ID.
func (e *UnreadableError) Error() string {
	return fmt.Sprintf("relay: the entry %s cannot be read (%s): repair its row in the journal and replay it, or dismiss it", e.Position.Text(), e.What)
}

// events are those of a notice about it.
func (v *verdict) events() []uuid.UUID {
	if v.id == uuid.Nil {
		return nil
	}
	return []uuid.UUID{v.id}
}

func (v *verdict) state() string {
	if v.discard {
		return stateDiscarded
	}
	return stateRetrying
}

// note writes verdicts.
func (s *Store) note(ctx context.Context, q querier, forwarder string, verdicts []verdict, now time.Time) error {
	if len(verdicts) == 0 {
		return nil
	}
	rows := make([]string, len(verdicts))
	for i := range verdicts {
		v := &verdicts[i]
		rows[i] = fmt.Sprintf("(%s, '%s', %d, %s, '%s', %d, %s, %s, %s, %s, %s)", s.quote(forwarder), v.at.Key, v.at.Ordinal, eventID(v.id), v.state(), v.attempts,
			s.time(v.next), s.quote(v.failure.Reason), s.quote(errorText(v.failure.Err)), s.time(now), s.time(now))
	}
	_, err := q.ExecContext(ctx, "INSERT INTO "+s.prefix+"retries AS f (forwarder, key, ordinal, event_id, state, attempts, next_at, reason, error, first_at, last_at) VALUES "+
		strings.Join(rows, ", ")+" ON CONFLICT (forwarder, key, ordinal) DO UPDATE SET event_id = coalesce(excluded.event_id, f.event_id), state = excluded.state, attempts = excluded.attempts,"+
		" next_at = excluded.next_at, reason = excluded.reason, error = excluded.error, last_at = excluded.last_at")
	return wrap("write failures", forwarder, err)
}

// eventID is a literal of an event's ID, which is not known of every failure.
func eventID(id uuid.UUID) string {
	if id == uuid.Nil {
		return "NULL"
	}
	return "'" + id.String() + "'"
}

// errorText returns the text of err, shortened to what is stored.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	const most = 1000
	text := err.Error()
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}

// these selects failures by the positions of their entries.
func (s *Store) these(entries []journal.Position) string {
	rows := make([]string, len(entries))
	for i, p := range entries {
		rows[i] = fmt.Sprintf("(%s, %d)", s.d.uuid(p.Key), p.Ordinal)
	}
	return "(key, ordinal) IN (VALUES " + strings.Join(rows, ", ") + ")"
}

// deleteRetries deletes the retries of entries that were accepted.
func (s *Store) deleteRetries(ctx context.Context, q querier, forwarder string, entries []journal.Position) error {
	if len(entries) == 0 {
		return nil
	}
	_, err := q.ExecContext(ctx, "DELETE FROM "+s.prefix+"retries WHERE forwarder = "+s.quote(forwarder)+" AND "+s.these(entries))
	return wrap("delete retries", forwarder, err)
}

// forgive takes an attempt back from each of entries, also if it was the last.
func (s *Store) forgive(ctx context.Context, q querier, forwarder string, entries []journal.Position, now time.Time) error {
	if len(entries) == 0 {
		return nil
	}
	_, err := q.ExecContext(ctx, "UPDATE "+s.prefix+"retries SET state = '"+stateRetrying+"', attempts = attempts - 1, next_at = "+s.time(now)+
		" WHERE forwarder = "+s.quote(forwarder)+" AND "+s.these(entries)+" AND attempts > 0")
	return wrap("forgive failures", forwarder, err)
}

// postpone sets when an entry is tried again, and counts no attempt.
func (s *Store) postpone(ctx context.Context, q querier, forwarder string, entry journal.Position, until time.Time) error {
	_, err := q.ExecContext(ctx, "UPDATE "+s.prefix+"retries SET next_at = "+s.time(until)+
		" WHERE forwarder = "+s.quote(forwarder)+" AND state = '"+stateRetrying+"' AND "+s.these([]journal.Position{entry}))
	return wrap("postpone a failure", forwarder, err)
}

// nextDue returns when the next failure is due, zero if there is none.
//
// A store without row changes leaves their retries to a process of another version, which gets changes: it would take the changes for
// gone.
func (s *Store) nextDue(ctx context.Context, q querier, forwarder string) (next time.Time, err error) {
	err = q.QueryRowContext(ctx, "SELECT "+s.d.fn("min")+"(next_at) FROM "+s.prefix+"retries WHERE forwarder = "+s.quote(forwarder)+
		" AND state = '"+stateRetrying+"'"+s.mine()).Scan(moment{&next})
	return next, wrap("look for what is due", forwarder, err)
}

// mine selects the failures that the target of s can try again.
func (s *Store) mine() string {
	if s.changes != nil {
		return ""
	}
	return " AND " + s.ofJournal(s.prefix+"retries.key")
}

// clockTolerance is how far the clocks of programs and servers may be apart.
const clockTolerance = time.Minute

// repairFutureRetries makes what is to be tried again due now if it was noted at a time that has
// not come yet: a clock was ahead then, and so is the time at which it would be due.
func (s *Store) repairFutureRetries(ctx context.Context, q querier, forwarder string, now time.Time) (moved bool, err error) {
	n, err := affected(ctx, q, "UPDATE "+s.prefix+"retries SET next_at = "+s.time(now)+", last_at = "+s.time(now)+" WHERE forwarder = "+s.quote(forwarder)+
		" AND state = '"+stateRetrying+"' AND next_at > "+s.time(now)+" AND last_at > "+s.time(now.Add(clockTolerance)))
	return n > 0, wrap("repair what a clock that was ahead has noted", forwarder, err)
}
