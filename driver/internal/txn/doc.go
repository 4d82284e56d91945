// Package txn is what the driver knows of a connection's transactions: what they
// hold, what of that is written, and how they ended. It has no connection and sends
// no SQL. The driver reports what happened, and gets back what has to be written, kept,
// dropped or reported.
//
// A [Record] is what one transaction holds until it ends: events that the app
// recorded (Add), events that captured statements are counted in (Capture), functions
// that wait for the outcome (AddFunc), and the savepoints that a ROLLBACK TO takes it
// back to (Savepoint, Release, RollbackTo). Pending are the events that are still to be
// written, Written notes that they are. Statements in no transaction have a record
// that stands alone.
//
// A [Tracker] has the record of the transaction that a connection is in, from Begin to
// End, and keeps the ones that have ended, each with its outcome, until the driver
// takes them (TakeEnded) to report them:
//
//	t.Begin(txn.Start{Ctx: ctx, Mode: mode})
//	err := t.Add(event)
//	write(t.Pending())
//	t.Written()
//	t.End(hooks.Committed)
//	for _, ended := range t.TakeEnded() { … }
//
// What happens unseen leaves doubt. Before it the driver writes what is pending and
// sets a witness, which lasts as long as the transaction. Afterwards it asks whether the
// witness is still there, and passes the answer to the tracker: by Ran after a string of
// several statements, by Suspect and Believe after the base connection was lent out. Then it
// follows the [Changes] that come back. The items of a transaction that may be over stay in
// the record until a savepoint of it is seen again. Where nothing proves how a transaction
// ended, its outcome is Unknown, and the journal's rows decide: the database has kept or
// dropped them with it. Events of a transaction that has committed without them, having
// written nothing, are Late: they are written between transactions.
package txn
