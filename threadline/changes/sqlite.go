package changes

import (
	"context"
	"database/sql"
	_ "embed" // the script
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// sqlite is a Store on SQLite. Its schema is a prefix of names.
type sqlite struct{ *Store }

//go:embed schema/sqlite_1.sql
var sqliteTables string

// at returns the quoted name of a table, without the database: a trigger names none.
func (s sqlite) at(name string) string { return pgschema.Ident(s.schema + "_" + name) }

// in is at in the main database.
func (s sqlite) in(name string) string { return "main." + s.at(name) }

func (s sqlite) migrate(ctx context.Context) error {
	if s.partition != Undivided {
		return errors.New("changes: migrate: SQLite has no partitions: leave Options.Partition out")
	}
	prefix := strings.TrimSuffix(pgschema.Ident(s.schema+"_"), `"`)
	script := strings.ReplaceAll(sqliteTables, `"threadline_`, prefix)
	return wrap("migrate", s.write(ctx, func(tx *sql.Conn) error {
		_, err := tx.ExecContext(ctx, script)
		return err
	}))
}

// write runs f in a transaction, and again while another process has the only write lock.
func (s sqlite) write(ctx context.Context, f func(tx *sql.Conn) error) error {
	for try := 1; ; try++ {
		err := s.writeOnce(ctx, f)
		if err == nil || !strings.Contains(err.Error(), "is locked") || try == mostTries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50*time.Millisecond + rand.N(200*time.Millisecond)):
		}
	}
}

// writeOnce takes the lock first: to take it behind a read would fail where another process has
// written in between.
func (s sqlite) writeOnce(ctx context.Context, f func(tx *sql.Conn) error) (err error) {
	conn, err := s.db.Conn(ctx)
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

// check returns an error where rows cannot be captured exactly.
func (s sqlite) check(ctx context.Context, q querier) error {
	var encoding string
	var there bool
	err := q.QueryRowContext(ctx, "SELECT encoding, EXISTS (SELECT 1 FROM main.sqlite_master WHERE name = ?) FROM pragma_encoding", s.schema+"_audit_changes").Scan(&encoding, &there)
	switch {
	case err != nil:
		return wrap("look for the tables", err)
	case encoding != "UTF-8":
		return fmt.Errorf("changes: the database has the encoding %s: row changes are captured in UTF-8 only", encoding)
	case !there:
		return errors.New("changes: the tables are not there: run Store.Migrate first")
	}
	return nil
}

var _ querier = (*sql.Conn)(nil)
