package threadline_test

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// encoded returns a timeline in a database of that encoding.
func encoded(t *testing.T, e dbtest.Engine, encoding string, settings ...string) *threadline.Store {
	t.Helper()
	dsn := strings.Join(append([]string{dbtest.Shared(t).Encoded(t, encoding)}, settings...), "&")
	db := dbtest.Open(t, e.Driver, dsn)
	t.Cleanup(func() { _ = db.Close() })
	s := threadline.NewStore(db, e.Dialect, nil)
	if err := s.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

// What the server's encoding holds is stored, found and read as it is, the rest
// as the journal writes it.
func TestCharactersThatTheServerLacks(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for encoding, tt := range map[string]struct{ kept, lacked, written string }{
			"LATIN1":    {"Müller", "Łukasz\u2028 \ufffd", "<U+0141>ukasz<U+2028> <U+FFFD>"},
			"WIN1252":   {"Müller €", "Łukasz 😀", "<U+0141>ukasz <U+1F600>"},
			"EUC_JP":    {"表ソ", "한", "<U+D55C>"},
			"SQL_ASCII": {"Łukasz 😀", "", ""},
			"UTF8":      {"Łukasz 😀", "", ""},
		} {
			t.Run(encoding, func(t *testing.T) {
				s := encoded(t, e, encoding)
				plain := entry(1)
				plain.Actor = hooks.Actor{Type: hooks.User, ID: tt.kept, Name: "<U+0141>" + tt.kept}
				plain.Metadata = map[string]any{tt.kept: []any{tt.kept, `\u0141`}}
				other := entry(2)
				other.Actor = hooks.Actor{Type: hooks.User, ID: tt.lacked + "!", Name: tt.kept}
				other.Comment = `\<U+` + tt.lacked + `\u2028`
				other.Metadata = map[string]any{tt.lacked: []any{tt.lacked, "<U+"}}
				record(t, s, plain, other)

				want := plain.Event
				if got := one(t, s, plain.Actor); !reflect.DeepEqual(got, want) {
					t.Errorf("got  %+v\nwant %+v", got, want)
				}
				if tt.lacked == "" {
					return
				}
				want = other.Event
				want.Actor.ID, want.Comment = tt.written+"!", `\<U+003C>U+`+tt.written+`\u2028`
				want.Metadata = map[string]any{
					tt.written: []any{tt.written, "<U+003C>U+"}, "altered": []any{"actor_id", "comment", "metadata"},
				}
				for _, actor := range []hooks.Actor{other.Actor, want.Actor} {
					if got := one(t, s, actor); !reflect.DeepEqual(got, want) {
						t.Errorf("%s:\ngot  %+v\nwant %+v", actor.ID, got, want)
					}
				}
				for text, q := range map[string]threadline.Query{
					"is found": {Text: []string{tt.lacked}}, "is left out": {Not: []threadline.Query{{Text: []string{tt.kept, "é" + tt.lacked}}, {ActorID: tt.kept}}},
				} {
					if page := timeline(t, s, q); len(page.Actions) != 1 || page.Actions[0].ID != other.ID {
						t.Errorf("%s: %v", text, page.Actions)
					}
				}
				if page := timeline(t, s, threadline.Query{TenantID: tt.lacked}); len(page.Actions) != 0 {
					t.Errorf("found %v", page.Actions)
				}
			})
		}
	}, dbtest.PostgresEngines()...)
}

// one returns the one action of an actor, as Timeline and Get have it.
func one(t *testing.T, s *threadline.Store, actor hooks.Actor) hooks.Event {
	t.Helper()
	q := threadline.Query{ActorType: actor.Type, ActorID: actor.ID}
	page := timeline(t, s, q)
	if len(page.Actions) != 1 {
		t.Fatalf("%+v finds %v", q, page.Actions)
	}
	got, err := s.Get(context.Background(), page.Actions[0].ID)
	if err != nil || !reflect.DeepEqual(got, page.Actions[0]) {
		t.Errorf("Get = %+v, %v; Timeline has %+v", got, err, page.Actions[0])
	}
	got.CorrelationID = "" // the event's ID, where it has none
	return got.Event
}

// The DSN may ask for another encoding of the client's.
func TestClientEncodingOfTheDSN(t *testing.T) {
	for _, encoding := range []string{"SJIS", "LATIN1"} {
		t.Run(encoding, func(t *testing.T) {
			s := encoded(t, dbtest.PGX, "UTF8", "client_encoding="+encoding) // lib/pq refuses it
			ev := full(t)
			ev.Actor = hooks.Actor{Type: hooks.User, ID: "Łukasz 表ソ 😀"}
			record(t, s, ev)
			want := ev.Event
			want.CorrelationID = ""
			if got := one(t, s, ev.Actor); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// A query that finds many at once: each has its own altered.
func TestManyCharactersThatTheServerLacks(t *testing.T) {
	s := encoded(t, dbtest.PQ, "LATIN1")
	var all strings.Builder
	for r := 'Ā'; r < 'Ā'+200; r++ {
		all.WriteRune(r)
	}
	first, second := entry(1), entry(2)
	first.Actor = hooks.Actor{Type: hooks.User, ID: "1", Name: "Müller"}
	second.Actor = hooks.Actor{Type: hooks.User, ID: "2", Name: all.String()}
	second.Target.ID, second.Target.Type = strings.Repeat("Ā", hooks.MaxText/2), "order"
	record(t, s, first, second)
	if got := one(t, s, first.Actor); got.Actor.Name != "Müller" || got.Metadata != nil {
		t.Errorf("got %+v", got)
	}
	got := one(t, s, second.Actor)
	if !strings.HasPrefix(got.Actor.Name, "<U+0100><U+0101>") || len(got.Target.ID) != hooks.MaxText {
		t.Errorf("got %+v", got)
	}
}

// In the transaction of a relay no error may come of it.
func TestCharactersWithinATransaction(t *testing.T) {
	dsn := dbtest.Shared(t).Encoded(t, "LATIN1")
	db := dbtest.Open(t, "postgres", dsn)
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	inside := threadline.NewStore(db, hooks.Postgres, nil)
	if err := inside.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	exec(t, db, "BEGIN")
	bad := entry(1)
	bad.Comment = "😀"
	if err := threadline.NewForwarder(nil).Forward(forward.WithConn(context.Background(), db), []journal.Entry{bad}); err != nil {
		t.Error(err)
	}
	exec(t, db, "COMMIT")
	if got := one(t, inside, bad.Actor); got.Comment != "<U+1F600>" {
		t.Errorf("the comment is %q", got.Comment)
	}
}
