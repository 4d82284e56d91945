package driver

import (
	"context"
	"errors"
	"reflect"
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// Numbers of MySQL's errors (MySQL manual, Server Error Message Reference).
const (
	lockWaitTimeout = 1205 // ER_LOCK_WAIT_TIMEOUT
	lockTableFull   = 1206 // ER_LOCK_TABLE_FULL
	notLocked       = 1100 // ER_TABLE_NOT_LOCKED
	noSuchTable     = 1146 // ER_NO_SUCH_TABLE
	unknownVariable = 1193 // ER_UNKNOWN_SYSTEM_VARIABLE
	deadlock        = 1213 // ER_LOCK_DEADLOCK
	noSavepoint     = 1305 // ER_SP_DOES_NOT_EXIST
	xaState         = 1399 // ER_XAER_RMFAIL: not between XA END and its end
)

// rollsBack reports whether InnoDB rolls back the whole transaction with an error
// of that number (MySQL manual, InnoDB Error Handling).
func rollsBack(n int) bool { return n == deadlock || n == lockTableFull }

// mysqlNumber reads the number of a server's error from the field that
// go-sql-driver's has; 0 for any other.
func mysqlNumber(err error) int {
	for ; err != nil; err = errors.Unwrap(err) {
		v := reflect.Indirect(reflect.ValueOf(err))
		if v.Kind() != reflect.Struct || v.Type().Name() != "MySQLError" {
			continue
		}
		if n := v.FieldByName("Number"); n.IsValid() && n.CanUint() {
			return int(n.Uint()) //nolint:gosec // a uint16
		}
	}
	return 0
}

// probe asks MariaDB, which knows, or sets a savepoint: outside a transaction it is not kept.
func (mysql) probe(ctx context.Context, s *session) (state, error) {
	if in, known := s.inTransaction(ctx); known && (in || !s.watchful) {
		if in {
			return stateOpen, nil
		}
		return stateIdle, nil
	}
	err := s.own.simple(ctx, "SAVEPOINT aftercommit_probe")
	if err == nil {
		err = s.own.simple(ctx, "RELEASE SAVEPOINT aftercommit_probe")
	}
	switch {
	case err == nil, mysqlNumber(err) == xaState:
		return stateOpen, nil
	case mysqlNumber(err) == noSavepoint:
		return stateIdle, nil
	default:
		return stateUnknown, err
	}
}

// learn asks for what decides on where transactions begin and end, and for the
// current database, and reports whether this is another one.
func (s *session) learn(ctx context.Context) (moved bool) {
	ctx, cancel := s.own.unhurried(ctx)
	defer cancel()
	s.watchful, s.lax = true, true // unless the opposite is certain
	_ = s.own.read(ctx, "SELECT @@autocommit, @@completion_type, DATABASE(), @@sql_mode", nil, func(row []string) {
		s.watchful = row[0] != "1" || row[1] != "NO_CHAIN"
		moved = s.schema != row[2]
		s.schema, s.lax, s.shows = row[2], !strings.Contains(row[3], "STRICT_"), lex.MySQLDialect(row[3])
	}) // what fails leaves it so
	if !s.asked {
		s.asked, s.home = true, s.schema
	}
	return moved
}

// placed is a table with its database, unless that is the one which the
// connection was opened with.
func (s *session) placed(t lex.Table) lex.Table {
	switch {
	case t.Schema == "" && s.schema != s.home:
		t.Schema = s.schema
	case t.Schema == s.home:
		t.Schema = ""
	}
	return t
}

// fix writes the current database before the names in statements that are
// prepared: they go on writing there when another one is current.
func (s *session) fix(stmts []lex.Statement) {
	for i := range stmts {
		st := &stmts[i]
		if st.Kind != lex.Write {
			continue
		}
		for n := range st.Tables {
			if t := &st.Tables[n]; t.Schema == "" {
				t.Schema = s.schema
			}
		}
	}
}

// rolledBackBy reports whether an error of that number has rolled back the whole
// transaction.
func (s *session) rolledBackBy(ctx context.Context, n int) (gone, known bool) {
	if rollsBack(n) {
		return true, true
	}
	if s.reading > 0 {
		return false, false
	}
	if in, ok := s.inTransaction(ctx); ok {
		return !in, true
	}
	if n != lockWaitTimeout {
		return false, true
	}
	on, ok := s.own.number(ctx, "SELECT @@innodb_rollback_on_timeout")
	return on != 0, ok
}

// inTransaction asks MariaDB, which knows, whether a transaction is open. It leaves
// the app's warnings as they are.
func (s *session) inTransaction(ctx context.Context) (in, known bool) {
	if s.noInTransaction.Load() {
		return false, false
	}
	ctx, cancel := s.own.unhurried(ctx)
	defer cancel()
	err := s.own.read(ctx, "SELECT @@in_transaction", nil, func(row []string) { in, known = row[0] == "1", true })
	if mysqlNumber(err) == unknownVariable {
		s.noInTransaction.Store(true)
	}
	return in, known && err == nil
}
