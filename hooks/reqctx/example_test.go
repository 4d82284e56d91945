package reqctx_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/hooks/reqctx"
)

func ExampleMiddleware() {
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		// Whatever runs with r.Context() on a wrapped database carries these.
		v := hooks.FromContext(r.Context())
		fmt.Println(v.Actor.Type, v.Actor.ID, v.RequestID, v.IPAddress)
	})
	who := func(r *http.Request) hooks.Actor {
		user, _, ok := r.BasicAuth()
		if !ok {
			return hooks.Actor{Type: hooks.Anonymous}
		}
		return hooks.Actor{Type: hooks.User, ID: user}
	}
	audited := reqctx.Middleware(who, &reqctx.Options{
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})(handler)

	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
	r.RemoteAddr = "10.0.0.1:52814"
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	r.Header.Set("X-Request-Id", "req-1")
	r.SetBasicAuth("ada", "")
	audited.ServeHTTP(httptest.NewRecorder(), r)
	// Output: user ada req-1 203.0.113.9
}
