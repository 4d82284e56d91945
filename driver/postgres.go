package driver

import (
	"context"
	"database/sql/driver"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// postgres is PostgreSQL, over lib/pq, pgx and others.
type postgres struct{}

var postgresFacts = facts{
	journaled: true, joins: true, statusKnown: true, settingWitness: true, defaults: true, firstQuery: true,
	rowsLock: true, openRowsRefuse: true, procedures: true,
	plans: true, named: true, checksLate: true, searchPath: true, temporarySchema: "pg_temp",
	upserts: inserts | updates, returnsStored: true, uuids: true,
}

func (postgres) name() hooks.Dialect                    { return hooks.Postgres }
func (postgres) lexer() lex.Dialect                     { return lex.Postgres }
func (postgres) facts() *facts                          { return &postgresFacts }
func (postgres) connected(context.Context, *conn)       {}
func (postgres) checked(context.Context, *conn)         {}
func (postgres) calm(context.Context, *conn) error      { return nil }
func (postgres) writable(context.Context, *conn) func() { return func() {} }

func (postgres) dispatch(ctx context.Context, c *conn, j *job) (answer, error) {
	return c.dispatchByKind(ctx, j)
}

func (postgres) writeOutside(ctx context.Context, c *conn, j *job) (answer, error) {
	return c.writeWithin(ctx, j)
}

// begin begins a transaction for events apart from the session's defaults.
func (postgres) begin(j *job) string {
	if j == nil {
		return beginApart
	}
	return "BEGIN"
}

// probe sets a savepoint, which fails outside a transaction and in a failed one.
func (p postgres) probe(ctx context.Context, s *session) (state, error) {
	err := s.own.simple(ctx, guardOnly)
	return p.stateOf(err), err
}

// ended: not if the COMMIT never left the driver, as with rows open on lib/pq.
func (postgres) ended(err error, lost func(error) bool) bool {
	return hooks.SQLState(err) != "" || lost(err)
}

// failed: the transaction has failed, and waits for its ROLLBACK.
func (postgres) failed(context.Context, *conn, error) {}

// remains: nothing does.
func (postgres) remains(context.Context, *querier, *job, bool) func(error) bool {
	return func(error) bool { return false }
}

func (postgres) remainsOutside(j *job, _ bool, err error, lost func(error) bool) bool {
	return len(j.stmts) == 1 && j.stmts[0].NoBlock && (lost(err) || halfway(&j.stmts[0], err))
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

func (postgres) stateOf(err error) state {
	switch state := hooks.SQLState(err); {
	case err == nil:
		return stateOpen
	case state == noActiveSQLTransaction:
		return stateIdle
	case state == inFailedSQLTransaction:
		return stateAborted
	default:
		return stateUnknown
	}
}

// asksAfter: what could be asked for before was.
func (postgres) asksAfter(j *job, late, _ bool) bool { return late || j.blind }

func (postgres) isDefault(schema string) bool             { return schema == "" || schema == "public" }
func (postgres) isTemporary(schema string) bool           { return schema == "pg_temp" }
func (postgres) isOwn(n tableName) bool                   { return slices.Contains(ownSchemas, n.schema) }
func (postgres) placed(_ *session, t lex.Table) lex.Table { return t }
func (postgres) home(_ *session, t lex.Table) lex.Table   { return t }
func (postgres) fix(*session, []lex.Statement)            {}
func (postgres) returnedType(kind string) keyType {
	if kind == "" {
		return someColumn
	}
	return keyTypeOf(kind)
}

// keyText: in a column of any type, 'today' may be a day, and what only begins like
// another name the same name. So only integers and UUIDs are named there.
func (postgres) keyText(column keyType, s string) string {
	switch {
	case column != someColumn || s != intact(s):
		return typedText(column, s)
	case isWhole(s):
		return s
	case isHex(s):
		return "" // a UUID without hyphens, or what only looks like one
	default:
		return uuidText(s)
	}
}

// returnedKey: lib/pq returns the text of many types as bytes.
func (p postgres) returnedKey(column keyType, v driver.Value) string {
	return returnedText(p, column, v)
}

// returnedText is returnedKey where a database with types has returned the value.
func returnedText(d keyDialect, column keyType, v driver.Value) string {
	text, isText := v.([]byte)
	switch {
	case !isText:
		return d.keyText(column, valueText(v))
	case column == someColumn:
		return ""
	case column == uuidColumn && len(text) == len(uuid.UUID{}):
		return uuid.UUID(text).String()
	}
	return d.keyText(column, string(text))
}
