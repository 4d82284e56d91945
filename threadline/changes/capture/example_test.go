package capture_test

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// A table of changes that is divided by month. Tables without options need only capture.Of.
func ExampleList() {
	audit := forward.New(nil)
	audit.Keep(&capture.List{
		Tables:  []capture.Table{{Name: "orders"}, {Name: "order_lines"}},
		Options: &capture.Options{Partition: capture.Monthly},
	})
}

// A deploy that makes the captures itself, without a Hub, and shows what it does.
func ExampleInstaller() {
	deploy := func(ctx context.Context, db *sql.DB) error {
		installer := capture.NewInstaller(db, hooks.Postgres, nil)
		if err := installer.Migrate(ctx); err != nil {
			return err
		}
		plan, err := installer.Plan(ctx, capture.Table{Name: "orders", Mask: []string{"card"}})
		if err != nil {
			return err
		}
		fmt.Print(plan)
		return installer.Apply(ctx, plan)
	}
	_ = deploy
}
