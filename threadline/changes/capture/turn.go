package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// Only one session at a time changes captures: it holds an advisory lock until its transaction ends. A session-level lock could stay
// behind a pooler, on a server connection that is given to another session. The SQL of each step takes the lock, so a plan that is
// run in psql takes it, too.

var errOther = errors.New("another process captures tables, or holds the advisory lock for that (pg_locks)")

// turnLock is an expression for the key of the lock, a bigint.
func (s *Installer) turnLock() string {
	return "pg_catalog.hashtextextended(" + pgtext.Literal("threadline captures "+s.catalog.Schema) + ", 7355608)"
}

// turnSQL is the statement that takes the lock. It waits for it.
func (s *Installer) turnSQL() string {
	return "SELECT pg_catalog.pg_advisory_xact_lock(" + s.turnLock() + ")"
}

// takeTurn takes the lock, or returns errOther if another session has it.
func (s *Installer) takeTurn(ctx context.Context, tx *sql.Tx) error {
	var free bool
	err := tx.QueryRowContext(ctx, "SELECT pg_catalog.pg_try_advisory_xact_lock("+s.turnLock()+")").Scan(&free)
	if err == nil && !free {
		return errOther
	}
	return err
}

// awaitTurn takes the lock. It waits for as long as the transaction waits for any lock.
func (s *Installer) awaitTurn(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, s.turnSQL())
	if hooks.SQLState(err) == lockTimeout {
		return fmt.Errorf("%w: %w", errOther, err)
	}
	return err
}

// holder says which session has the lock, "" if none has, or it cannot be found out.
func (s *Installer) holder(ctx context.Context) (who string) {
	err := s.catalog.DB.QueryRowContext(ctx, `SELECT pg_catalog.concat('PID ', l.pid, ', role ', a.usename, ', application ', pg_catalog.quote_literal(a.application_name))
		FROM (SELECT `+s.turnLock()+`) k (key), pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND d.datname = pg_catalog.current_database()
			AND l.classid::pg_catalog.int8 = (k.key >> 32) & 4294967295 AND l.objid::pg_catalog.int8 = k.key & 4294967295 LIMIT 1`).Scan(&who)
	if err != nil {
		return ""
	}
	return who
}

// stale is what the error of unchangedSQL says behind the name of the table.
const stale = " was changed since this was planned: plan anew"

// isStale reports whether an error is that of unchangedSQL: the server refuses to cast its text.
func isStale(err error) bool {
	return hooks.SQLState(err) == "22P02" && strings.Contains(err.Error(), stale)
}

// unchangedSQL fails if a capture has changed since it was planned: the plan could remove masks that another program has added
// since.
func (s *Installer) unchangedSQL(f *target, is *deployed) string {
	return "SELECT CASE WHEN h.digest OPERATOR(pg_catalog.=) " + pgtext.Literal(is.Digest) + " THEN 0 ELSE pg_catalog.concat('the capture of ', " + pgtext.Literal(f.Qualified()) +
		", " + pgtext.Literal(stale) + ")::pg_catalog.int8 END FROM (SELECT coalesce((SELECT " + catalog.DigestSQL + " FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace" +
		" WHERE n.nspname = " + pgtext.Literal(s.catalog.Schema) + " AND p.proname = " + pgtext.Literal(f.Function()) + "), '')) h (digest)"
}
