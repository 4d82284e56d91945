package driver

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// extent grows with the rows that a connection to SQLite has changed, and with
// its schema. What a statement that failed has undone itself does not count.
const (
	extentQuery = "SELECT total_changes() + (SELECT schema_version FROM pragma_schema_version)"
	// The schema cannot be asked for before a transaction's first write: that
	// would begin it as a reading one.
	extentInside = "SELECT total_changes()"
	changesQuery = "SELECT changes()"
)

// number returns the number that a query of the driver's own answers; known is
// false where it does not.
func (c *conn) number(ctx context.Context, query string) (n int64, known bool) {
	ctx, cancel := c.unhurried(ctx)
	defer cancel()
	err := c.read(ctx, query, nil, func(row []string) {
		var err error
		n, err = strconv.ParseInt(row[0], 10, 64)
		known = err == nil
	})
	return n, known && err == nil
}

// remains returns a function that reports, after a failure on SQLite, whether j
// has left something behind all the same: the statements of a script before the
// one that failed, or the rows before the one at which INSERT OR FAIL or a
// trigger's RAISE(FAIL) stopped. On PostgreSQL nothing is left.
func (c *conn) remains(ctx context.Context, j job) func(error) bool {
	switch {
	case c.postgres():
		return func(error) bool { return false }
	case c.mysql(): // of several, those before the one that failed
		return func(error) bool { return len(j.stmts) > 1 }
	case c.tx.Open() && len(j.stmts) == 1:
		// Nothing is asked before: the statement's own count is enough, if the
		// statement ran at all.
		return func(err error) bool {
			if !isConstraint(err) {
				return false
			}
			n, _ := c.number(ctx, changesQuery)
			return n > 0
		}
	}
	query := extentQuery
	if c.tx.Open() {
		query = extentInside
	}
	before, known := c.number(ctx, query)
	return func(error) bool {
		after, still := c.number(ctx, query)
		return known && still && after != before
	}
}

// SQLite's primary result codes.
const (
	codeBusy       = 5
	codeLocked     = 6
	codeReadOnly   = 8
	codeConstraint = 19
)

// isConstraint recognises the code that FAIL answers with.
func isConstraint(err error) bool { return primaryCode(err) == codeConstraint }

// cannotWrite recognises the codes of a statement that could not begin to write.
func cannotWrite(err error) bool {
	switch primaryCode(err) {
	case codeBusy, codeLocked, codeReadOnly:
		return true
	}
	return false
}

// primaryCode is SQLite's result code, without what extends it; 0 if err has none.
func primaryCode(err error) int64 {
	const primary = 0xff
	for ; err != nil; err = errors.Unwrap(err) {
		if code, ok := codeOf(err); ok {
			return code & primary
		}
	}
	return 0
}

// codeOf reads SQLite's result code from an error: a method Code of modernc and
// ncruces, a field of mattn, each of a type of its own.
func codeOf(err error) (code int64, ok bool) {
	v := reflect.ValueOf(err)
	if m := v.MethodByName("Code"); m.IsValid() && m.Type().NumIn() == 0 && m.Type().NumOut() == 1 {
		v = m.Call(nil)[0]
	} else if v = reflect.Indirect(v); v.Kind() == reflect.Struct {
		v = v.FieldByName("Code")
	}
	switch {
	case v.IsValid() && v.CanInt():
		return v.Int(), true
	case v.IsValid() && v.CanUint():
		return int64(v.Uint() & 0xffff), true //nolint:gosec // it fits now
	default:
		return 0, false
	}
}

// captureFailed makes events of statements that have failed and yet left
// something behind. How many rows, or whether of this statement of several, is
// not known: they are conditional.
func (c *conn) captureFailed(ctx context.Context, to *txn.Record, j *job) {
	if err := c.lookAfter(ctx, j, false); err != nil {
		return // not on SQLite
	}
	j.stmts = slices.Clone(j.stmts)
	j.names.stmts = j.stmts
	for i := range j.stmts {
		j.stmts[i].Conditional = true
	}
	for _, f := range c.capture(ctx, to, *j, nil) {
		f.Unread()
	}
}

// bareFailed writes the events of what failed outside any transaction and has
// left something behind, or reports that it could not.
func (c *conn) bareFailed(ctx context.Context, j *job, left bool, err error) {
	if c.postgres() {
		left = len(j.stmts) == 1 && j.stmts[0].NoBlock && (c.lostBy(err) || halfway(&j.stmts[0], err))
	}
	if !left {
		return
	}
	r := c.newRecord()
	c.captureFailed(ctx, r, j)
	events := r.Pending()
	if len(events) == 0 {
		return
	}
	bounded, cancel := c.afterwards(ctx)
	defer cancel()
	if c.lostBy(err) || c.writeBehind(bounded, events, r.Mode) != nil {
		c.uncaptured(countWrites(j.stmts), "failed")
	}
	c.deliver(ctx)
}

// halfway reports whether a statement that PostgreSQL runs in several transactions may
// have committed the first of them: not if it was refused for what it says. Others
// leave nothing, but for a DROP DATABASE that is stopped when it has begun: the
// database is invalid then.
func halfway(s *lex.Statement, err error) bool {
	state := hooks.SQLState(err)
	classes := []string{"42", "0A", "25", "22", "28", "3D", "3F"}
	has := func(class string) bool { return strings.HasPrefix(state, class) }
	switch {
	case s.Concurrent:
		return !slices.ContainsFunc(classes, has)
	case s.Verb == "DROP DATABASE":
		return slices.ContainsFunc([]string{"57", "58", "XX"}, has)
	}
	return false
}
