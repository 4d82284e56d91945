package driver

import (
	"database/sql/driver"
	"errors"
)

// TxStatus is the transaction status that PostgreSQL's protocol reports with the
// answer to each message (ReadyForQuery, PostgreSQL manual, section 55.7).
type TxStatus byte

// The statuses. TxUnknown is for a connection whose status is not known.
const (
	TxUnknown TxStatus = 0
	TxIdle    TxStatus = 'I' // in no transaction
	TxOpen    TxStatus = 'T'
	TxFailed  TxStatus = 'E' // in one that can only be rolled back
)

// WithTxStatus is for a base driver of PostgreSQL that hands on what the server
// said last: status gets the base driver's connection and, where that is a wrapper
// that shows what it wraps, what is below, until one is known. The driver then does
// not have to ask: it knows before a COMMIT that this will roll back, and does not
// believe one that has left the transaction open. Package driver/pgxdriver does this
// for pgx.
func WithTxStatus(status func(base driver.Conn) TxStatus) Option {
	return func(c *config) error {
		if status == nil {
			return errors.New("WithTxStatus of nil")
		}
		c.status = status
		return nil
	}
}

// status is what the base connection knows by itself.
func (q *querier) status() (s state, known bool) {
	if q.cfg.status == nil || !q.is.statusKnown {
		return stateUnknown, false
	}
	for base := range layers(q.conn) {
		switch q.txStatus(base) {
		case TxIdle:
			return stateIdle, true
		case TxOpen:
			return stateOpen, true
		case TxFailed:
			return stateAborted, true
		}
	}
	return stateUnknown, false
}

// txStatus does without an answer where the function panics.
func (q *querier) txStatus(base driver.Conn) (s TxStatus) {
	defer func() {
		if recover() != nil {
			s = TxUnknown
		}
	}()
	return q.cfg.status(base)
}
