package legacy_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

const pocketbaseModule = "github.com/pocketbase/pocketbase@v0.36.8"

// pocketbaseAdoption is the driver's name, and for who did it a middleware and
// the request's context in the four places that drop it.
var pocketbaseAdoption = adoption{
	edits: []edit{
		{file: "core/db_connect.go", from: `dbx.Open("sqlite", `, to: `dbx.Open("sqlite-audited", `},
		{
			file: "apis/base.go",
			from: "	pbRouter.Bind(loadAuthToken())\n",
			to:   "	pbRouter.Bind(loadAuthToken())\n	pbRouter.BindFunc(core.Audited)\n",
		},
		{
			file: "apis/record_crud.go",
			from: "form.Load(data)\n\n		if skipPlain",
			to:   "form.Load(data)\n		form.SetContext(e.Request.Context())\n\n		if skipPlain",
		},
		{
			file: "apis/record_crud.go",
			from: "form.Load(data)\n\n		manageRuleQuery",
			to:   "form.Load(data)\n		form.SetContext(e.Request.Context())\n\n		manageRuleQuery",
		},
		{file: "apis/record_crud.go", from: "e.App.Delete(e.Record)", to: "e.App.DeleteWithContext(e.Request.Context(), e.Record)"},
		{file: "apis/batch.go", from: "http.NewRequest(", to: "http.NewRequestWithContext(baseEvent.Request.Context(), "},
	},
	audit:  "core/audit.go",
	source: "pocketbase_audit.go.txt",
}

const superuser = "root@example.com"

// pocketbase is a running PocketBase with its database.
type pocketbase struct {
	*server
	url string
	db  *sql.DB // of the base driver, for the test to look
	// requests counts those that were sent.
	requests int
}

// request is the ID of the last request.
func (p *pocketbase) request() string { return fmt.Sprintf("request-%d", p.requests) }

func startPocketbase(t *testing.T, binary string) *pocketbase {
	t.Helper()
	dir := t.TempDir()
	setUp := start(t, nil, binary, "--dir", dir, "superuser", "upsert", superuser, password)
	<-setUp.ended
	if setUp.err != nil {
		t.Fatalf("making a superuser ended with %v\n%s", setUp.err, setUp.output)
	}
	// It listens only on a port it is told. This one is free now.
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	p := &pocketbase{
		url: "http://" + addr + "/api",
		db:  dbtest.Open(t, "sqlite", "file:"+filepath.Join(dir, "data.db")+"?_pragma=busy_timeout(5000)"),
	}
	p.server = start(t, nil, binary, "--dir", dir, "serve", "--http", addr)
	p.ready(t, http.DefaultClient, p.url+"/health")
	return p
}

