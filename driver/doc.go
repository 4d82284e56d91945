// Package driver wraps a database/sql driver for PostgreSQL, SQLite or MySQL, so
// that an app gets an audit trail by changing the name that it gives to sql.Open.
//
//	func init() {
//		audit := forward.New(nil)
//		audit.Register(threadline.NewForwarder(nil), forward.Auto)
//		driver.Register("postgres-audited", "postgres", audit, driver.Capture(driver.AllTables()))
//	}
//
//	db, err := sql.Open("postgres-audited", dsn)
//
// # Model
//
// The wrapped connection follows the transaction that the server is in, however
// it was begun: by BeginTx, by a raw BEGIN, or around a single statement by the
// driver itself. It buffers the events of the transaction, forgets those that a
// ROLLBACK TO takes back, and hands the rest to a hooks.Handler right before
// COMMIT, to be written in the transaction on its own connection. Afterwards the
// handler gets one of three outcomes: committed, rolled back, unknown.
//
// The driver believes the server and not its own bookkeeping. Every flush is
// guarded: outside an open, healthy transaction it fails and writes nothing.
// Where a transaction may end without the driver seeing how (several statements in
// one string, [Raw], a lost connection), the events are written before, and whether
// their rows are there later decides on the outcome.
//
// MySQL and MariaDB have no journal yet: events are kept in memory and handed over
// after the COMMIT, and what ended in a way that is not known is not forwarded.
//
// # Transparency
//
// A wrapped connection has the optional interfaces of the base connection by which
// database/sql decides what to do, no more and no fewer; the others it always has,
// and does what database/sql would do without them. Statements and rows are wrapped
// only where the driver has to follow them; results and errors are the base
// driver's own values. What an app can notice all the same is in this folder's
// README.md: above all, a captured statement outside any transaction runs in one.
//
// sql.DB.Driver returns the wrapping driver, so that what other wrappers open
// with it is audited; see [Base] and [Raw] for what is below.
package driver
