package reqctx_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/hooks/reqctx"
)

const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// seen serves a request with those headers and returns what its handler's
// context says.
func seen(t *testing.T, header map[string]string, o *reqctx.Options) hooks.Values {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.RemoteAddr = "192.0.2.7:1234"
	for k, v := range header {
		r.Header.Set(k, v)
	}
	who := func(r *http.Request) hooks.Actor {
		if id := r.Header.Get("X-User"); id != "" {
			return hooks.Actor{Type: hooks.User, ID: id}
		}
		return hooks.Actor{Type: hooks.Anonymous}
	}
	var values hooks.Values
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { values = hooks.FromContext(r.Context()) })
	reqctx.Middleware(who, o)(h).ServeHTTP(httptest.NewRecorder(), r)
	return values
}

func TestMiddlewareFillsTheContext(t *testing.T) {
	got := seen(t, map[string]string{
		"X-User": "42", "X-Request-Id": "req-1", "X-Correlation-Id": "corr-1",
		"Traceparent": trace, "User-Agent": "curl/8",
	}, nil)
	want := hooks.Values{
		Actor: hooks.Actor{Type: hooks.User, ID: "42"}, RequestID: "req-1", CorrelationID: "corr-1",
		TraceParent: trace, IPAddress: "192.0.2.7", UserAgent: "curl/8",
	}
	if got != want {
		t.Errorf("context says\n%+v, want\n%+v", got, want)
	}
}

func TestMiddlewareMakesARequestID(t *testing.T) {
	a, b := seen(t, nil, nil), seen(t, nil, nil)
	if uuid.Validate(a.RequestID) != nil || a.RequestID == b.RequestID {
		t.Errorf("request ids %q and %q, want two different UUIDs", a.RequestID, b.RequestID)
	}
	if a.Actor.Type != hooks.Anonymous {
		t.Errorf("actor %+v, want anonymous", a.Actor)
	}
}

func TestMiddlewareOptions(t *testing.T) {
	got := seen(t, map[string]string{"X-Real-Ip": "198.51.100.1", "X-Tenant": "acme"}, &reqctx.Options{
		IPAddress: func(r *http.Request) string { return r.Header.Get("X-Real-Ip") },
		TenantID:  func(r *http.Request) string { return r.Header.Get("X-Tenant") },
	})
	if got.IPAddress != "198.51.100.1" || got.TenantID != "acme" {
		t.Errorf("address %q and tenant %q, want those of the options", got.IPAddress, got.TenantID)
	}
}

// A client must not be able to make the app's events invalid.
func TestHostileHeadersLeaveEventsValid(t *testing.T) {
	long := strings.Repeat("ü", 5000)
	got := seen(t, map[string]string{
		"X-Request-Id": long, "X-Correlation-Id": "a\xff\x00b", "User-Agent": long, "Traceparent": "00-zz",
	}, nil)
	e := hooks.Event{Action: "order.placed"}
	got.Fill(&e)
	if _, err := hooks.Prepare(e); err != nil {
		t.Error(err)
	}
	if got.TraceParent != "" || got.UserAgent == "" || got.RequestID == "" {
		t.Errorf("%+v, want what fits of the long ones, and no trace parent", got)
	}
}

func TestMiddlewareWithoutWhoPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	reqctx.Middleware(nil, nil)
}
