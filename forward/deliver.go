package forward

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// sink is a forwarder as one database uses it.
type sink struct {
	*registration
	inCommit  atomic.Bool // called within Commit
	attached  bool        // guarded by handler.setup
	off       atomic.Bool // left out
	breaker   breaker
	rivals    said        // identities that jobs had
	elsewhere said        // places that jobs had, and where they were worked
	moving    atomic.Bool // from the relay to the Queue: the relay still has it
	isNew     atomic.Bool // to the relay, which is to be logged once that is committed
	takenOver atomic.Bool // by the relay from one of an earlier version, if it is new
	proof     proof
	short     func() string // its shortIdentity, which each job carries
}

// syncSinks returns those of active that are called within Commit.
func (d *handler) syncSinks() []*sink {
	return slices.DeleteFunc(d.active(), func(s *sink) bool { return !s.inCommit.Load() })
}

// hasSync reports whether there is one.
func (d *handler) hasSync() bool {
	return slices.ContainsFunc(d.sinks, func(s *sink) bool { return s.inCommit.Load() && !s.off.Load() })
}

// active returns the sinks that entries go to.
func (d *handler) active() []*sink {
	if len(d.sinks) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(d.sinks), func(s *sink) bool { return s.off.Load() })
}

// forward calls b's sinks in order and reports whether all have been called. An
// abandoned call may still be using conn, so the sinks after it wait for another
// connection.
func (d *handler) forward(ctx context.Context, conn *sql.DB, b *batch) bool {
	if conn == nil {
		return len(b.sinks) == 0
	}
	for called := 0; len(b.sinks) > 0; called++ {
		if called > 0 && !b.until.IsZero() && !d.hub.now().Before(b.until) {
			return false
		}
		s := b.sinks[0]
		b.sinks = b.sinks[1:]
		if returned := d.deliver(ctx, conn, s, b.entries); !returned {
			b.hung = true
			return len(b.sinks) == 0
		}
	}
	return true
}

// deliver calls one forwarder once, notifies observers of the result, and reports
// whether the call returned.
func (d *handler) deliver(ctx context.Context, conn *sql.DB, s *sink, entries []journal.Entry) (returned bool) {
	n := hooks.Notice{Forwarder: s.name(), Dispatch: Sync.String(), Attempt: 1}
	if !s.breaker.allows(d.hub.now()) || d.mayCall(s) != nil {
		n.Kind, n.Reason, n.Events = hooks.NoticeFailed, reasonSuspended, entryIDs(entries)
		d.Notify(n)
		d.giveUp(n, entries)
		return true
	}
	start := time.Now()
	result, returned := d.callWithin(ctx, conn, s, entries, func(ctx context.Context) callResult { return call(ctx, s, entries) })
	n.Duration = time.Since(start)
	if s.breaker.note(result.timedOut, d.hub.now()) {
		d.log().Warn("aftercommit: a forwarder is suspended, because it did not return in time repeatedly; "+
			"if it uses the app's own *sql.DB, it waits for the connection that waits for it: "+
			"use the one that forward.Conn(ctx) lends",
			zap.String("driver", d.db.Driver), zap.String("forwarder", s.name()),
			zap.Duration("timeout", s.timeout), zap.Duration("pause", suspension))
	}
	d.notifyResult(n, result, func(accepted []journal.Entry) {
		s.proof.prove()
		d.noteAccepted(s, accepted)
	})
	return returned
}

var (
	errLeftBehind     = errors.New("forward: the forwarder did not return in time and was left behind")
	errEndedGoroutine = errors.New("the forwarder ended its goroutine")
)

// callWithin runs f, a call into the code of s, over the lent connection and within the
// timeout of s. It reports false if f did not return, and counts it as abandoned.
func (d *handler) callWithin(ctx context.Context, lent *sql.DB, s *sink, entries []journal.Entry, f func(context.Context) callResult) (r callResult, returned bool) {
	track := s.breaker.track()
	r, returned = bounded(d.lendTo(ctx, lent, s), s.timeout, func(ctx context.Context) callResult {
		defer track.finish()
		return f(ctx)
	})
	switch {
	case !returned:
		track.giveUp()
		r = callResult{entries: entries, err: errLeftBehind, timedOut: true}
	case !r.finished:
		r = callResult{entries: entries, err: errEndedGoroutine}
	}
	return r, returned
}

// callResult is how a call of a forwarder went, for the entries that it got.
type callResult struct {
	entries  []journal.Entry
	err      error
	timedOut bool
	finished bool // false if the goroutine ended instead
}

