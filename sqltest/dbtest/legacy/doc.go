// Package legacy adopts the audit trail in programs that others wrote, as the
// README says, and uses them over their own HTTP APIs: what their databases have
// committed, as triggers of the test's own saw it, must be what the timeline
// tells.
//
// A program is taken from the module cache in a version that is pinned, copied
// into a temporary folder, changed by a few replacements of its text and a new
// file from testdata, and built; nothing of it is kept here. With -v the tests
// log the change as a diff, and the timeline of each request.
//
//	go test -v ./sqltest/dbtest/legacy
//
// Miniflux is used on PostgreSQL, with its row changes kept: each transaction
// has kept what it changed, and the changes lead to the rows. The first run
// compiles all that it requires, which is about a minute of a processor. With
// AFTERCOMMIT_LONG=1 its own tests of its API are run as well, bare and audited,
// and PocketBase is used on SQLite, which takes some minutes:
//
//	AFTERCOMMIT_LONG=1 go test -v -timeout 30m ./sqltest/dbtest/legacy
//
// Mailer is a small server of the test's own, written as listmonk is: many users
// at once, sqlx, no context anywhere. It shows that each event has the user of
// the request that wrote its row, or none.
package legacy
