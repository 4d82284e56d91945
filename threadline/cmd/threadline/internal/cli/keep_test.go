package cli

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestTriggers: a plan and a diff change nothing, apply and drop only with --execute.
func TestTriggers(t *testing.T) {
	w := newWorld(t)
	w.exec(w.db, "CREATE TABLE lines (id int PRIMARY KEY, note text)")
	wantIn(t, w.want(exitOK, "triggers", "plan", "lines:exclude=note"), "CREATE", "lines")
	for range 2 { // the first has changed nothing
		wantIn(t, w.want(exitOK, "triggers", "apply", "lines:exclude=note"), "CREATE")
		wantIn(t, w.want(exitFinding, "triggers", "diff", "lines:exclude=note"), "lines")
	}
	w.want(exitOK, "triggers", "apply", "lines:exclude=note", "--execute")
	if out := w.want(exitOK, "triggers", "diff", "lines:exclude=note"); out != "" {
		t.Errorf("diff of what was applied: %s", out)
	}
	if p := decode[Plan](w, exitOK, "triggers", "plan", "lines"); len(p.Steps) != 1 || p.Steps[0].Table == "" || len(p.Steps[0].SQL) == 0 {
		t.Errorf("plan: %+v", p)
	}
	w.want(exitOK, "triggers", "drop", "lines")
	w.want(exitOK, "triggers", "diff", "lines:exclude=note")
	w.want(exitOK, "triggers", "drop", "lines", "--execute")
	w.want(exitFinding, "triggers", "diff", "lines:exclude=note")
}

func TestForwarders(t *testing.T) {
	w := newWorld(t)
	const name = "threadline.Forwarder/default"
	wantIn(t, w.want(exitOK, "forwarders", "status"), name, "behind")
	if s := decode[[]relay.State](w, exitOK, "forwarders", "status"); len(s) != 2 || s[1].Forwarder != name || s[0].Behind+s[1].Behind != 0 || s[0].EventsOnlyReason != "" {
		t.Errorf("status: %+v", s)
	}
	wantIn(t, run(t, "forwarders", "replay", "cli.sink/default", "--from", "1h").err, "9 entries would be delivered") // 5 events, 4 row changes
	wantIn(t, w.want(exitOK, "forwarders", "dead-letters"), "no dead letters")
	dry := run(t, "forwarders", "replay", name, "--from", "1h")
	wantIn(t, dry.err, "would be delivered", "Nothing was changed")
	done := run(t, "forwarders", "replay", name, "--from", "1h", "--execute")
	wantIn(t, done.err, "will be delivered")
	wantIn(t, run(t, "forwarders", "replay", "threadline.Forwarder/defalt", "--from", "1h").err, "defalt")
	const unknown = "0198f3a2-7c55-7d10-9a3e-2f6b8c1d4e5f"
	if r := run(t, "forwarders", "replay", name, "--id", unknown, "--execute"); r.code == exitOK || strings.Contains(r.err, "will be delivered") {
		t.Errorf("replay of an unknown ID: exit code %d, %s", r.code, r.err)
	} else {
		wantIn(t, r.err, "no entry has the ID "+unknown)
	}
	wantIn(t, run(t, "forwarders", "retire", name).err, "Nothing was changed")
	for _, execute := range [][]string{nil, {"--execute"}} { // it is in its own database
		w.want(exitFinding, append([]string{"forwarders", "resume", name}, execute...)...)
	}
	w.want(exitOK, "forwarders", "retire", name, "--execute")
	wantIn(t, w.want(exitOK, "forwarders", "status"), "retired")
}

// TestForwardersWithoutPrograms: while no program runs, it is not known whether a forwarder gets row changes.
func TestForwardersWithoutPrograms(t *testing.T) {
	w := newWorld(t)
	if err := w.hub.Close(ctx); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cli.sink/default", "threadline.Forwarder/default"} {
		r := run(t, "forwarders", "replay", name, "--from", "1h")
		wantIn(t, r.err, "it is not known whether the forwarder gets them", "--events-only")
		if r.code == exitOK || strings.Contains(r.err, "Options.Changes") {
			t.Errorf("exit code %d: %s", r.code, r.err)
		}
		wantIn(t, run(t, "forwarders", "replay", name, "--from", "1h", "--events-only").err, "5 entries would be delivered")
	}
}

func TestMigrate(t *testing.T) {
	noDatabase(t)
	w := &world{T: t, dsn: dbtest.Postgres(t)}
	t.Setenv("DATABASE_URL", w.dsn)
	wantIn(t, w.want(exitFinding, "migrate", "status"), "problem")
	w.want(exitOK, "migrate", "up")
	wantIn(t, w.want(exitOK, "migrate", "status"), "ok")
	if m := decode[[]Migration](w, exitOK, "migrate", "status"); len(m) != 2 || !m[0].OK || !m[1].OK {
		t.Errorf("status: %+v", m)
	}
	for _, dialect := range []string{"postgres", "sqlite"} {
		wantIn(t, w.want(exitOK, "migrate", "print", dialect), "audit_actions", "journal")
	}
}

// TestSQLite: a file is asked like a server.
func TestSQLite(t *testing.T) {
	noDatabase(t)
	file := filepath.Join(t.TempDir(), "a shop#1.db")
	w := &world{T: t, dsn: file}
	db := dbtest.Open(t, "sqlite", "file:"+strings.ReplaceAll(strings.ReplaceAll(file, " ", "%20"), "#", "%23"))
	w.exec(db, "CREATE TABLE orders (id integer PRIMARY KEY, status text)")
	w.want(exitOK, "migrate", "up", "--database-url", file)
	w.want(exitOK, "triggers", "apply", "orders", "--execute", "--database-url", file)
	w.exec(db, "INSERT INTO orders VALUES (42, 'new')", "UPDATE orders SET status = 'paid'")
	wantIn(t, w.want(exitOK, "history", "orders", "42", "--database-url", "sqlite:"+file), "status: new → paid", "insert")
	wantIn(t, w.want(exitOK, "undo", "row", "orders", "42", "--to", "1d", "--database-url", file), "DELETE")
}
