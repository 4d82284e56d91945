package journal_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// encodedRig is a journal in a database of that encoding; settings are those of
// the DSN.
func encodedRig(t *testing.T, e dbtest.Engine, encoding string, settings ...string) *rig {
	t.Helper()
	dsn := dbtest.Shared(t).Encoded(t, encoding)
	for _, s := range settings {
		dsn += "&" + s
	}
	r := &rig{e: e, db: dbtest.Open(t, e.Driver, dsn), j: newJournal(t, e.Dialect, nil)}
	t.Cleanup(func() { _ = r.db.Close() })
	r.session = newSession(t, r.db)
	r.connect(r.session)
	return r
}

// keep writes an event and reads it back.
func (r *rig) keep(ev hooks.Event) hooks.Event {
	r.t.Helper()
	r.exec("BEGIN")
	r.write(r.j, 1, ev)
	r.exec("COMMIT")
	list := r.entries()
	return list[len(list)-1].Event
}

// A script with other characters could not be sent to each database.
func TestScriptsAreASCII(t *testing.T) {
	for _, script := range []func(hooks.Dialect, *journal.Options) (string, error){journal.Schema, journal.Upgrade} {
		for _, dialect := range []hooks.Dialect{hooks.Postgres, hooks.SQLite} {
			text, err := script(dialect, nil)
			if i := strings.IndexFunc(text, func(r rune) bool { return r >= 0x80 }); err != nil || i >= 0 {
				t.Errorf("%s: %q, %v", dialect, text[max(i-20, 0):], err)
			}
		}
	}
}

// TestAnyServersEncoding: an event comes back as it was, whatever characters the server has.
func TestAnyServersEncoding(t *testing.T) {
	const text = "Müller\u0085 Łukasz 表ソ噂構ああë 한국어 Лев \U0010FFFF 😀 <U+0141> \\u0141 \u2028 \x01"
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for _, encoding := range []string{"LATIN1", "WIN1252", "ISO_8859_5", "EUC_JP", "EUC_KR", "UTF8", "SQL_ASCII"} {
			t.Run(encoding, func(t *testing.T) {
				r := encodedRig(t, e, encoding)
				ev := fullEvent(t)
				clearOf(&ev, text)
				ev.Metadata = map[string]any{text: []any{text}, "n": json.Number("1.50")}
				if got := r.keep(ev); !reflect.DeepEqual(got, ev) {
					t.Errorf("got  %+v\nwant %+v", got, ev)
				}
			})
		}
	}, dbtest.PostgresEngines()...)
}

// TestViewInAnyEncoding: what the server's encoding lacks is shown as JSON spells it, and no
// event fails for it.
func TestViewInAnyEncoding(t *testing.T) {
	for encoding, want := range map[string]string{
		"UTF8": "Müller \\ Ł", "LATIN1": `M\u00fcller \ \u0141`, "SQL_ASCII": `M\u00fcller \ \u0141`,
	} {
		t.Run(encoding, func(t *testing.T) {
			r := encodedRig(t, dbtest.PQ, encoding)
			first, second := event("order.placed"), event("order.paid")
			first.Comment, first.Reason, first.Metadata = "Müller \\ Ł", "plain", map[string]any{"k": "Ł"}
			second.Comment = "plain"
			r.exec("BEGIN")
			r.write(r.j, 1, first, second)
			r.exec("COMMIT")
			if got := r.text("SELECT comment FROM aftercommit.audit_events WHERE action = 'order.placed' AND reason = 'plain' AND metadata IS NOT NULL"); got != want {
				t.Errorf("comment is shown as %q, want %q", got, want)
			}
			if got := r.text("SELECT comment FROM aftercommit.audit_events WHERE action = 'order.paid'"); got != "plain" {
				t.Errorf("the comment beside it is %q", got)
			}
			if id := r.text("SELECT id::text FROM aftercommit.audit_events WHERE ordinal = 0"); id != first.ID.String() {
				t.Errorf("id is %s", id)
			}
		})
	}
}

// clearOf sets the texts of a full event to ones that its database has.
func clearOf(ev *hooks.Event, text string) {
	ev.Metadata["note"] = text
	v := reflect.ValueOf(ev).Elem()
	for _, part := range []reflect.Value{v, v.FieldByName("Actor"), v.FieldByName("Target")} {
		for i := range part.NumField() {
			if f := part.Field(i); f.Type() == reflect.TypeFor[string]() && part.Type().Field(i).Name != "Action" {
				f.SetString(text)
			}
		}
	}
}

