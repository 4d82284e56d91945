// Package servers_test shows how the servers that people use tell the audit
// trail who sends a request: the recipes of the README.
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

// told is what a handler's context said.
type told struct{ got hooks.Values }

// save stands for the app's code that writes to the database.
func (h *told) save(ctx context.Context) { h.got = hooks.FromContext(ctx) }

// want sends a request and looks at what the handler was told.
func (h *told) want(t *testing.T, server http.Handler, r *http.Request) {
	t.Helper()
	r.SetBasicAuth("ada", "")
	r.Header.Set("X-Request-Id", "r-1")
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	h.got.UserAgent = ""
	want := hooks.Values{Actor: hooks.Actor{Type: hooks.User, ID: "ada"}, RequestID: "r-1", IPAddress: "192.0.2.1"}
	if h.got != want {
		t.Errorf("the handler was told %+v, want %+v", h.got, want)
	}
	if id := w.Header().Get("X-Request-Id"); id != "r-1" {
		t.Errorf("the answer has the request ID %q", id)
	}
}

func post(path string) *http.Request {
	return httptest.NewRequestWithContext(context.Background(), http.MethodPost, path, http.NoBody)
}

func TestChi(t *testing.T) {
	var h told
	r := chi.NewRouter()
	r.Use(reqctx.Middleware(who, nil))
	r.Post("/orders", func(_ http.ResponseWriter, r *http.Request) { h.save(r.Context()) })
	h.want(t, r, post("/orders"))
}

func TestEcho(t *testing.T) {
	var h told
	e := echo.New()
	e.Use(echo.WrapMiddleware(reqctx.Middleware(who, nil)))
	e.POST("/orders", func(c echo.Context) error {
		h.save(c.Request().Context())
		return c.NoContent(http.StatusOK)
	})
	h.want(t, e, post("/orders"))
}

func TestGin(t *testing.T) {
	var h told
	gin.SetMode(gin.TestMode)
	r := gin.New()
	r.Use(func(c *gin.Context) {
		v := reqctx.Values(c.Request, who(c.Request), nil)
		c.Header("X-Request-Id", v.RequestID)
		c.Request = c.Request.WithContext(hooks.With(c.Request.Context(), v))
	})
	r.POST("/orders", func(c *gin.Context) { h.save(c.Request.Context()) })
	h.want(t, r, post("/orders"))
}

func TestConnect(t *testing.T) {
	var h told
	mux := http.NewServeMux()
	const procedure = "/shop.Orders/Place"
	mux.Handle(procedure, connect.NewUnaryHandler(procedure, func(ctx context.Context, _ *connect.Request[emptypb.Empty]) (*connect.Response[emptypb.Empty], error) {
		h.save(ctx)
		return connect.NewResponse(&emptypb.Empty{}), nil
	}))
	r := post(procedure)
	r.Header.Set("Content-Type", "application/proto")
	h.want(t, reqctx.Middleware(who, nil)(mux), r)
}
