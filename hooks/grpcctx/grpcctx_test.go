package grpcctx_test

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/hooks/grpcctx"
	"github.com/go-aftercommit/aftercommit/hooks/reqctx"
)

// health is a service whose methods remember what their context says,
// and what is known of a statement that they execute without a context.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
	told  chan hooks.Values
	bound chan hooks.Values
}

func (h *health) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	h.told <- hooks.FromContext(ctx)
	h.bound <- hooks.Origin(context.Background(), nil)
	return &grpc_health_v1.HealthCheckResponse{}, nil
}

func (h *health) Watch(_ *grpc_health_v1.HealthCheckRequest, stream grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	h.told <- hooks.FromContext(stream.Context())
	h.bound <- hooks.Origin(context.Background(), nil)
	return nil
}

type userKey struct{}

// authenticate is an app's own interceptor, before ours.
func authenticate(ctx context.Context) context.Context {
	md, _ := metadata.FromIncomingContext(ctx)
	if user := md.Get("user"); len(user) == 1 {
		return context.WithValue(ctx, userKey{}, user[0])
	}
	return ctx
}

func who(ctx context.Context) hooks.Actor {
	user, ok := ctx.Value(userKey{}).(string)
	if !ok {
		return hooks.Actor{Type: hooks.Anonymous}
	}
	return hooks.Actor{Type: hooks.User, ID: user}
}

// serve returns a client of a server with the interceptors.
func serve(t *testing.T, o *reqctx.Options) (grpc_health_v1.HealthClient, *health) {
	t.Helper()
	h := &health{told: make(chan hooks.Values, 1), bound: make(chan hooks.Values, 1)}
	server := grpc.NewServer(
		grpc.NumStreamWorkers(2),
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			return next(authenticate(ctx), req)
		}, grpcctx.Unary(who, o)),
		grpc.ChainStreamInterceptor(grpcctx.Stream(who, o)),
	)
	grpc_health_v1.RegisterHealthServer(server, h)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent("till/1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return grpc_health_v1.NewHealthClient(conn), h
}

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func outgoing(t *testing.T) context.Context {
	t.Helper()
	return metadata.AppendToOutgoingContext(t.Context(), "user", "ada",
		"x-request-id", "r-1", "x-correlation-id", "c-1", "traceparent", trace, "x-forwarded-for", "203.0.113.9", "tenant", "acme")
}

func TestUnary(t *testing.T) {
	client, h := serve(t, &reqctx.Options{
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		TenantID:       func(r *http.Request) string { return r.Header.Get("Tenant") + r.URL.Path },
	})
	var header metadata.MD
	if _, err := client.Check(outgoing(t), nil, grpc.Header(&header)); err != nil {
		t.Fatal(err)
	}
	got := <-h.told
	if want := "till/1 grpc-go/" + grpc.Version; got.UserAgent != want {
		t.Errorf("the user agent is %q, want %q", got.UserAgent, want)
	}
	got.UserAgent = ""
	want := hooks.Values{
		Actor: hooks.Actor{Type: hooks.User, ID: "ada"}, TenantID: "acme/grpc.health.v1.Health/Check",
		RequestID: "r-1", CorrelationID: "c-1", TraceParent: trace, IPAddress: "203.0.113.9",
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if ids := header.Get("x-request-id"); len(ids) != 1 || ids[0] != "r-1" {
		t.Errorf("the answer has the request ids %q", ids)
	}
}

func TestStream(t *testing.T) {
	client, h := serve(t, nil)
	stream, err := client.Watch(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	header, err := stream.Header()
	if err != nil {
		t.Fatal(err)
	}
	got := <-h.told
	if got.Actor.Type != hooks.Anonymous || got.IPAddress != "127.0.0.1" || got.RequestID == "" {
		t.Errorf("the stream's context says %+v", got)
	}
	if ids := header.Get("x-request-id"); len(ids) != 1 || ids[0] != got.RequestID {
		t.Errorf("the answer has the request ids %q, want %q", ids, got.RequestID)
	}
}

// TestGoroutine: what a handler executes without a context is of its call, if the
// option says so. The calls share few goroutines.
func TestGoroutine(t *testing.T) {
	for _, opted := range []bool{true, false} {
		client, h := serve(t, &reqctx.Options{Goroutine: opted})
		check := func(kind string) {
			t.Helper()
			said, bound := <-h.told, <-h.bound
			if !opted {
				said = hooks.Values{}
			}
			if bound != said {
				t.Errorf("%s, option %v: a statement is of %+v, want %+v", kind, opted, bound, said)
			}
		}
		for range 3 {
			if _, err := client.Check(outgoing(t), nil); err != nil {
				t.Fatal(err)
			}
			check("unary")
			if _, err := client.Check(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			check("unary, anonymous")
			stream, err := client.Watch(outgoing(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = stream.Recv(); err == nil {
				t.Error("the stream has a message")
			}
			check("stream")
		}
	}
}

func TestWithoutWho(t *testing.T) {
	for name, f := range map[string]func(){"Unary": func() { grpcctx.Unary(nil, nil) }, "Stream": func() { grpcctx.Stream(nil, nil) }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s does not panic", name)
				}
			}()
			f()
		}()
	}
}