// The DSN may ask for another encoding of the client's; what the app gets is
// its own business, what the journal gives is UTF-8.
func TestClientEncodingOfTheDSN(t *testing.T) {
	const text = "Łukasz 表ソ 😀 ü"
	for _, encoding := range []string{"SJIS", "LATIN1", "EUC_JP"} {
		t.Run(encoding, func(t *testing.T) {
			r := encodedRig(t, dbtest.PGX, "UTF8", "client_encoding="+encoding) // lib/pq refuses it
			ev := fullEvent(t)
			clearOf(&ev, text)
			if got := r.keep(ev); !reflect.DeepEqual(got, ev) {
				t.Errorf("got  %+v\nwant %+v", got, ev)
			}
			got, err := r.of(r.session, ev)
			if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0].Event, ev) {
				t.Errorf("they are %+v, %v", got, err)
			}
		})
	}
}

// FuzzMetadata: what Record accepts is written, and comes back equal, from each
// engine.
func FuzzMetadata(f *testing.F) {
	for _, doc := range []string{
		`{"a":1e400,"b":-0.0,"c":[1.50,1E-7,12345678901234567890.10]}`,
		`{"a":"\ud83d","b":1}`, `{"a":"\ud83d\ude00\u0001\\u0000"}`, `{"a":"\u0000"}`,
		`{"a":` + strings.Repeat("[", 98) + `0` + strings.Repeat("]", 98) + `}`, `{"a":` + strings.Repeat("[", 1100) + strings.Repeat("]", 1100) + `}`,
		`{"":{"":[]},"A":{},"a":null,"b":true}`, `{"a":{"x":1,"x":2}}`, `{"<&>":"\u2028<!--","'":"''\\'"}`,
		"{\"a\":\"\xff\"}", `{"a":"\ufffd\uffff\ufdd0\u007f\u0085"}`, `{"altered":[],"seq":1,"id":"x"}`,
	} {
		f.Add([]byte(doc))
	}
	rigs := quotingRigs(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		var members map[string]json.RawMessage
		if json.Unmarshal(doc, &members) != nil {
			t.Skip("no object")
		}
		given := map[string]any{}
		for k, v := range members {
			given[k] = v
		}
		ev, err := hooks.Prepare(hooks.Event{Action: "text.kept", Metadata: given})
		if err != nil {
			t.Skip("Record refuses it")
		}
		for _, r := range rigs {
			own := *r.session
			own.t = t
			r = &rig{session: &own, e: r.e, j: r.j}
			r.exec("BEGIN")
			r.write(r.j, 1, ev)
			got, err := r.of(r.session, ev)
			r.exec("ROLLBACK")
			if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0].Metadata, ev.Metadata) {
				t.Fatalf("%s: %#v came back as %+v, %v", r.e.Name, ev.Metadata, got, err)
			}
		}
	})
}

// TestRoleOfAnotherEncoding: roles are the cluster's, and the bytes of a name those of the
// database in which the role was made. They may be none of this one's encoding, which must not
// fail the role's transactions.
func TestRoleOfAnotherEncoding(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		latin, r := encodedRig(t, e, "LATIN1"), newRig(t, e)
		role := "jos\u00e9_" + strings.ReplaceAll(event("a.b").ID.String(), "-", "")[16:]
		latin.exec(`CREATE ROLE "` + role + `" SUPERUSER`)
		t.Cleanup(func() { latin.exec(`DROP ROLE "` + role + `"`) })
		oid := latin.text("SELECT oid::text FROM pg_roles WHERE rolname = '" + role + "'")
		s := newSession(t, r.db)
		s.exec("BEGIN")
		s.exec("DO $$ BEGIN PERFORM set_config('role', rolname::text, true) FROM pg_roles WHERE oid = " + oid + "; END $$")
		keep := func(v any) { t.Errorf("kept %+v", v) }
		written, err := r.j.Write(ctx, hooks.Flush{Conn: sqltest.Lent(s.conn), Events: events(1), Key: newKey(), Tx: 1, Must: true, Timeout: dbtest.Patience, Keep: keep})
		if !written || err != nil {
			t.Fatalf("Write = %v, %v", written, err)
		}
		s.exec("COMMIT")
		if n := r.text("SELECT count(*)::text FROM aftercommit.journal"); n != "1" {
			t.Errorf("the journal has %s rows, want 1", n)
		}
	}, dbtest.PostgresEngines()...)
}
