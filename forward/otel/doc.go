// Package otel measures the audit trail with OpenTelemetry. Its name is that of
// OpenTelemetry's own package, so import it under another:
//
//	import auditotel "github.com/go-aftercommit/aftercommit/forward/otel"
//
//	metrics, err := auditotel.New(nil)
//	...
//	audit := forward.New(&forward.Options{Observer: metrics})
//	err = metrics.Watch(audit)
//
// # Instruments
//
// Notices are counted as they come:
//
//	aftercommit.events                  {event}      recorded events: outcome
//	aftercommit.events.settled          {event}      of unknown outcome, that is known now: outcome
//	aftercommit.events.unattributed     {event}      without an actor
//	aftercommit.statements.uncaptured   {statement}  that capture could not see into: reason
//	aftercommit.journal.failures        {failure}    writes of events that failed: error.type
//	aftercommit.callbacks.failures      {call}       functions of OnCommit and OnRollback: error.type
//	aftercommit.deliveries              {event}      by forwarder: outcome, error.type
//	aftercommit.delivery.duration       s            calls of a forwarder that took something
//	aftercommit.forwarder.suspensions   {suspension} times that a forwarder took nothing: error.type
//
// The outcome of events is logged (they are written and their transaction has
// committed), rolled_back, unknown or lost; that of settled ones is committed or
// rolled_back; that of a delivery is enqueued, waiting, delivered, failed (each
// attempt) or discarded.
//
// What the databases know is asked for at each collection, once [Observer.Watch]
// was called, for each forwarder; with River, entries are the events of its jobs:
//
//	aftercommit.forwarder.lag           s            age of the oldest entry that it has not got
//	aftercommit.forwarder.behind        {event}      entries that it has not got
//	aftercommit.forwarder.retrying      {event}      entries that it has refused and will get again
//	aftercommit.forwarder.discarded     {event}      entries that it will not get
//	aftercommit.journal.entries         {event}      in the journal, at most
//	aftercommit.transactions.pending    {transaction} whose outcome is not known
//
// These, but for the transactions, have no point while a database does not answer: an
// alert should be for their absence, too. Only the process that relays has any: an app on
// PostgreSQL or, with [forward.RelayElsewhere] and on SQLite, the one with
// [forward.Hub.Relay], which should call Watch. Of forwarders that River delivers to, each
// process that works their jobs has them, of all jobs there are: an app or, with
// [forward.RelayElsewhere], the one with [forward.Hub.Work]. If no process works them the
// points are absent. If no such process runs on SQLite, alert
// on deliveries with the outcome failed, and look with relay.Store.States.
//
// # Attributes
//
//	aftercommit.driver     the registered name of the driver
//	aftercommit.forwarder  the forwarder, such as threadline.Forwarder/default
//	aftercommit.dispatch   sync or async
//	aftercommit.outcome    as above
//	aftercommit.reason     why a statement was not captured
//	error.type             the reason of a failure; _OTHER beyond the first hundred
//
// No attribute has values that an app's users could choose.
package otel
