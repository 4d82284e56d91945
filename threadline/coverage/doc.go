// Package coverage finds what the history of row changes does not have: tables without triggers, triggers that do not do what is
// configured, personal values that nobody has masked, and times at which changes were lost. It is made for a job of a CI, and for who
// has to answer an auditor:
//
//	report, err := coverage.NewChecker(db, hooks.Postgres, &coverage.Options{
//		Tables: []capture.Table{{Name: "orders", Mask: []string{"card"}}},
//		Exclude: []string{"schema_migrations"},
//	}).Check(ctx)
//	for _, f := range report.Findings {
//		fmt.Println(f)
//	}
//
// It reads the catalog and the tables of the history, and never a value of the app's tables. It writes nothing.
package coverage
