// Package journal keeps audit events in the app's own database: in one append-only
// table, which is written inside the transaction that the events are about.
//
// A row of the journal exists if, and only if, its transaction committed. That
// makes it the source of truth for what may be forwarded, and the outbox that it
// is forwarded from. It is meant to be short-lived: what people search and read
// for years is a timeline, such as package threadline keeps.
//
// # PostgreSQL
//
// A separate schema, aftercommit, holds the table audit_events and functions, of
// which the app calls three. Its role needs USAGE on the schema and EXECUTE on
// them, and no right on the table:
//
//	record(events json, token bigint, own boolean, wait_ms integer)
//	entries(ids uuid[])
//	register(forwarder text, home text)
//
// The last is called only where a relay runs elsewhere, as another role. They run
// as their owner with a fixed search_path, and are always called by their
// qualified names, so the app's search_path does not matter. A role that the app
// assumes by SET ROLE needs the same two grants, or what it writes does not commit
// in strict mode. By default the app's role creates the tables, so it
// owns them and could empty them. Where the trail must be defended against the
// app, let a separate role own them:
//
//	GRANT USAGE ON SCHEMA aftercommit TO app;
//	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA aftercommit TO app;
//
// record refuses what package hooks would (SQLSTATE class 22), since a role with
// these grants may call it itself. A row that still cannot be read is an entry with
// [Entry.Unreadable] set, and hides no other.
//
// PostgreSQL 13 is the oldest that works (xid8). On a server whose encoding is not
// UTF-8, record writes characters that the encoding lacks as <U+1F600>, and lists
// the fields that had some under "altered" in the metadata.
//
// # SQLite
//
// A table aftercommit_events and a view aftercommit_record, whose INSTEAD OF
// trigger writes it: rowids that a trigger sets are forgotten when it ends
// (https://www.sqlite.org/c3ref/last_insert_rowid.html), so the app's
// last_insert_rowid() survives the flush.
//
// Apps whose connections may never write use [Journal.Check] and
// [Journal.ConnectWithin] instead of [Journal.Connect]: Check only looks whether
// the tables fit, and ConnectWithin makes them in the transaction of the first
// event. forward.Hub does so.
//
// # Migration
//
// [Journal.Connect] makes the tables with the first connection, or upgrades those
// of an older version. If [Options.NoMigrate] is set, the SQL that [Schema] or
// [Upgrade] returns must have been run before. Either way the first connection
// says what is missing, not the first commit.
package journal
