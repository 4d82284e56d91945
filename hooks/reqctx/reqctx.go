// Package reqctx tells the audit trail about HTTP requests: its middleware puts
// who sends one, from where, and under which IDs, into the request's context,
// from which every event of a statement run with that context takes it.
//
//	who := func(r *http.Request) hooks.Actor {
//		s, ok := sessions.Of(r) // however the app knows its users
//		if !ok {
//			return hooks.Actor{Type: hooks.Anonymous}
//		}
//		return hooks.Actor{Type: hooks.User, ID: s.UserID}
//	}
//	http.ListenAndServe(addr, reqctx.Middleware(who, nil)(handler))
//
// Statements must be given the request's context: db.ExecContext(r.Context(), …).
package reqctx

import (
	"net"
	"net/http"
	"regexp"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Options change what [Middleware] takes from a request. Nil is fine.
type Options struct {
	// IPAddress returns the client's address. The default is the peer of the
	// TCP connection, which behind a proxy is the proxy; only the app knows
	// which header of its own proxy it may believe.
	IPAddress func(*http.Request) string
	// TenantID returns the tenant that the request is for, "" by default.
	TenantID func(*http.Request) string
}

// Middleware returns what wraps a handler. who is called once for each request,
// concurrently, before the handler; the zero Actor means that nobody is known,
// an actor of type [hooks.Anonymous] that somebody did not say who they are.
//
// The request's ID is that of its header X-Request-Id, or a new UUID; the
// correlation ID that of X-Correlation-Id; the trace parent that of traceparent
// if it has the form of W3C Trace Context. A client can send what it likes in
// them: they are cut to what an event can hold, so that nothing in a request can
// make an event invalid, but they prove nothing.
func Middleware(who func(*http.Request) hooks.Actor, o *Options) func(http.Handler) http.Handler {
	if who == nil {
		panic("reqctx: Middleware without a function that says who sends a request")
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := hooks.With(r.Context(), o.values(r, who(r)))
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

// traceParent is the form of version 00 (https://www.w3.org/TR/trace-context/,
// section 3.2); later ones may only append to it.
var traceParent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-|$)`)

func (o *Options) values(r *http.Request, who hooks.Actor) hooks.Values {
	e := hooks.Event{
		Actor:         who,
		RequestID:     r.Header.Get("X-Request-Id"),
		CorrelationID: r.Header.Get("X-Correlation-Id"),
		IPAddress:     o.ip(r),
		TenantID:      o.tenant(r),
		UserAgent:     r.UserAgent(),
	}
	if e.RequestID == "" {
		e.RequestID = uuid.NewString()
	}
	if t := r.Header.Get("Traceparent"); traceParent.MatchString(t) {
		e.TraceParent = t
	}
	hooks.Shorten(&e)
	return hooks.Values{
		Actor: e.Actor, TenantID: e.TenantID,
		RequestID: e.RequestID, CorrelationID: e.CorrelationID, TraceParent: e.TraceParent,
		IPAddress: e.IPAddress, UserAgent: e.UserAgent,
	}
}

func (o *Options) ip(r *http.Request) string {
	if o != nil && o.IPAddress != nil {
		return o.IPAddress(r)
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr // a server that is not on TCP
	}
	return host
}

func (o *Options) tenant(r *http.Request) string {
	if o != nil && o.TenantID != nil {
		return o.TenantID(r)
	}
	return ""
}
