package relay

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

type noChanges struct{ Changes }

// TestChangesOnSQLite are refused.
func TestChangesOnSQLite(t *testing.T) {
	s, err := New(hooks.SQLite, nil)
	if err != nil {
		t.Fatal(err)
	}
	target := Target{Name: "sink/default", MaxAttempts: 1, Changes: noChanges{}, Deliver: func(context.Context, *sql.DB, []journal.Entry) Result { return Result{} }}
	if err := (&Config{Targets: []Target{target}}).check(s, &sql.DB{}); err == nil || !strings.Contains(err.Error(), "on PostgreSQL only") {
		t.Error(err)
	}
}

// TestWrongConfig: Start panics on it, and CatchUp returns it, before anything is done.
func TestWrongConfig(t *testing.T) {
	s, err := New(hooks.Postgres, nil)
	if err != nil {
		t.Fatal(err)
	}
	db := &sql.DB{} // nothing is asked of it
	right := Target{Name: "sink/default", MaxAttempts: 1, Deliver: func(context.Context, *sql.DB, []journal.Entry) Result { return Result{} }}
	with := func(change func(t *Target)) Config {
		target := right
		change(&target)
		return Config{Targets: []Target{target}}
	}
	for _, test := range []struct {
		cfg  Config
		want string
	}{
		{Config{Lease: -time.Second}, "Config.Lease is -1s: use one above 0, or 0 for the default"},
		{Config{Lease: 26 * time.Hour}, "Config.Lease is 26h0m0s: use at most 25h0m0s"},
		{Config{Poll: 1<<63 - 1}, "use at most 25h0m0s"},
		{with(func(t *Target) { t.Timeout = 1<<63 - 1 }), "use at most 25h0m0s"},
		{with(func(t *Target) { t.Grace = 26 * time.Hour }), "its Grace is 26h0m0s: use at most 25h0m0s"},
		{Config{Batch: -1}, "Config.Batch is -1 entries: use 1 or more"},
		{Config{Poll: -1}, "Config.Poll is -1ns: use one above 0"},
		{Config{Targets: []Target{right, right}}, `target 2 is a second "sink/default": give it another name`},
		{with(func(t *Target) { t.Name = "" }), `target 1, "": its Name is empty`},
		{with(func(t *Target) { t.Deliver = nil }), "its Deliver is nil"},
		{with(func(t *Target) { t.Timeout = -1 }), "its Timeout is -1ns"},
		{with(func(t *Target) { t.Grace = -1 }), "its Grace is -1ns"},
		{with(func(t *Target) { t.MaxAttempts = 0 }), "its MaxAttempts is 0: use 1 or more"},
		{with(func(t *Target) { t.MaxAttempts = -5 }), "its MaxAttempts is -5"},
		{with(func(t *Target) { t.Changes, t.Grace = noChanges{}, 1 }), "it has Changes, and also a Grace, or SameDatabase"},
		{with(func(t *Target) { t.Changes, t.SameDatabase = noChanges{}, true }), "it has Changes, and also a Grace, or SameDatabase"},
	} {
		if got := started(s, db, test.cfg); !strings.HasPrefix(got, "relay: ") || !strings.Contains(got, test.want) {
			t.Errorf("Start panics with %q, want %q", got, test.want)
		}
		if _, err := CatchUp(t.Context(), s, db, test.cfg, Share{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("CatchUp: %v, want %q", err, test.want)
		}
	}
	for name, got := range map[string]string{"Store": started(nil, db, Config{}), "database": started(s, nil, Config{})} {
		if !strings.Contains(got, "the Store or the database is nil") {
			t.Errorf("without a %s: %q", name, got)
		}
	}
	if err := (&Config{Lease: maxDuration, Poll: maxDuration, Targets: []Target{right, with(func(t *Target) { t.Name, t.Timeout, t.Grace = "longest", 25*time.Hour, maxDuration }).Targets[0]}}).check(s, db); err != nil {
		t.Errorf("a right one: %v", err)
	}
}

// started returns what Start panics with.
func started(s *Store, db *sql.DB, cfg Config) (panicked string) {
	defer func() { panicked = fmt.Sprint(recover()) }()
	Start(s, db, cfg)
	return ""
}

func TestWrongLimits(t *testing.T) {
	s, err := New(hooks.Postgres, nil)
	if err != nil {
		t.Fatal(err)
	}
	db := &sql.DB{}
	_, err = s.Purge(t.Context(), db, PurgeOptions{Before: time.Now(), By: "me", Batch: -1})
	if err == nil || !strings.Contains(err.Error(), "Batch is -1 rows: use 1 or more, or 0 for the default") {
		t.Errorf("Purge: %v", err)
	}
	_, err = s.Failures(t.Context(), db, "", true, -1)
	if err == nil || !strings.Contains(err.Error(), "the limit -1 is negative: use 0 for the default of 1000") {
		t.Errorf("Failures: %v", err)
	}
	for _, env := range []string{"a\nb", "\x00", "\xff", strings.Repeat("x", 201)} {
		if _, err := New(hooks.SQLite, &Options{Environment: env}); err == nil || !strings.Contains(err.Error(), "use at most 200 bytes of printable characters") {
			t.Errorf("environment %q: %v", env, err)
		}
	}
}
