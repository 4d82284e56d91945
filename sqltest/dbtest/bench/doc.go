// Package bench measures what the audit trail costs on PostgreSQL and SQLite,
// what other wrapping drivers cost, and how fast the relay is, as ratios within
// one run:
//
//	go test ./sqltest/dbtest/bench -run - -bench . -benchtime 1x
//
// AFTERCOMMIT_LONG=1 makes the journals larger.
package bench
