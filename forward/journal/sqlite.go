package journal

import (
	"context"
	"database/sql"
	_ "embed" // for the schema
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

var (
	//go:embed sqlite.sql
	sqliteTables string
	//go:embed sqlite_relay.sql
	sqliteRelay string
	//go:embed sqlite_trigger.sql
	sqliteTrigger string
	//go:embed sqlite_upgrade.sql
	sqliteUpgrade string
)

type sqlite struct {
	prefix string
	insert string
}

var _ store = (*sqlite)(nil)

func newSQLite(schema string) *sqlite {
	prefix := schema + "_"
	return &sqlite{
		prefix: prefix,
		insert: "INSERT INTO main." + prefix + "record (events, token, now) VALUES (?, ?, ?)",
	}
}

// write ignores f.Own, since the driver flushes without it only after the
// transaction has written, and f.Timeout: the app's busy timeout is how long it
// waits.
func (s *sqlite) write(ctx context.Context, f hooks.Flush) (bool, error) {
	doc, err := document(f.Events, true)
	if err != nil {
		return false, err
	}
	if _, err := f.Conn.ExecContext(ctx, s.insert, string(doc), f.Token, formatTime(time.Now())); err != nil {
		return false, fmt.Errorf("journal: write %d events: %w", len(f.Events), err)
	}
	return true, nil
}

// ended takes the write lock, which the transaction holds until it is over.
func (s *sqlite) ended(ctx context.Context, db *sql.DB, _ []int64) (over bool, err error) {
	err = withConn(ctx, db, 0, func(conn *sql.Conn) error {
		_, busy := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
		switch {
		case busy == nil:
			over = true
			_, e := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
			return e
		case isBusy(busy):
			return nil
		default:
			return busy
		}
	})
	if err != nil {
		return false, fmt.Errorf("journal: has the transaction ended: %w", err)
	}
	return over, nil
}

// isBusy recognises SQLITE_BUSY and SQLITE_LOCKED by text: the drivers share no
// type, but all give the library's message.
func isBusy(err error) bool {
	text := err.Error()
	return strings.Contains(text, "database is locked") || strings.Contains(text, "database table is locked") ||
		strings.Contains(text, "database schema is locked")
}

// withConn runs f on db's connection with the busy timeout set to wait, and puts
// the app's own back.
func withConn(ctx context.Context, db *sql.DB, wait time.Duration, f func(*sql.Conn) error) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	var before int64
	if err = conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&before); err != nil {
		return err
	}
	if before == wait.Milliseconds() {
		return f(conn)
	}
	if err = setBusyTimeout(ctx, conn, wait.Milliseconds()); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, setBusyTimeout(context.WithoutCancel(ctx), conn, before))
	}()
	return f(conn)
}

func setBusyTimeout(ctx context.Context, conn *sql.Conn, ms int64) error {
	_, err := conn.ExecContext(ctx, "PRAGMA busy_timeout = "+strconv.FormatInt(ms, 10))
	return err
}

var sqliteColumns = func() string {
	columns := "seq, tx_id, tx_started_at, recorded_at, id, occurred_at, captured"
	for _, column := range textColumns {
		if column == "role" { // which SQLite does not have
			column = "''"
		}
		columns += ", coalesce(" + column + ", '')"
	}
	return columns
}()

func (s *sqlite) byID(ids []uuid.UUID) string {
	return "SELECT " + sqliteColumns + " FROM main." + s.prefix + "events WHERE id IN (" +
		joinIDs(ids, "'", ",") + ") ORDER BY seq"
}

func (s *sqlite) beforeRead(context.Context, Querier) error { return nil }
func (s *sqlite) hex() bool                                 { return false }

func (s *sqlite) schemaSQL() string {
	return s.named(sqliteTables + "\n" + sqliteRelay + "\n" + sqliteTrigger)
}

func (s *sqlite) upgradeSQL() string {
	return s.named(strings.Replace(sqliteUpgrade, "{relay}", sqliteRelay, 1) + "\n" + sqliteTrigger)
}

func (s *sqlite) all() string { return "SELECT " + sqliteColumns + " FROM main." + s.prefix + "events" }

func (s *sqlite) list(q Query, limit int) string {
	return s.all() + s.where(q) +
		" ORDER BY seq LIMIT " + strconv.Itoa(limit)
}

func (s *sqlite) count(q Query) string {
	return "SELECT count(*) FROM main." + s.prefix + "events" + s.where(q)
}

func (s *sqlite) where(q Query) string {
	return q.where(func(t time.Time) string { return "'" + formatTime(t) + "'" })
}

func (s *sqlite) explain(_ context.Context, _ *sql.DB, err error, _ bool) error { return err }
