// Package reading reads the history, and the app's tables, in one state of the database: what the packages changes and undo have in
// common.
//
// A [Row] is a row of audit_changes, and a [Table] what is known of a captured table, with the [LiveTable] that it is now. [Lives] finds
// the changes of rows through their keys. A [Snapshot] reads them, [Reader.Attribute] says who made them, and [Snapshot.Breaks] where
// some may be missing. What is for SQLite is in separate files, as methods of [SQLite].
package reading
