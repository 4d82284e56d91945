package changes_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// briefLine is a line of a bundle as a test compares it.
func briefLine(l trail.Line) string {
	matches := map[bool]string{true: " (matches)"}[l.Matches]
	switch {
	case l.Bundle != nil:
		return "bundle"
	case l.Transaction != nil:
		var actors []string
		for _, c := range l.Transaction.Contexts {
			actors = append(actors, c.Actor.ID)
		}
		return fmt.Sprintf("transaction %s %v", l.Transaction.State, actors)
	case l.Action != nil:
		return "action " + l.Action.Action + matches
	case l.Change != nil:
		return fmt.Sprintf("%s %s %s%s", l.Change.Op, l.Change.Table, l.Change.Key, matches)
	case l.Lost != nil:
		return fmt.Sprintf("lost %s %s %d", l.Lost.Op, l.Lost.Table, l.Lost.Count)
	case l.Difference != nil:
		return fmt.Sprintf("difference %d %d %v", l.Difference.Rows, l.Difference.Changes, l.Difference.Expected)
	case l.Break != nil:
		return fmt.Sprintf("break %s %s.%s", l.Break.Kind, l.Break.Schema, l.Break.Table)
	case l.Unknown != nil:
		return "unknown " + l.Unknown.About[:strings.IndexAny(l.Unknown.About+" ", " ")] + ": " + l.Unknown.Reason
	case l.End != nil:
		return fmt.Sprintf("end %d %d %d %d %v", l.End.Transactions, l.End.Actions, l.End.Changes, l.End.Unknown, l.End.Complete)
	}
	return "nothing"
}

func (w *trailed) bundle(q trail.Query) (lines []string) {
	w.Helper()
	var out bytes.Buffer
	end, err := w.reader.WriteBundle(ctx, &out, q)
	w.must(err)
	scan := bufio.NewScanner(bytes.NewReader(out.Bytes()))
	var last trail.Line
	for scan.Scan() {
		last = trail.Line{}
		w.must(json.Unmarshal(scan.Bytes(), &last))
		lines = append(lines, briefLine(last))
	}
	if last.End == nil || !reflect.DeepEqual(last.End, end) {
		w.Errorf("the last line is %+v, and %+v was returned", last, end)
	}
	above := out.Bytes()[:bytes.LastIndex(bytes.TrimSuffix(out.Bytes(), []byte("\n")), []byte("\n"))+1]
	if sum := sha256.Sum256(above); hex.EncodeToString(sum[:]) != end.SHA256 {
		w.Errorf("the digest is %s", end.SHA256)
	}
	return lines
}

// TestTrailBundle: all around a transaction, an actor and a row, with what is not known.
func TestTrailBundle(t *testing.T) {
	withTrail(t, func(w *trailed) {
		w.exec("CREATE TABLE orders (id int PRIMARY KEY, status text)", "CREATE TABLE notes (id int PRIMARY KEY)")
		w.capture(capture.Table{Name: "orders"})
		w.means("alice", hooks.Event{Action: "order.placed", Target: hooks.Target{Type: "order", ID: "1"}}, "INSERT INTO orders VALUES (1, 'new'), (2, 'new')")
		w.means("bob", hooks.Event{Action: "order.paid", CorrelationID: "c-7", Target: hooks.Target{Type: "order", ID: "1"}}, "UPDATE orders SET status = 'paid' WHERE id = 1", "UPDATE orders SET status = status WHERE id = 2", "INSERT INTO notes VALUES (1)")
		w.exec("UPDATE orders SET status = 'stolen' WHERE id = 1") // by no app
		w.lose("DELETE FROM orders WHERE id = 2")
		w.exec("TRUNCATE orders")

		want := func(what string, q trail.Query, want ...string) {
			t.Helper()
			if got := w.bundle(q); !reflect.DeepEqual(got, append([]string{"bundle"}, want...)) {
				t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		const began, lost, truncated = "break began public.orders", "break lost public.orders", "break truncated public.orders"
		want("a correlation", trail.Query{CorrelationID: "c-7"},
			"transaction recorded [bob bob]", "action order.paid (matches)", "action notes.inserted", "action orders.updated", "action orders.updated", "update orders [1] (matches)",
			"difference 1 0 true", "difference 1 0 true",
			"unknown table: its row changes are not captured", began, lost, truncated, "end 1 4 1 1 true")
		want("a row", trail.Query{Tables: []string{"order"}, Key: []string{"1"}},
			"transaction none []", "update orders [1] (matches)",
			"transaction recorded [bob bob]", "action order.paid (matches)", "action notes.inserted", "action orders.updated", "action orders.updated (matches)", "update orders [1] (matches)",
			"difference 1 0 true", "difference 1 0 true",
			"transaction recorded [alice]", "action order.placed (matches)", "action orders.inserted", "insert orders [2]", "insert orders [1] (matches)",
			"unknown table: its row changes are not captured", began, lost, truncated, "end 3 6 4 1 true")
		want("an actor", trail.Query{ActorID: "alice"},
			"transaction recorded [alice]", "action order.placed (matches)", "action orders.inserted (matches)", "insert orders [2] (matches)", "insert orders [1] (matches)",
			began, lost, truncated, "end 1 2 2 0 true")
		// Events of an earlier version, which kept no contexts: each that matches is there.
		w.exec("DELETE FROM threadline.audit_contexts")
		lines := w.bundle(trail.Query{ActorID: "bob", ActionPrefix: "order"})
		if got := strings.Join(lines, "\n"); strings.Count(got, " (matches)") != 3 || !strings.Contains(got, "kept no context of it") || !strings.Contains(got, "\nupdate orders [1]\n") {
			t.Errorf("without contexts:\n%s", got)
		}
		// Its events are in the journal only.
		w.exec("DELETE FROM threadline.audit_actions")
		lines = w.bundle(trail.Query{Tx: w.each(trail.Query{Fields: []string{"status"}, Limit: 2})[1].Tx()})
		if got := strings.Join(lines, "\n"); !strings.Contains(got, " []\nupdate orders [1] (matches)\nunknown who: role ") || !strings.HasSuffix(got, "end 1 0 1 1 true") {
			t.Errorf("of events that the timeline has not got:\n%s", got)
		}
		var wrong *trail.QueryError
		if _, err := w.reader.WriteBundle(ctx, &bytes.Buffer{}, trail.Query{Limit: 1}); !errors.As(err, &wrong) || wrong.Field != "limit" {
			t.Errorf("a limit: %v", err)
		}
		n := 0
		for _, err := range w.reader.Bundle(ctx, trail.Query{}) {
			w.must(err)
			if n++; n == 3 {
				break // and no more is read
			}
		}

		// More than are compared, and than a page has.
		w.means("carol", hooks.Event{Action: "stock.counted"}, "INSERT INTO orders SELECT n, 'bulk' FROM generate_series(1, 1100) n")
		lines = w.bundle(trail.Query{ActorID: "carol", Ops: []changes.Op{changes.Insert}})
		matches, others := 0, 0
		for _, line := range lines {
			switch {
			case strings.HasSuffix(line, "(matches)"):
				matches++
			case strings.HasPrefix(line, "action "):
				others++
			}
		}
		if matches != 1100 || others != 2 || !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "more than 1000 items") }) {
			t.Errorf("%d changes match, and %d actions do not; the last lines are %q", matches, others, lines[len(lines)-6:])
		}
	})
}

