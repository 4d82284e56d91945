// Package health looks at all parts of an audit trail in a database, and says what is wrong and what to do about it: the connection, the
// journal, the timeline, the history of row changes, delivery, and the clock.
//
//	for _, c := range health.Check(ctx, db, hooks.Postgres, nil) {
//		fmt.Println(c)
//	}
//
// It changes nothing. Package coverage says more about captures.
package health
