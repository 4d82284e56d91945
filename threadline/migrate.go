package threadline

import (
	"context"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// migrateWait is how long Migrate waits for SQLite's only write lock, which
// another process that migrates may have.
const migrateWait = 15 * time.Second

// Migrate makes the tables, or brings older ones up to date, in one transaction.
// Functions of an older version it replaces if their owner's rights are this role's.
// Where nothing is to be done it only looks. Any number of processes may migrate
// at once: one does it and the others wait for it, at most 15 seconds. On
// PostgreSQL it waits 2 seconds for any other lock. ctx may end it earlier.
//
// A table of the timeline's name that is not the timeline's, and a timeline of a
// newer version, are left alone; the error is then a [*SchemaError], as it is
// when this role may not make tables.
func (s *Store) Migrate(ctx context.Context) error {
	if err := s.known(); err != nil {
		return err
	}
	if s.dialect == hooks.SQLite {
		return patiently(ctx, func() error { return s.migrate(ctx) })
	}
	return s.migrate(ctx)
}

func (s *Store) migrate(ctx context.Context) error {
	now, err := s.look(ctx, s.db)
	if err != nil {
		return s.explain(ctx, "migrate", err)
	}
	problem := s.judge(now)
	switch {
	case problem == nil && !now.stale:
		return nil
	case problem != nil && !problem.mendable:
		return problem
	case s.dialect == hooks.SQLite:
		err = s.migrateSQLite(ctx)
	default:
		_, err = s.db.ExecContext(ctx, s.names.script(s.dialect))
	}
	switch {
	case problem == nil && isRefused(err): // the older function serves as well
		return nil
	case problem == nil:
		return s.explain(ctx, "migrate", err)
	case hooks.SQLState(err) == "AC001": // raised by the script: another session has changed the schema
		problem.Problem, problem.Fix, problem.Err = "migrate", "run Store.Check", err
		return problem
	case isRefused(err):
		if pgschema.Denied(err) {
			problem.Problem += ", and " + now.roles.Who() + " may not make it"
		}
		problem.Err = err
		return problem
	default:
		return s.explain(ctx, "migrate", err)
	}
}

// migrateSQLite runs the script in a transaction on one connection, or within the
// one that it is in.
func (s *Store) migrateSQLite(ctx context.Context) (err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, conn.Close()) }()

	commit, rollback := "COMMIT", "ROLLBACK"
	_, err = conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	if says(err, "within a transaction") {
		commit = "RELEASE threadline_migrate"
		rollback = "ROLLBACK TO threadline_migrate; " + commit
		_, err = conn.ExecContext(ctx, "SAVEPOINT threadline_migrate")
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			// The connection goes back to the app's pool: out of the
			// transaction, whatever happened to ctx.
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), rollback)
		}
	}()
	// Between the first look and BEGIN another process may have migrated.
	now, err := s.look(ctx, conn)
	if err != nil {
		return err
	}
	if problem := s.judge(now); problem != nil {
		if !problem.mendable {
			return problem
		}
		if _, err = conn.ExecContext(ctx, s.names.script(s.dialect)); err != nil {
			return err
		}
	}
	_, err = conn.ExecContext(ctx, commit)
	return err
}

// patiently tries again while another process has SQLite's lock, for
// migrateWait. The connection is the app's and may have no busy_timeout.
func patiently(ctx context.Context, try func() error) error {
	end := time.After(migrateWait)
	for {
		err := try()
		if !isBusy(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-end:
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
