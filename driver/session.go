package driver

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
)

// state is what the server says of a connection's transaction.
type state int8

const (
	stateUnknown state = iota // it did not say: the connection is lost, or cannot be asked now
	stateIdle                 // there is none
	stateOpen
	stateAborted // it has failed, and waits for its ROLLBACK
)

// sessionDialect is how a database says where a session is.
type sessionDialect interface {
	// probe asks the server whether the connection is in a transaction, without changing
	// that. The error is why it did not say.
	probe(ctx context.Context, s *session) (state, error)
	// stateOf is where the connection is by a savepoint statement that ended with err;
	// stateUnknown if that does not say it.
	stateOf(err error) state
}

// session is what a connection knows of its session, and how it asks. All but the first
// two fields are MySQL's, whose sessions decide where transactions begin and end.
type session struct {
	own             *querier
	dialect         sessionDialect
	noInTransaction *atomic.Bool // the server has no @@in_transaction, which MariaDB has

	reading  int  // rows that are open: nothing else can be sent
	watchful bool // statements may not be autocommitted: autocommit=0, completion_type
	lax      bool // an INSERT may store another value than it was given: no strict mode
	asked    bool
	// schema is the current database, home the one at first.
	schema, home string
	shows        lex.Dialect // in which SHOW CREATE answers
}

// probe asks the server whether the session is in a transaction, without changing that.
func (s *session) probe(ctx context.Context) state {
	st, _ := s.ask(ctx)
	return st
}

// minProbeTime is how long a probe may take at least: a write timeout that is shorter says how
// long to wait for locks, and a probe waits for none.
const minProbeTime = time.Second

// ask is probe with the reason why the server did not say.
func (s *session) ask(ctx context.Context) (state, error) {
	if st, known := s.own.status(); known {
		return st, nil
	}
	ctx, cancel := s.own.outlast(ctx, max(s.own.cfg.writeTimeout, minProbeTime))
	defer cancel()
	return s.dialect.probe(ctx, s)
}

func witnessOf(s state) txn.Witness {
	switch s {
	case stateOpen:
		return txn.Other
	case stateIdle:
		return txn.Idle
	case stateAborted:
		return txn.Aborted
	default:
		return txn.Lost
	}
}
