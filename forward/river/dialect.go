package river

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/riverqueue/river/riverdriver"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// dialect is what differs between the databases, beside what River's own drivers do. A
// further one is a new file that answers these questions.
type dialect interface {
	// name is the one that package hooks has.
	name() hooks.Dialect
	// driver returns River's, without a pool for a nil db.
	driver(db *sql.DB) riverDriver
	// literal writes a text, which is ASCII, into a statement.
	literal(text string) string
	// found returns the schema in which statements that name none find River's tables, ""
	// if they are to name none.
	found(ctx context.Context, db *sql.DB) (schema string, err error)
	// elsewhere returns a condition for the place of a job: it was enqueued in another
	// database than db.
	elsewhere(ctx context.Context, db *sql.DB) (string, error)
	// diagnose returns what keeps a role from its purpose, and what to do; nil if nothing
	// does, or if that cannot be asked.
	diagnose(ctx context.Context, t *tables, p purpose) error
	// stale writes keys, which are UUIDs, for the statement heartbeat, which removes them.
	stale(keys []string) string
	// statements are those below.
	statements() *statements
}

var dialects = map[hooks.Dialect]dialect{hooks.Postgres: postgres{}, hooks.SQLite: sqlite{}}

// statements are SQL with names in braces, which are replaced.
type statements struct {
	// forwarder and place are expressions for what a job's args have.
	forwarder, place string
	// states selects how forwarders stand: the columns that tables.states scans.
	states string
	// quick has the transaction take no longer than a second, and no locks that others have,
	// and selects whether this role may read the queues.
	quick string
	// unworked selects the forwarders with jobs that no process works.
	unworked string
	// heartbeats are the columns of a queue with the heartbeats of processes, and the time;
	// heartbeat writes one, and returns those columns.
	heartbeats, heartbeat string
	// adopt and cancel are the assignments of an UPDATE of jobs that Resume decides about.
	// A cancelled job notes what its attempts have not delivered, in the form of a job
	// that is refused: see package forward's memo.
	adopt, cancel string
}

type riverDriver = riverdriver.Driver[*sql.Tx]

// tables are River's in one database.
type tables struct {
	db      *sql.DB
	dialect dialect
	schema  string // "" where River looks by itself
}

// tablesOf returns River's tables in db. It does no I/O.
func tablesOf(db *sql.DB, name hooks.Dialect, schema string) (*tables, error) {
	if db == nil {
		return nil, errors.New("river: db is nil: give it the database with River's tables")
	}
	d, ok := dialects[name]
	if !ok {
		return nil, fmt.Errorf("river: no driver for dialect %q: there is one for %s and %s", name, hooks.Postgres, hooks.SQLite)
	}
	return &tables{db: db, dialect: d, schema: schema}, nil
}

func (t *tables) driver() riverDriver { return t.dialect.driver(t.db) }

// quiet is a driver whose clients do not notify when they insert. In the app's
// transaction, NOTIFY on PostgreSQL takes a lock that makes commits wait for
// each other, and on SQLite it is one more insert.
type quiet struct{ riverDriver }

// SupportsListenNotify reports false.
func (quiet) SupportsListenNotify() bool { return false }
