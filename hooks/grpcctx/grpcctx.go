// Package grpcctx attributes audit events to gRPC calls, as package reqctx does
// to HTTP requests: its interceptors put who calls, from where, and under
// which IDs, into the call's context.
//
//	grpc.NewServer(
//		grpc.ChainUnaryInterceptor(authenticate, grpcctx.Unary(who, nil)),
//		grpc.ChainStreamInterceptor(authenticateStream, grpcctx.Stream(who, nil)),
//	)
//
// The metadata are what the headers are there: x-request-id, x-correlation-id,
// traceparent, user-agent, and x-forwarded-for behind trusted proxies. The
// request's ID is sent back in the header x-request-id.
//
// The option Goroutine is for servers that execute statements without a context:
// what the goroutine of a handler executes, be it of a unary call or a stream, is
// the call's until the handler returns.
package grpcctx

import (
	"context"
	"net/http"
	"net/url"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/hooks/reqctx"
)

// requestID is the key of the request's ID.
const requestID = "x-request-id"

// Unary returns the interceptor of unary calls. who is called once for each,
// concurrently, with a context that earlier interceptors may have filled; see
// [reqctx.Middleware] for what it may return. The functions of o get a request
// that has the call's metadata as its headers, its method as its path, and the
// peer's address.
func Unary(who func(context.Context) hooks.Actor, o *reqctx.Options) grpc.UnaryServerInterceptor {
	check(who)
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		v := values(ctx, info.FullMethod, who, o)
		if err := grpc.SetHeader(ctx, metadata.Pairs(requestID, v.RequestID)); err != nil {
			return nil, err
		}
		var resp any
		var err error
		do(ctx, v, o, func(ctx context.Context) { resp, err = next(ctx, req) })
		return resp, err
	}
}

// Stream is Unary for streams.
func Stream(who func(context.Context) hooks.Actor, o *reqctx.Options) grpc.StreamServerInterceptor {
	check(who)
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		v := values(stream.Context(), info.FullMethod, who, o)
		if err := stream.SetHeader(metadata.Pairs(requestID, v.RequestID)); err != nil {
			return err
		}
		var err error
		do(stream.Context(), v, o, func(ctx context.Context) {
			err = next(srv, &serverStream{ServerStream: stream, ctx: ctx})
		})
		return err
	}
}

func check(who func(context.Context) hooks.Actor) {
	if who == nil {
		panic("grpcctx: an interceptor without a function that says who calls")
	}
}

// do calls f with a context that has v, as o says.
func do(ctx context.Context, v hooks.Values, o *reqctx.Options, f func(context.Context)) {
	if o != nil && o.Goroutine {
		hooks.Do(ctx, v, f)
		return
	}
	f(hooks.With(ctx, v))
}

// serverStream is a stream with another context.
type serverStream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // that is how gRPC hands it on
}

// Context is the stream's, with what the audit trail is told.
func (s *serverStream) Context() context.Context { return s.ctx }

func values(ctx context.Context, method string, who func(context.Context) hooks.Actor, o *reqctx.Options) hooks.Values {
	r := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: method}, Header: make(http.Header)}
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		for key, values := range md {
			r.Header[http.CanonicalHeaderKey(key)] = values
		}
	}
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		r.RemoteAddr = p.Addr.String()
	}
	return reqctx.Values(r.WithContext(ctx), who(ctx), o)
}
