package forward

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
)

func keepAll(journal.Entry) bool { return true }

var keepAlways = func(journal.Entry) bool { return true }

type choosy struct{ id string }

func (c choosy) keep(e journal.Entry) bool { return e.Target.ID == c.id }

// What cannot have captured anything is the same in every program; of all else the
// program's name is a part.
func TestIdentityOfAFilter(t *testing.T) {
	id := "1"
	for name, test := range map[string]struct {
		keep func(journal.Entry) bool
		of   bool
	}{
		"function":        {keepAll, false},
		"variable":        {keepAlways, false},
		"closure":         {func(e journal.Entry) bool { return e.Target.ID == id }, true},
		"method":          {choosy{"1"}.keep, true},
		"made by another": {(&Choice{Actions: []string{"a.*"}}).must(t), true},
	} {
		r := registration{forwarder: &taker{}, keep: test.keep, number: 7}
		got := r.identity("shop")
		if !strings.HasPrefix(got.Text, "*github.com/go-aftercommit/aftercommit/forward.taker, filter github.com/go-aftercommit/aftercommit/forward.") ||
			strings.HasSuffix(got.Text, " of shop") != test.of || (got.Instance == "7") != test.of {
			t.Errorf("%s: %+v", name, got)
		}
	}
	r := registration{forwarder: &taker{}, keep: keepAll, as: "orders"}
	if got := r.identity("shop"); got.Text != "orders" || got.Instance != "" {
		t.Errorf("with Identity: %+v", got)
	}
}

// TestIdentityWithChanges: a program that would pass the row changes of another is reported.
func TestIdentityWithChanges(t *testing.T) {
	for _, as := range []string{"", "orders"} {
		with, without := registration{forwarder: &taker{}, as: as, changes: noChanges{}}, registration{forwarder: &taker{}, as: as}
		if a, b := with.identity("shop"), without.identity("shop"); a.Text != b.Text+", with row changes" {
			t.Errorf("%+v, without %+v", a, b)
		}
	}
}

type noChanges struct{ relay.Changes }

func (c *Choice) must(t *testing.T) func(journal.Entry) bool {
	t.Helper()
	keep, err := c.compile()
	if err != nil {
		t.Fatal(err)
	}
	return keep
}

// Jobs are compared by what their program says of the forwarder, if it does, and a
// difference is reported once.
func TestJobsAreCompared(t *testing.T) {
	w := newWorld(t, func(h *Hub) { h.Register(&taker{}, Sync, Identity("orders")) })
	s := w.h.sinks[0]
	elsewhere := &registration{forwarder: &taker{}, as: "orders"}
	another := &registration{forwarder: &taker{}, as: "invoices"}
	for _, step := range []struct{ identity, told string }{
		{"", ""},
		{s.short(), ""},
		{shortIdentity(elsewhere, "billing"), ""},
		{shortIdentity(another, "billing"), "conflict"},
		{shortIdentity(another, "billing"), ""},
		{shortIdentity(another, "stock"), "conflict"},
	} {
		w.h.compareJob(s, &Job{Identity: step.identity})
		if got := w.told(); got != step.told {
			t.Errorf("%q: told %q, want %q", step.identity, got, step.told)
		}
	}
}

// Every program has a package main.
func TestIdentityInMain(t *testing.T) {
	if got := inProgram("main.sink"); got == "main.sink" || !strings.HasSuffix(got, ".sink") {
		t.Errorf("main.sink is %q, want the path of this program", got)
	}
}
