package journal_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// unfit are members of an event as JSON that a role with the grants of a writer may
// give to the function write, and the field that makes the entry unreadable.
var unfit = map[string]string{
	`"id": null`: "id", `"id": "x"`: "id", `"id": 5`: "id", `"id": "00000000-0000-0000-0000-000000000000"`: "id",
	`"occurred_at": null`: "occurred_at", `"occurred_at": "infinity"`: "occurred_at", `"occurred_at": "20000-01-01T00:00:00Z"`: "occurred_at",
	`"occurred_at": "2026-13-13T00:00:00Z"`: "occurred_at", `"occurred_at": 5`: "occurred_at",
	`"action": null`: "action", `"action": ""`: "action", `"action": "order"`: "action", `"action": "Order.placed"`: "action", `"action": "a..b"`: "action",
	`"action": "order.placed\n"`: "action", `"action": "a.` + strings.Repeat("b", 254) + `"`: "action", `"action": ["a.b"]`: "action",
	`"outcome": null`: "outcome", `"outcome": "perhaps"`: "outcome",
	`"actor": {"type": "robot", "id": "1"}`: "actor", `"actor": {"type": "user"}`: "actor", `"actor": {"id": "1"}`: "actor", `"actor": "x"`: "actor",
	`"captured": true, "actor": {"type": "root", "id": "0"}`: "actor", `"captured": true, "actor": {"type": "user"}`: "actor",
	`"captured": "perhaps"`: "captured", `"captured": 7`: "captured",
	`"target": {"id": "` + strings.Repeat("x", 1025) + `"}`:     "target.id",
	`"target": {"id": "` + strings.Repeat(`\u0142`, 513) + `"}`: "target.id",
	`"target": []`: "target",
	`"tenant_id": "` + strings.Repeat("x", 5_000_000) + `"`: "tenant_id",
	`"user_agent": "` + strings.Repeat("x", 513) + `"`:      "user_agent",
	`"comment": "` + strings.Repeat("x", 8193) + `"`:        "comment",
	`"reason": "a\u0000b"`:                                  "reason", `"reason": "\ud83d"`: "reason", `"reason": "x", "reason": "y"`: "reason",
	`"metadata": [1]`: "metadata", `"metadata": "x"`: "metadata", `"metadata": 1`: "metadata",
	`"metadata": {"a": 1, "a": 2}`: `metadata."a"`, `"metadata": {"a": ["\u0000"]}`: "metadata",
	`"metadata": {"text": "` + strings.Repeat("x", 6*hooks.MaxMetadata) + `"}`: "metadata",
	`"metadata": {"text": "` + strings.Repeat("x", hooks.MaxMetadata) + `"}`:   "metadata",
	`"metadata": {"n": 1e1000000}`:                                             "metadata", `"metadata": {"n": 1` + strings.Repeat("0", 40_000) + `}`: "metadata",
	`"metadata": ` + nested(101): "metadata", `"metadata": ` + nested(2000): "metadata",
	strings.Repeat(`"": 0, `, 500_000) + `"": 0`:                                         `"": is there twice`,
	`"metadata": {"a": ` + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + `}`: "metadata",
}

// nested is an object of so many levels.
func nested(levels int) string {
	return strings.Repeat(`{"a":`, levels) + "1" + strings.Repeat("}", levels)
}

// calls are other arguments of write, all refused (22023).
var calls = []string{
	"write(NULL, 1, 1::int2, '[{}]', NULL, true, 5000)", "write({key}, NULL, 1::int2, '[{}]', NULL, true, 5000)",
	"write({key}, 0, 1::int2, '[]', NULL, true, 5000)", "write({key}, -1, 1::int2, '[]', NULL, true, 5000)", "write({key}, 1001, 1::int2, '[]', NULL, true, 5000)",
	"write({key}, 1, NULL, '[{}]', NULL, true, 5000)", "write({key}, 1, 0::int2, '[{}]', NULL, true, 5000)",
	"write({key}, 1, 1::int2, NULL, NULL, true, 5000)", "write({key}, 1, 1::int2, '[{}]', NULL, NULL, 5000)",
	"write({key}, 1, 1::int2, '[{}]', NULL, true, NULL)", "write({key}, 1, 1::int2, '[{}]', NULL, true, 0)",
	"write({key}, 1, 1::int2, U&'[{\"reason\": \"M\\00fcller\"}]', NULL, true, 5000)", "write({key}, 1, 1::int2, '[{}]', U&'[{\"comment\": \"M\\00fcller\"}]', true, 5000)",
	"write({key}, 1, 1::int2, pg_catalog.repeat('x', 16777217), NULL, true, 5000)", "write({key}, 1, 1::int2, '[]', pg_catalog.repeat('x', 16777217), true, 5000)",
	"claim(NULL, 50)", "claim('{}', 50)", "claim(ARRAY[NULL]::uuid[], 50)", "claim(ARRAY[{key}], 0)", "claim(ARRAY[{key}], NULL)",
	"claim(pg_catalog.array_fill({key}, '{10001}'), 50)",
}

