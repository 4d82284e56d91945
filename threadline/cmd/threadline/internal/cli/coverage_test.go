package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/coverage"
)

// TestCoverage: a table without triggers, another mask than is configured and a personal column are findings, each with the command that mends
// it, and the command does.
func TestCoverage(t *testing.T) {
	w := newWorld(t)
	w.exec(w.db, "CREATE TABLE customers (id int PRIMARY KEY, email text, name text)", "CREATE TABLE schema_migrations (version int)")

	wantIn(t, w.want(exitFinding, "coverage"), "uncovered", "not_captured: public.customers: it has no triggers: threadline triggers apply public.customers:mask=email --execute")
	w.want(exitOK, "triggers", "apply", "public.customers", "--execute")
	wantIn(t, w.want(exitFinding, "coverage", "--exclude", "schema_migrations"), "personal: public.customers.email: ")
	w.want(exitOK, "coverage", "--exclude", "schema_migrations", "--accept", "customers.email")

	file := filepath.Join(t.TempDir(), "tables.json")
	if err := os.WriteFile(file, []byte(`{"tables": [{"name": "orders", "mask": ["card"]}, {"name": "customers", "mask": ["email"]}], "exclude": ["schema_migrations"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	wantIn(t, w.want(exitFinding, "policy", "--file", file), "redaction: public.customers.email: its values are kept, but masked is configured: threadline triggers apply customers:mask=email --execute")
	w.want(exitOK, "triggers", "apply", "--file", file, "--execute")
	w.want(exitOK, "policy", "--file", file)
	r := decode[coverage.Report](w, exitOK, "coverage", "--file", file, "--since", "1h")
	if len(r.Tables) != 3 || len(r.Findings) != 0 || r.Window.Transactions < 3 {
		t.Errorf("report: %+v, %+v", r, r.Window)
	}
}
