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

// foreignObjects is the SQLSTATE of what the script refuses, such as a schema of another
// role.
const foreignObjects = "AC001"

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
	return patiently(ctx, func() error { return s.migrate(ctx) })
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
	}
	err = s.dialect.migrate(ctx, s)
	switch {
	case problem == nil && (isRefused(err) || hooks.SQLState(err) == foreignObjects): // the older function serves as well
		return nil
	case problem == nil:
		return s.explain(ctx, "migrate", err)
	case hooks.SQLState(err) == foreignObjects: // another session has changed the schema
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
