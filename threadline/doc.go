// Package threadline keeps audit events as a timeline that people read.
//
// The journal is written inside the app's transactions and is short-lived; it
// proves what happened and feeds the forwarders. The timeline is long-lived and
// made for reading: [Forwarder] copies committed entries into the table
// audit_actions, in the app's own database or in another, and [Store.Timeline]
// finds them by who, what, when and in which request.
//
//	audit := forward.New(nil)
//	audit.Register(threadline.NewForwarder(nil), forward.Auto) // the app's own database
//
//	store := threadline.NewStore(db, hooks.Postgres, nil)
//	page, err := store.Timeline(ctx, threadline.Query{
//		TargetType: "order", TargetID: "42",
//	})
//
// The app's own events name their target as people do, "order", and captured ones by
// the table, "orders". [Options.Aliases] declares once that they are one, and queries by
// either name find both:
//
//	store := threadline.NewStore(db, hooks.Postgres, &threadline.Options{
//		Aliases: map[string][]string{"order": {"orders"}},
//	})
//
// Package search makes a [Query] of what people type: actor:alice after:2d "refund". Package changes reads
// which rows were changed, from which values to which; package trail lists actions and row changes together.
//
// # The table
//
// One row is one event, its ID the primary key, and nothing of the event or of
// its journal entry is dropped. A row that is there stays as it is: to deliver
// an entry twice changes nothing. correlation_id is the event's own, and the
// event's ID where it has none, so that every action can be asked for by one.
// An unknown actor is null and shown as "unattributed": that is not the actor
// "anonymous", a person who did not say who they are.
//
// Queries written for the table of Threadline (Elixir, 0.5) find its columns
// here under their names. Where one of them says again what another column
// says, this was decided:
//
//   - name is the event's action; a second column of that name would only cost.
//   - actor_ref ("user:42") is generated from actor_type and actor_id. It is kept
//     because it is what the actor index holds: one key instead of two.
//   - status (ok, error) is generated from outcome, which says more: an expected
//     failure is not an error, but it is not ok either.
//   - category and verb are the action before and after its last dot, generated,
//     so that a GROUP BY needs no string functions.
//   - inserted_at is when the row came into the timeline. It is not recorded_at,
//     when the journal was written: their difference is the delivery's delay.
//
// Generated columns cannot contradict what they are made of. On PostgreSQL they
// are stored, some 40 bytes a row; on SQLite they are computed when read.
//
// # Transactions
//
// The table audit_contexts says who made each transaction that has events in the journal, and in which
// context: actor, tenant, request, correlation, job, address, application, host and role. It is
// written by the statement that adds the events, so that it is there before the journal is purged, and
// it may outlive the events. A transaction has a row for each context that its events have, and for
// each delivery that has brought some of them. Events that were forwarded from memory do not say which
// transaction they are of.
//
// The view audit_transactions has one row for each transaction, with the columns of Threadline's
// table: source is the application, meta the contexts, action_id the first event that was recorded and
// not captured. Where its actors differ, actor_ref is null, and actors has all of them. Its events are in
// audit_actions between first_recorded_at and last_recorded_at.
//
// On PostgreSQL the tables are in a schema of their own, "threadline", on SQLite
// their names begin with "threadline_"; see [Options]. The role that migrates
// owns them. The app's role needs EXECUTE on one function and no right on the
// table, so that it can add to the timeline and change nothing; [Schema] begins
// with the GRANTs.
//
// # One story
//
// [Store.Story] returns the story of a transaction: the events that the app has recorded, which say why;
// the captured events, each with the row changes that it has certainly made; and what was changed by
// triggers, by foreign keys and by statements without an event. A change belongs to an event by its
// table, operation and key. Among events that this leaves, changes are shared out in turn by the numbers
// of rows, if that uses up all of them; otherwise the story says which events may have made them. Where
// the driver has counted other rows than the triggers have kept, a [Difference] says whether that is to
// be expected.
//
// # Order
//
// Newest first by (recorded_at, seq, id): the journal's clock, the event's place in its flush, and
// the event's ID where two journals feed one timeline. Pages are cut by the
// position of their last row and not by a count, so a page costs the same at
// any depth, and rows that are added meanwhile neither repeat nor hide any
// other. A row that arrives late, above what has been read, is seen when reading starts
// from the top again.
package threadline