// do sends a request with a token, if it is not "", and returns the status and
// the answer.
func (p *pocketbase) do(t *testing.T, token, method, path string, body any) (int, object) {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, p.url+path, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	p.requests++
	r.Header.Set("X-Request-Id", p.request())
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	answer := object{}
	if len(text) > 0 && text[0] == '{' {
		if err := json.Unmarshal(text, &answer); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	return resp.StatusCode, answer
}

// must is do for what is not the test's subject.
func (p *pocketbase) must(t *testing.T, token, method, path string, body any) object {
	t.Helper()
	status, answer := p.do(t, token, method, path, body)
	if status/100 != 2 {
		t.Fatalf("%s %s: %d %v", method, path, status, answer)
	}
	return answer
}

func (p *pocketbase) login(t *testing.T, collection, user string) string {
	t.Helper()
	answer := p.must(t, "", "POST", "/collections/"+collection+"/auth-with-password", object{"identity": user, "password": password})
	token, _ := answer["token"].(string)
	return token
}

const anyUser = `@request.auth.id != ""`

var books = object{
	"name": "books", "type": "base",
	"createRule": anyUser, "updateRule": anyUser, "deleteRule": anyUser, "listRule": anyUser, "viewRule": anyUser,
	"fields":  []object{{"name": "title", "type": "text", "required": true}},
	"indexes": []string{"CREATE UNIQUE INDEX books_title ON books (title)"},
}

// watchBooks makes the database take down what commits, by triggers of the
// test's own.
var watchBooks = []string{
	"CREATE TABLE witness (name text, op text, id text)",
	"CREATE TRIGGER witness_insert AFTER INSERT ON books BEGIN INSERT INTO witness VALUES ('books', 'inserted', NEW.id); END",
	"CREATE TRIGGER witness_update AFTER UPDATE ON books BEGIN INSERT INTO witness VALUES ('books', 'updated', NEW.id); END",
	"CREATE TRIGGER witness_delete AFTER DELETE ON books BEGIN INSERT INTO witness VALUES ('books', 'deleted', OLD.id); END",
}

func TestPocketbase(t *testing.T) {
	requireLong(t)
	dir := checkOut(t, pocketbaseModule, "./examples/base")
	pocketbaseAdoption.apply(t, dir)
	p := startPocketbase(t, build(t, dir, "./examples/base"))

	root := p.login(t, "_superusers", superuser)
	p.must(t, root, "PATCH", "/settings", object{"batch": object{"enabled": true, "maxRequests": 10, "timeout": 30}})
	p.must(t, root, "POST", "/collections", books)
	p.must(t, "", "POST", "/collections/users/records", object{"id": "ada000000000000", "email": "ada@example.com", "password": password, "passwordConfirm": password})
	ada := p.login(t, "users", "ada@example.com")
	for _, q := range watchBooks {
		if _, err := p.db.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}

	first := lastOf(timeline(t, p.db, hooks.SQLite, beginning))
	const records = "/collections/books/records"
	record := func(id, title string) object { return object{"id": id, "title": title} }
	create := func(id, title string) object {
		return object{"method": "POST", "url": "/api" + records, "body": record(id, title)}
	}
	for _, r := range []struct {
		token, method, path string
		body                any
		status              int
		want                []string
	}{
		{ada, "POST", records, record("tides0000000000", "Tides"), 200, []string{"books.inserted tides0000000000 by user:ada000000000000"}},
		{ada, "PATCH", records + "/tides0000000000", object{"title": "Tides of the day"}, 200, []string{"books.updated tides0000000000 by user:ada000000000000"}},
		{root, "POST", records, record("winds0000000000", "Winds"), 200, []string{"books.inserted winds0000000000 by admin"}},
		{"", "POST", records, record("moons0000000000", "Moons"), 400, nil},
		{ada, "POST", records, record("again0000000000", "Winds"), 400, nil},
		{ada, "POST", "/batch", object{"requests": []object{create("stars0000000000", "Stars"), create("again0000000000", "Winds")}}, 400, nil},
		{ada, "POST", "/batch", object{"requests": []object{create("stars0000000000", "Stars"), create("suns00000000000", "Suns")}}, 200, []string{
			"books.inserted stars0000000000 by user:ada000000000000", "books.inserted suns00000000000 by user:ada000000000000",
		}},
		{ada, "DELETE", records + "/tides0000000000", nil, 204, []string{"books.deleted tides0000000000 by user:ada000000000000"}},
	} {
		name := r.method + " " + r.path
		last := lastOf(timeline(t, p.db, hooks.SQLite, beginning))
		status, answer := p.do(t, r.token, r.method, r.path, r.body)
		if status != r.status {
			t.Errorf("%s: status %d, want %d: %v", name, status, r.status, answer)
		}
		var got []string
		for _, a := range timeline(t, p.db, hooks.SQLite, last) {
			actor := a.ActorRef()
			if a.Actor.Type == hooks.Admin {
				actor = "admin" // PocketBase chose the ID
			}
			got = append(got, fmt.Sprintf("%s %s by %s", a.Action, a.Target.ID, actor))
			if a.RequestID != p.request() {
				t.Errorf("%s: the request's ID is %q, want %q", name, a.RequestID, p.request())
			}
		}
		t.Logf("%s: %d %q", name, status, got)
		if !slices.Equal(got, r.want) {
			t.Errorf("%s is in the timeline as %q, want %q", name, got, r.want)
		}
	}
	p.agrees(t, first)
	p.stop(t)
}

// agrees compares the timeline after an entry with the rows that are committed,
// one by one and in their order.
func (p *pocketbase) agrees(t *testing.T, first journal.Position) {
	t.Helper()
	var want, got []string
	rows, err := p.db.QueryContext(t.Context(), "SELECT name || '.' || op || ' ' || id FROM witness ORDER BY rowid")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		want = append(want, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	got = names(timeline(t, p.db, hooks.SQLite, first))
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("the timeline has %q, the database %q", got, want)
	}
}
