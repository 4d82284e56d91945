// Package servers_test shows how the audit trail learns from the servers that
// people use who sends a request: the recipes of the README.
package servers_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v4"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/hooks/reqctx"
)

// who knows users by basic authentication.
func who(r *http.Request) hooks.Actor {
	user, _, ok := r.BasicAuth()
	if !ok {
		return hooks.Actor{Type: hooks.Anonymous}
	}
	return hooks.Actor{Type: hooks.User, ID: user}
}

// goroutine is the word for apps that pass no context.
var goroutine = &reqctx.Options{Goroutine: true}

// app is what stands behind a server.
type app struct {
	context hooks.Values // of the request
	without hooks.Values // of a statement without a context
}

// save stands for the app's code that writes to the database.
func (a *app) save(ctx context.Context) {
	a.context, a.without = hooks.FromContext(ctx), hooks.Origin(context.Background())
}

// want sends a request and looks at what is known where the app writes.
func (a *app) want(t *testing.T, server http.Handler, r *http.Request) {
	t.Helper()
	r.SetBasicAuth("ada", "")
	r.Header.Set("X-Request-Id", "r-1")
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	want := hooks.Values{Actor: hooks.Actor{Type: hooks.User, ID: "ada"}, RequestID: "r-1", IPAddress: "192.0.2.1"}
	for what, got := range map[string]hooks.Values{"the context": a.context, "without a context": a.without} {
		got.UserAgent = ""
		if got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	if id := w.Header().Get("X-Request-Id"); id != "r-1" {
		t.Errorf("the answer has the request ID %q", id)
	}
	if got := hooks.Origin(context.Background()); got != (hooks.Values{}) {
		t.Errorf("after the request: %+v", got)
	}
}

func post(path string) *http.Request {
	return httptest.NewRequestWithContext(context.Background(), http.MethodPost, path, http.NoBody)
}

func TestChi(t *testing.T) {
	var a app
	r := chi.NewRouter()
	r.Use(reqctx.Middleware(who, goroutine))
	r.Post("/orders", func(_ http.ResponseWriter, r *http.Request) { a.save(r.Context()) })
	a.want(t, r, post("/orders"))
}

func TestEcho(t *testing.T) {
	var a app
	e := echo.New()
	e.Use(echo.WrapMiddleware(reqctx.Middleware(who, goroutine)))
	e.POST("/orders", func(c echo.Context) error {
		a.save(c.Request().Context())
		return c.NoContent(http.StatusOK)
	})
	a.want(t, e, post("/orders"))
}

func TestGin(t *testing.T) {
	var a app
	gin.SetMode(gin.TestMode)
	r := gin.New()
	r.Use(func(c *gin.Context) {
		v := reqctx.Values(c.Request, who(c.Request), nil)
		c.Header("X-Request-Id", v.RequestID)
		hooks.Do(c.Request.Context(), v, func(ctx context.Context) {
			c.Request = c.Request.WithContext(ctx)
			c.Next()
		})
	})
	r.POST("/orders", func(c *gin.Context) { a.save(c.Request.Context()) })
	a.want(t, r, post("/orders"))
}

func TestConnect(t *testing.T) {
	var a app
	mux := http.NewServeMux()
	const procedure = "/shop.Orders/Place"
	mux.Handle(procedure, connect.NewUnaryHandler(procedure, func(ctx context.Context, _ *connect.Request[emptypb.Empty]) (*connect.Response[emptypb.Empty], error) {
		a.save(ctx)
		return connect.NewResponse(&emptypb.Empty{}), nil
	}))
	r := post(procedure)
	r.Header.Set("Content-Type", "application/proto")
	a.want(t, reqctx.Middleware(who, goroutine)(mux), r)
}
