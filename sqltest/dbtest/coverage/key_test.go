package coverage_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/coverage"
)

// onBoth runs f on PostgreSQL and on SQLite.
func onBoth(t *testing.T, f func(w *world)) {
	t.Helper()
	for _, e := range []dbtest.Engine{dbtest.PostgresEngines()[0], dbtest.SQLite} {
		t.Run(e.Name, func(t *testing.T) { f(newWorld(t, e)) })
	}
}

// TestPersonalKey: a secret in the key is found, although it cannot be masked there, and what is said to do about it can be done.
func TestPersonalKey(t *testing.T) {
	onBoth(t, func(w *world) {
		w.exec("CREATE TABLE sessions (token text NOT NULL PRIMARY KEY, id integer NOT NULL UNIQUE, email text)")
		r := w.check(coverage.Options{Tables: []capture.Table{orders}})
		if got := found(r); len(got) != 1 || !strings.Contains(r.Findings[0].Fix, "sessions:key=COLUMNS:mask=email,token --execute with the COLUMNS of a unique index") {
			t.Errorf("before it is captured: %v", r.Findings)
		}
		p, err := w.installer().Plan(ctx, capture.Table{Name: "sessions"})
		must(t, err)
		if len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], `the name of its column "token" suggests personal data or a secret (token): name the columns of another unique index`) {
			t.Errorf("the plan warns of %q", p.Warnings)
		}
		must(t, w.installer().Apply(ctx, p))
		if p, err = w.installer().Plan(ctx, capture.Table{Name: "sessions"}); err != nil || len(p.Warnings) > 0 {
			t.Errorf("a plan that does nothing warns of %q, %v", p.Warnings, err)
		}

		r = w.check(coverage.Options{})
		if got, want := fmt.Sprint(found(r)), "[personal sessions.email personal sessions.token]"; got != want && got != "[personal sessions.token personal sessions.email]" {
			t.Fatalf("found %s, want %s", got, want)
		}
		i := slices.IndexFunc(r.Findings, func(f coverage.Finding) bool { return f.Column == "token" })
		fix := r.Findings[i].Fix
		for _, want := range []string{":key=COLUMNS:mask=email,token --execute", "threadline triggers drop ", "; or accept "} {
			if !strings.Contains(fix, want) {
				t.Errorf("%q is not in %s", want, fix)
			}
		}
		if r = w.check(coverage.Options{Accept: []string{"sessions.token", "sessions.email"}}); len(r.Findings) > 0 {
			t.Errorf("accepted: %v", r.Findings)
		}
		w.apply(capture.Table{Name: "sessions", Key: []string{"id"}, Mask: []string{"email", "token"}})
		if r = w.check(coverage.Options{}); len(r.Findings) > 0 {
			t.Errorf("with another key: %v", r.Findings)
		}
	})
}

// TestFirstCommand: the command that captures a table masks what looks personal, except what is accepted.
func TestFirstCommand(t *testing.T) {
	onBoth(t, func(w *world) {
		w.exec("CREATE TABLE people (id integer NOT NULL PRIMARY KEY, email text, phone text, name text)")
		r := w.check(coverage.Options{Accept: []string{"people.phone"}})
		if len(r.Findings) != 1 || !strings.HasSuffix(r.Findings[0].Fix, ".people:mask=email --execute") {
			t.Errorf("found %v", r.Findings)
		}
	})
}

// TestCommandOfOddNames: names that a word of the command line cannot have are in a file.
func TestCommandOfOddNames(t *testing.T) {
	onBoth(t, func(w *world) {
		w.exec(`CREATE TABLE odd (id integer NOT NULL PRIMARY KEY, "e:mail" text)`)
		r := w.check(coverage.Options{})
		if len(r.Findings) != 1 || !strings.HasSuffix(r.Findings[0].Fix, `odd","mask":["e:mail"]}]}`) {
			t.Errorf("found %v", r.Findings)
		}
	})
}

// TestWarningNamesOnce: the table of a warning is in its finding, and not in its text, too.
func TestWarningNamesOnce(t *testing.T) {
	onBoth(t, func(w *world) {
		w.exec("CREATE TABLE loose (a integer)")
		w.apply(capture.Table{Name: "loose"})
		r := w.check(coverage.Options{})
		if len(r.Findings) != 1 || strings.Count(r.Findings[0].String(), "loose") != 1 || !strings.Contains(r.Findings[0].String(), ": it has no key: ") ||
			!strings.Contains(r.Findings[0].Text, "name the columns of a unique index over NOT NULL columns in Key") {
			t.Errorf("found %v", r.Findings)
		}
	})
}

// TestOwnTables: what is ours is not among the tables, nor our view.
func TestOwnTables(t *testing.T) {
	onBoth(t, func(w *world) {
		r := w.check(coverage.Options{})
		if len(r.Tables) != 1 || !strings.HasSuffix(r.Tables[0].Name, ".orders") {
			t.Errorf("the tables are %v", r.Tables)
		}
	})
}
