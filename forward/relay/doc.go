// Package relay moves committed entries from the journal to forwarders, so that
// nothing is lost when a process dies between a commit and its forwarding, or a
// sink is away. forward.Hub runs it; operators use it through a [Store]:
//
//	store, err := relay.New(hooks.Postgres, nil)
//	states, err := store.States(ctx, db)                     // who is behind, and why
//	failed, err := store.Failures(ctx, db, sink, true, 0)    // dead letters
//	n, err := store.Replay(ctx, db, relay.Selection{Forwarder: sink, Discarded: true}, false)
//	n, err = store.Dismiss(ctx, db, sink)                    // or give them up
//
// [Store.Resume] continues the forwarders of a copied database, [Store.Purge] deletes what all
// have got, [Store.Retire] ends a forwarder, and [Store.Refuse] leaves out an entry that must not
// reach its sink. The other methods of a Store, and what has to do with a [Relay], a [Trial] or a
// [Lender], are for forward.Hub.
//
// # The cursor
//
// A number that grows with each row cannot be the cursor: transactions commit in another order
// than they take their numbers, and an entry that becomes visible behind the cursor would never
// be seen. On PostgreSQL the cursor of a forwarder is a snapshot, done: every entry that is
// visible in it is settled. The relay works in ticks. A tick begins with a second snapshot:
// what is visible in it and not in done was committed in between, however long its transaction
// took. The relay delivers that, in the order of (xid, key) whatever the apps' clocks say, and
// remembers its place in the table; at the end of the tick the second snapshot becomes done.
// On SQLite, which has one writer, the order of commits is enough.
//
// Each batch is delivered in the order of the server's clock at the flush: of two transactions
// in it, one of which has waited for the other's rows, the one that had them first comes first.
// Events of one transaction come in the order in which they were recorded. Between batches the
// order is that in which transactions became visible, as far as ticks distinguish them; nothing
// more is promised.
//
// # Row changes
//
// A [Target] with [Changes] also gets the row changes of transactions, as entries. A change has the
// number of its transaction, and a key behind those of all its events, in the order of the WAL; so
// one cursor covers events and changes. The relay reads where changes are from their table, beside the
// journal, and reads a change itself only for the call that delivers it. A call ends after 4 MiB
// of changes. A process whose target of the same name gets no changes leaves the retries of changes
// alone. A [Store] counts and replays the changes of the forwarders that its [Options] name.
//
// # The lease
//
// One process works for a forwarder at a time. Its lease is renewed beside the
// work, however long a call takes; one that cannot be renewed ends the call. The
// lease has a fence, a number that grows with each holder. Each write that moves the
// cursor names its fence, so a holder that was frozen beyond the end of its lease
// moves nothing, and no process waits for its locks. Where the sink is
// the same database, the cursor moves in the transaction of the delivery, and
// with that an overtaken holder cannot deliver either.
//
// Processes share the leases. For each of its forwarders a process counts those that have
// registered it in the same environment, itself included; its share is the sum of one
// divided by each of these numbers, rounded up. So a process with other forwarders takes
// nothing away, and what no other process has stays. Above its share a process gives
// leases up, and takes one only after it has been free for a lease.
//
// A holder whose sink is suspended offers the lease to the other processes that have the
// forwarder, if there are any, until its pause is over: the sink may work from there. The
// row of an offered lease has no holder, and the time of the offer in lease_until.
//
// # Polling and heartbeats
//
// On PostgreSQL, workers send nothing while there is nothing to do. The process asks for all
// of them that have leases, with one statement, whether entries have arrived, an operator has
// replayed failures, or a lease was lost. A process without a lease sends only heartbeats,
// every six to nine tenths of a lease, each over a connection opened for that one statement.
// The heartbeat also compares a hash of the other processes' registrations and of the leases
// with the last one; if it differs, the process reads them again. A process no longer counts
// after three leases without a heartbeat, or once it has let a lease run out.
//
// # Failures
//
// Only failures write rows, and the cursor moves on: one bad event does not hold
// up the others. What failed is tried again after attempt⁴ + 15 s and a little more.
// After five attempts, within eight minutes if the sink accepts others meanwhile, it
// is discarded: kept in the journal and listed, until it is replayed or dismissed.
//
// A call that fails does not say whether the sink is down or some of its entries are
// bad, and the two need opposite things: attempts at a bad entry count, so that it is
// discarded; entries that wait for a sink that is down are kept, however long that
// takes. The relay decides by proof. A sink is proved to be up when it accepts an entry,
// or refuses one for good. Entries that a filter left out prove nothing, and neither
// does a call that refuses all of its entries by name.
//
// Entries that fail together are halved until single ones fail. An entry that fails
// alone is at fault, and the attempt is counted, if there was a proof just before (each
// is good for eight entries), or if the sink now accepts one of a few others from all
// over the backlog, or if a call within Commit of this process has accepted one since the
// entry failed before. Otherwise the sink is suspended: nothing is written, the
// attempts counted since the last proof are taken back, once for each entry, and three
// entries are tried after each pause: the first, and two others in rotation. The pauses
// grow from a second to a minute. Of n entries that wait each is tried within 3n/2
// pauses, and the newest within two.
//
// What is due to be tried again has a plan and pauses of its own, so that it does not
// keep new entries waiting. One of them is tried after each pause.
//
// An entry that cannot be read is discarded without a call, with its reason.
//
// A call that hangs costs its whole timeout, so its entries are not halved, but come one
// by one, and at most three calls hang after a pause.
package relay
