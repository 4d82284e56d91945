package capture

import (
	"context"
	"database/sql"
	_ "embed" // the script
	"errors"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

//go:embed schema/sqlite_1.sql
var sqliteTables string

func (s sqlite) migrate(ctx context.Context) error {
	if s.partition != Undivided {
		return errors.New("capture: migrate: SQLite has no partitions: leave Options.Partition out")
	}
	prefix := strings.TrimSuffix(pgschema.Ident(s.catalog.Schema+"_"), `"`)
	script := strings.ReplaceAll(sqliteTables, `"threadline_`, prefix)
	return wrap("migrate", s.write(ctx, func(tx *sql.Conn) error {
		if _, err := tx.ExecContext(ctx, script); err != nil {
			return err
		}
		// Between statements nothing has to be held. In a database that was restored from a dump, rows have other numbers.
		held := " FROM " + s.In("audit_changes") + " WHERE held IS NOT NULL"
		return runAll(ctx, tx, []string{"DELETE FROM " + s.In("audit_values") + " WHERE change IN (SELECT seq" + held + ")", "DELETE" + held})
	}))
}

// write runs f in a transaction. While another process holds the file's write lock, it tries again.
func (s sqlite) write(ctx context.Context, f func(tx *sql.Conn) error) error {
	for try := 1; ; try++ {
		err := s.writeOnce(ctx, f)
		if err == nil || !strings.Contains(err.Error(), "is locked") || try == mostTries {
			return err
		}
		if !pause(ctx) {
			return err
		}
	}
}

// writeOnce begins with the write lock: to take it after a read fails if another process has written in between.
func (s sqlite) writeOnce(ctx context.Context, f func(tx *sql.Conn) error) (err error) {
	conn, err := s.catalog.DB.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err = conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	end := "COMMIT"
	if err = f(conn); err != nil {
		end = "ROLLBACK"
	}
	if _, failed := conn.ExecContext(context.WithoutCancel(ctx), end); failed != nil {
		if end == "COMMIT" {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		}
		err = errors.Join(err, failed)
	}
	return err
}

var _ catalog.Querier = (*sql.Conn)(nil)
