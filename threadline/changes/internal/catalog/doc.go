// Package catalog reads what a database has of captured tables: the tables themselves, their captures, and what each capture was
// planned from.
//
// A [Relation], on SQLite a [SQLiteTable], is a table as it is now. A [Capture] is a row of audit_captures, which says
// which table had which [Shape] from when on; the captures of a table are a chain, through other names, restores and
// tables that were made again, and TableID names it. [Deployed] are the functions and triggers that there are. A [Note]
// in each function says what is masked and excluded.
package catalog
