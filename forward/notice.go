package forward

import (
	"slices"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Reasons why events are discarded that were committed, or may have been.
const (
	reasonNoJournal  = "no_journal" // a forwarder refused them, and they are nowhere else
	reasonNoRelay    = "no_relay"   // a forwarder refused them, and they stay in the journal
	reasonNeverKnown = "outcome_never_known"
)

// Notify implements [hooks.Handler]: it counts, logs and passes on.
func (d *handler) Notify(n hooks.Notice) {
	h := d.hub
	if n.Time.IsZero() {
		n.Time = h.now()
	}
	if n.Driver == "" {
		n.Driver = d.db.Driver
	}
	if n.Count == 0 {
		n.Count = len(n.Events)
	}
	if c := h.counts.of(n); c != nil {
		c.Add(int64(n.Count))
	}
	if log, level := d.log(), d.level(n); log.Core().Enabled(level) { // else the text is made for nothing
		if c := log.Check(level, "aftercommit: "+message(n)); c != nil {
			c.Write(fields(n)...)
		}
	}
	if h.observer != nil {
		h.observe(n)
	}
}

func (h *Hub) observe(n hooks.Notice) {
	defer func() {
		if v := recover(); v != nil {
			h.counts.panics.Add(1)
			h.log.Warn("aftercommit: the observer panicked; it stays attached",
				zap.Any("panic", v), zap.String("notice", string(n.Kind)))
		}
	}()
	n.Events = slices.Clone(n.Events) // those of the transaction are still needed
	h.observer.Observe(n)
}

// notifyIDs is Notify for events known by id.
func (d *handler) notifyIDs(kind hooks.NoticeKind, ids []uuid.UUID, reason string) {
	if len(ids) > 0 {
		d.Notify(hooks.Notice{Kind: kind, Events: ids, Reason: reason})
	}
}

// level returns the level of a notice's log line. What an app may do with each
// statement, unaware, is a warning once per database, and debug afterwards.
func (d *handler) level(n hooks.Notice) zapcore.Level {
	switch n.Kind {
	case hooks.NoticeLost, hooks.NoticeDiscarded:
		return zapcore.ErrorLevel
	case hooks.NoticeFailed:
		if n.Reason == reasonSuspended {
			return zapcore.DebugLevel
		}
		return zapcore.WarnLevel
	case hooks.NoticeLag, hooks.NoticeConflict, hooks.NoticeUnknown, hooks.NoticeCallback, hooks.NoticeMode, hooks.NoticeUnmatched:
		return zapcore.WarnLevel
	case hooks.NoticeSettled:
		return zapcore.InfoLevel
	case hooks.NoticeUncaptured:
		return firstWarns(&d.warnedUncaptured)
	case hooks.NoticeUnattributed:
		return firstWarns(&d.warnedUnattributed)
	}
	return zapcore.DebugLevel
}

func firstWarns(done *atomic.Bool) zapcore.Level {
	if done.Swap(true) {
		return zapcore.DebugLevel
	}
	return zapcore.WarnLevel
}

func message(n hooks.Notice) string {
	switch n.Kind {
	case hooks.NoticeLost:
		if n.Reason == reasonNeverKnown {
			return "the connection was lost during the COMMIT of a transaction that may have written nothing: it will never be known whether it was committed, and its audit events are not written"
		}
		return "audit events could not be written"
	case hooks.NoticeDiscarded:
		return discardedMessage(n.Reason)
	case hooks.NoticeFailed:
		if n.Forwarder == "" {
			return unwrittenMessage(n.Reason)
		}
		return "audit events were not forwarded"
	case hooks.NoticeUnknown:
		return "how a transaction ended is not known yet"
	case hooks.NoticeSettled:
		return "how a transaction ended is known now"
	case hooks.NoticeConflict:
		return "another program has registered a different forwarder by the same name, so that each event reaches only one of the two: " +
			"give one of them another name with forward.ID or, if they are the same, give both the same forward.Identity, and give the new name by relay.Store.Replay what it has missed; while one version of a program replaces another, ignore this"
	case hooks.NoticeLag:
		return "a forwarder is behind"
	case hooks.NoticeCallback:
		return "a function of OnCommit or OnRollback did not run to its end"
	case hooks.NoticeMode:
		return "the mode was changed"
	case hooks.NoticeUncaptured:
		return "a statement may have written what was not captured (logged once; Status counts)"
	case hooks.NoticeUnmatched:
		return "capture rules do not match the tables"
	case hooks.NoticeUnattributed:
		return "audit events have no actor (logged once; Status counts): use hooks.WithActor or driver.DefaultActor; " +
			"in apps that pass no context to the database, reqctx.Options{Goroutine: true} or hooks.Do"
	default:
		return string(n.Kind)
	}
}

// unwrittenMessage is about what failed before any forwarder was called; the
// reasons are the driver's.
func unwrittenMessage(reason string) string {
	switch reason {
	case "no_actor":
		return "audit events were refused, because they have no actor"
	case "read_only":
		return "audit events could not be written, because their transaction has become read-only"
	case "connect":
		return "a connection could not be prepared for the audit trail (best effort: the app has it)"
	case "panic":
		return "the hook panicked after a transaction had ended"
	}
	return "the journal could not be written"
}

func discardedMessage(reason string) string {
	switch reason {
	case reasonNoJournal:
		return "a forwarder refused audit events, and without a journal they are gone"
	case reasonNoRelay:
		return "a forwarder refused audit events, and no relay of this process tries again; they are in the journal: " +
			"run Hub.Relay and replay them by relay.Store.Replay"
	case reasonNeverKnown:
		return "the connection was lost during COMMIT, and without a journal it will never be known whether these audit events were committed; they are not forwarded"
	}
	return "audit events will not be forwarded: once the cause is fixed, replay them by relay.Store.Replay, or with a Queue retry its jobs"
}

func fields(n hooks.Notice) []zap.Field {
	fs := []zap.Field{zap.String("driver", n.Driver), zap.Int("count", n.Count)}
	if n.Forwarder != "" {
		fs = append(fs, zap.String("forwarder", n.Forwarder), zap.String("dispatch", n.Dispatch))
	}
	if n.Reason != "" {
		fs = append(fs, zap.String("reason", n.Reason))
	}
	if n.Attempt > 0 && (n.Kind == hooks.NoticeFailed || n.Kind == hooks.NoticeDiscarded) {
		fs = append(fs, zap.Int("attempt", n.Attempt))
	}
	if !n.NextAt.IsZero() {
		fs = append(fs, zap.Time("next", n.NextAt.UTC()))
	}
	if n.Permanent {
		fs = append(fs, zap.Bool("permanent", true))
	}
	if n.Duration > 0 {
		fs = append(fs, zap.Duration("took", n.Duration))
	}
	if n.Err != nil {
		fs = append(fs, zap.Error(n.Err))
	}
	if len(n.Events) > 0 {
		fs = append(fs, zap.Stringer("first_event", n.Events[0]))
	}
	return fs
}
