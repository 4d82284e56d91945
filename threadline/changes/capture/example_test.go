package capture_test

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// A table of changes that is divided by month. Without Options, [capture.Of] is shorter.
func ExampleList() {
	audit := forward.New(nil)
	audit.Keep(&capture.List{
		Tables:  []capture.Table{{Name: "orders"}, {Name: "order_lines"}},
		Options: &capture.Options{Partition: capture.Monthly},
	})
}

// What may be said of a table.
func ExampleTable() {
	audit := forward.New(nil)
	audit.Keep(capture.Of(
		capture.Table{Name: "shop.orders", Mask: []string{"card"}},                             // that it changed, and no value
		capture.Table{Name: "customers", Hash: []string{"email"}, Exclude: []string{"avatar"}}, // a hash in place of the value; nothing
		capture.Table{Name: "stock", Key: []string{"warehouse", "article"}},                    // it has no primary key
		capture.Table{Name: "readings", Bulk: true},                                            // statements change many rows
	))
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

// Only a plan loosens what is captured: from now on the values of "card" are kept, and customers are not captured any more.
func ExampleInstaller_Plan() {
	loosen := func(ctx context.Context, db *sql.DB) error {
		installer := capture.NewInstaller(db, hooks.Postgres, nil)
		plan, err := installer.Plan(ctx,
			capture.Table{Name: "orders"},
			capture.Table{Name: "order_lines"})
		if err != nil {
			return err
		}
		fmt.Print(plan) // the SQL, why each table is in it, and a warning of what it loosens
		if err = installer.Apply(ctx, plan); err != nil {
			return err
		}
		return installer.Remove(ctx, "customers") // ends a capture
	}
	_ = loosen
}

// On SQLite a program that migrates makes the captures. Its Hub has the list, so that they follow later DDL.
func ExampleInstaller_sqlite() {
	audit := forward.New(nil)
	audit.Keep(capture.Of())

	migrate := func(ctx context.Context, db *sql.DB) error {
		installer := capture.NewInstaller(db, hooks.SQLite, nil)
		if err := installer.Migrate(ctx); err != nil {
			return err
		}
		plan, err := installer.Plan(ctx, capture.Table{Name: "orders", Mask: []string{"card"}})
		if err != nil {
			return err
		}
		return installer.Apply(ctx, plan)
	}
	_ = migrate
}