// call calls the forwarder and recovers its panics. Filter and forwarder get copies,
// because other forwarders and the next attempt use the same entries.
func call(ctx context.Context, s *sink, entries []journal.Entry) (r callResult) {
	entries, unreadable := readable(entries)
	defer func() {
		if v := recover(); v != nil {
			r.err = &panicError{v}
		}
		r.refuse(unreadable)
	}()
	r.entries, r.finished = entries, true
	if len(entries) == 0 {
		return r
	}
	if s.keep != nil {
		entries = slices.DeleteFunc(slices.Clone(entries), func(e journal.Entry) bool { return !s.keep(copyOf(e)) })
		r.entries = entries
		if len(entries) == 0 {
			return r
		}
	}
	own := make([]journal.Entry, len(entries))
	for i := range entries {
		own[i] = copyOf(entries[i])
	}
	r.err = s.forwarder.Forward(ctx, own)
	tryOut(r.err)
	r.timedOut = r.err != nil && ctx.Err() != nil
	return r
}

// tryOut calls the methods of an error as those who read it will. If one of them
// panics, as that of a nil pointer in an error may, so does the call of the forwarder.
func tryOut(err error) {
	if err == nil {
		return
	}
	_ = err.Error()
	_, _ = reason(err)
	failed, _ := partOf(err)
	for id, e := range failed {
		if e == nil {
			panic(fmt.Sprintf("Partial names %s without an error", id))
		}
		_ = e.Error()
		_, _ = reason(e)
	}
}

// copyOf returns an entry that shares no map and no slice with e.
func copyOf(e journal.Entry) journal.Entry {
	if e.Metadata != nil {
		e.Metadata, _ = copyJSON(e.Metadata).(map[string]any)
	}
	e.Change = slices.Clone(e.Change)
	return e
}

// copyJSON copies what encoding/json decodes to.
func copyJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, w := range v {
			m[k] = copyJSON(w)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, w := range v {
			list[i] = copyJSON(w)
		}
		return list
	}
	return v
}

type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprintf("the forwarder panicked: %v", e.value) }

// notifyResult notifies observers of what was delivered and what failed, and passes
// what was accepted to noteAccepted.
func (d *handler) notifyResult(n hooks.Notice, r callResult, noteAccepted func([]journal.Entry)) {
	failed, partial := partOf(r.err)
	var accepted []journal.Entry
	for i, e := range r.entries {
		if err, isFailed := failed[e.ID]; partial && isFailed {
			f := n
			f.Kind, f.Events, f.Err = hooks.NoticeFailed, []uuid.UUID{e.ID}, err
			f.Reason, f.Permanent = reason(err)
			d.Notify(f)
			d.giveUp(f, r.entries[i:i+1])
			continue
		}
		accepted = append(accepted, e)
	}
	if len(accepted) == 0 {
		return
	}
	n.Events, n.Kind = entryIDs(accepted), hooks.NoticeDelivered
	if r.err != nil && !partial {
		f := failureOf(r)
		n.Kind, n.Err, n.Reason, n.Permanent = hooks.NoticeFailed, f.Err, f.Reason, f.Permanent
	} else {
		noteAccepted(accepted)
	}
	d.Notify(n)
	if n.Kind == hooks.NoticeFailed {
		d.giveUp(n, accepted)
	}
}

// failureOf is why a call failed as a whole.
func failureOf(r callResult) relay.Failure {
	f := relay.Failure{Err: r.err}
	f.Reason, f.Permanent = reason(r.err)
	var p *panicError
	switch {
	case errors.As(r.err, &p):
		f.Reason = "panic"
	case r.timedOut && !f.Permanent:
		f.Reason = reasonTimeout
	}
	return f
}

func partOf(err error) (failed map[uuid.UUID]error, ok bool) {
	var p *PartialError
	if errors.As(err, &p) {
		return p.Failed, true
	}
	return nil, false
}

func entryIDs(entries []journal.Entry) []uuid.UUID {
	ids := make([]uuid.UUID, len(entries))
	for i := range entries {
		ids[i] = entries[i].ID
	}
	return ids
}

// returnTime is how long a call may still take to return once its context has ended.
const returnTime = 250 * time.Millisecond

// bounded runs f in a separate goroutine, and reports whether it returned within limit
// and returnTime. If it did not, it is abandoned.
func bounded[T any](ctx context.Context, limit time.Duration, f func(context.Context) T) (result T, returned bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan T, 1)
	go func() {
		var r T
		// Deferred, because f may end this goroutine.
		defer func() { done <- r }()
		r = f(ctx)
	}()
	select {
	case result = <-done:
		return result, true
	case <-ctx.Done():
	}
	late := time.NewTimer(returnTime)
	defer late.Stop()
	select {
	case result = <-done:
		return result, true
	case <-late.C:
		return result, false
	}
}
