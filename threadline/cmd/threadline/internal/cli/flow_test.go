package cli

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/cmd/threadline/internal/screen"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// TestSearchThenShow: what a search has in its column "show" is what show and undo take, in a pipe as on a terminal.
func TestSearchThenShow(t *testing.T) {
	w := newWorld(t)
	tx := decode[History](w, exitOK, "history", "orders", "42").Changes[1]
	full := tx.XID + "@" + tx.TxStartedAt
	wantIn(t, w.want(exitOK, "search", "action:order.refunded"), "  show  ", full)
	key, err := txKey(full)
	if err != nil {
		t.Fatal(err)
	}
	a := &app{screen: &screen.Screen{Width: 80}}
	for _, item := range []trail.Item{{Action: &threadline.Action{Entry: journal.Entry{Tx: key}}}, {Change: &changes.Change{XID: key.ID, TxStartedAt: key.StartedAt}}} {
		id := a.shown(item)
		if id != tx.XID {
			t.Errorf("on a terminal: %q, want %q", id, tx.XID)
		}
		for _, word := range []string{id, full} {
			wantIn(t, w.want(exitOK, "show", word), "order.refunded", "status: new → refunded")
		}
		wantIn(t, w.want(exitOK, "undo", "transaction", id), "UPDATE", "'new'")
	}
	event := decode[Story](w, exitOK, "show", tx.XID).Recorded[0].ID
	if id := a.shown(trail.Item{Action: &threadline.Action{Entry: journal.Entry{Event: hooks.Event{ID: event}}}}); id != event.String() {
		t.Errorf("an event without a transaction is shown as %q", id)
	}
	for _, command := range []string{"show", "undo transaction"} {
		if r := run(t, append(strings.Fields(command), "99999999")...); r.code != exitFinding || !strings.Contains(r.err, "have a transaction 99999999") {
			t.Errorf("%s: %d, %s", command, r.code, r.err)
		}
	}
}

// TestSameID: where a restored database has counted anew, an ID alone may mean several transactions.
func TestSameID(t *testing.T) {
	w := newWorld(t)
	tx := decode[History](w, exitOK, "history", "orders", "42").Changes[1]
	bare := dbtest.Open(t, "postgres", w.dsn)
	w.exec(bare, "INSERT INTO threadline.audit_contexts SELECT (json_populate_record(c, '{\"tx_started_at\": \"2020-01-01 00:00:00+00\"}')).* FROM threadline.audit_contexts c WHERE c.tx_id = "+tx.XID)
	for _, command := range []string{"show", "undo transaction"} {
		r := run(t, append(strings.Fields(command), tx.XID)...)
		if r.code != exitFinding || !strings.Contains(r.err, tx.XID+"@2020-01-01T00:00:00.000000Z, "+tx.XID+"@"+tx.TxStartedAt) {
			t.Errorf("%s: %d, %s", command, r.code, r.err)
		}
	}
	wantIn(t, w.want(exitOK, "show", tx.XID+"@"+tx.TxStartedAt), "order.refunded")
}

// TestShowSQLite: there an ID is random, and enough.
func TestShowSQLite(t *testing.T) {
	noDatabase(t)
	file := filepath.Join(t.TempDir(), "shop.db")
	t.Setenv("DATABASE_URL", file)
	w := &world{T: t, dsn: file}
	db := dbtest.Open(t, "sqlite", "file:"+file)
	w.exec(db, "CREATE TABLE orders (id integer PRIMARY KEY, status text)")
	w.want(exitOK, "migrate", "up")
	w.want(exitOK, "triggers", "apply", "orders", "--execute")
	w.exec(db, "INSERT INTO orders VALUES (42, 'new')", "UPDATE threadline_audit_changes SET tx_id = 4711")
	wantIn(t, w.want(exitOK, "show", "4711"), "insert orders")
	wantIn(t, w.want(exitOK, "undo", "transaction", "4711"), "DELETE")
	if r := run(t, "show", "4712"); r.code != exitFinding {
		t.Errorf("%d, %s", r.code, r.err)
	}
}

// TestBreakSpan: a break has a beginning and an end, and history shows both.
func TestBreakSpan(t *testing.T) {
	var out strings.Builder
	a := &app{screen: screen.New(&out, time.UTC, time.Now())}
	at := time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)
	a.printBreaks([]changes.Break{
		{Kind: changes.Began, From: at, To: at, Text: "its capture began"},
		{Kind: changes.Truncated, From: at, To: at.Add(time.Hour), Text: "call capture.Installer.Migrate"},
	})
	wantIn(t, out.String(), "  2026-11-30 10:00:00  began: its capture began\n", "  2026-11-30 10:00:00 to 2026-11-30 11:00:00  truncated: run threadline migrate up\n")
}

// TestHelpFits: no line of a help text is wider than a terminal of 80 columns.
func TestHelpFits(t *testing.T) {
	a := &app{}
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Long + "\n" + cmd.Example) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 {
				t.Errorf("%s: %d columns: %s", cmd.CommandPath(), n, line)
			}
		}
		for _, c := range cmd.Commands() {
			look(c)
		}
	}
	look(a.root())
}
