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
	// Begin, Commit … control transactions. SET TRANSACTION is a Read.
	Begin
	Commit           // COMMIT, END
	Rollback         // ROLLBACK, ABORT
	Savepoint        // Name
	Release          // Name
	RollbackTo       // Name
	Prepare          // PREPARE TRANSACTION; Name is the gid
	CommitPrepared   // Name is the gid
	RollbackPrepared // Name is the gid
	// Write is an INSERT, UPDATE, DELETE, upsert or TRUNCATE with a plain
	// target.
	Write
	// Schema is DDL, GRANT, REVOKE, COMMENT.
	Schema
	// Opaque may write, but to what is not seen: CALL, DO, EXECUTE, COPY FROM,
	// MERGE, WITH … INSERT, SELECT INTO, EXPLAIN ANALYZE of a write, an
	// unknown first keyword.
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
	// EndsUnseen: it may end the transaction without a word of control in it:
	// CALL, DO and EXECUTE (PostgreSQL), ON CONFLICT ROLLBACK and INSERT OR ROLLBACK (SQLite).
	EndsUnseen bool
	// NoBlock: it cannot run inside a transaction block (VACUUM, CREATE
	// DATABASE, CREATE INDEX CONCURRENTLY …), or means something else there.
	NoBlock bool
	// Returning: a Write that returns rows.
	Returning bool

	Op     Op
	Tables []Table // of a Write; more than one only for TRUNCATE
	Key    Key
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
// or a parameter. INSERT: one row of VALUES with the column listed. UPDATE and
// DELETE: a WHERE that is, or begins as one of ANDed conditions with, key =
// value.
type Key struct {
	Found   bool
	Literal string // unquoted
	// Param is the parameter's ordinal, from 1; 0 if Literal is meant.
	Param int
	// ParamName is its name for named parameters (SQLite :id, @id, $id).
	ParamName string
}
