package main

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// isRight fails the test unless the program said that all is well, and said it
// of every line of the check.
func isRight(t *testing.T, out string) {
	t.Helper()
	_, lines, found := strings.Cut(out, "THE CHECK")
	ok := strings.Count(lines, "\nok ")
	if !found || strings.Contains(lines, "WRONG") || ok != strings.Count(lines, "\n")-1 || ok < 15 {
		t.Errorf("the check is not all ok:\n%s", out)
	}
}

func TestDayOnSQLite(t *testing.T) {
	var out, errs bytes.Buffer
	if code := command(t.Context(), nil, &out, &errs); code != 0 {
		t.Errorf("exit code %d: %s", code, &errs)
	}
	isRight(t, out.String())
	for _, want := range []string{
		`admin:linus for 1 +order.refunded +order:1 .*mug broken in transit`,
		`job:expire-carts +carts.updated`,
		`anonymous +customers.inserted`,
		`job:stock-import +products.inserted +products:3 +success`,
		`req-\d+  Edgar orders a sofa.*\(events: 0\)`,
		`the coupon FIRST was used up.*\(redemptions: 0\)`,
		`lacks [1-9]\d* of \d+ events`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("no line matches %s in\n%s", want, &out)
		}
	}
}

func TestDayOnPostgres(t *testing.T) {
	dsn := dbtest.Postgres(t)
	var out, errs bytes.Buffer
	if code := command(t.Context(), []string{"-dsn", dsn, "-orders", "10"}, &out, &errs); code != 0 {
		t.Errorf("exit code %d: %s", code, &errs)
	}
	isRight(t, out.String())
	_, story, _ := strings.Cut(out.String(), "THE STORY OF ORDER 1")
	for _, want := range []string{
		`user:1, req-006\n +orders:1 +insert .*state new, total_cents 2100`,
		`orders:1 +update +state new → paid, total_cents 2100 → 1890`,
		`admin:linus on behalf of 1, req-\d+\n +orders:1 +update +state paid → refunded`,
		`psql \(no event\): behind the shop's back\n +orders:1 +update +total_cents 1890 → 1\n`,
		`admin:linus\n +orders:1 +update +total_cents 1 → 1890\n`,
		`What Linus ran to undo .*\n +-- Undo of transaction \d+.* Cause: \d+@[^\n]+\n(.*\n)*?.*UPDATE "?public"?\."?orders"? `,
		`req-\d+  Linus refunds .* does not say why.*\(row changes: 0\)`,
		`What bookkeeping got of order 1 by webhook(.*\n)+.*row.inserted by .*(.*\n)+.*row.updated by .*: state new → paid(.*\n)+.*row.updated by psql: total_cents 1890 → 1\n`,
		`bookkeeping: row changes \d+, kept by triggers \d+`,
	} {
		if !regexp.MustCompile(want).MatchString(story) {
			t.Errorf("nothing matches %s in\n%s", want, story)
		}
	}

	// The database is used now.
	if code := command(t.Context(), []string{"-dsn", dsn}, io.Discard, &errs); code != 1 || !strings.Contains(errs.String(), "give an empty one") {
		t.Errorf("second run: exit code %d, %s", code, &errs)
	}
}

// TestCheckSeesWhatIsWrong changes one of the three behind the audit trail's
// back and expects the check to notice.
func TestCheckSeesWhatIsWrong(t *testing.T) {
	original := sqliteFile(filepath.Join(t.TempDir(), "shop.db"))
	depot := openDepot()
	defer depot.Close()
	warehouse.url = depot.URL
	d, err := live(t.Context(), original, nil, depot, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	bare := dbtest.Open(t, original.bare, original.dsn)
	if err := catchUp(t.Context(), io.Discard, original.dialect(), bare, depot); err != nil {
		t.Fatal(err)
	}
	if wrong := results(t, bare, d); wrong != 0 {
		t.Fatalf("%d lines are wrong before any change", wrong)
	}

	for name, change := range map[string]string{
		"a row nobody audited":     `INSERT INTO customers (name, email) VALUES ('Mallory', 'mallory@example.com')`,
		"a row that is gone":       `DELETE FROM coupon_redemptions`,
		"an order made up":         `INSERT INTO orders (customer_id, state, total_cents, placed_at) VALUES (1, 'paid', 1, 1)`,
		"a refund with a reason":   `UPDATE refunds SET reason = 'because'`,
		"a cart closed by hand":    `UPDATE carts SET state = 'expired' WHERE id = 1`,
		"a timeline with less":     `DELETE FROM threadline_audit_actions WHERE name = 'products.updated'`,
		"a timeline with another":  `UPDATE threadline_audit_actions SET actor_id = 'mallory' WHERE actor_type = 'admin'`,
		"a timeline with nobody":   `UPDATE threadline_audit_actions SET actor_type = NULL WHERE actor_type = 'system'`,
		"a journal with less":      `DELETE FROM aftercommit_journal WHERE seq = 20`,
		"an event of what was not": `UPDATE threadline_audit_actions SET request_id = 'req-010' WHERE rowid = 20`,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "shop.db")
			if _, err := bare.ExecContext(t.Context(), `VACUUM INTO ?`, file); err != nil {
				t.Fatal(err)
			}
			copied := sqliteFile(file)
			db := dbtest.Open(t, copied.bare, copied.dsn)
			res, err := db.ExecContext(t.Context(), change)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := res.RowsAffected(); err != nil || n == 0 {
				t.Fatalf("the change touched %d rows, error %v", n, err)
			}
			if wrong := results(t, db, d); wrong == 0 {
				t.Error("the check finds nothing wrong")
			}
		})
	}
}

// results returns how many lines of the check are wrong.
func results(t *testing.T, db *sql.DB, d *day) int {
	t.Helper()
	c := &check{out: io.Discard, db: db, dialect: hooks.SQLite}
	if err := c.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.all(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	return c.wrong
}

func TestCommandRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"-dsn mysql://localhost/shop": "give a URL such as postgres://",
		"-dsn shop":                   "give a URL such as postgres://",
		"-orders -1":                  "cannot be negative",
		"-order 5":                    "flag provided but not defined: -order",
		"now":                         `"now" is not a flag`,
	} {
		var out, errs bytes.Buffer
		code := command(t.Context(), strings.Fields(args), &out, &errs)
		if code != 2 || !strings.Contains(errs.String(), want) || out.Len() > 0 {
			t.Errorf("example %s: exit code %d, stderr %q, stdout %q; want 2 and %q", args, code, &errs, &out, want)
		}
	}
}

func TestCommandWithoutServer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // no waiting for a server that does not come
	var errs bytes.Buffer
	if code := command(ctx, []string{"-dsn", "postgres://127.0.0.1:1/none"}, io.Discard, &errs); code != 1 || errs.Len() == 0 {
		t.Errorf("exit code %d, stderr %q; want 1 and the reason", code, &errs)
	}
}
