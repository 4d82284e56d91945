package delivery_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// only keeps one order.
func only(id string) func(journal.Entry) bool {
	return func(e journal.Entry) bool { return e.Target.ID == id }
}

func notThree(e journal.Entry) bool { return e.Target.ID != "3" }

func init() {
	forward.Provide("rival", func(map[string]string) (forward.Forwarder, error) { return &sink{}, nil })
}

// rivalHub registers, for two programs, forwarders that differ and forwarders that do
// not.
func rivalHub(program, id string) func(h *forward.Hub) {
	return func(h *forward.Hub) {
		add := func(name string, options ...forward.RegisterOption) {
			h.Register(&sink{}, forward.Async, append(options, forward.ID(name))...)
		}
		add("same")
		add("same-function", forward.Filter(notThree))
		add("same-identity", forward.Filter(only(id)), forward.Identity("orders"))
		add("differs:captured", forward.Filter(only(id)))
		add("differs:identity", forward.Identity("orders of "+program))
		if program == "shop" {
			add("differs:one-filters")
		} else {
			add("differs:one-filters", forward.Filter(notThree))
		}
		spec := func(name, filter, url string) forward.Spec {
			return forward.Spec{Name: "rival", ID: name, Filter: forward.Choice{Actions: []string{filter}}, Options: map[string]string{"url": url}}
		}
		if err := h.Configure(spec("same-spec", "order.*", "http://a"), spec("differs:spec's-filter", "order."+id, "http://a"),
			spec("differs:spec's-options", "order.*", "http://"+id)); err != nil {
			panic(err)
		}
		add("differs:z-last", forward.Identity(id)) // compared last
	}
}

// conflicts returns which forwarders the notices of a sink say that another program
// has otherwise.
func (s *sink) conflicts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, n := range s.notices {
		if n.Kind == hooks.NoticeConflict {
			_, id, _ := strings.Cut(n.Forwarder, "/")
			all = append(all, id)
		}
	}
	return all
}

// TestTwoPrograms: each of two programs that register different forwarders by the
// same name is warned, once, of those that differ, and States shows them.
func TestTwoPrograms(t *testing.T) {
	each(t, func(w *world) {
		a := w.start(forward.Options{Application: "shop"}, rivalHub("shop", "1"))
		shop := w.sink
		w.sink = &sink{}
		b := w.start(forward.Options{Application: "billing"}, rivalHub("billing", "2"))
		var want []string
		store, err := relay.New(hooks.Postgres, nil)
		w.must(err)
		for program, s := range map[string]*sink{"shop": shop, "billing": w.sink} {
			w.until(program+" is warned", func() bool { return slices.Contains(s.conflicts(), "differs:z-last") })
			want = []string{"differs:captured", "differs:identity", "differs:one-filters", "differs:spec's-filter", "differs:spec's-options", "differs:z-last"}
			if got := s.conflicts(); !slices.Equal(got, want) {
				t.Errorf("%s is warned of %q, want %q", program, got, want)
			}
		}
		states, err := store.States(ctx, w.bare)
		w.must(err)
		for _, st := range states {
			_, id, _ := strings.Cut(st.Forwarder, "/")
			if differs := strings.HasPrefix(id, "differs"); differs != (len(st.Conflict) == 2) {
				t.Errorf("%s: conflict %q", id, st.Conflict)
			}
			if id == "differs:identity" && fmt.Sprint(st.Conflict) != "[billing: orders of billing shop: orders of shop]" &&
				fmt.Sprint(st.Conflict) != "[shop: orders of shop billing: orders of billing]" {
				t.Errorf("conflict %q", st.Conflict)
			}
		}
		for _, app := range []*app{a, b} {
			if got := app.warnings(); !strings.Contains(got, "forward.ID") || !strings.Contains(got, "forward.Identity") {
				t.Errorf("warnings: %s", got)
			}
			if got := app.errors(); strings.Contains(got, "http://") {
				t.Errorf("options are in the log: %s", got)
			}
			w.must(app.db.Close())
		}
	})
}

// TestNewVersion: a version of a program that starts once the last has stopped is no
// other program.
func TestNewVersion(t *testing.T) {
	each(t, func(w *world) {
		for i, id := range []string{"1", "2"} {
			a := w.start(forward.Options{}, func(h *forward.Hub) { h.Register(w.sink, forward.Async, forward.Filter(only(id))) })
			a.place(i + 1)
			a.drain()
			w.must(a.db.Close())
		}
		w.want("1 2")
		if got := w.sink.conflicts(); len(got) > 0 {
			t.Errorf("warned of %q", got)
		}
	})
}
