// Package river makes River (github.com/riverqueue/river) the queue of async
// forwarders, instead of the relay, on PostgreSQL and SQLite:
//
//	audit := forward.New(&forward.Options{Queue: river.New(nil)})
//	audit.Register(threadline.NewForwarder(nil), forward.Async)
//	driver.Register("postgres-audited", "postgres", audit)
//
// For each transaction and forwarder one job is inserted in the transaction
// itself, just before its COMMIT, in one statement for all forwarders: it is
// there if, and only if, the transaction commits. A transaction whose events have
// to be written earlier, see package driver, gets one for each part. A job has
// the forwarder's name and the ids of its events, which the worker reads from
// the journal. Each forwarder has a River queue of its own, [QueueName], which
// River's tools can pause.
//
// # What becomes of a job
//
//	the forwarder accepts all     completed
//	it accepts nothing            snoozed for 1, 2, 4 … 60 s; no attempt counts
//	it accepts the others, or     retried by River, up to forward.MaxAttempts,
//	those of other jobs           then discarded; RetryPolicy of Config says when
//	it fails permanently          cancelled, once the job's others are delivered
//	its events were purged        the same
//	the process dies in it        retried, and the attempt counts; after the last one a
//	                              worker discards it, with the notice
//	its args cannot be read       cancelled
//	it was enqueued elsewhere     snoozed for a minute or more, until Resume; for one to
//	                              three seconds where a process runs that it belongs to
//
// An attempt delivers only the events that are left; they are in the job's metadata, with
// the last error. max_attempts in River's table is one more than forward.MaxAttempts: the
// last attempt only discards a job whose process has died.
//
// A job that is cancelled or discarded is a dead letter, and River's: Failures and Replay
// of relay.Store do not know of it. River's tools list it. They or [Retry] try it once
// more, with the events that the forwarder has not accepted. It is kept until someone
// deletes it, unless Config sets CancelledJobRetentionPeriod or
// DiscardedJobRetentionPeriod. The journal must keep entries for as long as their jobs may
// be tried.
//
// A job is delivered only in the database and the environment where it was enqueued
// ([forward.Options]). In a copy it waits for an operator's decision: see [Resume].
//
// Each process that works jobs writes a heartbeat with its place into the metadata of their
// queues (aftercommit_workers in river_queue), every 20 s and when it stops. What else the
// metadata has is kept. By the heartbeats Resume finds programs of another environment. A
// process with a wrong environment leaves jobs to a running one that they belong to: it
// makes them available again after one to three seconds.
//
// # River's tables
//
// They are made by River's migrations ([Migrate] runs them); the first connection
// fails without. The app's role needs INSERT and SELECT on river_job, USAGE on its
// sequence and SELECT on river_migration; with SELECT on river_queue its start warns of
// jobs that no process works. Workers use the role of the app's
// connections, unless they are elsewhere. Their role needs SELECT, UPDATE and DELETE on
// river_job; SELECT, INSERT, UPDATE and DELETE on river_leader and river_queue; and SELECT
// on river_migration; and of the journal the same as an app's role. [States] needs SELECT
// on river_job, [Retry] and [Resume] UPDATE as well, and SELECT on river_queue. In a schema
// that is named, each role needs USAGE on it. Package changes
// asks the jobs which events are still to be delivered to the timeline, so the role that
// reads row changes needs SELECT on river_job. The error for what is missing names the role,
// the owner and the GRANT, or the schema that has such tables.
//
// An app that has a River of its own gives this one another schema (Schema of
// Config): the client that leads a schema discards stuck jobs of kinds that it
// does not know.
//
// Nothing in the app's transaction notifies, because NOTIFY makes commits wait
// for each other. Workers look for jobs every FetchPollInterval of Config, by
// default a second.
package river
