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
	"github.com/go-aftercommit/aftercommit/internal/eventjson"
	"github.com/go-aftercommit/aftercommit/internal/lenient"
)

var (
	//go:embed migrations/sqlite_3.sql
	sqliteTables string
	//go:embed migrations/sqlite_3_write.sql
	sqliteWrite string
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
		insert: "INSERT INTO main." + prefix + "write (key, tx, now, events, format, document, personal) VALUES (?, ?, ?, ?, ?, ?, ?)",
	}
}

// write ignores f.Must, since the driver flushes without it only after the
// transaction has written, and f.Timeout: the app's busy timeout is how long it
// waits.
func (s *sqlite) write(ctx context.Context, f hooks.Flush, from eventjson.Source) (bool, error) {
	doc, err := text(func(b []byte) ([]byte, error) { return from.AppendArray(b, f.Events) })
	if err != nil {
		return false, fmt.Errorf("journal: %w", err)
	}
	var personal any
	if p := eventjson.AppendPersonal(nil, f.Events); len(p) > 0 {
		personal = string(p)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	args := []any{f.Key.String(), f.Tx, formatTime(now), int64(len(f.Events)), int64(format), doc, personal}
	if _, err = f.Conn.ExecContext(ctx, s.insert, args...); isTriggerless(err) {
		if _, err = f.Conn.ExecContext(ctx, s.named(sqliteWrite)); err == nil {
			_, err = f.Conn.ExecContext(ctx, s.insert, args...)
		}
	}
	if err != nil {
		return false, fmt.Errorf("journal: write %d events: %w", len(f.Events), err)
	}
	if f.Keep != nil && f.Initial { // else the transaction has started before
		f.Keep(Row{Key: f.Key, Tx: TxKey{ID: f.Tx, StartedAt: now}, RecordedAt: now, Events: len(f.Events), Format: format})
	}
	return true, nil
}

// isTriggerless recognises what SQLite answers if the view has no trigger, with which the app's transaction can end: what
// makes all views of a database again, as PocketBase does when a field gets many values, makes none of their
// triggers. SQLite has executed nothing then.
func isTriggerless(err error) bool {
	return err != nil && strings.Contains(err.Error(), "because it is a view")
}

func formatTime(t time.Time) string { return t.UTC().Format(lenient.TimeForm) }

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

func (s *sqlite) table() string { return "main." + s.prefix + "journal" }

const sqliteColumns = "seq, key, tx_id, tx_started_at, recorded_at, '', events, format"

func (s *sqlite) columns() string { return sqliteColumns + ", document, personal" }

func (s *sqlite) written(keys []uuid.UUID) string {
	return "SELECT " + sqliteColumns + ", NULL, NULL FROM " + s.table() + " WHERE key " + s.among(keys)
}

func (s *sqlite) among(ids []uuid.UUID) string {
	quoted := make([]string, len(ids))
	for i, id := range ids {
		quoted[i] = "'" + id.String() + "'"
	}
	return "IN (" + strings.Join(quoted, ",") + ")"
}

func (s *sqlite) time(t time.Time) string { return "'" + formatTime(t) + "'" }

func (s *sqlite) sum(expression string) string { return "sum(" + expression + ")" }

func (s *sqlite) schemaSQL() string { return s.named(sqliteTables + sqliteWrite) }

// upgradeSQL is the same script: it makes what is new beside the tables of earlier versions.
func (s *sqlite) upgradeSQL() string { return s.schemaSQL() }

func (s *sqlite) explain(_ context.Context, _ *sql.DB, err error, _ bool) error {
	return explainDialect(hooks.SQLite, err)
}
