// Package lex recognises what a wrapping driver must know of a statement:
// transaction control, what a write is aimed at, and what it cannot see into.
package lex

// Dialect is a family of SQL.
type Dialect uint8

// The dialects.
const (
	Postgres Dialect = iota
	SQLite
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
	// Write is an INSERT, UPDATE, DELETE, upsert or TRUNCATE with a plain
	// target.
	Write
	// Schema is DDL, GRANT, REVOKE, COMMENT. What only rebuilds or refreshes
	// (REINDEX, CLUSTER, VACUUM, REFRESH MATERIALIZED VIEW) is a Read.
	Schema
	// Opaque may write, but to what is not seen: CALL, DO, EXECUTE, COPY FROM,
	// MERGE, a SELECT WITH an INSERT, SELECT INTO, EXPLAIN ANALYZE of a write,
	// an unknown first keyword.
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
	// CALL and DO (PostgreSQL), INSERT OR ROLLBACK and UPDATE OR ROLLBACK
	// (SQLite). A table made with ON CONFLICT ROLLBACK, and a trigger with
	// RAISE(ROLLBACK), end a transaction as well, and nothing in the statement
	// tells.
	EndsUnseen bool
	// NoBlock: it cannot run inside a transaction block (VACUUM, CREATE
	// DATABASE, CREATE INDEX CONCURRENTLY …), or means something else there.
	NoBlock bool
	// Returning: a Write that returns rows.
	Returning bool
	// Partial: a Write that writes to more than Tables, since its WITH clause
	// writes, too, or TRUNCATE … CASCADE follows foreign keys.
	Partial bool

	Op Op
	// Tables are the targets of a Write, several only for TRUNCATE; and the
	// names of what a Schema statement is about, where they are plain.
	Tables []Table
	// On is the table that a CREATE INDEX, TRIGGER, POLICY or RULE is on, or
	// the DROP of one of the latter three.
	On  Table
	Key Key
	// Temporary: CREATE TEMPORARY TABLE …, which is no schema change.
	Temporary bool
	// Verb is the first keyword, or two, upper case, of a Schema or Opaque
	// statement: "CREATE TABLE", "GRANT".
	Verb string
}

// Table is a target as the server folds its names: lower case on PostgreSQL
// unless quoted, as written on SQLite.
type Table struct {
	Schema string // "" if not written
	Name   string
}

// Key is the value that a statement plainly gives to the key column: a literal,
// or a parameter. INSERT: one row of VALUES with the column listed; an upsert
// also has to find its row by that column. UPDATE and DELETE: a WHERE of one or
// more ANDed conditions, one of them key = value.
type Key struct {
	Found   bool
	Literal string // unquoted
	// Param is the parameter's ordinal, from 1; 0 if Literal or ParamName is
	// meant. A parameter whose ordinal depends on the SQLite driver (behind
	// named ones, or in a later statement of the string) is not Found.
	Param int
	// ParamName is its name for named parameters (SQLite :id, @id, $id),
	// without the sign.
	ParamName string
}
