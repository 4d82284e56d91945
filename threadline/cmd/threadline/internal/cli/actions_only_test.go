package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/export"
	"github.com/go-aftercommit/aftercommit/threadline/health"
)

// withoutHistory drops what row changes need, as if it had never been made.
func (w *world) withoutHistory() {
	w.Helper()
	bare := dbtest.Open(w.T, "postgres", w.dsn)
	w.exec(bare, "DROP TABLE threadline.audit_captures, threadline.audit_changes, threadline.audit_copies, threadline.audit_eventless, threadline.audit_gaps, threadline.audit_keys, threadline.audit_purges, threadline.audit_shapes CASCADE")
}

// TestActionsOnly: where there are no tables of row changes, what can be answered from the actions is, and stderr says what is missing; the
// rest says which command makes them.
func TestActionsOnly(t *testing.T) {
	w := newWorld(t)
	tx := decode[History](w, exitOK, "history", "orders", "42").Changes[1]
	w.withoutHistory()
	dir := filepath.Join(t.TempDir(), "out")
	for _, args := range [][]string{
		{"search", "action:order.refunded"},
		{"search", "table:order", "actor:bob"},
		{"search", "--", "-op:delete", "actor:bob"},
		{"show", tx.XID + "@" + tx.TxStartedAt},
		{"incident", "action:order.refunded"},
		{"export", "actor:bob"},
	} {
		r := run(t, args...)
		if r.code != exitOK || !strings.Contains(r.out, "order.refunded") || !strings.Contains(r.err, "there are actions only") || !strings.Contains(r.err, "threadline migrate up") {
			t.Errorf("%v: exit code %d\n%s\n%s", args, r.code, r.out, r.err)
		}
	}
	wantIn(t, w.want(exitOK, "incident", "actor:bob"), `"unknown":{"about":"which rows the transactions changed","reason":"there are no tables of row changes"}`)
	if e := decode[Exported](w, exitOK, "export", "--out", dir); !e.Manifest.ActionsOnly || e.Manifest.Changes != 0 || e.Manifest.Actions == 0 {
		t.Errorf("%+v", e.Manifest)
	}
	w.want(exitOK, "export", "verify", dir)
	for _, args := range [][]string{{"search", "op:delete"}, {"export", "field:status"}, {"incident", "new.status:paid"}} {
		if r := run(t, args...); r.code != exitUsage || r.out != "" || !strings.Contains(r.err, "there are none here") {
			t.Errorf("%v: exit code %d, %s, %s", args, r.code, r.out, r.err)
		}
	}
	for _, args := range [][]string{
		{"history", "orders", "42"},
		{"as-of", "orders", "42", "--at", "now"},
		{"as-of", "orders", "--at", "now"},
		{"undo", "row", "orders", "42", "--to", "1h"},
		{"undo", "transaction", tx.XID + "@" + tx.TxStartedAt},
		{"triggers", "plan", "orders"},
		{"triggers", "diff", "orders"},
		{"triggers", "apply", "orders", "--execute"},
	} {
		if r := run(t, args...); r.code != exitUnreachable || r.out != "" || r.err != "threadline: "+noHistory+"\n" {
			t.Errorf("%v: exit code %d, %s, %s", args, r.code, r.out, r.err)
		}
	}
	wantIn(t, w.want(exitFinding, "migrate", "status"), "ok       timeline\n", "problem  row changes: ", "threadline migrate up")
	found := false
	for _, r := range decode[[]health.Result](w, exitOK, "doctor") {
		found = found || r.Part == "row changes" && r.Status == health.Notice && strings.Contains(r.Fix, "threadline migrate up")
	}
	if !found {
		t.Error("doctor does not find it")
	}
	w.want(exitOK, "migrate", "up")
	w.want(exitOK, "migrate", "status")
	if r := run(t, "search", "actor:bob"); r.code != exitOK || r.err != "" {
		t.Errorf("exit code %d, %s", r.code, r.err)
	}
}

// TestResumeWithOtherKinds: an export that was begun without row changes does not go on with them.
func TestResumeWithOtherKinds(t *testing.T) {
	w := newWorld(t)
	w.withoutHistory()
	dir := filepath.Join(t.TempDir(), "out")
	w.want(exitOK, "export", "--out", dir)
	// As if the program had been killed before its manifest was there.
	if err := os.Rename(filepath.Join(dir, export.ManifestName), filepath.Join(dir, export.ProgressName)); err != nil {
		t.Fatal(err)
	}
	w.want(exitOK, "migrate", "up")
	if r := run(t, "export", "--out", dir, "--resume"); r.code == exitOK || !strings.Contains(r.err, "start another export") {
		t.Errorf("exit code %d, %s", r.code, r.err)
	}
}

