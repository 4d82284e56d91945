package delivery_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// On a server that lacks some of the characters an app with a journal, or without
// one, commits, and its timeline tells who it was.
func TestServersThatAreNotUTF8(t *testing.T) {
	for _, e := range dbtest.PostgresEngines() {
		for _, encoding := range []string{"LATIN1", "WIN1252", "EUC_JP", "EUC_KR", "SQL_ASCII"} {
			for name, o := range map[string]forward.Options{
				"relay": {}, "sync": {Relay: forward.RelayOff}, "no journal": {NoJournal: true},
			} {
				t.Run(fmt.Sprintf("%s/%s/%s", e.Name, encoding, name), func(t *testing.T) {
					dsn := dbtest.Shared(t).Encoded(t, encoding)
					w := &world{T: t, e: e, dsn: dsn, bare: dbtest.Open(t, e.Driver, dsn), sink: &sink{}}
					t.Cleanup(func() { _ = w.bare.Close() })
					w.must(w.bare.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY)"))
					a := w.start(o, func(h *forward.Hub) { h.Register(threadline.NewForwarder(nil), forward.Auto) })
					a.checkTrail(encoding)
				})
			}
		}
	}
}

func (a *app) checkTrail(encoding string) {
	a.Helper()
	who := hooks.Values{Actor: hooks.Actor{Type: hooks.User, ID: "Łukasz", Name: "😀"}, UserAgent: "curl 한 ü 😀"}
	c := hooks.With(ctx, who)
	tx, err := a.db.BeginTx(c, nil)
	a.must(err)
	a.must(tx.ExecContext(c, "INSERT INTO orders VALUES (1)"))
	a.must(hooks.Record(c, tx, hooks.Event{Action: "order.placed", Metadata: map[string]any{"😀": "한"}}))
	a.must(tx.Commit())
	if a.hub.Pending() == 0 {
		a.drain()
	}
	for _, bare := range []string{"postgres", "pgx"} {
		store := threadline.NewStore(dbtest.Open(a, bare, a.dsn), hooks.Postgres, nil)
		page, err := store.Timeline(ctx, threadline.Query{ActorType: hooks.User, ActorID: "Łukasz"})
		if err != nil || len(page.Actions) != 1 {
			a.Fatalf("%s finds %v, %v; want what was recorded", bare, page.Actions, err)
		}
		got := page.Actions[0]
		want := map[string]any{"😀": "한"}
		switch encoding {
		case "LATIN1", "WIN1252":
			want = map[string]any{
				"<U+1F600>": "<U+D55C>",
				"altered":   []any{"actor_id", "actor_name", "metadata", "user_agent"},
			}
			a.is("actor", got.Actor.ID+" "+got.Actor.Name, "<U+0141>ukasz <U+1F600>")
			a.is("user agent", got.UserAgent, "curl <U+D55C> ü <U+1F600>")
		case "SQL_ASCII":
			a.is("actor", got.Actor.ID+" "+got.Actor.Name, "Łukasz 😀")
			a.is("user agent", got.UserAgent, who.UserAgent)
		default:
			a.is("name", got.Actor.Name, "<U+1F600>")
			want = nil
		}
		if want != nil && !reflect.DeepEqual(got.Metadata, want) {
			a.Errorf("metadata is %v, want %v", got.Metadata, want)
		}
	}
}

func (a *app) is(what, got, want string) {
	a.Helper()
	if got != want {
		a.Errorf("the %s is %q, want %q", what, got, want)
	}
}

// What the program is called goes into captured events, which never fail a commit.
func TestLongNamesOfTheProgram(t *testing.T) {
	each(t, func(w *world) {
		long := strings.Repeat("ł", 5000)
		a := w.start(forward.Options{Application: long, Host: "a\x00" + long}, nil)
		a.place(1)
		a.drain()
		w.want("1")
	})
}
