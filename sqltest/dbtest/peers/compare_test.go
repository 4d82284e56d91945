package peers_test

import (
	"slices"
	"strings"
	"testing"
)

// compare runs a variant of the peer's tests bare, then wrapped in each
// configuration.
func (h *host) compare(t *testing.T, v variant, configurations []configuration) {
	t.Helper()
	bareSuite, wrappedSuite := build(t, h.peer, v)
	fakes, err := h.peer.testsOfFakes(bareSuite.dir)
	if err != nil {
		t.Fatal(err)
	}
	h.fresh(t, v)
	bare := bareSuite.run(t, h.env, everything, "")
	t.Logf("bare: %d tests pass, %d fail", bare.tests("pass"), bare.tests("fail"))
	if bare.tests("pass") < 100 {
		t.Fatalf("hardly a test passes bare:\n%s", bare.output(h.peer.packages[0]+" "))
	}
	for _, c := range configurations {
		t.Run(c.name, func(t *testing.T) {
			h.fresh(t, v)
			r := &round{host: h, bare: bare, bareSuite: bareSuite, suite: wrappedSuite, c: c, fakes: fakes}
			r.run(t)
		})
	}
}

// round is one run of the wrapped tests.
type round struct {
	host             *host
	c                configuration
	bare             results
	bareSuite, suite suite
	fakes            []string
}

func (r *round) run(t *testing.T) {
	t.Helper()
	env := append(slices.Clone(r.host.env), r.c.env...)
	if !r.c.journal {
		r.judge(t, r.suite.run(t, env, everything, ""), env, func(string) bool { return true })
		return
	}
	isFake := func(test string) bool { return slices.Contains(r.fakes, topLevel(test)) }
	skip := ""
	if len(r.fakes) > 0 {
		skip = anyOf(r.fakes)
	}
	r.judge(t, r.suite.run(t, env, everything, skip), env, func(test string) bool { return !isFake(test) })
	if n := r.host.events(t); n == 0 && r.c.events {
		t.Error("the journal is empty")
	} else {
		t.Logf("%d events in the journal", n)
	}
	if skip == "" {
		return
	}
	env = append(env, journalOff)
	r.judge(t, r.suite.run(t, env, skip, ""), env, isFake)
}

// tries is how often a test that fails wrapped may try again, on both drivers:
// some wait for an answer only for so long, and the machine may be busy.
const tries = 2

// judge compares those tests that concern it.
func (r *round) judge(t *testing.T, wrapped results, env []string, concerns func(test string) bool) {
	t.Helper()
	t.Logf("wrapped: %d tests pass, %d fail", wrapped.tests("pass"), wrapped.tests("fail"))
	for _, pkg := range r.host.peer.packages {
		if out := wrapped.output(pkg + " "); strings.Contains(out, leftOpen) {
			t.Errorf("%s: the wrapped driver leaves connections open:\n%s", pkg, out)
		}
	}
	failed := worse(r.bare, wrapped, concerns)
	for i := 0; i < tries && len(failed) > 0; i++ {
		t.Logf("again: %s", strings.Join(failed, ", "))
		only := anyOf(topLevels(failed))
		bare := r.bareSuite.run(t, r.host.env, only, "")
		wrapped = r.suite.run(t, env, only, "")
		failed = slices.DeleteFunc(failed, func(test string) bool {
			return bare.action(test) != "pass" || wrapped.action(test) == "pass"
		})
	}
	for _, test := range failed {
		t.Errorf("%s: pass bare, %s wrapped:\n%s", test, wrapped.action(test), wrapped.output(test))
	}
}

// worse lists the tests that pass bare and do not wrapped.
func worse(bare, wrapped results, concerns func(test string) bool) []string {
	var names []string
	for test, res := range bare {
		if res.action == "pass" && !strings.HasSuffix(test, " ") && concerns(test) && wrapped.action(test) != "pass" {
			names = append(names, test)
		}
	}
	slices.Sort(names)
	return names
}

// topLevel is the name of a test without its package and its subtests.
func topLevel(test string) string {
	_, name, _ := strings.Cut(test, " ")
	name, _, _ = strings.Cut(name, "/")
	return name
}

func topLevels(tests []string) []string {
	names := make([]string, len(tests))
	for i, test := range tests {
		names[i] = topLevel(test)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// everything matches all names of tests.
const everything = "."

func anyOf(tests []string) string { return "^(" + strings.Join(tests, "|") + ")$" }
