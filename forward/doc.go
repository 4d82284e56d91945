// Package forward takes committed audit events to their sinks.
//
// A [Hub] is the hook that a wrapped driver name is registered with. For each
// database that is opened through that name it does two things:
//
//	before COMMIT   it writes the transaction's events into the journal, inside
//	                the transaction: a table in the app's own database
//	after COMMIT    it hands them to the forwarders, with what the database has
//	                added; never before, and never what is not in the journal
//
// The journal is short-lived: the source of truth for what was committed, and
// the outbox that it is forwarded from. What people search for years is the
// timeline, a sink like others; see package threadline.
//
//	audit := forward.New(nil)
//	audit.Register(threadline.NewForwarder(nil), forward.Auto)
//	driver.Register("postgres-audited", "postgres", audit)
//
// # Delivery
//
// An async forwarder gets its entries from the relay, which reads them from the
// journal: see package relay. On PostgreSQL it runs beside the app unless
// [Options.Relay] says otherwise, and [Auto] means async there. It also delivers
// what a sync forwarder has missed.
//
// A sync forwarder is called within the app's Commit, after the database has
// confirmed it, and its time is bounded. Nothing that it does can fail the commit:
// an error or a panic goes to the log and to the [hooks.Observer], and the
// entries stay in the journal. A call that does not return in time is left
// behind. After three of those in a row the forwarder is suspended for half a
// minute, so that a dead sink does not slow every commit down.
//
// # Row changes
//
// A forwarder that is registered with [WithChanges] also gets the row changes that triggers have kept
// (package threadline/changes), each as an entry, from the relay.
//
// # Unknown outcomes
//
// If the connection is lost during COMMIT, only the server knows how the
// transaction ended. The Hub keeps the events and the keys under which they were
// written. With its next connection to that database it claims the keys (see
// [journal.Journal.Claim]), which settles whether they are in the journal, and forwards
// what is. See [Hub.Settle].
//
// # Without a journal
//
// With [Options.NoJournal] the database stays as it is, and events are forwarded
// from memory after the commit, at most once. They are lost if the process dies
// right after COMMIT, if the outcome is unknown, or if a forwarder refuses them.
package forward
