package driver

import (
	"database/sql/driver"
	"errors"
)

// notBad hides driver.ErrBadConn: database/sql would execute the statement
// again, although it may have taken effect.
type notBad struct{ err error }

// Error is that of the hidden error.
func (e *notBad) Error() string { return e.err.Error() }

// As finds what the hidden error can be taken for; Is finds nothing in it.
func (e *notBad) As(target any) bool {
	return errors.As(e.err, target)
}

// badConn is an error that has database/sql try again on another connection: this
// one was lost while it was prepared, by a timeout of the server's for instance, and
// nothing of the app's has been sent on it.
type badConn struct{ error }

func (e *badConn) Unwrap() error { return e.error }

// Is adds ErrBadConn to what the error is.
func (e *badConn) Is(target error) bool { return target == driver.ErrBadConn }
