// Package pocketbase_test uses PocketBase over its API, once on the bare driver, and once on the audited one with the row changes
// of all its tables captured. Both have to answer alike, and to have the same rows at the end. The changes have to lead to the
// content of the tables, to name who has sent each request, and to be undone.
package pocketbase_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/pocketbase/dbx"
	"github.com/pocketbase/pocketbase/apis"
	"github.com/pocketbase/pocketbase/core"
	_ "github.com/pocketbase/pocketbase/migrations" // PocketBase's own
	"github.com/pocketbase/pocketbase/tools/hook"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/hooks/reqctx"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

const (
	bare    = "sqlite"
	audited = "sqlite-audited"
)

// patience is how long a step of the trail may take on a machine under load.
const patience = 3 * time.Minute

var warnings *observer.ObservedLogs

func init() {
	var warn zapcore.Core
	warn, warnings = observer.New(zapcore.WarnLevel)
	audit := forward.New(&forward.Options{Logger: zap.New(warn), Timeout: patience})
	audit.Register(threadline.NewForwarder(nil), forward.Auto)
	audit.Keep(capture.Of()) // the captures follow DDL
	driver.Register(audited, bare, audit, driver.Capture(driver.AllTables()), driver.WriteTimeout(patience),
		driver.DefaultActor(hooks.Actor{Type: hooks.System, ID: "pocketbase"}))
	dbx.BuilderFuncMap[audited] = dbx.BuilderFuncMap[bare] // dbx knows databases by the driver's name
}

// app is a running PocketBase.
type app struct {
	*testing.T
	core.App
	driver string
	dir    string
	db     *sql.DB // of the base driver, for the test to look
	server *httptest.Server
	tokens map[string]string // of who has logged in
}

func start(t *testing.T, driver string) *app {
	t.Helper()
	a := &app{T: t, driver: driver, dir: t.TempDir(), tokens: make(map[string]string)}
	a.db = open(t, a.dir)
	a.serve()
	t.Cleanup(a.stop)
	return a
}

// open opens the data of a PocketBase on the bare driver.
func open(t *testing.T, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open(bare, filepath.Join(dir, "data.db")+"?_pragma=busy_timeout(180000)&_pragma=foreign_keys(ON)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (a *app) must(err error) {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
}

// serve starts PocketBase, for the first time or again.
func (a *app) serve() {
	a.Helper()
	a.App = core.NewBaseApp(core.BaseAppConfig{DataDir: a.dir, DBConnect: func(path string) (*dbx.DB, error) {
		return dbx.Open(a.driver, path+"?_pragma=busy_timeout(180000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=foreign_keys(ON)&_pragma=temp_store(MEMORY)&_pragma=cache_size(-32000)")
	}})
	a.must(a.Bootstrap())
	a.must(a.RunAllMigrations())
	if a.driver == audited {
		a.must(a.captureAll())
		a.OnCollectionAfterCreateSuccess().BindFunc(func(e *core.CollectionEvent) error {
			if !e.Collection.IsView() {
				a.must(a.capture(e.Collection.Name))
			}
			return e.Next()
		})
	}
	router, err := apis.NewRouter(a.App)
	a.must(err)
	if a.driver == audited {
		router.BindFunc(attributed)
		for _, each := range []*hook.TaggedHook[*core.RecordRequestEvent]{a.OnRecordCreateRequest(), a.OnRecordUpdateRequest(), a.OnRecordDeleteRequest()} {
			each.BindFunc(attributedInBatch)
		}
	}
	a.must(a.OnServe().Trigger(&core.ServeEvent{App: a.App, Router: router}, func(e *core.ServeEvent) error {
		mux, failed := e.Router.BuildMux()
		a.server = httptest.NewServer(mux)
		return failed
	}))
}

func (a *app) stop() {
	a.Helper()
	a.server.Close()
	a.must(a.ResetBootstrapState())
}

// attributed names who sends each request. PocketBase gives its statements no context, so they are attributed by the goroutine.
func attributed(e *core.RequestEvent) (err error) {
	who := func(*http.Request) hooks.Actor { return actorOf(e.Auth) }
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		e.Request = r
		err = e.Next()
	})
	reqctx.Middleware(who, &reqctx.Options{Goroutine: true})(next).ServeHTTP(e.Response, e.Request)
	return err
}

// attributedInBatch is attributed for the requests of a batch, which have a goroutine of their own, and no context.
func attributedInBatch(e *core.RecordRequestEvent) (err error) {
	ctx := e.Request.Context()
	if hooks.FromContext(ctx).Actor != (hooks.Actor{}) {
		return e.Next()
	}
	hooks.Do(ctx, hooks.Values{Actor: actorOf(e.Auth)}, func(context.Context) { err = e.Next() })
	return err
}

func actorOf(user *core.Record) hooks.Actor {
	switch {
	case user == nil:
		return hooks.Actor{Type: hooks.Anonymous}
	case user.IsSuperuser():
		return hooks.Actor{Type: hooks.Admin, ID: user.Id}
	}
	return hooks.Actor{Type: hooks.User, ID: user.Id}
}

// capture captures tables over PocketBase's own connection for writes, of which it has one.
func (a *app) capture(names ...string) error {
	installer := capture.NewInstaller(a.NonconcurrentDB().(*dbx.DB).DB(), hooks.SQLite, nil)
	ctx := context.Background()
	if err := installer.Migrate(ctx); err != nil {
		return err
	}
	var tables []capture.Table
	for _, name := range names {
		tables = append(tables, capture.Table{Name: `"` + name + `"`})
	}
	plan, err := installer.Plan(ctx, tables...)
	if err != nil {
		return err
	}
	for _, w := range plan.Warnings {
		a.Error(w)
	}
	return installer.Apply(ctx, plan)
}

func (a *app) captureAll() error { return a.capture(a.tables()...) }

// tables are PocketBase's.
func (a *app) tables() []string {
	a.Helper()
	return a.column("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name NOT LIKE 'aftercommit!_%' ESCAPE '!' AND name NOT LIKE 'threadline!_%' ESCAPE '!' ORDER BY name")
}

// column returns the texts of a query.
func (a *app) column(query string, args ...any) (list []string) {
	a.Helper()
	rows, err := a.db.QueryContext(a.Context(), query, args...)
	a.must(err)
	defer rows.Close()
	for rows.Next() {
		var s string
		a.must(rows.Scan(&s))
		list = append(list, s)
	}
	a.must(rows.Err())
	return list
}

type object = map[string]any

// do sends a request, with the token of the user who has logged in under a name, or with none, and returns the status and the answer.
func (a *app) do(as, method, path string, body any) (status int, answer string) {
	a.Helper()
	b, err := json.Marshal(body)
	a.must(err)
	r, err := http.NewRequestWithContext(a.Context(), method, a.server.URL+"/api"+path, bytes.NewReader(b))
	a.must(err)
	r.Header.Set("Content-Type", "application/json")
	if as != "" {
		r.Header.Set("Authorization", a.tokens[as])
	}
	resp, err := http.DefaultClient.Do(r)
	a.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	a.must(err)
	return resp.StatusCode, string(text)
}
