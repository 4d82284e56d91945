// Package lex recognises what a wrapping driver must know of a statement:
// transaction control, what a write is aimed at, and what it cannot see into.
package lex

// Dialect is a family of SQL.
type Dialect uint8

// The dialects.
const (
	Postgres Dialect = iota
	SQLite
	// Escapes is Postgres with standard_conforming_strings off: a backslash in a
	// plain string escapes the quote behind it.
	Escapes
	// MySQL is MySQL and MariaDB with the usual sql_mode: a backslash escapes the
	// quote behind it, and "…" is a string.
	MySQL
	mysqlNames      // ANSI_QUOTES
	mysqlPlain      // NO_BACKSLASH_ESCAPES
	mysqlNamesPlain // both
)

// Kind is what a statement does, as far as the driver cares.
type Kind uint8

const (
	// Read reads, or changes nothing that is kept: SELECT, SHOW, SET, EXPLAIN …
	Read Kind = iota
	// Begin is BEGIN or START TRANSACTION. SET TRANSACTION is a Read.
	Begin
	// Commit is COMMIT or END.
	Commit
	// Rollback is ROLLBACK or ABORT.
	Rollback
	// Savepoint is SAVEPOINT; Name is its name, here and in the two below.
	Savepoint
	// Release is RELEASE [SAVEPOINT].
	Release
	// RollbackTo is ROLLBACK TO [SAVEPOINT].
	RollbackTo
	// Prepare is PREPARE TRANSACTION; Name is the gid, here and in the two below.
	Prepare
	// CommitPrepared is COMMIT PREPARED.
	CommitPrepared
	// RollbackPrepared is ROLLBACK PREPARED.
	RollbackPrepared
	// Write is an INSERT, UPDATE, DELETE, upsert, MERGE, COPY FROM or TRUNCATE
	// with a plain target, or what has such a one in it: a SELECT WITH an INSERT,
	// EXPLAIN ANALYZE of a write, COPY (write) TO.
	Write
	// Schema is DDL, GRANT, REVOKE, COMMENT, SELECT INTO. What only rebuilds or
	// refreshes (REINDEX, CLUSTER, VACUUM, REFRESH MATERIALIZED VIEW) is a Read.
	Schema
	// Opaque may write, but to what is not seen: CALL, DO, EXECUTE, an unknown
	// first keyword.
	Opaque
)

// Op is what a Write does to its target.
type Op uint8

// The operations.
const (
	Insert Op = iota
	Update
	Delete
	Upsert
	Truncate
	// Merge is a MERGE: which rows it inserts, updates or deletes, the data
	// decides.
	Merge
)

