package relay

import (
	"context"
	"database/sql"
	"database/sql/driver"

	"github.com/go-aftercommit/aftercommit/internal/nildb"
)

// Lender lends connections of a pool to sinks. A call of a sink holds none while it waits for
// something else, so it is not in the way of others: it gets one for each query, and keeps one
// once it has executed more than a SELECT, because it may rely on its session then.
// It is safe for concurrent use.
type Lender struct {
	db *sql.DB
	// turns has an element for each connection that is in use, and as many places as there
	// may be; nil if there is no limit.
	turns chan struct{}
	whole *Lender // of which this is a part, nil if it is none
}

// NewLender returns a Lender of all connections of db except spare ones, which are left to
// what uses db by itself; one is lent in any case.
func NewLender(db *sql.DB, spare int) *Lender {
	db = nildb.Replace(db)
	l := &Lender{db: db}
	if most := db.Stats().MaxOpenConnections; most > 0 {
		l.turns = make(chan struct{}, max(1, most-spare))
	}
	return l
}

// Part returns a Lender of l's connections except one, if it has several: calls that keep
// theirs leave one to those that do not go through this part.
func (l *Lender) Part() *Lender {
	if cap(l.turns) < 2 {
		return l
	}
	return &Lender{db: l.db, turns: make(chan struct{}, cap(l.turns)-1), whole: l}
}

// Call makes one call of a sink. db has one connection, and must not be used afterwards.
func (l *Lender) Call(deliver func(db *sql.DB) Result) (r Result) {
	loan := newLoan(false)
	loan.take = l.take
	_, err := loan.run(func(db *sql.DB) bool { r = deliver(db); return r.Hung })
	loan.mu.Lock()
	defer loan.mu.Unlock()
	switch {
	case loan.starved != nil && !r.acceptedAll():
		r = Result{Err: &Failure{Reason: reasonStarved, Err: loan.starved}, Hung: r.Hung, Starved: loan.starved}
	case err != nil && r.Err == nil && !r.Hung:
		r = Result{Err: &Failure{Reason: "error", Err: err}}
	}
	return r
}

// reasonStarved is that of calls that got no connection.
const reasonStarved = "no_connection"

// acquire waits for a turn to use a connection, and reports false if ctx ends or stop is closed
// before there is one.
func (l *Lender) acquire(ctx context.Context, stop <-chan struct{}) bool {
	if l.turns != nil {
		select {
		case l.turns <- struct{}{}:
		case <-stop:
			return false
		case <-ctx.Done():
			return false
		}
	}
	if l.whole == nil || l.whole.acquire(ctx, stop) {
		return true
	}
	<-l.turns // a part has a limit
	return false
}

func (l *Lender) release() {
	if l.whole != nil {
		l.whole.release()
	}
	if l.turns != nil {
		<-l.turns
	}
}

// take takes a connection from the pool. giveBack returns it, or closes it if something is
// left there.
func (l *Lender) take(ctx context.Context) (base driver.Conn, giveBack func(Leftover), err error) {
	if !l.acquire(ctx, nil) {
		return nil, nil, errNoTurn
	}
	conn, err := l.db.Conn(ctx)
	if err != nil {
		l.release()
		return nil, nil, err
	}
	given, back, done := make(chan driver.Conn, 1), make(chan Leftover), make(chan struct{})
	go func() { // because a base connection is valid within Raw only
		defer close(done)
		defer l.release()
		_ = conn.Raw(func(base any) error {
			given <- base.(driver.Conn)
			if <-back != NothingLeft {
				return driver.ErrBadConn // the pool closes it
			}
			return nil
		})
		_ = conn.Close() // its errors are those of the uses before
	}()
	return <-given, func(left Leftover) { back <- left; <-done }, nil
}