// TestTrailBundleOnSQLite: each transaction is in it once, though its actions and its row changes have different times for its
// start; what has no number stands alone.
func TestTrailBundleOnSQLite(t *testing.T) {
	withTrailOn(t, dbtest.SQLite, func(w *trailed) {
		w.exec("CREATE TABLE orders (id INTEGER PRIMARY KEY, status TEXT)", "CREATE TABLE notes (id INTEGER PRIMARY KEY)")
		w.capture(capture.Table{Name: "orders"})
		w.means("alice", hooks.Event{Action: "order.placed", Target: hooks.Target{Type: "order", ID: "1"}}, "INSERT INTO orders VALUES (1, 'new'), (2, 'new')")
		w.means("bob", hooks.Event{Action: "order.paid", CorrelationID: "c-7", Target: hooks.Target{Type: "order", ID: "1"}}, "UPDATE orders SET status = 'paid' WHERE id = 1", "UPDATE orders SET status = status WHERE id = 2", "INSERT INTO notes VALUES (1)")
		w.exec("UPDATE orders SET status = 'stolen' WHERE id = 1", "DELETE FROM orders WHERE id = 2") // by no app

		want := func(what string, q trail.Query, want ...string) {
			t.Helper()
			if got := w.bundle(q); !reflect.DeepEqual(got, append([]string{"bundle"}, want...)) {
				t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		const began, loose = "break began main.orders", "unknown who: unknown session (the driver has not numbered its transaction)"
		bob := []string{
			"transaction recorded [bob bob]", "action order.paid (matches)", "action notes.inserted", "action orders.updated", "action orders.updated", "update orders [1] (matches)",
			"difference 1 0 true", "difference 1 0 true", "unknown table: its row changes are not captured", began, "end 1 4 1 1 true",
		}
		want("a correlation", trail.Query{CorrelationID: "c-7"}, bob...)
		want("a row", trail.Query{Tables: []string{"order"}, Key: []string{"1"}},
			loose, "update orders [1] (matches)",
			"transaction recorded [bob bob]", "action order.paid (matches)", "action notes.inserted", "action orders.updated", "action orders.updated (matches)", "update orders [1] (matches)",
			"difference 1 0 true", "difference 1 0 true",
			"transaction recorded [alice]", "action order.placed (matches)", "action orders.inserted", "insert orders [2]", "insert orders [1] (matches)",
			"unknown table: its row changes are not captured", began, "end 2 6 4 2 true")
		want("what has no number", trail.Query{New: []changes.FieldValue{{Field: "status", Text: "stolen"}}}, loose, "update orders [1] (matches)", began, "end 0 0 1 1 true")
		want("both of no number", trail.Query{Tables: []string{"orders"}, Ops: []changes.Op{changes.Update, changes.Delete}, Not: []trail.Query{{ActorID: "bob"}}},
			loose, "delete orders [2] (matches)", "update orders [1] (matches)", began, "end 0 0 2 1 true")
		for _, item := range w.each(trail.Query{ActorID: "bob"}) { // by either start
			got := w.bundle(trail.Query{Tx: item.Tx()})
			if text := strings.Join(got, "\n"); strings.Count(text, "\ntransaction ") != 1 || strings.Count(text, "(matches)") != 5 || got[len(got)-1] != "end 1 4 1 1 true" {
				t.Errorf("a transaction:\n%s", text)
			}
		}
		var out bytes.Buffer
		_, err := w.reader.WriteBundle(ctx, &out, trail.Query{CorrelationID: "c-7"})
		w.must(err)
		var started, captured string
		for _, text := range strings.Split(strings.TrimSpace(out.String()), "\n") {
			var l trail.Line
			w.must(json.Unmarshal([]byte(text), &l))
			switch {
			case l.Transaction != nil:
				started = l.Transaction.StartedAt
			case l.Change != nil:
				captured = l.Change.TxStartedAt
			}
		}
		if started == "" || started != captured {
			t.Errorf("the transaction began at %q, and to its change at %q", started, captured)
		}
	})
}
