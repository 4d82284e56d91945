package driver

import (
	"context"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// dialect is what the driver has to know of a database system. Each has a file with its
// answers: postgres.go, sqlite.go, mysql.go. A further dialect is a further file: nothing
// else in the driver asks which one it has.
type dialect interface {
	sessionDialect
	catalogDialect
	keyDialect

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
	// writable lets the driver and the handler write on a connection that the app has made
	// read-only, and returns what makes it read-only again.
	writable(ctx context.Context, c *conn) (again func())

	// parse recognises statements as the server will read them. asks says that it may be
	// asked for the settings on which that depends.
	parse(ctx context.Context, p *parser, query string, dst []lex.Statement, asks bool) []lex.Statement
	// dispatch runs a job by the kind of its statements.
	dispatch(ctx context.Context, c *conn, j *job) (answer, error)
	// writeOutside runs captured statements that are in no transaction.
	writeOutside(ctx context.Context, c *conn, j *job) (answer, error)

	// begin is the BEGIN of a transaction of the driver's: around j, or for events alone if
	// j is nil.
	begin(j *job) string
	// ended reports whether a COMMIT that failed with err has certainly ended the
	// transaction; lost reports whether the connection can no longer be used. Otherwise the
	// server is asked.
	ended(err error, lost func(error) bool) bool
	// failed follows a statement of the transaction that has failed: it may have ended it.
	failed(ctx context.Context, c *conn, err error)
	// remains is called before j is executed; open says that a transaction is open. If j
	// fails, the function that it returns reports whether j has left something behind.
	// remainsOutside corrects its answer, remains, for statements that were in no transaction.
	remains(ctx context.Context, own *querier, j *job, open bool) func(error) bool
	remainsOutside(j *job, remains bool, err error, lost func(error) bool) bool

	// asksAfter reports whether the catalog is asked once j has been executed. late says that
	// a statement of j may have changed what names mean, unread that the app has yet to read
	// j's rows.
	asksAfter(j *job, late, unread bool) bool
	// fix qualifies the names in statements that are prepared with the current schema, if
	// they still mean that one when another schema is current.
	fix(s *session, stmts []lex.Statement)
}

// dialects are those that the driver can audit.
var dialects = map[hooks.Dialect]dialect{
	hooks.Postgres: postgres{},
	hooks.SQLite:   sqlite{},
	hooks.MySQL:    mysql{},
}
