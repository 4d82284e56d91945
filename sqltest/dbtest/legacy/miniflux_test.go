package legacy_test

import (
	"bytes"
	"cmp"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

const minifluxModule = "miniflux.app/v2@v2.3.5"

// minifluxAdoption is all that changes in Miniflux: the driver's name, and a
// middleware for who did it. Row changes are kept of the tables in minifluxKeys.
var minifluxAdoption = adoption{
	edits: []edit{
		{
			file: "internal/database/postgresql.go",
			from: `sql.Open("postgres", dsn)`,
			to:   `sql.Open("postgres-audited", dsn)`,
		},
		{
			file: "internal/http/server/routes.go",
			from: "appHandler = middleware(appHandler)",
			to:   "appHandler = middleware(audited(store, appHandler))",
		},
	},
	audit:  "internal/http/server/audit.go",
	source: "miniflux_audit.go.txt",
}

// miniflux is a running Miniflux with its database.
type miniflux struct {
	*server
	binary string
	env    []string
	db     *sql.DB // of the base driver, for the tests to look
	client *http.Client
}

const admin, password = "admin", "quite a secret"

// startMiniflux migrates an empty database, sets up what the test wants in it,
// and starts the server.
func startMiniflux(t *testing.T, binary string, setUp ...string) *miniflux {
	t.Helper()
	dsn, socket := dbtest.Postgres(t), filepath.Join(t.TempDir(), "s")
	m := &miniflux{
		binary: binary,
		env: []string{
			"DATABASE_URL=" + dsn, "LISTEN_ADDR=" + socket, "DISABLE_SCHEDULER_SERVICE=1",
			"CREATE_ADMIN=1", "ADMIN_USERNAME=" + admin, "ADMIN_PASSWORD=" + password,
			"FETCHER_ALLOW_PRIVATE_NETWORKS=1",
		},
		db:     dbtest.Open(t, "postgres", dsn),
		client: viaSocket(socket),
	}
	migration := start(t, m.env, binary, "-migrate")
	<-migration.ended
	if migration.err != nil {
		t.Fatalf("the migration ended with %v\n%s", migration.err, migration.output)
	}
	for _, q := range setUp {
		if _, err := m.db.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	m.serve(t)
	m.awaitCapture(t)
	return m
}

// serve starts the server, for the first time or again.
func (m *miniflux) serve(t *testing.T) {
	t.Helper()
	m.server = start(t, m.env, m.binary)
	m.ready(t, m.client, "http://miniflux/healthcheck")
}

// as sends a request and returns the status and the answer.
func (m *miniflux) as(t *testing.T, user, method, path string, body any) (int, map[string]any) {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://miniflux/v1"+path, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(user, password)
	resp, err := m.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	answer := map[string]any{}
	if len(text) > 0 && text[0] == '{' {
		if err := json.Unmarshal(text, &answer); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	return resp.StatusCode, answer
}

type object map[string]any

// request is one to the app, and what the timeline has of it afterwards, by the
// user who sent it unless it says otherwise. Each request that Miniflux
// recognises the user of moves that user's last login.
type request struct {
	user, method, path string
	body               any
	status             int
	want               []string
}

// refuse makes the database refuse a user at the third statement of the
// transaction that creates one, and another at its COMMIT.
const refuse = `
CREATE FUNCTION witness.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_ARGV[0] = (SELECT username FROM users WHERE id = coalesce(to_jsonb(NEW) ->> 'user_id', to_jsonb(NEW) ->> 'id')::bigint) THEN
		RAISE EXCEPTION 'refused';
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER refuse AFTER INSERT ON integrations FOR EACH ROW EXECUTE FUNCTION witness.refuse('third');
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION witness.refuse('commit')`

// lives is what happens to a user: the second, after the admin, with the second
// and third category.
func lives(feed string) []request {
	return []request{
		{admin, "POST", "/users", object{"username": "ada", "password": password}, 201, []string{"users.updated 1", "users.inserted 2", "categories.inserted", "integrations.inserted"}},
		{"ada", "POST", "/categories", object{"title": "Sea"}, 201, []string{"users.updated 2", "categories.inserted 3"}},
		{"ada", "PUT", "/categories/3", object{"title": "The sea"}, 201, []string{"users.updated 2", "categories.updated 3"}},
		{"ada", "POST", "/feeds", object{"feed_url": feed, "category_id": 3}, 201, []string{
			"users.updated 2", "feeds.inserted 1",
			"entries.inserted 1", "enclosures.inserted 1", "entries.inserted 2", "enclosures.inserted 2", "entries.inserted 3", "enclosures.inserted 3",
			"icons.inserted 1", "feed_icons.inserted",
		}},
		{"ada", "PUT", "/entries", object{"entry_ids": []int{1, 2}, "status": "read"}, 204, []string{"users.updated 2", "entries.updated"}},
		{"ada", "PUT", "/entries/3/star", nil, 204, []string{"users.updated 2", "entries.updated 3"}},
		{"ada", "DELETE", "/feeds/1", nil, 204, []string{"users.updated 2", "feeds.deleted 1"}},
		{"ada", "DELETE", "/categories/3", nil, 204, []string{"users.updated 2", "categories.deleted 3"}},
		// Miniflux deletes users on a goroutine of its own.
		{admin, "DELETE", "/users/2", nil, 204, []string{"users.updated 1", "users.deleted 2 by unattributed"}},
	}
}

// ids are what the timeline names the users by.
var ids = map[string]string{admin: "user:1", "ada": "user:2"}

// named returns what the timeline is to have of a request.
func (r request) named() []string {
	var want []string
	for _, action := range r.want {
		if !strings.Contains(action, " by ") {
			action += " by " + ids[r.user]
		}
		want = append(want, action)
	}
	return want
}

// refused are requests that fail: before the app writes, while it writes, at
// COMMIT, and for want of a password. Of the first three the login remains.
var refused = []request{
	{admin, "POST", "/categories", object{"title": "ALL"}, 400, []string{"users.updated 1"}},
	{admin, "POST", "/users", object{"username": "third", "password": password}, 500, []string{"users.updated 1"}},
	{admin, "POST", "/users", object{"username": "commit", "password": password}, 500, []string{"users.updated 1"}},
	{"nobody", "POST", "/categories", object{"title": "Sea"}, 401, nil},
}

// byForeignKeys are the rows that went with the feed and the user. Capture does
// not see them: the timeline tells of the feed and the user.
var byForeignKeys = map[string]int{
	"entries.deleted": 3, "enclosures.deleted": 3, "feed_icons.deleted": 1,
	"categories.deleted": 1, "integrations.deleted": 1,
}

func TestMiniflux(t *testing.T) {
	dbtest.RequirePostgres(t)
	dir := checkOut(t, minifluxModule, ".")
	minifluxAdoption.apply(t, dir)
	m := startMiniflux(t, build(t, dir, "."), watch, refuse)

	last := lastOf(drained(t, m.db, beginning, 1))
	for _, r := range slices.Concat(lives(site(t).URL+"/feed.xml"), refused) {
		name := fmt.Sprintf("%s %s by %s", r.method, r.path, r.user)
		status, answer := m.as(t, r.user, r.method, r.path, r.body)
		if status != r.status {
			t.Errorf("%s: status %d, want %d: %v", name, status, r.status, answer)
		}
		actions := drained(t, m.db, last, len(r.want))
		t.Logf("%s: %d", name, status)
		for _, a := range actions {
			t.Logf("    %s", a)
		}
		if got := attributed(actions); !slices.Equal(got, r.named()) {
			t.Errorf("%s is in the timeline as %q, want %q", name, got, r.named())
		}
		if len(actions) > 0 {
			last = lastOf(actions)
		}
	}
	m.visit(t, last)
	m.crowd(t)
	last = lastOf(drained(t, m.db, beginning, 1))
	m.stop(t)
	if late := timeline(t, m.db, hooks.Postgres, last); len(late) > 0 {
		t.Errorf("after all there is %v", names(late))
	}
	m.agrees(t)
	m.rowsAgree(t)
	cascaded := map[string]int{}
	for c, n := range seen(t, m.db, false) {
		cascaded[c.table+"."+c.op] += n
	}
	if !maps.Equal(cascaded, byForeignKeys) {
		t.Errorf("by foreign keys came %v, want %v", cascaded, byForeignKeys)
	}
}

// agrees compares the timeline with the rows that are committed, transaction by
// transaction, from the first that the witness has seen.
func (m *miniflux) agrees(t *testing.T) {
	t.Helper()
	stated := seen(t, m.db, true)
	if len(stated) == 0 {
		t.Fatal("the witness has seen nothing")
	}
	first := slices.MinFunc(slices.Collect(maps.Keys(stated)), func(a, b change) int { return cmp.Compare(a.tx, b.tx) })
	actions := slices.DeleteFunc(timeline(t, m.db, hooks.Postgres, beginning), func(a threadline.Action) bool { return a.Tx.ID < first.tx })
	for _, d := range disagreements(stated, told(actions)) {
		t.Error(d)
	}
	t.Logf("%d actions of the timeline agree with %d changes of the database", len(actions), len(stated))
}
