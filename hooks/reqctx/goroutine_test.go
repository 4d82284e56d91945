package reqctx_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/hooks/reqctx"
)

// statement stands for one that the app executes without a context.
func statement() hooks.Values { return hooks.Origin(context.Background(), nil) }

func byHeader(r *http.Request) hooks.Actor {
	return hooks.Actor{Type: hooks.User, ID: r.Header.Get("X-User")}
}

// asAda serves a request by ada, and waits for the handler.
func asAda(t *testing.T, h http.Handler) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Header.Set("X-User", "ada")
	h.ServeHTTP(httptest.NewRecorder(), r)
	if got := statement(); got != (hooks.Values{}) {
		t.Errorf("after the request %+v is bound", got)
	}
}

func TestGoroutine(t *testing.T) {
	for name, c := range map[string]struct {
		o    *reqctx.Options
		want bool
	}{
		"without options":    {nil, false},
		"without the option": {&reqctx.Options{}, false},
		"with it":            {&reqctx.Options{Goroutine: true}, true},
	} {
		served := false
		asAda(t, reqctx.Middleware(byHeader, c.o)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			served = true
			var want hooks.Values
			if c.want {
				want = hooks.FromContext(r.Context())
			}
			if got := statement(); got != want {
				t.Errorf("%s: a statement is of %+v, want %+v", name, got, want)
			}
		})))
		if !served {
			t.Errorf("%s: not served", name)
		}
	}
}

func TestGoroutineAfterAPanic(t *testing.T) {
	recovering := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if recover() != "boom" || statement() != (hooks.Values{}) {
					t.Errorf("recovered while %+v is bound", statement())
				}
			}()
			next.ServeHTTP(w, r)
		})
	}
	asAda(t, recovering(reqctx.Middleware(byHeader, &reqctx.Options{Goroutine: true})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic("boom")
	}))))
}

// TestTimeoutHandler: it serves on a goroutine of its own, so the middleware
// must be inside it; outside, what it serves is unattributed. A handler that has
// outlived its request is still that request's.
func TestTimeoutHandler(t *testing.T) {
	middleware := reqctx.Middleware(byHeader, &reqctx.Options{Goroutine: true})
	timeout := func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Nanosecond, "") }
	for name, c := range map[string]struct {
		wrap func(http.Handler) http.Handler
		want string
	}{
		"inside":  {func(h http.Handler) http.Handler { return timeout(middleware(h)) }, "ada"},
		"outside": {func(h http.Handler) http.Handler { return middleware(timeout(h)) }, ""},
	} {
		answered, done := make(chan bool), make(chan string)
		h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			<-answered
			done <- statement().Actor.ID
		})
		asAda(t, c.wrap(h))
		close(answered)
		if got := <-done; got != c.want {
			t.Errorf("%s: the statement is of %q, want %q", name, got, c.want)
		}
	}
}

// TestHijackedConnection: its handler goes on serving the same user.
func TestHijackedConnection(t *testing.T) {
	got := make(chan string, 1)
	server := httptest.NewServer(reqctx.Middleware(byHeader, &reqctx.Options{Goroutine: true})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = conn.Write([]byte("HTTP/1.1 204 No Content\r\n\r\n"))
		_ = conn.Close()
		got <- statement().Actor.ID
	})))
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-User", "ada")
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if id := <-got; id != "ada" {
		t.Errorf("the statement is of %q, want ada", id)
	}
}

// TestOneConnection serves requests of several users on the goroutine of one
// connection.
func TestOneConnection(t *testing.T) {
	server := httptest.NewServer(reqctx.Middleware(byHeader, &reqctx.Options{Goroutine: true})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(statement().Actor.ID))
	})))
	defer server.Close()
	for _, user := range []string{"ada", "bob", "ada"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-User", user)
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, 10)
		n, _ := resp.Body.Read(body)
		_ = resp.Body.Close()
		if got := string(body[:n]); got != user {
			t.Errorf("a statement of %s is of %q", user, got)
		}
	}
}

// BenchmarkMiddleware shows what a request costs.
func BenchmarkMiddleware(b *testing.B) {
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct {
		name string
		h    http.Handler
	}{
		{"without", handler},
		{"context", reqctx.Middleware(byHeader, nil)(handler)},
		{"context and goroutine", reqctx.Middleware(byHeader, &reqctx.Options{Goroutine: true})(handler)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", nil)
			r.Header.Set("X-User", "ada")
			for b.Loop() {
				c.h.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
