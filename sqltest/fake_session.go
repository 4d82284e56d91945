package sqltest

import (
	"fmt"
	"slices"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Error is an error of the fake's own server.
type Error struct {
	Code    string // SQLSTATE
	Message string
}

// Error gives both.
func (e *Error) Error() string { return e.Message + " (" + e.Code + ")" }

// SQLState returns Code.
func (e *Error) SQLState() string { return e.Code }

// MySQLError is an error of the fake's own server where that is MySQL, in the form
// in which go-sql-driver/mysql gives them.
type MySQLError struct {
	Number  uint16
	Message string
}

// Error gives both.
func (e *MySQLError) Error() string { return fmt.Sprintf("Error %d: %s", e.Number, e.Message) }

var (
	errAborted = &Error{"25P02", "current transaction is aborted, commands ignored until end of transaction block"}
	errNoTx    = &Error{"25P01", "there is no transaction in progress"}
	errNested  = &Error{"25001", "cannot start a transaction within a transaction"}
)

// session is what the server knows of a connection. Fake.mu guards it.
type session struct {
	open    bool
	aborted bool
	tx      int
	pending []Statement
	marks   []mark
}

// mark is a savepoint: its name and how much was pending.
type mark struct {
	name   string
	length int
	opened bool // the transaction, as SQLite's outermost SAVEPOINT does
}

func (f *Fake) begin(s *session) {
	f.txs++
	*s = session{open: true, tx: f.txs}
}

// finish ends the session's transaction, if it is in one.
func (f *Fake) finish(s *session, commit bool) {
	if commit && !s.aborted {
		f.committed = append(f.committed, s.pending...)
	}
	*s = session{}
}

// apply carries out transaction control. The caller holds f.mu.
func (f *Fake) apply(s *session, v verb, name string, chain bool) error {
	sqlite := f.dialect == hooks.SQLite
	switch v {
	case begin:
		switch {
		case s.open && sqlite:
			return errNested
		case s.aborted:
			return errAborted
		case s.open && f.dialect == hooks.MySQL:
			f.finish(s, true)
			f.begin(s)
		case !s.open: // PostgreSQL only warns inside a transaction
			f.begin(s)
		}
		return nil
	case commit, rollback:
		if !s.open && (sqlite || chain) {
			return errNoTx
		}
		f.finish(s, v == commit)
		if chain {
			f.begin(s)
		}
		return nil
	case savepoint, release, rollbackTo:
		return f.applySavepoint(s, v, name)
	default:
		return f.applyPrepared(s, v, name)
	}
}

func (f *Fake) applySavepoint(s *session, v verb, name string) error {
	mysql := f.dialect == hooks.MySQL
	if v == savepoint {
		switch {
		case s.aborted:
			return errAborted
		case mysql && !s.open: // where it is not kept
			return nil
		case s.open:
			if mysql {
				s.marks = slices.DeleteFunc(s.marks, func(m mark) bool { return m.name == name })
			}
			s.marks = append(s.marks, mark{name: name, length: len(s.pending)})
		case f.dialect == hooks.SQLite:
			f.begin(s)
			s.marks = []mark{{name: name, opened: true}}
		default:
			return errNoTx
		}
		return nil
	}
	if !s.open && !mysql && f.dialect != hooks.SQLite {
		return errNoTx
	}
	if s.aborted && v == release {
		return errAborted
	}
	i := len(s.marks) - 1
	for i >= 0 && s.marks[i].name != name {
		i--
	}
	if i < 0 && mysql {
		return &MySQLError{1305, "SAVEPOINT " + name + " does not exist"}
	}
	if i < 0 {
		return &Error{"3B001", "no such savepoint: " + name}
	}
	m := s.marks[i]
	if v == rollbackTo {
		s.pending, s.marks, s.aborted = s.pending[:m.length], s.marks[:i+1], false
		return nil
	}
	s.marks = s.marks[:i]
	if m.opened {
		f.finish(s, true)
	}
	return nil
}

func (f *Fake) applyPrepared(s *session, v verb, gid string) error {
	if v == prepareTx {
		if !s.open {
			return errNoTx
		}
		if !s.aborted {
			f.prepared[gid] = slices.Clone(s.pending)
		}
		f.finish(s, false)
		return nil
	}
	stmts, ok := f.prepared[gid]
	switch {
	case s.open:
		return &Error{"25001", "a prepared transaction cannot be ended inside a transaction block"}
	case !ok:
		return &Error{"42704", "no such prepared transaction: " + gid}
	}
	delete(f.prepared, gid)
	if v == commitPrepared {
		f.committed = append(f.committed, stmts...)
	}
	return nil
}

// write notes an effect: pending in a transaction, durable outside one.
func (f *Fake) write(s *session, st Statement) {
	if s.open {
		s.pending = append(s.pending, st)
		return
	}
	f.committed = append(f.committed, st)
}
