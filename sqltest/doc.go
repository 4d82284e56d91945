// Package sqltest is what apps and forwarders test their audit trail with, and
// what aftercommit tests itself with.
//
//   - [Recorder] is a forwarder that remembers, for tests of an app.
//   - [TestForwarder] is the conformance suite of forwarders.
//   - [TestTransparent] shows that a wrapped driver behaves as the bare one.
//   - [Fake] is a driver without a database that fails, hangs, panics or loses
//     its connection where a test tells it to.
//
// # The fake driver
//
// A [Fake] is a driver.Driver and a driver.Connector. It knows as much SQL as
// transactions need: BEGIN, COMMIT, ROLLBACK, savepoints, prepared
// transactions. Any other statement is taken to write one row, unless
// [Fake.Answer] says what it returns. It keeps a log of every call, and of the
// statements whose transaction committed.
//
//	fake := sqltest.NewFake()
//	fake.On(sqltest.Call{Method: "Commit"}, sqltest.Lose().After())
//	db := sql.OpenDB(fake)
//
// Here the first COMMIT reaches the server and its answer never arrives.
//
// Methods are named as the driver's interfaces name them: "BeginTx",
// "ExecContext", "Commit", "Ping", "ResetSession", "Close" … Those of
// statements, rows, results and connectors carry the type: "Stmt.ExecContext",
// "Rows.Next", "Result.RowsAffected", "Connector.Connect".
//
// [Shape] chooses which of the optional interfaces its connections, statements
// and rows have.
package sqltest
