package journal_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// interrupted is lent, and calls a function before the first query that has a text.
type interrupted struct {
	lent
	text string
	call func()
}

func (i *interrupted) Connect(context.Context) (driver.Conn, error) { return i, nil }

func (i *interrupted) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	if call := i.call; call != nil && strings.Contains(q, i.text) {
		i.call = nil
		call()
	}
	return i.lent.QueryContext(ctx, q, args)
}

// interrupt returns s as it is to a program that another one forestalls before that query.
func interrupt(t *testing.T, s *session, text string, call func()) (db *sql.DB, called func() bool) {
	t.Helper()
	base, err := s.conn.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	i := &interrupted{text: text, call: call}
	if err = base.Raw(func(c any) error { i.lent = *c.(*lent); return nil }); err != nil {
		t.Fatal(err)
	}
	if err = base.Close(); err != nil {
		t.Fatal(err)
	}
	db = sql.OpenDB(i)
	t.Cleanup(func() { _ = db.Close() })
	return db, func() bool { return i.call == nil }
}

// TestUpgradedMeanwhile: a program looks at the tables and at their version by two statements,
// and another process upgrades between them.
func TestUpgradedMeanwhile(t *testing.T) {
	const version = "schema_versions WHERE component" // the second look
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for name, connect := range map[string]func(*sql.DB) error{
			"Connect": func(db *sql.DB) error { return newJournal(t, e.Dialect, nil).Connect(ctx, db) },
			"Connect with NoMigrate": func(db *sql.DB) error {
				return newJournal(t, e.Dialect, &journal.Options{NoMigrate: true}).Connect(ctx, db)
			},
			"Check": func(db *sql.DB) error { return newJournal(t, e.Dialect, nil).Check(ctx, db) },
			"Check with NoMigrate": func(db *sql.DB) error {
				return newJournal(t, e.Dialect, &journal.Options{NoMigrate: true}).Check(ctx, db)
			},
		} {
			t.Run(name, func(t *testing.T) {
				r := outdatedRig(t, e)
				upgrade, err := journal.Upgrade(e.Dialect, nil)
				if err != nil {
					t.Fatal(err)
				}
				db, called := interrupt(t, r.session, version, func() { newSession(t, r.db).exec("BEGIN; " + upgrade + "; COMMIT") })
				if err = connect(db); err != nil || !called() {
					t.Errorf("err = %v, upgraded meanwhile: %v", err, called())
				}
				r.isCurrent()
			})
		}
	})
}

// TestSwappedMeanwhile is the same for the last step.
func TestSwappedMeanwhile(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := outdatedRig(t, e)
		r.writeOld(r.session, uuid.New())
		r.exec("UPDATE aftercommit.audit_events SET recorded_at = now() - interval '2 hours'")
		r.connect(r.session)
		swap, err := journal.Swap(nil)
		if err != nil {
			t.Fatal(err)
		}
		db, called := interrupt(t, r.session, "schema_versions WHERE component", func() { newSession(t, r.db).exec(swap) })
		if err = newJournal(t, e.Dialect, nil).Connect(ctx, db); err != nil || !called() {
			t.Errorf("err = %v, swapped meanwhile: %v", err, called())
		}
	}, dbtest.PostgresEngines()...)
}
