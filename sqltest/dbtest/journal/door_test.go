package journal_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// refused are fields of an event as JSON that a role with the grants of a writer may
// give to the function record, which has to refuse them, and the SQLSTATE.
var refused = map[string]string{
	`"id": null`: "22023", `"id": "x"`: "22P02", `"ID": "01a223fd-4c24-7000-8000-000000000000", "id": null`: "22023",
	`"occurred_at": null`: "22023", `"occurred_at": "infinity"`: "22023", `"occurred_at": "-infinity"`: "22023",
	`"occurred_at": "20000-01-01"`: "22023", `"occurred_at": "10000-01-01 00:00:00+00"`: "22023",
	`"occurred_at": "0044-03-15 BC"`: "22023", `"occurred_at": "x"`: "22007", `"occurred_at": "2026-13-13"`: "22008",
	`"action": null`: "22023", `"action": ""`: "22023", `"action": "order"`: "22023", `"action": "Order.placed"`: "22023",
	`"action": "order.placed\n"`: "22023", `"action": "a.` + strings.Repeat("b", 254) + `"`: "22023",
	`"outcome": null`: "22023", `"outcome": ""`: "22023", `"outcome": "perhaps"`: "22023",
	`"actor_type": "robot", "actor_id": "1"`: "22023", `"actor_type": "user"`: "22023", `"actor_id": "1"`: "22023",
	`"actor_type": "", "actor_id": ""`: "22023", `"actor_name": "x"`: "22023", `"on_behalf_of": "1"`: "22023",
	`"captured": "perhaps"`: "22P02", `"captured": 7`: "22P02",
	`"target_id": "` + strings.Repeat("x", 1025) + `"`:                         "22023",
	`"target_id": "` + strings.Repeat("ł", 513) + `"`:                          "22023",
	`"tenant_id": "` + strings.Repeat("x", 5_000_000) + `"`:                    "22023",
	`"user_agent": "` + strings.Repeat("x", 513) + `"`:                         "22023",
	`"comment": "` + strings.Repeat("x", 8193) + `"`:                           "22023",
	`"host": "` + strings.Repeat("x", 1025) + `"`:                              "22023",
	`"reason": "a\u0000b"`:                                                     "22P05",
	`"metadata": [1]`:                                                          "22023",
	`"metadata": "x"`:                                                          "22023",
	`"metadata": 1`:                                                            "22023",
	`"metadata": {"n": 1e999999}`:                                              "22003",
	`"metadata": {"n": 1e100000}`:                                              "22023",
	`"metadata": {"text": "` + strings.Repeat("x", 16384) + `"}`:               "22023",
	`"metadata": ` + nested(101):                                               "22023",
	`"metadata": ` + nested(2000):                                              "22023",
	`"metadata": ` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000): "22023 54001",
}

// nested is an object of so many levels.
func nested(levels int) string {
	return strings.Repeat(`{"a":`, levels) + "1" + strings.Repeat("}", levels)
}

// calls are other arguments of record.
var calls = map[string]string{
	"record(NULL, 1, true, 5000)": "22023", "record('[]', NULL, true, 5000)": "22023", "record('[]', 1, NULL, 5000)": "22023",
	"record('[]', 1, true, NULL)": "22023", "record('[]', 1, true, 0)": "22023", "record('[]', 1, true, -1)": "22023",
	"record('{}', 1, true, 5000)": "22023", "record('1', 1, true, 5000)": "22023", "record('null', 1, true, 5000)": "22023",
	"record('[1]', 1, true, 5000)": "22023", "record('[null]', 1, true, 5000)": "22023", "record('[[]]', 1, true, 5000)": "22023",
	"record('[{}]', 1, true, 5000)": "22023", "record('[', 1, true, 5000)": "22P02",
}

// A role that may only call record writes nothing that it could not have recorded
// with package hooks, and what it is refused for is said.
func TestDoor(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		role := newRole(t, r)
		r.exec("GRANT USAGE ON SCHEMA aftercommit TO " + role + "; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA aftercommit TO " + role)
		app := newSession(t, r.db)
		app.exec("SET SESSION AUTHORIZATION " + role)
		for fields, state := range refused {
			id := uuid.New()
			doc := fmt.Sprintf(`[{"id": "%s", "occurred_at": "2026-01-01", "action": "order.placed", "outcome": "success", %s}]`, id, fields)
			_, err := app.conn.ExecContext(ctx, "SELECT aftercommit.record('"+doc+"', 1, true, 5000)")
			if s := hooks.SQLState(err); s == "" || !strings.Contains(state, s) {
				t.Errorf("%.80s: %.200v; want SQLSTATE %s", fields, err, state)
			} else if want := complaint(id, fields); s == "22023" && !strings.Contains(err.Error(), want) {
				t.Errorf("%.80s: %.200v; want %q", fields, err, want)
			}
		}
		for call, state := range calls {
			if _, err := app.conn.ExecContext(ctx, "SELECT aftercommit."+call); hooks.SQLState(err) != state {
				t.Errorf("%s: %v; want SQLSTATE %s", call, err, state)
			}
		}
		if n := len(r.entries()); n != 0 {
			t.Errorf("%d entries were written", n)
		}
	}, dbtest.PostgresEngines()...)
}

