package driver

import (
	"context"
	"database/sql/driver"
	"slices"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// mysql is MySQL and MariaDB, over go-sql-driver/mysql.
type mysql struct{}

var mysqlFacts = facts{
	savepointReplaces: true, savepointWitness: true, beginCommits: true, beginsUnseen: true, commitsEach: true,
	failsInRows: true, readsMatter: true, procedures: true,
	foldsNames: true, upserts: anyChange, countsReplaced: true,
}

func (mysql) name() hooks.Dialect                    { return hooks.MySQL }
func (mysql) lexer() lex.Dialect                     { return lex.MySQL }
func (mysql) facts() *facts                          { return &mysqlFacts }
func (mysql) connected(ctx context.Context, c *conn) { c.learnSession(ctx) }
func (mysql) checked(context.Context, *conn)         {}
func (mysql) writable(context.Context, *conn) func() { return func() {} }

// calm looks for a transaction that nothing seen has begun.
func (mysql) calm(ctx context.Context, c *conn) error {
	if err := c.ready(ctx); err != nil {
		return err
	}
	c.watch(ctx)
	return nil
}

func (mysql) begin(*job) string { return "BEGIN" }

func (mysql) stateOf(error) state { return stateUnknown }

func (mysql) ended(err error, lost func(error) bool) bool { return lost(err) }

// remains: of several statements, those before the one that failed.
func (mysql) remains(_ context.Context, _ *querier, j *job, _ bool) func(error) bool {
	return func(error) bool { return len(j.stmts) > 1 }
}

func (mysql) remainsOutside(_ *job, remains bool, _ error, _ func(error) bool) bool {
	return remains
}

// catalogFailed: the error is of the connection, or a deadlock, and so it is for the app.
func (mysql) catalogFailed(_ *catalog, err error) error { return err }

func (mysql) asksAfter(*job, bool, bool) bool { return false }

func (mysql) answers(context.Context, *catalog) bool { return false }

func (mysql) tables(context.Context, *catalog, []tableName) ([]tableName, error) { return nil, nil }

// isDefault: the default is the database that the connection was opened with.
func (mysql) isDefault(schema string) bool { return schema == "" }

func (mysql) isTemporary(string) bool { return false }

func (mysql) isOwn(n tableName) bool {
	return slices.Contains(ownSchemas, n.schema) || slices.Contains(mysqlSchemas, n.schema)
}

// mysqlSchemas are MySQL's, which an app may call its own elsewhere.
var mysqlSchemas = []string{"mysql", "sys", "performance_schema"}

func (mysql) placed(s *session, t lex.Table) lex.Table { return s.placed(t) }

func (mysql) home(s *session, t lex.Table) lex.Table {
	if t.Schema == "" {
		t.Schema = s.home
	}
	return t
}

func (mysql) fix(s *session, stmts []lex.Statement) { s.fix(stmts) }

func (mysql) keyText(column keyType, s string) string { return mysqlKey(column, s) }

func (mysql) returnedType(string) keyType { return someColumn }

func (d mysql) returnedKey(column keyType, v driver.Value) string {
	return returnedText(d, column, v)
}
