package capture_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// wild are texts that break out of careless SQL.
var wild = []string{
	`'`, `''`, `"`, `\`, `\'`, `\\'; DROP TABLE orders; --`, `'); DELETE FROM orders; --`,
	`$$`, `$record$`, `$1`, `?`, `:id`, `@id`, `%s%n`, `{"a":1}`, `[1]`, `null`, ` `, "\t\r\n", "a\nb",
	`E'\x41'`, `U&'\0041'`, `\u0041`, `/* x */`, `-- x`, `; COMMIT; BEGIN;`, "\x01\x1f\x7f", "\u2028\u2029", "\ufeff",
	"größe 注文 🦆 e\u0301", "\u202eabc", strings.Repeat(`'\"$`, 100),
}

// full returns an event with text in each of its text fields.
func full(text string) hooks.Event {
	return hooks.Event{
		ID: uuid.Must(uuid.NewV7()), OccurredAt: time.Date(2024, 2, 29, 23, 59, 59, 123456000, time.UTC),
		Action: "text.kept", Outcome: hooks.Failure,
		Actor:    hooks.Actor{Type: hooks.User, ID: text, Name: text, OnBehalfOf: text},
		Target:   hooks.Target{Type: text, ID: text, Name: text},
		TenantID: text, RequestID: text, CorrelationID: text, CausationID: text, JobID: text, TraceParent: text,
		IPAddress: text, UserAgent: text, Reason: text, Comment: text, Application: text, Host: text,
		Metadata: map[string]any{"text": text, "key " + text: "x", "list": []any{text, map[string]any{text: text}}},
	}
}

// TestText: each text comes back as it was, from the journal and at the
// forwarder.
func TestText(t *testing.T) {
	each(t, ordersTable+"; INSERT INTO orders (id) VALUES (1)", func(w *world) {
		var want []hooks.Event
		tx := w.begin()
		w.execOn(tx, "UPDATE orders SET note = 'x'")
		for _, text := range wild {
			e := full(text)
			want = append(want, e)
			w.must(hooks.Record(ctx(), tx, e))
		}
		w.must(tx.Commit())
		// Past events(), which compares IDs alone.
		forwarded := w.recorder.Entries()
		got := w.events()
		if len(got) != len(want)+1 || len(forwarded) != len(got) {
			w.Fatalf("%d events, %d forwarded, want %d", len(got), len(forwarded), len(want)+1)
		}
		for i, e := range want {
			if !reflect.DeepEqual(got[i+1].Event, e) {
				w.Fatalf("text %q: event\n%+v, want\n%+v", wild[i], got[i+1].Event, e)
			}
			if !reflect.DeepEqual(forwarded[i+1].Event, e) {
				w.Fatalf("text %q: forwarded\n%+v, want\n%+v", wild[i], forwarded[i+1].Event, e)
			}
		}
		w.wantCount("orders", 1)
	})
}

// TestTextOfOldStrings is the same where a backslash in a string escapes, a
// setting of PostgreSQL's that old apps still make.
func TestTextOfOldStrings(t *testing.T) {
	each(t, "", func(w *world) {
		conn := w.conn()
		w.execOn(conn, "SET standard_conforming_strings = off")
		w.execOn(conn, "SET escape_string_warning = off")
		for _, text := range wild {
			e := full(text)
			w.must(hooks.Record(ctx(), conn, e))
			got := w.events()
			if len(got) != 1 || !reflect.DeepEqual(got[0].Event, e) {
				w.Fatalf("text %q: events\n%+v, want\n%+v", text, got, e)
			}
		}
	}, pg...)
}

// TestTextRefused: no database keeps a NUL in a text.
func TestTextRefused(t *testing.T) {
	each(t, "", func(w *world) {
		tx := w.begin()
		for _, text := range []string{"\x00", "a\x00b", "\xff", "a\xed\xa0\x80b"} {
			var invalid *hooks.InvalidError
			if err := hooks.Record(ctx(), tx, full(text)); !errors.As(err, &invalid) {
				w.Errorf("text %q: error %v, want an InvalidError", text, err)
			}
		}
		w.record(tx, "valid")
		w.must(tx.Commit())
		w.want("thing.noted thing#valid")
	})
}
