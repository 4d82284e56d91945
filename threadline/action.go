package threadline

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// Unattributed is how the absence of an actor is shown, and asked for.
const Unattributed = "unattributed"

// Action is an audit event as the timeline keeps it. Metadata's numbers are
// json.Number; all times are in UTC.
type Action struct {
	journal.Entry

	// InsertedAt is when the timeline took it, by the timeline's clock.
	InsertedAt time.Time `json:"inserted_at"`
}

// ActorRef returns who acted, as the function [ActorRef] does.
func (a Action) ActorRef() string { return ActorRef(a.Actor) }

// Status is "ok" for a success and "error" for anything else.
func (a Action) Status() string {
	if a.Outcome == hooks.Success {
		return "ok"
	}
	return "error"
}

// Category is the action's name before its last dot, "order" of
// "order.refunded".
func (a Action) Category() string {
	return a.Action[:max(strings.LastIndexByte(a.Action, '.'), 0)]
}

// Verb is the action's name after its last dot, "refunded" of "order.refunded".
func (a Action) Verb() string {
	return a.Action[strings.LastIndexByte(a.Action, '.')+1:]
}

// String is one line for logs and terminals: time, actor, action, target, and in
// parentheses the outcome if it is not success, and what limits the event: that
// a part of it is unreadable, or that it is conditional, so that nothing may have
// changed, or interleaved.
func (a Action) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", a.RecordedAt.UTC().Format(time.RFC3339), a.ActorRef(), a.Action)
	if ref := TargetRef(a.Target); ref != "" {
		b.WriteString(" " + ref)
	}
	var remarks []string
	if a.Outcome != hooks.Success {
		remarks = append(remarks, string(a.Outcome))
	}
	if a.Unreadable != "" {
		remarks = append(remarks, "unreadable")
	}
	if remarks = append(remarks, a.Marks()...); len(remarks) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(remarks, ", "))
	}
	return b.String()
}

// Marks are what the driver says of a captured event that a reader must not miss:
// "conditional" if nothing is known to have changed, "interleaved" if its
// statements were mixed with others about the same rows.
func (a Action) Marks() []string {
	var marks []string
	for _, mark := range []string{"conditional", "interleaved"} {
		if a.Captured && a.Metadata[mark] == true {
			marks = append(marks, mark)
		}
	}
	return marks
}

// ActorRef names an actor in one word: "user:42", "system", or [Unattributed].
func ActorRef(a hooks.Actor) string {
	switch {
	case a.Type == "":
		return Unattributed
	case a.ID == "":
		return string(a.Type)
	default:
		return string(a.Type) + ":" + a.ID
	}
}

// TargetRef names a target in one word: "order:42", "order", or "" for none.
func TargetRef(t hooks.Target) string {
	if t.ID == "" {
		return t.Type
	}
	return t.Type + ":" + t.ID
}
