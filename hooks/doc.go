// Package hooks is the vocabulary of aftercommit: what an audit event is, who
// may be its actor, how an app records one, and the moments at which a wrapped
// driver calls what writes and forwards them.
//
// The packages driver and forward know nothing of each other; they meet here.
//
//	driver  ──calls──▶  hooks.Hook, hooks.Handler  ◀──implements──  forward
//
// # Recording
//
// With [Record] an app says what a table change cannot show, through any
// handle it has: a *sql.DB, *sql.Tx, *sql.Conn, or what a library puts above
// them. The event joins the transaction of that handle and shares its fate.
//
//	err := hooks.Record(ctx, tx, hooks.Event{
//		Action: "order.refunded",
//		Target: hooks.Target{Type: "order", ID: "42"},
//		Reason: "damaged in transit",
//	})
//
// [OnCommit] and [OnRollback] register a function the same way.
//
// Record sends nothing to the database. It hands the connection a parcel
// inside the call's context, with a statement that is only a comment; the
// wrapped connection takes the parcel, signs it and answers itself. A handle
// that is not wrapped sends the comment, which does nothing, and Record finds
// the parcel unsigned: [ErrNotWrapped].
//
// What Record accepted is what every store keeps and returns. It refuses the rest
// with an [*InvalidError] that names the field: see [Validate]. Metadata is copied
// as its JSON, so what the caller does with its values afterwards changes nothing.
//
// # Context
//
// Who acted, in which request, for which tenant: [With] puts [Values] into a
// context, and every event of a statement run with that context carries them.
// The statement's own context wins over the one given to BeginTx, field by
// field, and an event's own fields win over both.
//
// Where an app passes no context to its statements, [Do] binds the same Values
// to the goroutine that serves a request or runs a job. The middleware of
// reqctx and grpcctx does so if its option Goroutine is set.
//
// # Moments
//
// A [Hook] is asked once for each database that is opened and returns a
// [Handler]. The driver then calls Connect for every new connection, Flush
// before a COMMIT, or before what may end the transaction unseen, inside the
// transaction and on its connection, and End when it knows (or knows that it
// cannot know) how the transaction ended. Three outcomes exist: [Committed],
// [RolledBack] and [Unknown]. A nil error of COMMIT does not prove the first, nor an
// error the second. Unknown is settled by [Flush.Key]: whether the rows with the keys
// of [Ended.Writes] are in the database.
//
// # Why these shapes
//
// Event is a plain struct and not an interface, so that a log of them can be
// compared, stored and read back whole. The fields that name persons are
// fields and not metadata, so that they can be erased. Flush reports whether
// it wrote, because a transaction that wrote nothing itself must not be made a
// writing one. Ended lends the connection, because an app may have only one.
package hooks
