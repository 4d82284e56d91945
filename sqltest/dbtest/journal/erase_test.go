package journal_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// erasing returns the SQL of forward/README.md that erases the fields of actor 42.
func erasing(t *testing.T, e dbtest.Engine) string {
	t.Helper()
	text, err := os.ReadFile("../../../forward/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for part := range strings.SplitSeq(string(text), "```sql\n") {
		if script, _, _ := strings.Cut(part, "```"); strings.HasPrefix(script, "UPDATE "+tableOf(e)+" ") {
			return script
		}
	}
	t.Fatal("the README does not erase fields")
	return ""
}

// erased writes rows in which actor 42 has events, runs the README's SQL, and checks that this
// actor's fields are gone, all others are there, and what is kept of them is ASCII.
func (r *rig) erased(t *testing.T) {
	t.Helper()
	const name = `Zoë "Ł" \ 表`
	for _, actors := range []string{"42 7 42 8", "7", "42", "7 42", "8 none"} {
		var list []hooks.Event
		for id := range strings.SplitSeq(actors, " ") {
			e := event("order.placed")
			e.Actor = hooks.Actor{Type: hooks.User, ID: id, Name: name}
			if e.Comment = name; id == "none" {
				e.Actor.Name, e.Comment = "", ""
			}
			list = append(list, e)
		}
		r.exec("BEGIN")
		r.write(r.j, 1, list...)
		r.write(r.j, 1, hooks.Event{ID: hooks.NewID(), Action: "order.plain", Outcome: hooks.Success, OccurredAt: list[0].OccurredAt, Actor: hooks.Actor{Type: hooks.User, ID: "42"}})
		r.exec("COMMIT")
	}
	script := erasing(t, r.e)
	if r.e.Dialect == hooks.Postgres && r.text("SELECT CAST(to_regclass('aftercommit.journal_events') AS text)") != "" {
		script = strings.ReplaceAll(script, "aftercommit.audit_events", "aftercommit.journal_events") // as the README says
	}
	r.exec(script)
	entries := r.entries()
	if len(entries) != 15 {
		t.Errorf("%d entries, want 15", len(entries))
	}
	for _, e := range entries {
		want := name
		if e.Actor.ID == "42" || e.Actor.ID == "none" {
			want = ""
		}
		if e.Unreadable != "" || e.Actor.Name != want || e.Comment != want {
			t.Errorf("actor %s: %q, %q, unreadable %q; want %q", e.Actor.ID, e.Actor.Name, e.Comment, e.Unreadable, want)
		}
	}
	rows, err := r.conn.QueryContext(ctx, "SELECT coalesce(personal, '') FROM "+tableOf(r.e))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var personal string
		if err := rows.Scan(&personal); err != nil || strings.ContainsFunc(personal, func(r rune) bool { return r >= 0x80 }) {
			t.Errorf("%q is kept, %v", personal, err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
}

// TestEraseOnePerson: sessions and servers of any encoding read the others' fields afterwards.
func TestEraseOnePerson(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) { newRig(t, e).erased(t) })
	t.Run("client LATIN1", func(t *testing.T) { encodedRig(t, dbtest.PGX, "UTF8", "client_encoding=LATIN1").erased(t) })
	for _, encoding := range []string{"LATIN1", "SQL_ASCII"} {
		t.Run("server "+encoding, func(t *testing.T) { encodedRig(t, dbtest.PQ, encoding).erased(t) })
	}
}

// TestEraseBesideAnEarlierVersion: as long as its table has the name of the view.
func TestEraseBesideAnEarlierVersion(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := lastBefore(t, e)
		r.writeOld(r.session, uuid.New())
		r.connect(r.session)
		r.erased(t)
	})
}