// A role that may only call write can make entries that no forwarder gets, and that say why.
// It hides or damages no other.
func TestDoor(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		role := newRole(t, r)
		r.exec("GRANT USAGE ON SCHEMA aftercommit TO " + role + "; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA aftercommit TO " + role)
		app := newSession(t, r.db)
		app.exec("SET SESSION AUTHORIZATION " + role)
		for members, field := range unfit {
			good := event("order.placed")
			const form = `[{"id": "%s", "occurred_at": "2026-01-01T00:00:00Z", "action": "order.placed", "outcome": "success"%s}, {"id": "%s", "occurred_at": "2026-01-01T00:00:00Z", "action": "order.placed", "outcome": "success"}]`
			doc := strings.ReplaceAll(fmt.Sprintf(form, uuid.New(), ", "+members, good.ID), `'`, `''`)
			name, _, _ := strings.Cut(strings.TrimPrefix(members, `"`), `"`)
			for _, given := range []string{`"id": `, `"occurred_at": `, `"action": `, `"outcome": `} {
				if rest, is := strings.CutPrefix(members, given); is {
					doc = replaceMember(doc, given, rest)
				}
			}
			app.exec("SELECT aftercommit.write('" + newKey().String() + "', 2, 1::int2, '" + doc + "', NULL, true, 5000)")
			got := r.entries()
			if len(got) != 2 || got[1].ID != good.ID || got[1].Unreadable != "" {
				t.Errorf("%.80s: %d entries, of which the other is %+v", members, len(got), got[len(got)-1])
			} else if why := got[0].Unreadable; !strings.HasPrefix(why, field) || len(why) > 500 {
				t.Errorf("%.80s: unreadable is %.200q, want %s (%s)", members, why, field, name)
			}
			if n := r.text("SELECT count(*)::text FROM (SELECT * FROM aftercommit.audit_events OFFSET 0) e"); n != "2" {
				t.Errorf("%.80s: the view has %s events", members, n)
			}
			r.exec("DELETE FROM aftercommit.journal")
		}
		for _, call := range calls {
			call = strings.ReplaceAll(call, "{key}", "'"+newKey().String()+"'::uuid")
			if _, err := app.conn.ExecContext(ctx, "SELECT aftercommit."+call); hooks.SQLState(err) != "22023" {
				t.Errorf("%s: %v; want SQLSTATE 22023", call, err)
			}
		}
		if n := r.text("SELECT count(*)::text FROM aftercommit.journal"); n != "0" {
			t.Errorf("%s rows were written", n)
		}
	}, dbtest.PostgresEngines()...)
}

// replaceMember gives the first event another value for a member that it has, in place of
// having it twice.
func replaceMember(doc, given, value string) string {
	before, after, _ := strings.Cut(doc, given)
	end := strings.IndexAny(after, ",}")
	doc = before + given + value + after[end:]
	i := strings.LastIndex(doc, ", "+given+value)
	return doc[:i] + doc[i+len(", "+given+value):]
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
			captured.Captured, captured.Actor = true, hooks.Actor{Type: hooks.Anonymous, Name: "R2"}
			for _, ev := range append(list, flat, deep, captured) {
				if err := hooks.Validate(ev); err != nil {
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

// TestDoorRefusesWhatIsNotASCII: no byte above 127 gets into a document on any server, and each
// one below does.
func TestDoorRefusesWhatIsNotASCII(t *testing.T) {
	const try = `DO $try$
DECLARE
	given text;
	refused boolean;
BEGIN
	FOREACH given IN ARRAY ARRAY(%s) LOOP
		FOR part IN 1..2 LOOP
			BEGIN
				PERFORM aftercommit.write(pg_catalog.gen_random_uuid(), 1, 1::int2, CASE part WHEN 1 THEN given ELSE '[{}]' END, CASE part WHEN 2 THEN given END, true, 5000);
				refused := false;
			EXCEPTION WHEN invalid_parameter_value THEN
				refused := true;
			END;
			IF refused <> %t THEN
				RAISE EXCEPTION '%%, part %%: refused %%', pg_catalog.convert_to(given, 'SQL_ASCII'), part, refused;
			END IF;
		END LOOP;
	END LOOP;
END
$try$`
	const bytes = "SELECT 'a' || chr(n) FROM generate_series(128, 255) n"
	for encoding, texts := range map[string]string{
		"UTF8":      bytes + " UNION ALL SELECT U&'\\+01F600'",
		"SQL_ASCII": bytes, "LATIN1": bytes, "ISO_8859_5": bytes,
		"EUC_JP": "SELECT convert_from(t, 'EUC_JP') FROM unnest(ARRAY['\\xa4a2', '\\x8eb1', '\\x8fb0a1']::bytea[]) t",
	} {
		r := encodedRig(t, dbtest.PQ, encoding)
		for _, q := range []string{fmt.Sprintf(try, texts, true), fmt.Sprintf(try, "SELECT chr(n) || 'a' FROM generate_series(1, 127) n", false)} {
			if _, err := r.conn.ExecContext(ctx, q); err != nil {
				t.Errorf("%s: %v", encoding, err)
			}
		}
	}
}
