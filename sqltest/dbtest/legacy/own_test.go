package legacy_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func requireLong(t *testing.T) {
	t.Helper()
	if os.Getenv("AFTERCOMMIT_LONG") != "1" {
		t.Skip("set AFTERCOMMIT_LONG=1 to run it")
	}
}

// TestMinifluxOwnTests runs the tests that Miniflux has for its API, against it
// as it is and against it audited.
func TestMinifluxOwnTests(t *testing.T) {
	requireLong(t)
	dbtest.RequirePostgres(t)
	dir := checkOut(t, minifluxModule, ".")
	bare := startMiniflux(t, build(t, dir, "."))
	want := bare.ownTests(t, dir)
	minifluxAdoption.apply(t, dir)
	audited := startMiniflux(t, build(t, dir, "."), watch)
	got := audited.ownTests(t, dir)

	passed := 0
	for test, result := range want {
		if result == "pass" {
			passed++
		} else {
			t.Logf("%s: %s", test, result)
		}
		if got[test] != result {
			t.Errorf("%s: %s bare, %s audited", test, result, got[test])
		}
	}
	t.Logf("%d of %d tests pass, bare and audited", passed, len(want))
	if passed < len(want)*9/10 || len(got) != len(want) {
		t.Errorf("%d of %d tests pass bare, and %d have run audited", passed, len(want), len(got))
	}
	// What the relay has left when the app ends, it takes when it starts again.
	audited.stop(t)
	audited.serve(t)
	drained(t, audited.db, beginning, 1)
	audited.stop(t)
	audited.agrees(t)
}

// ownTests runs the tests against m and returns the result of each.
func (m *miniflux) ownTests(t *testing.T, dir string) map[string]string {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "miniflux"})
	proxy.Transport = m.client.Transport
	api := httptest.NewServer(proxy)
	defer api.Close()
	feeds := site(t)

	cmd := exec.CommandContext(t.Context(), "go", "test", "-json", "-count=1", "./internal/api")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod -buildvcs=false",
		"TEST_MINIFLUX_BASE_URL="+api.URL, "TEST_MINIFLUX_ADMIN_USERNAME="+admin, "TEST_MINIFLUX_ADMIN_PASSWORD="+password,
		"TEST_MINIFLUX_FEED_URL="+feeds.URL+"/feed.xml", "TEST_MINIFLUX_WEBSITE_URL="+feeds.URL+"/",
		"TEST_MINIFLUX_FEED_TITLE="+feedTitle, "TEST_MINIFLUX_SUBSCRIPTION_TITLE="+feedTitle)
	out, err := cmd.Output()
	results := map[string]string{}
	for line := range bytes.Lines(out) {
		var e struct{ Action, Test, Output string }
		if json.Unmarshal(line, &e) != nil || e.Test == "" {
			continue
		}
		if e.Action == "pass" || e.Action == "fail" || e.Action == "skip" {
			results[e.Test] = e.Action
		}
	}
	if len(results) == 0 {
		t.Fatalf("no test has run: %v\n%s", err, out)
	}
	return results
}
