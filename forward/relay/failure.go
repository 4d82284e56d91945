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

// attempted is an entry and how often it was tried before.
type attempted struct {
	entry    journal.Entry
	attempts int
}

// verdict is what is written about an entry that failed.
type verdict struct {
	id       uuid.UUID
	failure  Failure
	attempts int
	discard  bool
	next     time.Time
}

func judge(id uuid.UUID, f Failure, attempts, most int, now time.Time) verdict {
	v := verdict{id: id, failure: f, attempts: attempts, next: now.Add(retryAfter(attempts))}
	v.discard = f.Permanent || attempts >= most
	return v
}

// unreadable adds to failed the entries that cannot be read. They are kept for a
// person to repair and replay.
func unreadable(batch []attempted, failed map[uuid.UUID]Failure) map[uuid.UUID]Failure {
	for i := range batch {
		e := &batch[i].entry
		if e.Unreadable == "" {
			continue
		}
		if failed == nil {
			failed = make(map[uuid.UUID]Failure)
		}
		failed[e.ID] = Failure{Reason: ReasonUnreadable, Permanent: true, Err: &UnreadableError{e.Seq, e.Unreadable}}
	}
	return failed
}

// ReasonUnreadable is the reason of a failure of an entry that cannot be read.
const ReasonUnreadable = "unreadable"

// UnreadableError says what of an entry cannot be read, and where it is.
type UnreadableError struct {
	Seq  int64
	What string
}

// Error gives the row, because the entry may have no event's ID.
func (e *UnreadableError) Error() string {
	return fmt.Sprintf("relay: the entry with seq %d cannot be read (%s): repair its row in the journal and replay it, or dismiss it", e.Seq, e.What)
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
		rows[i] = fmt.Sprintf("(%s, '%s', '%s', %d, %s, %s, %s, %s, %s)", s.quote(forwarder), v.id, v.state(), v.attempts,
			s.time(v.next), s.quote(v.failure.Reason), s.quote(errorText(v.failure.Err)), s.time(now), s.time(now))
	}
	_, err := q.ExecContext(ctx, "INSERT INTO "+s.prefix+"failures AS f (forwarder, event_id, state, attempts, next_at, reason, error, first_at, last_at) VALUES "+
		strings.Join(rows, ", ")+" ON CONFLICT (forwarder, event_id) DO UPDATE SET state = excluded.state, attempts = excluded.attempts,"+
		" next_at = excluded.next_at, reason = excluded.reason, error = excluded.error, last_at = excluded.last_at")
	return wrap("write failures", forwarder, err)
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

// settle removes the failures of entries that were accepted. It does not write to the
// table settled; [Store.Settle] does.
func (s *Store) settle(ctx context.Context, q querier, forwarder string, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := q.ExecContext(ctx, "DELETE FROM "+s.prefix+"failures WHERE forwarder = "+s.quote(forwarder)+" AND event_id IN ("+idList(ids)+")")
	return wrap("settle failures", forwarder, err)
}

// forgive takes an attempt back from each of ids, also if it was the last.
func (s *Store) forgive(ctx context.Context, q querier, forwarder string, ids []uuid.UUID, now time.Time) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := q.ExecContext(ctx, "UPDATE "+s.prefix+"failures SET state = '"+stateRetrying+"', attempts = attempts - 1, next_at = "+s.time(now)+
		" WHERE forwarder = "+s.quote(forwarder)+" AND event_id IN ("+idList(ids)+") AND attempts > 0")
	return wrap("forgive failures", forwarder, err)
}

// postpone sets when an entry is tried again, and counts no attempt.
func (s *Store) postpone(ctx context.Context, q querier, forwarder string, id uuid.UUID, until time.Time) error {
	_, err := q.ExecContext(ctx, "UPDATE "+s.prefix+"failures SET next_at = "+s.time(until)+
		" WHERE forwarder = "+s.quote(forwarder)+" AND state = '"+stateRetrying+"' AND event_id = '"+id.String()+"'")
	return wrap("postpone a failure", forwarder, err)
}

// due reads entries whose time to be tried again has come, in the order of the
// journal or, with oldest, those that have waited longest; and gone the ids of those
// that the journal has no more.
func (s *Store) due(ctx context.Context, q querier, forwarder string, now time.Time, limit int, oldest bool) (due []attempted, gone []uuid.UUID, err error) {
	attempts, ids, err := s.dueIDs(ctx, q, forwarder, now, limit, oldest)
	if err != nil || len(ids) == 0 {
		return nil, nil, wrap("look for what is due", forwarder, err)
	}
	entries, err := s.journal.Select(ctx, q, "WHERE id IN ("+idList(ids)+") ORDER BY seq")
	if err != nil {
		return nil, nil, wrap("read what is due", forwarder, err)
	}
	for _, e := range entries {
		due = append(due, attempted{e, attempts[e.ID]})
		delete(attempts, e.ID)
	}
	for id := range attempts {
		gone = append(gone, id)
	}
	return due, gone, nil
}

func (s *Store) dueIDs(ctx context.Context, q querier, forwarder string, now time.Time, limit int, oldest bool) (map[uuid.UUID]int, []uuid.UUID, error) {
	order := "e.seq"
	if oldest {
		order = "f.next_at, e.seq"
	}
	rows, err := q.QueryContext(ctx, "SELECT f.event_id, f.attempts FROM "+s.prefix+"failures f LEFT JOIN "+s.events()+" e ON e.id = f.event_id"+
		" WHERE f.forwarder = "+s.quote(forwarder)+" AND f.state = '"+stateRetrying+"' AND f.next_at <= "+s.time(now)+
		" ORDER BY "+order+" LIMIT "+itoa(int64(limit)))
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	attempts := make(map[uuid.UUID]int)
	var ids []uuid.UUID
	for rows.Next() {
		var (
			text string
			n    int
		)
		if err := rows.Scan(&text, &n); err != nil {
			return nil, nil, err
		}
		id, err := uuid.Parse(text)
		if err != nil {
			continue // on SQLite, an entry that has no event's ID: it waits for its repair
		}
		attempts[id] = n
		ids = append(ids, id)
	}
	return attempts, ids, rows.Err()
}

// nextDue returns when the next failure is due, zero if there is none.
func (s *Store) nextDue(ctx context.Context, q querier, forwarder string) (next time.Time, err error) {
	err = q.QueryRowContext(ctx, "SELECT "+s.d.fn("min")+"(next_at) FROM "+s.prefix+"failures WHERE forwarder = "+s.quote(forwarder)+
		" AND state = '"+stateRetrying+"'").Scan(moment{&next})
	return next, wrap("look for what is due", forwarder, err)
}
