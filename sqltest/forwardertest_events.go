package sqltest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// batch returns n ordinary entries of one flush, with ascending IDs.
func batch(n int) []journal.Entry {
	now := time.Now().UTC().Truncate(time.Microsecond)
	tx := journal.TxKey{ID: now.UnixMicro(), StartedAt: now}
	key := uuid.Must(uuid.NewV7())
	entries := make([]journal.Entry, n)
	for i := range entries {
		entries[i] = journal.Entry{
			Event: hooks.Event{
				ID:         uuid.Must(uuid.NewV7()),
				OccurredAt: now,
				Action:     fmt.Sprintf("order.step_%d", i+1),
				Outcome:    hooks.Success,
				Actor:      hooks.Actor{Type: hooks.User, ID: "7", Name: "Ada"},
				Target:     hooks.Target{Type: "order", ID: "42"},
			},
			Position: journal.Position{Key: key, Ordinal: i}, Tx: tx, RecordedAt: now, Role: "app",
		}
	}
	return entries
}

type edge struct {
	name  string
	entry journal.Entry
}

// edges are events at the limits of what [hooks.Validate] lets pass.
func edges() []edge {
	const unicode = "Zoë 李 🧾 \u202e \u00a0 e\u0301 '\"\\ \n\t</script> %s $1 {}"
	all := []edge{}
	add := func(name string, change func(*hooks.Event)) {
		e := batch(1)[0]
		change(&e.Event)
		all = append(all, edge{name, e})
	}
	add("nothing but what is required", func(e *hooks.Event) {
		*e = hooks.Event{ID: e.ID, OccurredAt: e.OccurredAt, Action: "a.b", Outcome: hooks.Success}
	})
	add("empty metadata", func(e *hooks.Event) { e.Metadata = map[string]any{} })
	add("an anonymous actor", func(e *hooks.Event) { e.Actor = hooks.Actor{Type: hooks.Anonymous} })
	add("the outcome failure", func(e *hooks.Event) { e.Outcome = hooks.Failure })
	add("the outcome error", func(e *hooks.Event) { e.Outcome = hooks.Errored })
	add("unicode, quotes and line breaks", func(e *hooks.Event) {
		fillTexts(e, func(int) string { return unicode })
		e.Metadata = map[string]any{unicode: []any{unicode, map[string]any{"": unicode}}}
	})
	add("texts of maximum size", func(e *hooks.Event) {
		e.Action = "a." + strings.Repeat("b", hooks.MaxAction-2)
		fillTexts(e, func(limit int) string { return strings.Repeat("é", limit/2) })
	})
	add("metadata of maximum size", func(e *hooks.Event) {
		e.Metadata = map[string]any{"a": strings.Repeat("b", hooks.MaxMetadata-len(`{"a":""}`))}
	})
	add("metadata of every kind", func(e *hooks.Event) {
		e.Metadata = map[string]any{
			"null": nil, "true": true, "float": 1.5, "int": 1 << 40,
			"number": json.Number("123456789012345678901234567890.5"),
			"list":   []any{}, "object": map[string]any{"a": map[string]any{"b": []any{1, "2"}}},
		}
	})
	add("the first year", func(e *hooks.Event) { e.OccurredAt = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC) })
	add("the last year", func(e *hooks.Event) {
		e.OccurredAt = time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
	})
	return all
}

// fillTexts sets every text field of e, given its limit in bytes.
func fillTexts(e *hooks.Event, text func(limit int) string) {
	e.UserAgent = text(hooks.MaxUserAgent)
	for _, f := range []*string{
		&e.Actor.ID, &e.Actor.Name, &e.Actor.OnBehalfOf, &e.Target.Type, &e.Target.ID, &e.Target.Name,
		&e.TenantID, &e.RequestID, &e.CorrelationID, &e.CausationID, &e.JobID, &e.TraceParent, &e.IPAddress,
		&e.Reason, &e.Comment, &e.Application, &e.Host,
	} {
		*f = text(hooks.MaxText)
	}
}

// describe gives each entry in full, a line each.
func describe(entries []journal.Entry) []string {
	lines := make([]string, len(entries))
	for i, e := range entries {
		lines[i] = fmt.Sprintf("%+v", e)
	}
	return lines
}

// wellFormed reports what is wrong with the form of an error of Forward.
func wellFormed(err error, entries []journal.Entry) error {
	var permanent *forward.PermanentError
	if errors.As(err, &permanent) && (permanent.Reason == "" || permanent.Err == nil) {
		return fmt.Errorf("a permanent error needs a reason and a cause, this one has %q and %T", permanent.Reason, permanent.Err)
	}
	var partial *forward.PartialError
	if !errors.As(err, &partial) {
		return nil
	}
	if len(partial.Failed) == 0 {
		return errors.New("a partial error names no entry, so that it fails none: return nil")
	}
	inBatch := map[uuid.UUID]bool{}
	for _, e := range entries {
		inBatch[e.ID] = true
	}
	for id, cause := range partial.Failed {
		if !inBatch[id] {
			return fmt.Errorf("a partial error names %s, which is not in the batch", id)
		}
		if cause == nil {
			return fmt.Errorf("a partial error gives no cause for %s", id)
		}
		if err := wellFormed(cause, entries); err != nil {
			return err
		}
	}
	return nil
}
