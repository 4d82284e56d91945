package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
)

const (
	insufficientPrivilege = "42501"
	lockTimeout           = "55P03"
)

// applyWait is how long one try of a step waits for a lock: the app's statements wait behind it. mostTries is how often a step is tried.
const (
	applyWait = "100ms"
	mostTries = 20
)

const setPatience = "SET LOCAL lock_timeout = '" + applyWait + "'"

// Apply executes a plan, in one transaction for each table. It waits for a table that the app has locked, and for another
// process that changes captures, for 100 milliseconds at a time, with pauses, because the app's statements queue behind
// what waits. What was applied before an error stays; Plan then says what is left. If a capture has changed since it
// was planned, that is an error: plan anew.
func (s *Installer) Apply(ctx context.Context, p *Plan) (failed error) {
	defer s.explain(&failed)
	for i := range p.Steps {
		if err := s.apply(ctx, &p.Steps[i]); isStale(err) {
			return fmt.Errorf("capture: the capture of %s%s", p.Steps[i].Table, stale)
		} else if err != nil {
			return wrap("capture "+p.Steps[i].Table, ownerOnly(err))
		}
	}
	return nil
}

// ownerOnly adds to an error about a missing right which role can change captures.
func ownerOnly(err error) error {
	if hooks.SQLState(err) == insufficientPrivilege {
		return fmt.Errorf("%w: captures are changed by the role that owns the history, and has TRIGGER on the table", err)
	}
	return err
}

func (s *Installer) apply(ctx context.Context, step *Step) error {
	if s, ok := s.sqlite(); ok {
		return s.apply(ctx, step)
	}
	err := s.patiently(ctx, mostTries, func(tx *sql.Tx) error {
		if err := s.awaitTurn(ctx, tx); err != nil {
			return err
		}
		return step.execute(ctx, tx)
	})
	if errors.Is(err, errOther) {
		if who := s.holder(ctx); who != "" {
			return fmt.Errorf("%w: %s", err, who)
		}
	}
	return err
}

func (step *Step) execute(ctx context.Context, tx *sql.Tx) error {
	for _, query := range step.SQL {
		if _, err := tx.ExecContext(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// patiently runs do in a transaction that waits for a lock no longer than applyWait, and tries again after a timeout. The transaction
// is read committed whatever the default is, so it sees what is there once it has its turn.
func (s *Installer) patiently(ctx context.Context, tries int, do func(tx *sql.Tx) error) error {
	for try := 1; ; try++ {
		err := s.catalog.InTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted}, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, setPatience); err != nil {
				return err
			}
			return do(tx)
		})
		if hooks.SQLState(err) != lockTimeout || try == tries {
			return err
		}
		if !pause(ctx) {
			return err
		}
	}
}

// pause waits before another try, and returns false if ctx ends first.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(50*time.Millisecond + rand.N(200*time.Millisecond)):
		return true
	}
}

// Remove ends the capture of a table. What was captured stays.
func (s *Installer) Remove(ctx context.Context, table string) (failed error) {
	defer s.explain(&failed)
	if s, ok := s.sqlite(); ok {
		return s.remove(ctx, table)
	}
	if err := s.catalog.Supported(); err != nil {
		return err
	}
	if err := s.ownHistories(ctx, s.catalog.DB); err != nil {
		return err
	}
	f, err := s.look(ctx, s.catalog.DB, table)
	if err != nil {
		return err
	}
	step := &Step{Table: f.Qualified(), SQL: []string{s.turnSQL(), "DROP FUNCTION IF EXISTS " + s.at(f.Function()) + "() CASCADE"}}
	if f.LastCapture != nil && f.LastCapture.ShapeID != nil {
		step.SQL = append(step.SQL, s.endCaptureSQL(f))
	}
	return wrap("remove the capture of "+table, ownerOnly(s.apply(ctx, step)))
}
