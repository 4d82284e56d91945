// Package reading reads the history, and the tables of the app that it is of, in one state of the database: what the packages
// changes and undo have in common.
//
// A [Row] is a row of audit_changes, a [Table] what is known of a table, with the [LiveTable] that it is now, and [Lives] finds the
// changes of rows through their keys. A [Snapshot] reads them, [Reader.Attribute] says who made them, and [Snapshot.Breaks] where they
// may have holes. What is of SQLite is in files of its own, as methods of [SQLite].
package reading
