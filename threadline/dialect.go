package threadline

import (
	"context"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// dialect is what differs between the databases that a timeline can be in. Each has a
// file with its answers: postgres.go, sqlite.go.
type dialect interface {
	// names are those of what a store in that schema uses.
	names(schema string) names
	// tooLong reports whether the database would have a schema under another name.
	tooLong(schema string) bool
	// script makes the tables, and migrate runs it. lazy says that this waits for the first
	// entry: the connections before it may never write.
	script(n names) string
	migrate(ctx context.Context, s *Store) error
	lazy() bool
	// inventory is the query for what there is; see Store.look.
	inventory(n names) string

	// ascii says that the document for add is to be in ASCII.
	ascii() bool
	// add adds the entries of a document by one statement, and reports whether some were
	// left out because other transactions are writing them.
	add(ctx context.Context, s *Store, doc string) (held bool, err error)

	// columns is what to select of an entry, and hex says that texts come as hex digits.
	columns(ctx context.Context, s *Store) (string, error)
	hex() bool
	// filter is a condition that a session of any encoding can send. Characters of lacks,
	// which the server's does not have, are written as <U+1F600>.
	filter(c condition, lacks map[rune]bool) condition
	// contains is the condition that a text occurs in an action, see [Query.Text].
	contains() string
	// moment is t in the form that columns are compared with.
	moment(t time.Time) any
	// ofTx is the condition that something is of a transaction.
	ofTx(tx journal.TxKey) condition
	// bind replaces each ? by the placeholder of an argument.
	bind(query string) string
}

// dialects are those that a timeline can be in.
var dialects = map[hooks.Dialect]dialect{hooks.Postgres: postgres{}, hooks.SQLite: sqlite{}}
