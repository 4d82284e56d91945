package driver

import (
	"context"
	"database/sql/driver"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// sqlite is SQLite, over modernc.org/sqlite and others.
type sqlite struct{}

var sqliteFacts = facts{
	local: true, journaled: true, savepointBegins: true, readersStay: true, commitsEach: true, cuts: true, marks: true,
	foldsNames: true, upserts: anyChange, // REPLACE deletes
}

func (sqlite) name() hooks.Dialect               { return hooks.SQLite }
func (sqlite) lexer() lex.Dialect                { return lex.SQLite }
func (sqlite) facts() *facts                     { return &sqliteFacts }
func (sqlite) connected(context.Context, *conn)  {}
func (sqlite) calm(context.Context, *conn) error { return nil }

// checked checks the rules now: in a transaction that would begin it as a reading one.
func (sqlite) checked(ctx context.Context, c *conn) { c.catalog.checkRules(ctx) }

// writable lifts PRAGMA query_only while events are written, and while the handler
// looks whether a transaction has ended: the app sets it against its own writes, and
// some SQLite drivers do for a read-only BeginTx. It does not help where a file was
// opened to be read only. It returns what sets it again.
func (sqlite) writable(ctx context.Context, c *conn) (again func()) {
	again = func() {}
	if on, _ := c.own.number(ctx, "PRAGMA query_only"); on == 0 || c.own.simple(ctx, "PRAGMA query_only = 0") != nil {
		return again
	}
	return func() {
		if c.bad { // and perhaps still in use
			return
		}
		if c.own.simple(context.WithoutCancel(ctx), "PRAGMA query_only = 1") != nil {
			c.discard()
		}
	}
}

func (sqlite) parse(_ context.Context, p *parser, query string, dst []lex.Statement, _ bool) []lex.Statement {
	return lex.Parse(p.lexed, query, p.key, dst)
}

func (sqlite) dispatch(ctx context.Context, c *conn, j *job) (answer, error) {
	return c.dispatchByKind(ctx, j)
}

func (sqlite) writeOutside(ctx context.Context, c *conn, j *job) (answer, error) {
	return c.writeWithin(ctx, j)
}

// begin takes no locks by a plain BEGIN, so that the statement takes the same ones as
// outside a transaction, and waits for them in the same way; its lock on main
// serves the events too, and writing these is the first thing that takes a lock in a
// transaction for them alone. BEGIN IMMEDIATE locks every attached database. It is used
// only for a statement that writes to one of these: locking main after that one
// could be a deadlock.
func (sqlite) begin(j *job) string {
	if j == nil || writesMain(j) {
		return "BEGIN"
	}
	return "BEGIN IMMEDIATE"
}

// writesMain reports whether statements write to main and temp only.
func writesMain(j *job) bool {
	for i := range j.stmts {
		for _, t := range j.stmts[i].Tables {
			switch strings.ToLower(j.names.of(i, t).steps[0].Schema) {
			case "", "main", "temp":
			default:
				return false
			}
		}
	}
	return true
}

// probe: SQLite has no status to ask for, but a BEGIN inside a transaction fails
// and leaves it usable.
func (sqlite) probe(ctx context.Context, s *session) (state, error) {
	err := s.own.simple(ctx, "BEGIN")
	switch {
	case err == nil:
		if err = s.own.simple(ctx, "ROLLBACK"); err != nil {
			return stateUnknown, err
		}
		return stateIdle, nil
	case nestedBegin(err):
		return stateOpen, nil
	default:
		return stateUnknown, err
	}
}

// nestedBegin recognises SQLite's refusal of a BEGIN inside a transaction. Its code is
// the general one (SQLITE_ERROR), so the text decides, which is the same in all versions.
func nestedBegin(err error) bool {
	return strings.Contains(err.Error(), "within a transaction")
}

func (sqlite) stateOf(error) state { return stateUnknown }

// ended: SQLITE_BUSY and a deferred foreign key leave it open.
func (sqlite) ended(error, func(error) bool) bool { return false }

// failed looks whether the transaction was ended with the statement (ON CONFLICT
// ROLLBACK, a full disk).
func (sqlite) failed(ctx context.Context, c *conn, _ error) {
	if !c.tx.Open() || c.defersAsking() || c.session.probe(ctx) != stateIdle {
		return
	}
	c.tx.EndRolledBack()
	c.catalog.movedBack(true)
	c.deliver(ctx)
}

// extent grows with the rows that a connection to SQLite has changed, and with
// its schema. What a statement that failed has undone itself does not count.
const (
	extentQuery = "SELECT total_changes() + (SELECT schema_version FROM pragma_schema_version)"
	// The schema cannot be asked for before a transaction's first write: that
	// would begin it as a reading one.
	extentInside = "SELECT total_changes()"
	changesQuery = "SELECT changes()"
)

// remains finds out about the statements of a script before the one that failed, or the
// rows before the one at which INSERT OR FAIL or a trigger's RAISE(FAIL) stopped.
func (sqlite) remains(ctx context.Context, own *querier, j *job, open bool) func(error) bool {
	if open && len(j.stmts) == 1 {
		// Nothing is asked before: the statement's own count is enough, if the
		// statement ran at all.
		return func(err error) bool {
			if !isConstraint(err) {
				return false
			}
			n, _ := own.number(ctx, changesQuery)
			return n > 0
		}
	}
	query := extentQuery
	if open {
		query = extentInside
	}
	before, known := own.number(ctx, query)
	return func(error) bool {
		after, still := own.number(ctx, query)
		return known && still && after != before
	}
}

func (sqlite) remainsOutside(_ *job, remains bool, _ error, _ func(error) bool) bool {
	return remains
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

// codeOf reads SQLite's result code from an error. Errors of modernc and ncruces have a
// method Code, those of mattn a field; the type of the code differs in each.
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

func (sqlite) catalogFailed(*catalog, error) error { return nil }

// asksAfter: some drivers execute a statement only while its rows are read.
func (sqlite) asksAfter(_ *job, _, unread bool) bool { return !unread }

func (sqlite) answers(context.Context, *catalog) bool { return true }

func (sqlite) isDefault(schema string) bool             { return schema == "" || folded(schema) == "main" }
func (sqlite) isTemporary(schema string) bool           { return folded(schema) == "temp" }
func (sqlite) placed(_ *session, t lex.Table) lex.Table { return t }
func (sqlite) home(_ *session, t lex.Table) lex.Table   { return t }
func (sqlite) fix(*session, []lex.Statement)            {}

// isOwn: SQLite reserves the prefix.
func (sqlite) isOwn(n tableName) bool {
	return strings.HasPrefix(n.table, "sqlite_") || slices.Contains(ownTables, n.table)
}

// ownTables are ours on SQLite.
var ownTables = []string{
	"aftercommit_journal", "aftercommit_write", "aftercommit_audit_events", "aftercommit_cursors", "aftercommit_retries", "aftercommit_acknowledged",
	"aftercommit_transaction", "aftercommit_transaction_write", "threadline_audit_changes", "threadline_audit_values", "threadline_audit_shapes", "threadline_audit_captures",
	"aftercommit_workers", "aftercommit_journal_purges", "aftercommit_schema_versions",
	"aftercommit_events", "aftercommit_record", "aftercommit_forwarders", "aftercommit_failures", "aftercommit_settled", "aftercommit_purges", // before version 3
	"threadline_audit_actions", "threadline_audit_contexts", "threadline_audit_transactions", "threadline_record", "threadline_schema_version",
}

// keyText: text is taken as it is, but for what reads as a number.
func (sqlite) keyText(column keyType, s string) string {
	switch {
	case s != intact(s):
		return ""
	case column == textColumn || column == paddedColumn:
		if s = typedText(column, s); isInteger(s) && !isWhole(s) {
			return ""
		}
		return typedText(textColumn, s)
	case column != someColumn:
		return typedText(column, s)
	case isWhole(s) && isExact(s):
		return s
	case isWhole(s):
		return ""
	default:
		return numericText(s)
	}
}

// returnedType: a column's type there is a name that the app chose.
func (sqlite) returnedType(string) keyType { return someColumn }

func (d sqlite) returnedKey(column keyType, v driver.Value) string {
	switch v := v.(type) {
	case []byte:
		return ""
	case int64:
		if column == someColumn {
			return strconv.FormatInt(v, 10) // which no float is
		}
	}
	return d.keyText(column, valueText(v))
}
