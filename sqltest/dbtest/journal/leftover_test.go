package journal_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// documented returns the SQL of forward/README.md that begins so.
func documented(t *testing.T, begin string) string {
	t.Helper()
	text, err := os.ReadFile("../../../forward/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for part := range strings.SplitSeq(string(text), "```sql\n") {
		if script, _, _ := strings.Cut(part, "```"); strings.HasPrefix(script, begin) {
			return script
		}
	}
	t.Fatalf("the README has no SQL that begins with %q", begin)
	return ""
}

// lastBefore is a database with the tables of the last version before the table journal.
func lastBefore(t *testing.T, e dbtest.Engine) *rig {
	t.Helper()
	r := &rig{e: e, db: dbtest.Open(t, e.Driver, e.DSN(t)), j: newJournal(t, e.Dialect, nil)}
	r.session = newSession(t, r.db)
	file := map[hooks.Dialect]string{hooks.Postgres: "postgres_v4", hooks.SQLite: "sqlite_v2"}[e.Dialect]
	script, err := os.ReadFile("../relay/testdata/" + file + ".sql.txt")
	if err != nil {
		t.Fatal(err)
	}
	r.exec(string(script))
	return r
}

// swap upgrades, and runs the last step where there is one, as if an hour had passed.
func (r *rig) swap() {
	r.t.Helper()
	r.connect(r.session)
	if r.e.Dialect == hooks.SQLite {
		return
	}
	r.exec("UPDATE aftercommit.audit_events SET recorded_at = recorded_at - interval '2 hours'")
	script, err := journal.Swap(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.exec(script)
}

// objects are the names of what is in the journal's schema.
func (r *rig) objects() string {
	if r.e.Dialect == hooks.SQLite {
		return r.text("SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_master WHERE name LIKE 'aftercommit%' ORDER BY name)")
	}
	return r.text("SELECT string_agg(name, ' ' ORDER BY name) FROM (SELECT relname::text FROM pg_class WHERE relnamespace = 'aftercommit'::regnamespace AND relkind <> 'i'" +
		" UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = 'aftercommit'::regnamespace) o (name)")
}

// dropping is how the SQL begins that drops the tables of the version before.
const dropping = "BEGIN;\nDROP TABLE aftercommit.audit_events_before"

// TestDropTooEarly: what drops the tables of the version before drops none if it is run before
// Swap, also by psql, which goes on after an error.
func TestDropTooEarly(t *testing.T) {
	r := lastBefore(t, dbtest.PQ)
	r.writeOld(r.session, uuid.New())
	r.connect(r.session)
	want := r.objects()
	for statement := range strings.SplitSeq(documented(t, dropping), ";\n") {
		_, _ = r.conn.ExecContext(ctx, statement)
	}
	if got := r.objects(); got != want {
		t.Errorf("there are\n%s\nwant\n%s", got, want)
	}
	r.swap()
}

// TestNothingIsLeft: after the documented SQL a journal that was upgraded has what a fresh one
// has, and works.
func TestNothingIsLeft(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := lastBefore(t, e)
		r.writeOld(r.session, uuid.New())
		r.swap()
		begin := dropping
		if e.Dialect == hooks.SQLite {
			begin = "DROP VIEW aftercommit_record"
		}
		r.exec(documented(t, begin))
		if got, want := r.objects(), newRig(t, e).objects(); got != want {
			t.Errorf("there are\n%s\nwant\n%s", got, want)
		}
		if err := newJournal(t, e.Dialect, nil).Connect(ctx, r.conn); err != nil {
			t.Error(err)
		}
		r.exec("BEGIN")
		r.write(r.j, 1, events(2)...)
		r.exec("COMMIT")
		if n := len(r.entries()); n != 2 {
			t.Errorf("%d entries, want 2", n)
		}
	})
}

// TestEraseCopies: the documented SQL fits the timeline and the table of the version before.
func TestEraseCopies(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := lastBefore(t, e)
		r.writeOld(r.session, uuid.New())
		r.swap()
		r.exec(threadline.Schema(e.Dialect, nil))
		script := documented(t, "UPDATE threadline.audit_actions")
		old := "aftercommit.audit_events_before"
		if e.Dialect == hooks.SQLite {
			old = "aftercommit_events"
			script = strings.NewReplacer("threadline.", "threadline_", "aftercommit.audit_events_before", old).Replace(script)
		}
		r.exec("UPDATE " + old + " SET actor_id = '42', actor_name = 'Ada', comment = 'x'")
		r.exec(script)
		if n := r.text("SELECT CAST(count(*) AS text) FROM " + old + " WHERE actor_name IS NULL AND comment IS NULL"); n != "1" {
			t.Errorf("%s rows were erased, want 1", n)
		}
	})
}
