package driver

import (
	"context"
	"database/sql/driver"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// dialect is what the driver has to know of a database system. Each has a file with its
// answers: postgres.go, sqlite.go, mysql.go. One more is one more file; nowhere else
// does the driver ask which one it is.
type dialect interface {
	name() hooks.Dialect
	lexer() lex.Dialect
	// facts are answers that need no connection.
	facts() *facts

	// connected is called with a new connection before the handler gets it, and checked
	// once the handler has.
	connected(ctx context.Context, c *conn)
	checked(ctx context.Context, c *conn)
	// calm is called before each use of a connection whose alert is set.
	calm(ctx context.Context, c *conn) error
	// writable makes the connection take what the driver or the handler writes, and
	// returns what undoes that.
	writable(ctx context.Context, c *conn) (again func())

	// parse recognises statements as the server will read them.
	parse(ctx context.Context, c *conn, query string, dst []lex.Statement) []lex.Statement
	// dispatch runs a job by the kind of its statements.
	dispatch(ctx context.Context, c *conn, j job) (answer, error)
	// writeOutside runs captured statements that are in no transaction.
	writeOutside(ctx context.Context, c *conn, j job) (answer, error)

	// begin is the BEGIN of a transaction of the driver's: around j, or for events alone if
	// j is nil.
	begin(j *job) string
	// probe asks the server whether the connection is in a transaction, without changing
	// that.
	probe(ctx context.Context, c *conn) state
	// ended reports whether a COMMIT that failed with err has certainly ended the
	// transaction. Otherwise the server is asked.
	ended(c *conn, err error) bool
	// failed follows a statement of the transaction that has failed: it may have ended it.
	failed(ctx context.Context, c *conn, err error)
	// remains is asked before j is executed. What it returns reports, after an error of
	// j's, whether j has left something behind in the transaction; remainsOutside does so
	// for what was in none.
	remains(ctx context.Context, c *conn, j job) func(error) bool
	remainsOutside(c *conn, j *job, remains bool, err error) bool

	// ask asks the catalog what a name stands for; nil is for what cannot be asked now.
	// With temporaryOnly it looks for temporary tables alone. catalogFailed returns the
	// error for the app, if its statement could only fail, too.
	ask(ctx context.Context, c *conn, t lex.Table, temporaryOnly bool) (*relation, error)
	catalogFailed(ctx context.Context, c *conn, err error) error
	// asksAfter reports whether names are asked for after their statements: late says that
	// one of these may have changed what they mean, unread that its rows are yet to be read.
	asksAfter(j *job, late, unread bool) bool
	// answers reports, once for a database, whether its catalog can be asked at all.
	answers(ctx context.Context, c *conn) bool
	// tables returns those of the named tables that there are, and perhaps others.
	tables(ctx context.Context, c *conn, named []tableName) ([]tableName, error)

	// isDefault reports whether names in that schema are written without it, isTemporary
	// whether its tables are temporary, and isOwn whether AllTables leaves a table out
	// as ours, or as the system's.
	isDefault(schema string) bool
	isTemporary(schema string) bool
	isOwn(n tableName) bool
	// placed is a table with the schema that it is in now, and home the one by which
	// rules may name it as well. fix writes the schema before the names of statements
	// that are prepared, if they go on meaning that.
	placed(c *conn, t lex.Table) lex.Table
	home(c *conn, t lex.Table) lex.Table
	fix(c *conn, stmts []lex.Statement)

	// keyText is the one spelling of a key's value, given as text, in a column of that type;
	// "" if it has no certain one. returnedKey is that of a value which the database has
	// returned, and returnedType the type of the column, as the base driver calls it.
	keyText(column keyType, s string) string
	returnedKey(column keyType, v driver.Value) string
	returnedType(kind string) keyType
}

// facts are what a dialect answers without a connection. What is false is true of the
// other dialects.
type facts struct {
	// local: the database is a part of the process. A call that is stopped by its context
	// leaves no answer to come, and may have taken effect.
	local bool
	// journaled: events are written in the app's transaction. Else they are handed over
	// from memory, and no rows decide on what is in doubt.
	journaled bool
	// joins: savepoint, events and COMMIT go to the server in one round trip.
	joins bool
	// statusKnown: a base driver may know what the server says of the transaction.
	statusKnown bool

	// locksToken: a flush locks its token until the end of the transaction.
	locksToken bool
	// savepointBegins: a savepoint outside any transaction begins one.
	savepointBegins bool
	// savepointReplaces: a savepoint replaces an earlier one of its name.
	savepointReplaces bool
	// savepointWitness: a savepoint before the first event shows at the COMMIT whether the
	// transaction is still the same. Else what is written shows it.
	savepointWitness bool
	// beginCommits: a BEGIN commits the transaction that is open.
	beginCommits bool
	// beginsUnseen: a setting may begin transactions without a statement for it.
	beginsUnseen bool
	// readersStay: a transaction that has only read must not write its events, because it
	// may no longer be able to: they are written after its COMMIT.
	readersStay bool
	// defaults: a session may begin its transactions as read-only or serializable.
	defaults bool
	// firstQuery: what must be ahead of any query may lead a string.
	firstQuery bool
	// rowsLock: a transaction that is held open while rows are read keeps locks on them.
	rowsLock bool
	// commitsEach: of several statements in a string each commits by itself. cuts: such a
	// string can be executed as several.
	commitsEach, cuts bool
	// failsInRows: a statement can fail while its rows are read, and leave the transaction
	// as it is.
	failsInRows bool
	// readsMatter: errors and rows of statements that only read may say something about the
	// transaction.
	readsMatter bool
	// openRowsRefuse: while rows are open a base driver may refuse what the driver asks, as
	// lib/pq does.
	openRowsRefuse bool
	// procedures: DO, CALL and EXECUTE may change the session.
	procedures bool

	// plans: what the names in a statement stand for is settled when it is prepared. named:
	// the base driver may keep prepared statements on the server under a name.
	plans, named bool
	// checksLate: the catalog is asked with the first captured statement, and not when a
	// connection is opened.
	checksLate bool
	// searchPath: names without a schema may come to mean another table at any time.
	searchPath bool
	// foldsNames: names that differ in upper and lower case are the same.
	foldsNames bool
	// temporarySchema is what a temporary table is named with, if its name does not say so.
	temporarySchema string

	// upserts are the triggers that an upsert may fire.
	upserts changes
	// returnsStored: RETURNING has the row as it is stored, whatever triggers have done.
	returnsStored bool
	// countsReplaced: a row that an upsert has changed counts as two.
	countsReplaced bool
	// uuids: there is a type of UUIDs.
	uuids bool
}

// dialects are those that the driver can audit.
var dialects = map[hooks.Dialect]dialect{
	hooks.Postgres: postgres{},
	hooks.SQLite:   sqlite{},
	hooks.MySQL:    mysql{},
}
