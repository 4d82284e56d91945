package forward

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestWrongOptions: each is refused when a database is opened, and by processes that only
// deliver, with an error that says what to do.
func TestWrongOptions(t *testing.T) {
	queue := startsQueue{}
	db := sql.OpenDB(nowhere{})
	defer db.Close()
	for _, test := range []struct {
		opts Options
		want string
	}{
		{Options{Timeout: -time.Second}, "Options.Timeout is -1s: use one above 0, or 0 for the default of 5s"},
		{Options{Timeout: 25 * time.Hour}, "Options.Timeout is 25h0m0s: use at most 24h0m0s"},
		{Options{Grace: 1<<63 - 1}, "use at most 24h0m0s"},
		{Options{Grace: -1}, "Options.Grace is -1ns: use one above 0, or 0 for the default of 30s"},
		{Options{Relay: 7}, "Options.Relay is 7: use RelayInProcess, RelayElsewhere or RelayOff"},
		{Options{Queue: (*startsQueue)(nil)}, "Options.Queue is a nil *forward.startsQueue"},
		{Options{NoJournal: true, Queue: queue}, "Options.Queue and NoJournal are both set, but a Queue's jobs are read from the journal: leave NoJournal out, or leave Queue out"},
		{Options{NoJournal: true, Relay: RelayElsewhere}, "Options.Relay is RelayElsewhere and NoJournal is set, but a relay reads the journal: leave NoJournal out, or leave Relay out"},
		{Options{Environment: "eu\x00west"}, `the environment "eu\x00west": use at most 200 bytes of printable characters`},
		{Options{Environment: strings.Repeat("x", 201)}, "use at most 200 bytes"},
		{Options{Environment: "\xff"}, "use at most 200 bytes"},
	} {
		for _, dispatch := range []Dispatch{Auto, Sync, Async} {
			h := New(&test.opts)
			h.Register(&taker{}, dispatch)
			h.log = zap.NewNop()
			for _, dialect := range []hooks.Dialect{hooks.Postgres, hooks.SQLite} {
				if _, err := h.Open(hooks.Database{Driver: "x", Dialect: dialect, Connector: nowhere{}}); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v: %v, want %q", dispatch, err, test.want)
				}
			}
			want := test.want
			if test.opts.NoJournal {
				want = "Hub.Relay and Hub.Work read the journal, and Options.NoJournal is set: leave it out"
			}
			if err := h.Relay(ctx, db, hooks.Postgres); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Relay, %v: %v, want %q", dispatch, err, want)
			}
			if err := h.Work(ctx, db, hooks.Postgres); err == nil || test.opts.Environment == "" && !strings.Contains(err.Error(), want) {
				t.Errorf("Work, %v: %v, want %q", dispatch, err, want)
			}
		}
	}
}

// TestRightOptions: what has no effect together contradicts nothing, so that NoJournal
// can be switched on by itself.
func TestRightOptions(t *testing.T) {
	for _, o := range []Options{
		{},
		{NoJournal: true, Grace: time.Second, Environment: "eu west, Düsseldorf", Relay: RelayOff},
		{Relay: RelayOff, Queue: startsQueue{}, Environment: strings.Repeat("x", 200)},
		{Relay: RelayElsewhere, Queue: &startsQueue{}},
	} {
		o.Logger = zap.NewNop()
		h := New(&o)
		h.Register(&taker{}, Auto)
		if _, err := h.Open(hooks.Database{Driver: "x", Dialect: hooks.Postgres, Connector: nowhere{}}); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestRegisterWithANilOption(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); got != "forward: Register of forward.taker with a nil option" {
			t.Errorf("panic %q", got)
		}
	}()
	New(nil).Register(&taker{}, Sync, nil)
}
