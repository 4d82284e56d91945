package coverage_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/coverage"
)

// A program for a CI that fails if something is not captured as it is to be.
func Example() {
	db, err := sql.Open("postgres", os.Getenv("DATABASE_URL"))
	if err != nil {
		panic(err)
	}
	report, err := coverage.NewChecker(db, hooks.Postgres, &coverage.Options{
		Tables:  []capture.Table{{Name: "orders", Mask: []string{"card"}}},
		Exclude: []string{"schema_migrations"},
	}).Check(context.Background())
	if err != nil {
		panic(err)
	}
	for _, f := range report.Findings {
		fmt.Println(f) // not_captured: public.refunds: it has no triggers: threadline triggers apply public.refunds --execute
	}
	if report.CountFaults() > 0 {
		os.Exit(1)
	}
}
