// Package dbtest runs aftercommit against real databases.
//
// It is the harness; the suites are in the folders beside these files. It has
//
//   - [Cluster], a throwaway PostgreSQL server: one shared by the tests of a
//     binary ([Shared], [Postgres]), or one of a test's own that it may stop and
//     crash ([Start]);
//   - [Engine], a base driver with a database to use it on, and [ForEach], which
//     runs a test on each of them;
//   - [Proxy], which stands between a driver and the server and cuts, holds or
//     delays what passes at the moments that matter.
//
// A test binary that uses the shared cluster has
//
//	func TestMain(m *testing.M) { dbtest.Main(m) }
//
// Without PostgreSQL's server programs such tests are skipped; with
// AFTERCOMMIT_REQUIRE_PG=1 in the environment they fail. The harness needs a
// Unix.
package dbtest