// Statement is one statement of a query string.
type Statement struct {
	Kind Kind
	// Name is that of a savepoint or a prepared transaction, folded as the
	// server folds it.
	Name string
	// Chain: COMMIT/ROLLBACK AND CHAIN.
	Chain bool
	// EndsUnseen: it may end the transaction without being transaction control:
	// CALL and DO (PostgreSQL), CALL, EXECUTE, XA, SET autocommit, FLUSH (MySQL), INSERT OR ROLLBACK and UPDATE OR ROLLBACK
	// (SQLite). A table made with ON CONFLICT ROLLBACK, and a trigger with
	// RAISE(ROLLBACK), end a transaction as well, and nothing in the statement
	// tells.
	EndsUnseen bool
	// Commits: it commits the transaction before it executes, also if it then fails:
	// DDL, TRUNCATE, GRANT, LOCK TABLES on MySQL. A syntax error does not.
	Commits bool
	// Restricts: a Read that may make the transaction read-only from here on: SET
	// TRANSACTION, SET transaction_read_only, SELECT set_config(…) of it, PRAGMA
	// query_only.
	Restricts bool
	// Defaults: a Read that may change how the session's later transactions begin: SET
	// default_transaction_isolation or …_read_only, SET SESSION CHARACTERISTICS.
	Defaults bool
	// NoBlock: it cannot run inside a transaction block (VACUUM, CREATE
	// DATABASE, CREATE INDEX CONCURRENTLY …), or means something else there.
	NoBlock bool
	// Concurrent: a Schema statement … CONCURRENTLY, which commits in several steps.
	Concurrent bool
	// Returning: a Write that returns the rows of Tables.
	Returning bool
	// ReturnsKey: an INSERT … RETURNING the key's column, under its own name.
	ReturnsKey bool
	// Partial: it writes to more than Tables and Also: TRUNCATE … CASCADE follows
	// foreign keys, CREATE TABLE AS EXECUTE runs what was prepared.
	Partial bool
	// Path: a Read that changes which table a name without a schema means: SET
	// search_path, RESET ROLE, SELECT set_config('search_path', …), DISCARD,
	// ATTACH …
	Path bool
	// Lead is how a Read of PostgreSQL may stand before the first query.
	Lead Lead
	// Unprepares: DISCARD ALL and DEALLOCATE ALL, which drop what the session has
	// prepared.
	Unprepares bool
	// Modes: a SET of MySQL that may change how the statements behind it are read, and
	// what an INSERT makes of values that do not fit: of sql_mode, or of the
	// character set.
	Modes bool
	// Looks: a statement of MySQL that [LooksBack]; the parser leaves it to the driver.
	Looks bool
	// Temporary: CREATE TEMPORARY TABLE …, which is no schema change.
	Temporary bool
	// Conditional: a Schema statement with IF EXISTS or IF NOT EXISTS before the
	// name; whether it has changed anything, the server does not say.
	Conditional bool

	Op Op
	// Tables are the targets of a Write, several only for TRUNCATE; and the
	// names of what a Schema statement is about, where they are plain.
	Tables []Table
	// Also are the targets of the statements within: in a WITH clause, behind
	// EXPLAIN ANALYZE, in the brackets of a COPY TO. How many of their rows are
	// changed, the server does not say. A Write may have no others.
	Also []Target
	// On is the table that a CREATE INDEX, TRIGGER, POLICY or RULE is on, or
	// the ALTER or DROP of one of the latter three.
	On Table
	// To is the name that an ALTER … RENAME TO or SET SCHEMA gives to its object.
	To  Table
	Key Key
	// Moves: it may be about other rows than that of Key: an UPDATE or an upsert
	// that may set the key's column, or a REPLACE of SQLite or MySQL, which deletes
	// the rows that are in its way.
	Moves bool
	// Command: an INSERT into a column that has the table's own name, which is
	// how SQLite's full-text tables are given commands.
	Command bool
	// Verb is the first keyword, or two, upper case, of a Schema or Opaque
	// statement: "CREATE TABLE", "GRANT"; "COPY" of a Write that is one.
	Verb string
}

// Table is a target as the server folds its names: lower case on PostgreSQL
// unless quoted, as written on SQLite.
type Table struct {
	Schema string // "" if not written
	Name   string
}

// Target is what a statement within another one writes to.
type Target struct {
	Table
	Op    Op
	Key   Key
	Moves bool
}

// Target is what a Write does to t, one of its Tables.
func (s *Statement) Target(t Table) Target {
	return Target{Table: t, Op: s.Op, Key: s.Key, Moves: s.Moves}
}

// Type is a type that a key's value is cast to.
type Type uint8

// The types that leave a value as it is, or refuse it. A cast to any other, to a
// length for one, may change the value, and then the key is not Found.
const (
	AnyType Type = iota // no cast, or one to text
	Integer
	UUID
)

// Key is the value that a statement plainly gives to the key column: a literal,
// or a parameter. INSERT: one row of VALUES with the column listed; an upsert
// also has to find its row by that column. UPDATE and DELETE: a WHERE of one or
// more ANDed conditions, one of them key = value.
type Key struct {
	Found bool
	// Literal is unquoted; a whole number is without leading zeros.
	Literal string
	// Type is what the value is cast to.
	Type Type
	// Param is the parameter's ordinal, from 1; 0 if Literal or ParamName is
	// meant. A parameter whose ordinal depends on the SQLite driver (behind
	// named ones, or in a later statement of the string) is not Found.
	Param int
	// ParamName is its name for named parameters (SQLite :id, @id, $id),
	// without the sign.
	ParamName string
}
