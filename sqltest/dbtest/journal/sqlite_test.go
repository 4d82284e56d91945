package journal_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// The app's last_insert_rowid() and changes() are what its own statement left.
func TestRowidOfTheAppSurvives(t *testing.T) {
	r := newRig(t, dbtest.SQLite)
	r.exec("BEGIN")
	r.exec("INSERT INTO orders VALUES (4711)")
	r.write(r.j, 1, events(3)...)
	if got := r.text("SELECT last_insert_rowid()"); got != "4711" {
		t.Errorf("last_insert_rowid() = %s after the flush, want 4711", got)
	}
	// As documented: there is no way to keep it.
	if got := r.text("SELECT changes()"); got != "0" {
		t.Errorf("changes() = %s after the flush, want 0", got)
	}
	r.exec("COMMIT")
	if n := len(r.entries()); n != 3 {
		t.Errorf("%d entries, want 3", n)
	}
}

// Each connection to a database in memory has one of its own.
func TestMemory(t *testing.T) {
	db := dbtest.Open(t, dbtest.SQLite.Driver, ":memory:")
	j := newJournal(t, hooks.SQLite, nil)
	for range 2 {
		s := newSession(t, db)
		if err := j.Connect(ctx, s.conn); err != nil {
			t.Fatal(err)
		}
		s.exec("BEGIN")
		s.write(j, 1, event("order.placed"))
		s.exec("COMMIT")
		if got := s.text("SELECT count(*) FROM aftercommit_journal"); got != "1" {
			t.Errorf("%s rows, want 1", got)
		}
	}
}

// The setup waits for other writers, and puts the app's own timeout back.
func TestBusyTimeoutIsRestored(t *testing.T) {
	for _, pragma := range []string{"busy_timeout(0)", "busy_timeout(123)", "busy_timeout(2000)", "busy_timeout(9000)"} {
		db := dbtest.Open(t, dbtest.SQLite.Driver, dbtest.SQLiteFile(t, pragma))
		s := newSession(t, db)
		before := s.text("PRAGMA busy_timeout")
		j := newJournal(t, hooks.SQLite, nil)
		for range 2 {
			if err := j.Connect(ctx, s.conn); err != nil {
				t.Fatal(err)
			}
			if _, err := j.Claim(ctx, s.conn, []uuid.UUID{newKey()}); err != nil {
				t.Fatal(err)
			}
		}
		if after := s.text("PRAGMA busy_timeout"); after != before {
			t.Errorf("busy_timeout was %s and is %s", before, after)
		}
	}
}

// A table in the temporary schema stands before main's in name resolution.
func TestTemporaryTableInFront(t *testing.T) {
	r := newRig(t, dbtest.SQLite)
	r.exec("CREATE TEMP TABLE aftercommit_journal (id)")
	r.exec("CREATE TEMP TABLE aftercommit_write (key, tx, now, events, format, document, personal)")
	r.exec("CREATE TEMP TABLE aftercommit_schema_versions (component, version)")
	r.connect(r.session)
	r.exec("BEGIN")
	r.write(r.j, 1, event("order.placed"))
	r.exec("COMMIT")
	if n := len(r.entries()); n != 1 {
		t.Errorf("%d entries, want 1", n)
	}
}

// What the library says comes through, for those who retry on it.
func TestErrorsOfTheLibrary(t *testing.T) {
	e := dbtest.SQLite.With("", func(tb testing.TB) string { return dbtest.SQLiteFile(tb, "busy_timeout(0)", "journal_mode(WAL)") })
	r := newRig(t, e)
	other := newSession(t, r.db)
	other.exec("BEGIN IMMEDIATE")
	r.exec("BEGIN")
	written, err := r.flush(r.session, true)
	if written || err == nil || !strings.Contains(err.Error(), "SQLITE_BUSY") {
		t.Errorf("Write = %v, %v; want SQLITE_BUSY", written, err)
	}
	r.exec("ROLLBACK")
	other.exec("ROLLBACK")

	r.exec("PRAGMA max_page_count = " + r.text("PRAGMA page_count"))
	r.exec("BEGIN")
	big := event("order.placed")
	big.Comment = strings.Repeat("x", 8000)
	_, err = r.j.Write(ctx, hooks.Flush{Conn: sqltest.Lent(r.conn), Events: []hooks.Event{big}, Key: newKey(), Tx: 1})
	if err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("err = %v, want SQLITE_FULL", err)
	}
}

// TestTriggerIsGone: what makes all views again makes no triggers. The journal makes its own again, when it connects and when it
// writes, and says what to run where it may not.
func TestTriggerIsGone(t *testing.T) {
	r := newRig(t, dbtest.SQLite)
	r.write(r.j, 1, events(1)...)
	const drop = "DROP TRIGGER aftercommit_write_insert"
	r.exec("BEGIN")
	r.exec(drop)
	r.exec("INSERT INTO orders VALUES (4711)")
	r.write(r.j, 2, events(2)...)
	if got := r.text("SELECT last_insert_rowid()"); got != "4711" {
		t.Errorf("last_insert_rowid() = %s after the flush, want 4711", got)
	}
	r.exec("COMMIT")
	r.exec(drop)
	bound := newJournal(t, hooks.SQLite, &journal.Options{NoMigrate: true})
	s := setup(t, bound.Connect(ctx, r.conn))
	r.exec(s.SQL)
	if err := bound.Connect(ctx, r.conn); err != nil {
		t.Errorf("after what it said to run: %v", err)
	}
	r.exec(drop)
	if err := r.j.Connect(ctx, r.conn); err != nil {
		t.Fatal(err)
	}
	r.exec("BEGIN")
	r.write(bound, 3, events(1)...)
	r.exec("COMMIT")
	if n := len(r.entries()); n != 4 {
		t.Errorf("%d entries, want 4", n)
	}
}
