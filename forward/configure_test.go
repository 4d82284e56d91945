package forward

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// made is what the maker "made" makes.
type made struct{ color string }

func (*made) Forward(context.Context, []journal.Entry) error { return nil }

func init() {
	Provide("made", func(options map[string]string) (Forwarder, error) {
		if options["color"] == "black" {
			return nil, errors.New("there is no black")
		}
		if options["shape"] == "none" {
			return nil, nil
		}
		return &made{color: options["color"]}, OnlyOptions(options, "color", "shape")
	})
}

func configured(t *testing.T, text string) (*Hub, *observer.ObservedLogs, error) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	h := New(&Options{Logger: zap.New(core)})
	specs, err := ParseSpecs([]byte(text))
	if err == nil {
		err = h.Configure(specs...)
	}
	return h, logs, err
}

func TestConfigure(t *testing.T) {
	h, _, err := configured(t, `[
		{"name": "made"},
		{"name": "made", "id": "x", "dispatch": "sync", "timeout": "3s", "max_attempts": 2, "options": {"color": "red"},
		 "filter": {"actions": ["order.*", "login"], "targets": ["orders"], "tenants": ["acme-?"]}}
	]`)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.registrations) != 2 {
		t.Fatalf("%d forwarders", len(h.registrations))
	}
	a, b := h.registrations[0], h.registrations[1]
	if a.name() != "forward.made/default" || a.dispatch != Auto || a.timeout != defaultTimeout || a.maxAttempts != defaultAttempts || a.keep != nil {
		t.Errorf("the plain one is %+v", a)
	}
	if b.name() != "forward.made/x" || b.dispatch != Sync || b.timeout != 3*time.Second || b.maxAttempts != 2 || b.forwarder.(*made).color != "red" {
		t.Errorf("the other is %+v", b)
	}
	entry := func(action, target, tenant string) journal.Entry {
		return journal.Entry{Event: hooks.Event{Action: action, Target: hooks.Target{Type: target}, TenantID: tenant}}
	}
	for want, entries := range map[bool][]journal.Entry{
		true:  {entry("order.placed", "orders", "acme-1"), entry("order.line.added", "orders", "acme-2"), entry("login", "orders", "acme-3")},
		false: {entry("logins", "orders", "acme-1"), entry("order.placed", "lines", "acme-1"), entry("order.placed", "orders", "acme-12")},
	} {
		for _, e := range entries {
			if b.keep(e) != want {
				t.Errorf("%s on %s of %s: kept %v", e.Action, e.Target.Type, e.TenantID, !want)
			}
		}
	}
}

// TestConfigureUnlinked: what is not part of the program is told, with what to
// do, and the others work.
func TestConfigureUnlinked(t *testing.T) {
	h, logs, err := configured(t, `[{"name": "nats"}, {"name": "mad"}, {"name": "made"}]`)
	if err != nil || len(h.registrations) != 1 {
		t.Fatal(err, len(h.registrations))
	}
	var told []string
	for _, l := range logs.All() {
		if l.Level != zapcore.WarnLevel {
			t.Errorf("%s is at level %s", l.Message, l.Level)
		}
		told = append(told, l.ContextMap()["forwarder"].(string)+": "+l.ContextMap()["do"].(string))
		if known := l.ContextMap()["known"].(string); !strings.Contains(known, "made") {
			t.Errorf("the names that are known are told as %q", known)
		}
	}
	want := []string{
		`nats: import _ "github.com/go-aftercommit/aftercommit/forward/nats"`,
		`mad: import the package that calls forward.Provide for it, or correct the name`,
	}
	if !slices.Equal(told, want) {
		t.Errorf("told\n%s\nand not\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}

// TestConfigureMistakes: each is an error that says where, and nothing is
// registered.
func TestConfigureMistakes(t *testing.T) {
	for text, want := range map[string]string{
		`{"name": "made"}`:                                  "a JSON array such as",
		`[{"name": "made"}] x`:                              "after the array",
		`[{"name": "made", "colour": "red"}]`:               `unknown field "colour"`,
		`[{"name": "made", "dispatch": "later"}]`:           `"later" is not auto, sync or async`,
		`[{"name": "made"}, {"id": "x"}]`:                   `forwarder 2, "": it has no "name"`,
		`[{"name": "made", "timeout": "5"}]`:                `the timeout "5" is not a duration`,
		`[{"name": "made", "timeout": "-5s"}]`:              `the timeout "-5s" is not a duration`,
		`[{"name": "made", "timeout": "25h"}]`:              "the timeout 25h0m0s: use at most 24h0m0s",
		`[{"name": "made", "max_attempts": -1}]`:            "max_attempts is -1",
		`[{"name": "made", "id": "a/b"}]`:                   "without spaces and slashes",
		`[{"name": "made", "filter": {"actions": ["["]}}]`:  `pattern "["`,
		`[{"name": "made", "filter": {"tenants": [""]}}]`:   `pattern ""`,
		`[{"name": "made", "options": {"size": "1"}}]`:      `no option "size"; there are color, shape`,
		`[{"name": "made", "options": {"color": "black"}}]`: "there is no black",
		`[{"name": "made", "options": {"shape": "none"}}]`:  "returned nil",
		`[{"name": "made"}, {"name": "made"}]`:              "second forward.made/default: give one of them another name",
	} {
		h, _, err := configured(t, text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", text, err, want)
		}
		if len(h.registrations) != 0 {
			t.Errorf("%s: registered all the same", text)
		}
	}
	for _, empty := range []string{"", " \n", "[]"} {
		if _, _, err := configured(t, empty); err != nil {
			t.Errorf("%q: %v", empty, err)
		}
	}
	h := New(nil)
	_, _ = h.Open(hooks.Database{Dialect: hooks.Postgres})
	if err := h.Configure(Spec{Name: "made"}); err == nil || !strings.Contains(err.Error(), "after a database was opened") {
		t.Errorf("after a database was opened: %v", err)
	}
}

func TestProvidePanics(t *testing.T) {
	for name, m := range map[string]Maker{"made": func(map[string]string) (Forwarder, error) { return nil, nil }, "": nil, "other": nil} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Provide of %q does not panic", name)
				}
			}()
			Provide(name, m)
		}()
	}
}