// complaint is how the error about the first of fields begins.
func complaint(id uuid.UUID, fields string) string {
	field, _, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(fields, `"`)), `"`)
	switch {
	case field == "id":
		return "event without an id: id is missing"
	case strings.HasPrefix(field, "actor_"), field == "on_behalf_of":
		field = "actor"
	}
	return "event " + id.String() + ": " + field + " is missing"
}

// widest is an event at every limit of package hooks.
func widest(t *testing.T, char string) hooks.Event {
	t.Helper()
	e := event("a." + strings.Repeat("b", hooks.MaxAction-2))
	fill := func(n int) string { return strings.Repeat(char, n/len(char)) }
	text := fill(hooks.MaxText)
	e.Actor = hooks.Actor{Type: hooks.ServiceAccount, ID: text, Name: text, OnBehalfOf: text}
	e.Target = hooks.Target{Type: text, ID: text, Name: text}
	e.TenantID, e.RequestID, e.CorrelationID, e.CausationID, e.JobID = text, text, text, text, text
	e.TraceParent, e.IPAddress, e.UserAgent = text, text, fill(hooks.MaxUserAgent)
	e.Reason, e.Comment, e.Application, e.Host = text, fill(hooks.MaxMetadata), text, text
	e.Metadata = map[string]any{"text": fill(hooks.MaxMetadata - len(`{"text":""}`))}
	if err := hooks.Validate(e); err != nil {
		t.Fatal(err)
	}
	return e
}

// What package hooks accepts passes, on any server, and is read back.
func TestDoorLetsInWhatHooksAccepts(t *testing.T) {
	for _, encoding := range []string{"UTF8", "SQL_ASCII", "LATIN1", "EUC_JP", "EUC_TW"} {
		dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
			r := encodedRig(t, e, encoding)
			list := []hooks.Event{event("order.placed")}
			for _, char := range []string{"x", "é", "ä", "ł", "中", "表", "😀", "<"} {
				list = append(list, widest(t, char))
			}
			flat := event("order.listed")
			numbers := make([]any, (hooks.MaxMetadata-len(`{"n":[]}`))/2)
			for i := range numbers {
				numbers[i] = json.Number("0")
			}
			flat.Metadata = map[string]any{"n": numbers}
			deep := event("order.nested")
			if err := json.Unmarshal([]byte(nested(hooks.MaxDepth)), &deep.Metadata); err != nil {
				t.Fatal(err)
			}
			captured := event("order.captured")
			captured.Captured, captured.Actor = true, hooks.Actor{Type: "robot", Name: "R2"}
			for _, ev := range append(list, flat, deep, captured) {
				if err := hooks.Validate(ev); err != nil && !ev.Captured {
					t.Fatal(err)
				}
				r.exec("BEGIN")
				r.write(r.j, 1, ev)
				r.exec("COMMIT")
			}
			got := r.entries()
			if len(got) != len(list)+3 {
				t.Errorf("%s: %d entries, want %d", encoding, len(got), len(list)+3)
			}
			for _, e := range got {
				if e.Unreadable != "" {
					t.Errorf("%s: %s", encoding, e.Unreadable)
				}
			}
		}, dbtest.PostgresEngines()...)
	}
}

// On a server that stores any bytes, only UTF-8 is let in.
func TestDoorRefusesOtherBytes(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := encodedRig(t, e, "SQL_ASCII")
		_, err := r.conn.ExecContext(ctx, `SELECT aftercommit.record(E'[{"id": "01a223fd-4c24-7000-8000-000000000000", "occurred_at": "2026-01-01", "action": "a.b", "outcome": "success", "reason": "M\374ller"}]'::json, 1, true, 5000)`)
		if hooks.SQLState(err) != "22021" {
			t.Errorf("err = %v", err)
		}
	}, dbtest.PostgresEngines()...)
}

// A program of the version before writes through the functions of this one.
func TestDoorForOlderPrograms(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := outdatedRig(t, e)
		old := newJournal(t, e.Dialect, nil)
		r.exec("BEGIN")
		r.write(old, 1, event("order.placed"))
		r.exec("COMMIT")
		upgrade, err := journal.Upgrade(e.Dialect, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.exec(upgrade)
		r.exec("BEGIN")
		r.write(old, 1, event("order.shipped"))
		r.exec("COMMIT")
		if got := actions(r.entries()); got != "order.placed order.shipped" {
			t.Errorf("entries: %s", got)
		}
	}, dbtest.PostgresEngines()...)
}
