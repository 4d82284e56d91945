// Package relay moves committed entries from the journal to forwarders, so that
// nothing is lost when a process dies between a commit and its forwarding, or a
// sink is away. forward.Hub runs it; operators use it through a [Store].
//
// # The cursor
//
// A sequence is no cursor: transactions commit in another order than they take
// their numbers, and what becomes visible behind the cursor is never seen. On
// PostgreSQL the cursor of a forwarder is a snapshot, done: what is visible in it
// is settled. A tick takes a second one, and what is visible in that and not in
// done is what has been committed in between, no matter how long it took. It is
// delivered in the order of seq. On SQLite, which has one writer, seq is enough.
//
// # The lease
//
// One process works for a forwarder at a time. Its lease is renewed beside the
// work, however long a call takes; one that cannot be renewed ends the call. The
// lease has a fence, a number that grows with each holder. Whatever moves the
// cursor names its fence, so a holder that slept through the end of its lease
// moves nothing, and no process waits for its locks. Where the sink is
// the same database, the cursor moves in the transaction of the delivery, and
// with that an overtaken holder cannot deliver either.
//
// # Failures
//
// Only failures write rows, and the cursor moves on: one bad event does not hold
// up the others. What failed is tried again after attempt⁴ + 15 s and a little more.
// After five attempts, in about eight minutes, it is discarded: kept in the journal
// and listed, until it is replayed or dismissed. A sink that accepts nothing at all
// is suspended, and no attempt is counted meanwhile.
package relay
