package legacy_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestMailer has many users use a server that passes no context, in all the ways
// in which it writes and requests end, over few connections. Each row names its
// user and request, and its event must name the same, or none if another
// goroutine than the request's wrote it.
func TestMailer(t *testing.T) {
	const users, rounds = 12, 2
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		recorder := sqltest.NewRecorder()
		db := openMailer(t, e, recorder)
		m := newMailer(t, db)
		server := httptest.NewServer(m.handler())
		var wg sync.WaitGroup
		id := int64(0)
		for range rounds {
			for way := range ways {
				for user := range users {
					for _, patience := range []string{"", "/impatient", "cancelled"} {
						id += 2
						row := subscriber{ID: id, Owner: fmt.Sprintf("user-%d", user), Request: fmt.Sprintf("request-%d", id)}
						wg.Go(func() { post(t, server, patience, way, row) })
					}
				}
				wg.Wait()
			}
		}
		server.Close()
		m.busy.Wait()
		compare(t, db, recorder)
	})
}

func openMailer(t *testing.T, e dbtest.Engine, recorder *sqltest.Recorder) *sqlx.DB {
	t.Helper()
	hub := forward.New(&forward.Options{Logger: zap.NewNop()})
	hub.Register(recorder, forward.Sync)
	name := dbtest.Name(e.Driver)
	driver.Register(name, e.Driver, hub, driver.Capture(driver.AllTables()))
	bind, conns := sqlx.DOLLAR, 4
	if e.Dialect == hooks.SQLite {
		bind, conns = sqlx.QUESTION, 1 // it has one writer
	}
	sqlx.BindDriver(name, bind)
	db := sqlx.NewDb(dbtest.Open(t, name, e.DSN(t)), name)
	db.SetMaxOpenConns(conns)
	if _, err := db.ExecContext(t.Context(), subscribers); err != nil {
		t.Fatal(err)
	}
	recorder.Reset()
	return db
}

// post sends a request. Cancelled ones are given up by the client; the handler
// does not notice.
func post(t *testing.T, server *httptest.Server, patience, way string, row subscriber) {
	t.Helper()
	ctx := t.Context()
	if patience == "cancelled" {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(row.ID%5)*time.Millisecond)
		defer cancel()
		patience = ""
	}
	address := server.URL + patience + "/" + url.PathEscape(way) + "?id=" + strconv.FormatInt(row.ID, 10)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	if err != nil {
		t.Error(err)
		return
	}
	r.SetBasicAuth(row.Owner, "")
	r.Header.Set("X-Request-Id", row.Request)
	resp, err := server.Client().Do(r)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) { // the dialer may be earlier than ctx
			t.Error(err)
		}
		return
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil && resp.StatusCode == http.StatusInternalServerError {
		t.Errorf("%s: %s", way, body)
	}
}

// compare looks at every row and every event.
func compare(t *testing.T, db *sqlx.DB, recorder *sqltest.Recorder) {
	t.Helper()
	var rows, events []subscriber
	if err := db.SelectContext(t.Context(), &rows, "SELECT id, owner, request FROM subscribers ORDER BY id"); err != nil {
		t.Fatal(err)
	}
	byOthers := 0
	for _, e := range recorder.Entries() {
		id, err := strconv.ParseInt(e.Target.ID, 10, 64)
		if err != nil {
			t.Errorf("%s of %+v", e.Action, e.Target)
		}
		event := subscriber{ID: id, Owner: e.Actor.ID, Request: e.RequestID}
		switch e.Action {
		case "subscribers.inserted":
			events = append(events, event)
			if e.Actor.IsZero() {
				byOthers++
			}
		case "subscribers.updated": // the row has been inserted by the same user
			if !slices.Contains(rows, event) {
				t.Errorf("%+v is of no row", event)
			}
		default:
			t.Errorf("an event %s", e.Action)
		}
	}
	slices.SortFunc(events, func(a, b subscriber) int { return cmp.Compare(a.ID, b.ID) })
	if !slices.Equal(events, rows) {
		for i := range min(len(events), len(rows)) {
			if events[i] != rows[i] {
				t.Errorf("the event says %+v, the row %+v", events[i], rows[i])
			}
		}
		t.Errorf("%d events of %d rows", len(events), len(rows))
	}
	t.Logf("%d rows, %d of them by goroutines that serve no request", len(rows), byOthers)
	if byOthers == 0 || byOthers == len(rows) {
		t.Error("that shows nothing")
	}
}
