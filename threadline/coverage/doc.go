// Package coverage reports what the history of row changes misses: tables without triggers, triggers that differ from their
// configuration, columns that look personal and are not masked, and times at which changes may be missing. Use it in a CI job, or to
// answer an auditor:
//
//	report, err := coverage.NewChecker(db, hooks.Postgres, &coverage.Options{
//		Tables: []capture.Table{{Name: "orders", Mask: []string{"card"}}},
//		Exclude: []string{"schema_migrations"},
//	}).Check(ctx)
//	for _, f := range report.Findings {
//		fmt.Println(f)
//	}
//
// A [Finding] ends with what to do about it. The commands in it loosen nothing: they keep the key, the masks, hashes and exclusions that are
// there, and mask what looks personal. Only where the configuration wants more to be kept than is, the text says that its command does so.
//
// It reads the catalog and the tables of the history and the timeline, but no value of the app's tables. It writes nothing.
package coverage
