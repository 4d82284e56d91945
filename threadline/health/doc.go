// Package health checks all parts of an audit trail in a database, and says what is wrong and what to do about it: the connection, the
// clock, the journal, the timeline, the history of row changes, and delivery.
//
//	for _, r := range health.Check(ctx, db, hooks.Postgres, nil) {
//		fmt.Println(r)
//	}
//
// It changes nothing. Package coverage checks captures in more detail.
package health
