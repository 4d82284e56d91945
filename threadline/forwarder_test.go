package threadline

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// TestDetect: by what a database answers.
func TestDetect(t *testing.T) {
	answers := map[string]struct {
		version string
		err     error
		want    hooks.Dialect
		refuses string // the database
	}{
		"PostgreSQL":   {version: "PostgreSQL 15.4 on x86_64", want: hooks.Postgres},
		"a fork":       {version: "CockroachDB CCL v23", refuses: "CockroachDB"},
		"SQLite":       {err: errors.New(`SQL logic error: near "(": syntax error (1)`), want: hooks.SQLite},
		"a busy file":  {err: errors.New("database is locked (5) (SQLITE_BUSY)"), want: hooks.SQLite},
		"MySQL":        {err: &sqltest.MySQLError{Number: 1305, Message: "FUNCTION pg_catalog.version does not exist"}, refuses: "MySQL"},
		"MySQL's user": {err: &sqltest.MySQLError{Number: 1370, Message: "execute command denied to user"}, refuses: "MySQL"},
		"no answer":    {err: errors.New("connection refused")},
	}
	for name, a := range answers {
		fake := sqltest.NewFake()
		fake.AnswerFunc("SELECT pg_catalog.version()", func(sqltest.Statement) (sqltest.Answer, error) {
			return sqltest.Rows([]string{"version"}, []driver.Value{a.version}), a.err
		})
		db := sql.OpenDB(fake)
		got, err := detect(context.Background(), db)
		var permanent *forward.PermanentError
		switch refused := errors.As(err, &permanent); {
		case got != a.want, refused != (a.refuses != ""), refused && !strings.Contains(err.Error(), a.refuses), err == nil && a.want == "":
			t.Errorf("%s: %q, %v", name, got, err)
		}
		_ = db.Close()
	}
}
