package river_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/river"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// mailer is a sink.
type mailer chan string

func (m mailer) Forward(_ context.Context, entries []journal.Entry) error {
	for _, e := range entries {
		m <- e.Action + " " + e.Target.ID
	}
	return nil
}

// River delivers what was committed; its job was committed with it.
func Example() {
	if err := example(); err != nil {
		fmt.Println(err)
	}
	// Output: order.placed 7
}

func example() (err error) {
	dir, err := os.MkdirTemp("", "river")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	dsn := "file:" + filepath.Join(dir, "shop.db") + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)"
	mails := make(mailer)

	// Once, as with any other migration.
	base, err := sql.Open("sqlite", dsn)
	if err != nil {
		return err
	}
	defer func() { _ = base.Close() }()
	if err = river.Migrate(ctx, base, hooks.SQLite, ""); err != nil {
		return err
	}

	// In init, or where the program begins.
	audit := forward.New(&forward.Options{Queue: river.New(nil)})
	audit.Register(mails, forward.Async)
	driver.Register("sqlite-with-river", "sqlite", audit)

	db, err := sql.Open("sqlite-with-river", dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // and its workers
	if _, err = db.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY)"); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err = tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES (7)"); err != nil {
		return err
	}
	if err = hooks.Record(ctx, tx, hooks.Event{Action: "order.placed", Target: hooks.Target{Type: "order", ID: "7"}}); err != nil {
		return err
	}
	if err = tx.Commit(); err != nil {
		return err
	}
	fmt.Println(<-mails)
	return nil
}
