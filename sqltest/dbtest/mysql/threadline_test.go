package mysql_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestTimeline: threadline says that it has no timeline here, also to a caller that is no
// Hub and does not say what the database speaks.
func TestTimeline(t *testing.T) {
	w := newWorld(t)
	err := threadline.NewForwarder(nil).Forward(forward.WithConn(context.Background(), w.bare), make([]journal.Entry, 1))
	var permanent *forward.PermanentError
	if !errors.As(err, &permanent) || permanent.Reason != "unsupported_database" || !strings.Contains(err.Error(), "MariaDB") {
		t.Errorf("error %v", err)
	}
}

// TestOtherDialect: a store of another dialect says what the database is.
func TestOtherDialect(t *testing.T) {
	w := newWorld(t)
	for dialect, name := range map[hooks.Dialect]string{hooks.Postgres: "PostgreSQL", hooks.SQLite: "SQLite"} {
		says := " was given the dialect of " + name + ": give it a database that is PostgreSQL or SQLite"
		_, history := changes.NewStore(w.bare, dialect, nil).History(t.Context(), "t", "1")
		_, page := changes.NewStore(w.bare, dialect, nil).Page(t.Context(), changes.Query{})
		installer := capture.NewInstaller(w.bare, dialect, nil)
		_, plan := installer.Plan(t.Context(), capture.Table{Name: "t"})
		_, timeline := threadline.NewStore(w.bare, dialect, nil).Timeline(t.Context(), threadline.Query{})
		for question, err := range map[string]error{"History": history, "Page": page, "Plan": plan, "Migrate": installer.Migrate(t.Context()), "Timeline": timeline} {
			if err == nil || !strings.Contains(err.Error(), "this is a MySQL or MariaDB database, and ") || !strings.Contains(err.Error(), says) {
				t.Errorf("%s of %s: %v", question, name, err)
			}
		}
	}
}