// TestActionsOnlySQLite: a file with a timeline alone.
func TestActionsOnlySQLite(t *testing.T) {
	noDatabase(t)
	file := filepath.Join(t.TempDir(), "shop.db")
	db := dbtest.Open(t, "sqlite", "file:"+file)
	w := &world{T: t, dsn: file}
	w.exec(db, "CREATE TABLE orders (id integer PRIMARY KEY)")
	if err := threadline.NewStore(db, hooks.SQLite, nil).Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DATABASE_URL", file)
	r := run(t, "search", "actor:bob")
	if r.code != exitOK || r.out != "Nothing matches.\n" || !strings.Contains(r.err, "there are actions only") {
		t.Errorf("exit code %d, %s, %s", r.code, r.out, r.err)
	}
	for _, args := range [][]string{{"history", "orders", "42"}, {"as-of", "orders", "42", "--at", "now"}, {"undo", "row", "orders", "42", "--to", "1h"}, {"triggers", "plan", "orders"}} {
		if r := run(t, args...); r.code != exitUnreachable || r.err != "threadline: "+noHistory+"\n" {
			t.Errorf("%v: exit code %d, %s", args, r.code, r.err)
		}
	}
	wantIn(t, w.want(exitFinding, "migrate", "status"), "problem  row changes: ")
}

// asking are commands that read the whole trail.
var asking = [][]string{{"search", "actor:bob"}, {"tail"}, {"export"}, {"incident", "actor:bob"}, {"show", "775"}}

// TestNoTrail: a database without a trail, or with one under another name, is not one in which nothing has happened.
func TestNoTrail(t *testing.T) {
	noDatabase(t)
	file := filepath.Join(t.TempDir(), "shop.db")
	w := &world{T: t, dsn: file}
	w.exec(dbtest.Open(t, "sqlite", "file:"+file), "CREATE TABLE orders (id integer PRIMARY KEY)")
	for _, dsn := range []string{file, dbtest.Postgres(t)} {
		t.Setenv("DATABASE_URL", dsn)
		refused := func(args []string, name string) {
			t.Helper()
			r := run(t, args...)
			if r.code != exitUnreachable || r.out != "" || !strings.Contains(r.err, "no audit trail under the name \""+name+"\"") || !strings.Contains(r.err, "threadline migrate up") || strings.Contains(r.err, "actions only") {
				t.Errorf("%s, %v: exit code %d, %s, %s", dsn, args, r.code, r.out, r.err)
			}
		}
		for _, args := range asking {
			refused(args, "threadline")
		}
		w.want(exitOK, "migrate", "up")
		wantIn(t, w.want(exitOK, "search", "actor:bob"), "Nothing matches.")
		for _, args := range asking {
			refused(append(args, "--schema", "other"), "other")
		}
	}
}

// TestChangesOnlySQLite: of a file with row changes, in which no action has made the timeline yet, the row changes are shown.
func TestChangesOnlySQLite(t *testing.T) {
	noDatabase(t)
	file := filepath.Join(t.TempDir(), "shop.db")
	db := dbtest.Open(t, "sqlite", "file:"+file)
	w := &world{T: t, dsn: file}
	w.exec(db, "CREATE TABLE orders (id integer PRIMARY KEY, status text)")
	in := capture.NewInstaller(db, hooks.SQLite, nil)
	if err := in.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	plan, err := in.Plan(ctx, capture.Table{Name: "orders"})
	if err == nil {
		err = in.Apply(ctx, plan)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.exec(db, "INSERT INTO orders VALUES (42, 'new')")
	t.Setenv("DATABASE_URL", file)
	for _, args := range [][]string{{"search", "table:orders"}, {"tail"}, {"export"}, {"incident", "table:orders"}} {
		if r := run(t, args...); r.code != exitOK || !strings.Contains(r.out, "42") || !strings.Contains(r.err, "there are row changes only") {
			t.Errorf("%v: exit code %d, %s, %s", args, r.code, r.out, r.err)
		}
	}
}
