package driver

import (
	"context"
	"errors"
	"reflect"
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
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

// session is what a connection to MySQL knows of its session.
type session struct {
	reading  int  // rows that are open: nothing else can be sent
	watchful bool // statements may not be autocommitted: autocommit=0, completion_type
	lax      bool // an INSERT may store another value than it was given: no strict mode
	asked    bool
	// schema is the current database, home the one at first.
	schema, home string
	shows        lex.Dialect // in which SHOW CREATE answers
}

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

// probeMySQL asks whether the connection is in a transaction. Outside one a
// savepoint is not kept.
func (c *conn) probeMySQL(ctx context.Context) state {
	if in, known := c.inTransaction(ctx); known && (in || !c.watchful) {
		if in {
			return stateOpen
		}
		return stateIdle
	}
	err := c.own.simple(ctx, "SAVEPOINT aftercommit_probe")
	if err == nil {
		err = c.own.simple(ctx, "RELEASE SAVEPOINT aftercommit_probe")
	}
	switch {
	case err == nil, mysqlNumber(err) == xaState:
		return stateOpen
	case mysqlNumber(err) == noSavepoint:
		return stateIdle
	default:
		return stateLost
	}
}

// learnSession asks for what decides on where transactions begin and end, and
// for the current database. It is called when the connection is new and after all
// that may have changed it.
func (c *conn) learnSession(ctx context.Context) {
	ctx, cancel := c.own.unhurried(ctx)
	defer cancel()
	c.watchful, c.lax = true, true // unless the opposite is certain
	_ = c.own.read(ctx, "SELECT @@autocommit, @@completion_type, DATABASE(), @@sql_mode", nil, func(row []string) {
		c.watchful = row[0] != "1" || row[1] != "NO_CHAIN"
		if c.schema != row[2] {
			c.forgetNames()
		}
		c.schema, c.lax, c.shows = row[2], !strings.Contains(row[3], "STRICT_"), lex.MySQLDialect(row[3])
	}) // what fails leaves it so
	if !c.asked {
		c.asked, c.home = true, c.schema
	}
}

// watch looks whether the connection is in a transaction that nothing seen has
// begun, as it always is with autocommit off.
func (c *conn) watch(ctx context.Context) {
	if c.tx.Open() || c.reading > 0 || !c.watchful || c.db.reg.modeNow() == hooks.Off {
		return
	}
	if c.probe(ctx) == stateOpen {
		c.start(ctx)
	}
}

// placed is a table with its database, unless that is the one which the
// connection was opened with.
func (c *conn) placed(t lex.Table) lex.Table {
	switch {
	case t.Schema == "" && c.schema != c.home:
		t.Schema = c.schema
	case t.Schema == c.home:
		t.Schema = ""
	}
	return t
}

// fixDatabase writes the current database before the names in statements that are
// prepared: they go on writing there when another one is current.
func (c *conn) fixDatabase(stmts []lex.Statement) {
	for i := range stmts {
		s := &stmts[i]
		if s.Kind != lex.Write {
			continue
		}
		for n := range s.Tables {
			if t := &s.Tables[n]; t.Schema == "" {
				t.Schema = c.schema
			}
		}
	}
}

// parseMySQL recognises statements as the server will read them. What depends on
// sql_mode it asks for each time; what depends on the server's version counts as
// unseen.
func (c *conn) parseMySQL(ctx context.Context, query string, dst []lex.Statement) []lex.Statement {
	if lex.Plain(query) {
		return append(dst, lex.Statement{})
	}
	key, reading := c.db.reg.cfg.keyColumn, c.db.lexed
	stmts, looks := lex.Parse(reading, query, key, dst), lex.LooksBack(query)
	if lex.AmbiguousMySQL(query, key, stmts) {
		mode, known := "", false
		if c.reading == 0 && !looks && c.mode() != hooks.Off {
			bounded, cancel := c.own.unhurried(ctx)
			_ = c.own.read(bounded, "SELECT @@sql_mode, @@character_set_client", nil, func(row []string) {
				mode, known = row[0], !hidesBackslash(row[1])
			}) // what fails leaves it unknown
			cancel()
		}
		if !known {
			return append(dst[:0], unseenStatement)
		}
		reading = lex.MySQLDialect(mode)
		stmts = lex.Parse(reading, query, key, nil)
	}
	if lex.Conditional(reading, query, key, stmts) {
		return append(dst[:0], unseenStatement)
	}
	for i := range stmts {
		stmts[i].Looks = looks
	}
	return stmts
}

// hidesBackslash reports whether a character of that set may have a backslash as
// its second byte, which then escapes nothing.
func hidesBackslash(charset string) bool {
	switch charset {
	case "big5", "cp932", "gbk", "gb18030", "sjis":
		return true
	}
	return false
}

var unseenStatement = lex.Statement{Kind: lex.Opaque, EndsUnseen: true}
