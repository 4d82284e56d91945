package sqltest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/go-aftercommit/aftercommit/hooks"
)

var (
	_ driver.Driver        = (*Fake)(nil)
	_ driver.DriverContext = (*Fake)(nil)
	_ driver.Connector     = (*Fake)(nil)
	_ io.Closer            = (*Fake)(nil)
)

// Fake is a database and its driver, without a database. It is safe for
// concurrent use. Make one with [NewFake].
type Fake struct {
	shape   Shape
	dialect hooks.Dialect

	mu        sync.Mutex
	log       []*Call
	scripts   []*script
	answers   []answer
	committed []Statement
	prepared  map[string][]Statement
	conns     int // that were ever opened
	open      int
	txs       int // that were ever begun
	forgets   bool
}

// NewFake returns a fake that behaves as PostgreSQL does with transactions and
// whose connections have every optional interface of a modern driver.
func NewFake() *Fake { return NewFakeOf(Modern, hooks.Postgres) }

// NewFakeOf returns a fake of another shape or dialect. The dialect decides
// what is an error: BEGIN inside a transaction and COMMIT outside one are on
// SQLite, a savepoint outside one is on PostgreSQL. On MySQL a second BEGIN
// commits, and a savepoint replaces the one of its name. It panics if no connection
// can have the shape.
func NewFakeOf(shape Shape, dialect hooks.Dialect) *Fake {
	shapeConn(nil, shape)
	return &Fake{shape: shape, dialect: dialect, prepared: map[string][]Statement{}}
}

// Forget makes the fake keep nothing that package database/sql/driver allows it
// to lose: the columns after the last row, the bytes of a row and the slice that
// a row was written to once the next one is read, the arguments of a call after
// it. Whoever uses rows or a statement that is closed gets a panic.
func (f *Fake) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgets = true
}

func (f *Fake) forgetful() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.forgets
}

var registered atomic.Int64

// Register registers the fake with database/sql under a name that no other has,
// and returns it. There is no way to take it back.
func (f *Fake) Register() string {
	name := fmt.Sprintf("sqltest-fake-%d", registered.Add(1))
	sql.Register(name, f)
	return name
}

// Open returns a new connection. The name is kept as the Query of the log.
func (f *Fake) Open(name string) (driver.Conn, error) {
	return f.connect(context.Background(), Call{Method: "Driver.Open", Query: name})
}

// OpenConnector returns a connector of the fake.
func (f *Fake) OpenConnector(name string) (driver.Connector, error) {
	c := &conn{fake: f}
	if err := c.call(context.Background(), Call{Method: "Driver.OpenConnector", Query: name}, nil); err != nil {
		return nil, err
	}
	return f, nil
}

// Connect returns a new connection.
func (f *Fake) Connect(ctx context.Context) (driver.Conn, error) {
	return f.connect(ctx, Call{Method: "Connector.Connect"})
}

// Driver returns f.
func (f *Fake) Driver() driver.Driver { return f }

// Close is called by sql.DB.Close; it only notes that.
func (f *Fake) Close() error {
	c := &conn{fake: f}
	return c.call(context.Background(), Call{Method: "Connector.Close"}, nil)
}

func (f *Fake) connect(ctx context.Context, call Call) (driver.Conn, error) {
	f.mu.Lock()
	f.conns++
	c := &conn{fake: f, id: f.conns}
	f.mu.Unlock()
	if err := c.call(ctx, call, nil); err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.open++
	f.mu.Unlock()
	return shapeConn(c, f.shape), nil
}

// Log returns the calls so far, in the order in which they arrived; with
// arguments only those of the named methods.
func (f *Fake) Log(methods ...string) []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	var calls []Call
	for _, c := range f.log {
		if len(methods) == 0 || slices.Contains(methods, c.Method) {
			calls = append(calls, *c)
		}
	}
	return calls
}

// Sent returns what a server would have been sent, in order: the text of each
// statement executed or queried, and BEGIN, COMMIT and ROLLBACK for the calls
// that mean them. What only asks for the database's catalog, of which there is
// none, is left out.
func (f *Fake) Sent() []string {
	var sent []string
	for _, c := range f.Log() {
		switch strings.TrimPrefix(c.Method, "Stmt.") {
		case "BeginTx", "Begin":
			sent = append(sent, "BEGIN")
		case "Commit":
			sent = append(sent, "COMMIT")
		case "Rollback":
			sent = append(sent, "ROLLBACK")
		case "ExecContext", "QueryContext", "Exec", "Query":
			if !asksCatalog(c.Query) {
				sent = append(sent, c.Query)
			}
		}
	}
	return sent
}

// Committed returns the statements that are durable, in the order of their
// commits. Transaction control is not among them, nor is what had an
// [Answer] with rows and no RowsAffected.
func (f *Fake) Committed() []Statement {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.committed)
}

// CommittedQueries returns the texts of [Fake.Committed].
func (f *Fake) CommittedQueries() []string {
	var queries []string
	for _, st := range f.Committed() {
		queries = append(queries, st.Query)
	}
	return queries
}

// OpenConns returns how many connections are open and not closed yet.
func (f *Fake) OpenConns() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open
}

// Reset forgets log, scripts and what was committed. Answers and connections
// stay.
func (f *Fake) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log, f.scripts, f.committed = nil, nil, nil
}
