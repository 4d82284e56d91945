package legacy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// visit logs in with a browser, as the admin, and changes something: the session
// begins with a visitor, and goes on with the user.
func (m *miniflux) visit(t *testing.T, after journal.Position) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Transport: m.client.Transport, Jar: jar}
	send := func(method, path string, form url.Values) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://miniflux"+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		page, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %s, %v", method, path, resp.Status, err)
		}
		token := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindSubmatch(page)
		if token == nil {
			return ""
		}
		return string(token[1])
	}
	token := send("GET", "/", nil)
	send("POST", "/login", url.Values{"csrf": {token}, "username": {admin}, "password": {password}})
	token = send("GET", "/category/create", nil)
	send("POST", "/category/save", url.Values{"csrf": {token}, "title": {"By browser"}})

	want := []string{
		"web_sessions.inserted by anonymous",
		"users.updated by user:1", "web_sessions.updated by user:1", "web_sessions.updated by user:1",
		"categories.inserted by user:1",
	}
	t.Log("with a browser")
	var got []string
	for _, a := range drained(t, m.db, after, len(want)) {
		t.Logf("    %s", a)
		got = append(got, a.Action+" by "+a.ActorRef())
	}
	if !slices.Equal(got, want) {
		t.Errorf("a login and a change by browser are in the timeline as %q, want %q", got, want)
	}
}

// crowd has many users use the API at once over few connections of the database,
// some of them too impatient to wait for the answer. Each row that they have
// written says whose it is, and so does its event.
func (m *miniflux) crowd(t *testing.T) {
	t.Helper()
	const users, requests = 8, 25
	before := lastOf(drained(t, m.db, beginning, 1))
	keys := map[string]string{}
	for i := range users {
		name := fmt.Sprintf("user%d", i)
		if status, answer := m.as(t, admin, "POST", "/users", object{"username": name, "password": password}); status != http.StatusCreated {
			t.Fatalf("%s: %d %v", name, status, answer)
		}
		status, answer := m.as(t, name, "POST", "/api-keys", object{"description": "crowd"})
		key, _ := answer["token"].(string)
		if status != http.StatusCreated || key == "" {
			t.Fatalf("the key of %s: %d %v", name, status, answer)
		}
		keys[name] = key
	}
	after := lastOf(drained(t, m.db, before, 1))
	var wg sync.WaitGroup
	for name, key := range keys {
		for n := range requests {
			wg.Go(func() { m.hurry(t, name, key, n) })
		}
	}
	wg.Wait()
	m.stop(t) // when it has ended, so have the requests that nobody waited for
	m.serve(t)

	rows := map[string]string{} // the actor by the row
	found, err := m.db.QueryContext(t.Context(), "SELECT 'categories ' || id, user_id FROM categories UNION SELECT 'users ' || id, id FROM users")
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	for found.Next() {
		var row, user string
		if err := found.Scan(&row, &user); err != nil {
			t.Fatal(err)
		}
		rows[row] = user
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	seen, userOf := map[string]int{}, map[string]string{}
	for _, a := range drained(t, m.db, after, users*requests) {
		seen[a.Action]++
		owner := rows[a.Target.Type+" "+a.Target.ID]
		if a.Actor.Type != hooks.User || owner != "" && owner != a.Actor.ID {
			t.Errorf("%s is of a row of user %s", a, owner)
		}
		if first, known := userOf[a.RequestID]; a.RequestID == "" || known && first != a.Actor.ID {
			t.Errorf("%s is in request %q of user %s", a, a.RequestID, first)
		}
		userOf[a.RequestID] = a.Actor.ID
	}
	t.Logf("%d users at once: %v", users, seen)
	if seen["categories.inserted"] < users*requests/2 {
		t.Errorf("only %v", seen)
	}
}

// hurry sends a request with an API key. It waits for the answer of most.
func (m *miniflux) hurry(t *testing.T, name, key string, n int) {
	t.Helper()
	ctx := t.Context()
	if n%5 == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(n)*time.Millisecond)
		defer cancel()
	}
	body, err := json.Marshal(object{"title": fmt.Sprintf("category %d of %s", n, name)})
	if err != nil {
		t.Error(err)
		return
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://miniflux/v1/categories", bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	r.Header.Set("X-Auth-Token", key)
	resp, err := m.client.Do(r)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) { // the dialer may be earlier than ctx
			t.Error(err)
		}
		return
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err == nil && resp.StatusCode != http.StatusCreated {
		t.Errorf("%s: %s", name, resp.Status)
	}
}
