package journal_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
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

// What the server's encoding holds is stored as it is, the rest so that it can
// be told what it was, and the event says so.
func TestCharactersThatTheServerLacks(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for encoding, tt := range map[string]struct{ kept, lacked, written string }{
			"LATIN1":     {"Müller\u0085\u00a0", "Łukasz 😀", "<U+0141>ukasz <U+1F600>"},
			"WIN1252":    {"Müller € …", "Łukasz \u0081 😀", "<U+0141>ukasz <U+0081> <U+1F600>"},
			"ISO_8859_5": {"Лев", "Müller", "M<U+00FC>ller"},
			"EUC_JP":     {"表ソ噂構ああë", "한 \U0010FFFF", "<U+D55C> <U+10FFFF>"},
			"EUC_KR":     {"한국어", "Łódź 😀", "Ł<U+00F3>d<U+017A> <U+1F600>"},
			"UTF8":       {"Łukasz 😀 <U+0141>", "", ""},
			"SQL_ASCII":  {"Łukasz 😀 <U+0141>", "", ""},
		} {
			t.Run(encoding, func(t *testing.T) {
				r := encodedRig(t, e, encoding)
				plain := fullEvent(t)
				clearOf(&plain, tt.kept)
				if got := r.keep(plain); !reflect.DeepEqual(got, plain) {
					t.Errorf("got  %+v\nwant %+v", got, plain)
				}
				if tt.lacked == "" {
					return
				}
				ev := event("order.placed")
				ev.Actor = hooks.Actor{Type: hooks.User, ID: tt.lacked, Name: tt.kept + ` \u0141 <U+0141>`}
				ev.UserAgent = `"<U+` + tt.lacked + `\`
				ev.Metadata = map[string]any{tt.lacked: []any{tt.lacked}, "n": json.Number("1.50")}
				got := r.keep(ev)
				want := ev
				want.Actor.ID, want.UserAgent = tt.written, `"<U+003C>U+`+tt.written+`\`
				want.Metadata = map[string]any{
					tt.written: []any{tt.written}, "n": json.Number("1.50"), "altered": []any{"actor_id", "metadata", "user_agent"},
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("got  %+v\nwant %+v", got, want)
				}
			})
		}
	}, dbtest.PostgresEngines()...)
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

// Only the events that have such characters are altered, and without metadata
// they get some.
func TestOnlyWhatMustBeIsAltered(t *testing.T) {
	r := encodedRig(t, dbtest.PQ, "LATIN1")
	first, second, third := event("order.placed"), event("order.paid"), event("order.shipped")
	first.Comment, second.Comment, third.Comment = "<U+0141> ü", "Ł", "\x01\u2028"
	r.exec("BEGIN")
	r.write(r.j, 1, first, second, third)
	r.exec("COMMIT")
	list := r.entries()
	if !reflect.DeepEqual(list[0].Event, first) {
		t.Errorf("got %+v, want %+v", list[0].Event, first)
	}
	want := map[string]any{"altered": []any{"comment"}}
	if list[1].Comment != "<U+0141>" || !reflect.DeepEqual(list[1].Metadata, want) {
		t.Errorf("got %+v", list[1].Event)
	}
	if list[2].Comment != "\x01<U+2028>" || !reflect.DeepEqual(list[2].Metadata, want) {
		t.Errorf("got %+v", list[2].Event)
	}
	// The app's own word stays.
	own := event("order.billed")
	own.Comment, own.Metadata = "Ł", map[string]any{"altered": "mine"}
	if got := r.keep(own); !reflect.DeepEqual(got.Metadata, own.Metadata) {
		t.Errorf("metadata became %v", got.Metadata)
	}
	// Written again, the event is the same.
	if got := r.keep(second); got.Action != "order.billed" {
		t.Errorf("the last entry is %+v", got)
	}
}

// A text that grows by it stays within the limit that indexes need, and nothing
// else is cut.
func TestAlteredTextsKeepTheirLimit(t *testing.T) {
	r := encodedRig(t, dbtest.PQ, "EUC_JP")
	ev := event("order.placed")
	ev.Target = hooks.Target{Type: strings.Repeat("あ", hooks.MaxText/3), ID: strings.Repeat("한", hooks.MaxText/3)}
	ev.Comment = strings.Repeat("한", 1000)
	got := r.keep(ev)
	if n := len(got.Target.ID); n > hooks.MaxText || n < hooks.MaxText-4 {
		t.Errorf("the target's ID has %d bytes, want about %d", n, hooks.MaxText)
	}
	if got.Target.Type != ev.Target.Type || got.Comment != strings.Repeat("<U+D55C>", 1000) {
		t.Errorf("got %+v", got)
	}
	if want := []any{"comment", "target_id"}; !reflect.DeepEqual(got.Metadata["altered"], want) {
		t.Errorf("altered: %v, want %v", got.Metadata["altered"], want)
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
			got, err := r.j.ByID(ctx, r.conn, ids([]hooks.Event{ev}))
			if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0].Event, ev) {
				t.Errorf("ByID = %+v, %v", got, err)
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
			got, err := r.j.ByID(ctx, r.conn, ids([]hooks.Event{ev}))
			r.exec("ROLLBACK")
			if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0].Metadata, ev.Metadata) {
				t.Fatalf("%s: %#v came back as %+v, %v", r.e.Name, ev.Metadata, got, err)
			}
		}
	})
}
