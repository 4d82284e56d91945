// Package reqctx attributes audit events to HTTP requests: its middleware puts
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
// Statements get it by the request's context: db.ExecContext(r.Context(), …). An
// app whose statements have no context sets one option more,
//
//	reqctx.Middleware(who, &reqctx.Options{Goroutine: true})
//
// and what is executed without a context on the goroutine that serves a request
// is that request's, until the handler returns; see [hooks.Do]. Put the
// middleware inside whatever serves requests on goroutines of its own, such as
// [http.TimeoutHandler], and behind what authenticates users, since who is asked
// once.
package reqctx

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Options change what [Middleware] takes from a request. Nil is fine.
type Options struct {
	// TrustedProxies are the networks of the reverse proxies before this server.
	// X-Forwarded-For is believed as far as they wrote it and no further. By
	// default there are none, and the client is the peer of the TCP connection.
	TrustedProxies []netip.Prefix
	// IPAddress returns the client's address, for apps whose proxy sends it in
	// another header. TrustedProxies is not looked at then.
	IPAddress func(*http.Request) string
	// TenantID returns the tenant that the request is for, "" by default.
	TenantID func(*http.Request) string
	// Goroutine also binds the request to the goroutine that serves it, for apps
	// that execute statements without a context; see [hooks.Do].
	Goroutine bool
}

// Middleware returns what wraps a handler. who is called once for each request,
// concurrently, before the handler. The zero Actor means that no actor is known,
// and one of type [hooks.Anonymous] that the client did not say who they are.
//
// The request's ID is that of its header X-Request-Id, or a new UUID, and is set
// in the response; the correlation ID that of X-Correlation-Id; the trace parent
// that of traceparent. A header that is not of the expected form is taken for
// absent, and texts are cut to what an event can hold, so that nothing in a
// request can make an event invalid. They prove nothing: a client can send what
// it likes in them.
func Middleware(who func(*http.Request) hooks.Actor, o *Options) func(http.Handler) http.Handler {
	if who == nil {
		panic("reqctx: Middleware without a function that says who sends a request")
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v := Values(r, who(r), o)
			w.Header().Set(requestID, v.RequestID)
			o.do(r.Context(), v, func(ctx context.Context) { next.ServeHTTP(w, r.WithContext(ctx)) })
		})
	}
}

// Values returns what [Middleware] puts into the context of a request by who, for
// servers that have no place for net/http's middleware.
func Values(r *http.Request, who hooks.Actor, o *Options) hooks.Values {
	e := hooks.Event{
		Actor:         who,
		RequestID:     identifier(r.Header, requestID),
		CorrelationID: identifier(r.Header, correlationID),
		TraceParent:   traceParent(r.Header),
		IPAddress:     o.ip(r),
		TenantID:      o.tenant(r),
		UserAgent:     r.UserAgent(),
	}
	if e.RequestID == "" {
		e.RequestID = uuid.NewString()
	}
	hooks.Shorten(&e)
	return hooks.Values{
		Actor: e.Actor, TenantID: e.TenantID,
		RequestID: e.RequestID, CorrelationID: e.CorrelationID, TraceParent: e.TraceParent,
		IPAddress: e.IPAddress, UserAgent: e.UserAgent,
	}
}

// do calls f with a context that has v.
func (o *Options) do(ctx context.Context, v hooks.Values, f func(context.Context)) {
	if o != nil && o.Goroutine {
		hooks.Do(ctx, v, f)
		return
	}
	f(hooks.With(ctx, v))
}

func (o *Options) ip(r *http.Request) string {
	if o != nil && o.IPAddress != nil {
		return o.IPAddress(r)
	}
	var trusted []netip.Prefix
	if o != nil {
		trusted = o.TrustedProxies
	}
	return client(r, trusted)
}

func (o *Options) tenant(r *http.Request) string {
	if o != nil && o.TenantID != nil {
		return o.TenantID(r)
	}
	return ""
}
