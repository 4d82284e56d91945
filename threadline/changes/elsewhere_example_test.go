package changes_test

import (
	"context"
	"database/sql"
	"log"

	_ "github.com/lib/pq"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// A timeline in another database, with the row changes. Questions are answered there as in the app's database.
func ExampleSource_elsewhere() {
	archive, err := sql.Open("postgres", "postgres://localhost/archive")
	if err != nil {
		log.Fatal(err)
	}

	// In audit.go:
	audit := forward.New(nil)
	elsewhere := threadline.NewStore(archive, hooks.Postgres, nil)
	audit.Keep(capture.Of(capture.Table{Name: "orders", Mask: []string{"card"}}))
	audit.Register(threadline.NewForwarder(&threadline.ForwarderOptions{Store: elsewhere}),
		forward.Async, forward.WithChanges(changes.NewSource(nil)))
	driver.Register("postgres-archived", "postgres", audit, driver.Capture(driver.AllTables()))

	// When it is deployed, as the role that is to own the archive:
	migrate := func(ctx context.Context) error {
		if err := elsewhere.Migrate(ctx); err != nil {
			return err
		}
		return capture.NewInstaller(archive, hooks.Postgres, nil).Migrate(ctx)
	}

	// For readers:
	kept := changes.NewStore(archive, hooks.Postgres, nil)
	read := func(ctx context.Context) ([]changes.Change, error) { return kept.History(ctx, "orders", "42") }

	_, _ = migrate, read
}
