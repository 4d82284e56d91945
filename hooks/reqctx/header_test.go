package reqctx_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/hooks/reqctx"
)

// serve sends a request through the middleware and returns what the handler's
// context says, and the response's headers.
func serve(t *testing.T, opts *reqctx.Options, r *http.Request) (hooks.Values, http.Header) {
	t.Helper()
	var got *hooks.Values
	w := httptest.NewRecorder()
	reqctx.Middleware(nobody, opts)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := hooks.FromContext(r.Context())
		got = &v
		if w.Header().Get("X-Request-Id") != v.RequestID {
			t.Error("the handler does not find the request's ID in the response")
		}
	})).ServeHTTP(w, r)
	if got == nil {
		t.Fatal("the handler was not called")
	}
	e := hooks.Event{ID: uuid.Max, OccurredAt: time.Unix(0, 0), Action: "request.made", Outcome: hooks.Success}
	got.Fill(&e)
	if err := hooks.Validate(e); err != nil {
		t.Errorf("the request made an event invalid: %v", err)
	}
	return *got, w.Header()
}

func nobody(*http.Request) hooks.Actor { return hooks.Actor{} }

func request(headers ...string) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func TestContextKeepsWhatTheRequestDoesNotSay(t *testing.T) {
	r := request("X-Request-Id", "r")
	outer := hooks.Values{Actor: hooks.Actor{Type: hooks.System}, TenantID: "acme", RequestID: "outer", CorrelationID: "c"}
	got, _ := serve(t, nil, r.WithContext(hooks.With(r.Context(), outer)))
	want := hooks.Values{Actor: outer.Actor, TenantID: "acme", RequestID: "r", CorrelationID: "c", IPAddress: "192.0.2.1"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestUnusableIDs(t *testing.T) {
	long := strings.Repeat("x", 128)
	for id, usable := range map[string]bool{
		"a": true, long: true, "!~/:=+": true,
		"": false, long + "x": false, "two words": false, "tab\t": false, "line\r\nSet-Cookie: x": false,
		"nul\x00": false, "é": false, "\xff": false, "\x7f": false,
	} {
		got, header := serve(t, nil, request("X-Request-Id", id, "X-Correlation-Id", id))
		if (got.RequestID == id) != usable || got.RequestID == "" {
			t.Errorf("%q: request id %q", id, got.RequestID)
		}
		if len(header.Values("X-Request-Id")) != 1 || header.Get("X-Request-Id") != got.RequestID {
			t.Errorf("%q: response headers %v", id, header)
		}
		if want := map[bool]string{true: id}[usable]; got.CorrelationID != want {
			t.Errorf("%q: correlation id %q, want %q", id, got.CorrelationID, want)
		}
	}
	if got, _ := serve(t, nil, request("X-Request-Id", "a", "X-Request-Id", "b")); got.RequestID == "a" || got.RequestID == "b" {
		t.Errorf("of two ids %q was taken", got.RequestID)
	}
}

func TestTraceParent(t *testing.T) {
	for s, want := range map[string]string{
		trace:                                 trace,
		strings.Replace(trace, "00", "cc", 1): strings.Replace(trace, "00", "cc", 1),
		"cc" + trace[2:] + "-more":            "cc" + trace[2:],
		"cc" + trace[2:] + "more":             "",
		trace + "-more":                       "",
		trace + "-":                           "",
		"ff" + trace[2:]:                      "",
		trace[:54]:                            "",
		"":                                    "",
		strings.ToUpper(trace):                "",
		"00-" + strings.Repeat("0", 32) + trace[35:]:      "",
		trace[:36] + strings.Repeat("0", 16) + trace[52:]: "",
		trace[:10] + "g" + trace[11:]:                     "",
		trace[:40] + "g" + trace[41:]:                     "",
		trace[:53] + "0g":                                 "",
		"0g" + trace[2:]:                                  "",
		trace[:35] + "_" + trace[36:]:                     "",
		trace[:52] + "_" + trace[53:]:                     "",
		"00_" + trace[3:]:                                 "",
	} {
		if got, _ := serve(t, nil, request("traceparent", s)); got.TraceParent != want {
			t.Errorf("%q: %q, want %q", s, got.TraceParent, want)
		}
	}
	if got, _ := serve(t, nil, request("traceparent", trace, "traceparent", trace)); got.TraceParent != "" {
		t.Error("one of two trace parents was taken")
	}
}

func TestUserAgentIsCut(t *testing.T) {
	for s, want := range map[string]string{
		strings.Repeat("x", 600):       strings.Repeat("x", 512),
		strings.Repeat("x", 511) + "🙂": strings.Repeat("x", 511),
		"a\x00b\xff":                   "a\uFFFDb\uFFFD",
	} {
		if got, _ := serve(t, nil, request("User-Agent", s)); got.UserAgent != want {
			t.Errorf("%q: %q", s, got.UserAgent)
		}
	}
}

func TestRequestIsNotChanged(t *testing.T) {
	r := request("User-Agent", strings.Repeat("x", 600))
	before := r.Header.Clone()
	serve(t, nil, r)
	if !reflect.DeepEqual(r.Header, before) {
		t.Errorf("headers became %v", r.Header)
	}
}

func FuzzHeaders(f *testing.F) {
	f.Add("r", trace, "curl", "1.1.1.1, 10.0.0.1", "10.0.0.1:5")
	f.Add("\x00", "cc"+trace[2:]+"-", "\xff", ",[::1%x]:", "[::ffff:1.2.3.4]:1")
	everybody := &reqctx.Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}
	f.Fuzz(func(t *testing.T, id, trace, agent, forwarded, remote string) {
		r := request("X-Request-Id", id, "X-Correlation-Id", id, "traceparent", trace, "User-Agent", agent, "X-Forwarded-For", forwarded)
		r.RemoteAddr = remote
		serve(t, everybody, r)
	})
}
