// Package journal keeps audit events in the app's own database: in one append-only
// table, which is written inside the transaction that the events are about.
//
// A row of the journal is what one flush has written: its events as one document, next to
// what the database knows of the transaction. It exists if, and only if, its transaction
// committed. That makes it the source of truth for what may be forwarded, and the outbox that it
// is forwarded from. It is meant to be short-lived: what people search and read
// for years is a timeline, such as package threadline keeps.
//
// # Documents
//
// A document of format 1 is a JSON array with the events' own JSON, without the personal fields
// actor.name, target.name, ip_address, user_agent and comment. These are in the column
// personal, an array of objects with the same names, null for an event that has none, so that they
// can be erased. Both are ASCII, whatever the encodings of server and session are. A row has at
// most 1,000 events. What cannot be read of a document makes its entry
// [Entry.Unreadable], and no other; a document of another format, or with another number of events
// than its row says, makes all its entries so.
//
// # Keys
//
// A row's key is a UUIDv7 made by the app's process: a new one for each flush, greater than all
// before it in that process. A [Position] is a key and the event's index in its row. The key
// also settles what became of a flush whose connection was lost: see [Journal.Claim]. The
// journal may have the same event ID twice, at two positions. A row that was moved from the
// table of an earlier version has a UUID of version 8, which comes before all others.
//
// # PostgreSQL
//
// The schema aftercommit holds the table journal and these functions, which the app calls. The
// app's role needs USAGE on the schema and EXECUTE on the functions, and no right on the table:
//
//	write(key uuid, events integer, format smallint, document text, personal text, own boolean, wait_ms integer)
//	claim(keys uuid[], wait_ms integer)
//	written(keys uuid[])
//	acknowledge(forwarder text, keys uuid[])
//	enlist(forwarder text, home text)
//
// acknowledge is called by programs that move a forwarder to a Queue, enlist by programs whose
// relay runs elsewhere, as another role. All functions run as their owner with a fixed
// search_path, and are always called by their
// qualified names, so the app's search_path does not matter. A role that the app
// assumes by SET ROLE needs the same two grants, or what it writes does not commit
// in strict mode. By default the app's role creates the tables, so it
// owns them and could empty them. Where the trail must be defended against the
// app, let a separate role own them:
//
//	GRANT USAGE ON SCHEMA aftercommit TO app;
//	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA aftercommit TO app;
//
// [Journal.List], [Journal.Each], [Journal.Count] and the workers of a Queue need SELECT on the
// table; people need SELECT on the view audit_events, which has a row for each event.
//
// PostgreSQL 13 is the oldest that works (xid8).
//
// # SQLite
//
// A table aftercommit_journal and a view aftercommit_write, whose INSTEAD OF
// trigger writes it: rowids that a trigger sets are forgotten when it ends
// (https://www.sqlite.org/c3ref/last_insert_rowid.html), so the app's
// last_insert_rowid() survives the flush. Its changes() does not: after a flush within a
// transaction it is 0.
//
// Apps whose connections may never write use [Journal.Check] and
// [Journal.ConnectWithin] instead of [Journal.Connect]: Check only looks whether
// the tables fit, and ConnectWithin makes them in the transaction of the first
// event. forward.Hub does so.
//
// # Migration
//
// [Journal.Connect] makes the tables with the first connection, or adds to those
// of an older version what is new. If [Options.NoMigrate] is set, the SQL that [Schema] or
// [Upgrade] returns must have been run before. Either way the first connection
// says what is missing, not the first commit.
//
// The folder migrations has a file for each step and dialect. Step 5 on PostgreSQL, 3 on SQLite,
// only adds: programs of earlier versions go on with their own table beside it, in which
// [Journal.EarlierByID] and package relay find what they have written. There the view is named
// journal_events on PostgreSQL.
package journal
