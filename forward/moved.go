package forward

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// When forwarders move from the relay to the Queue, programs with and without Options.Queue
// run side by side for a while. So a program with it notes, in each transaction, which
// events have jobs: the relay leaves these out and delivers the others, in whatever order
// programs are replaced. That ends when an operator retires the forwarder in the relay.

// warnMoved finds the forwarders that have moved and were not retired in the relay, and
// warns of them. Without a store it finds none.
func (d *handler) warnMoved(ctx context.Context, conn *sql.DB, store *relay.Store) error {
	if store == nil {
		return nil
	}
	had, err := d.statesOf(ctx, store, conn)
	if err != nil {
		return err
	}
	for _, s := range d.queue.given {
		has, err := store.HandOver(ctx, conn, s.name(), nil)
		st, listed := had[s.name()]
		switch {
		case err == nil && has:
			s.moving.Store(true)
			d.sayMoved(s, &st, listed, "leaves out what has a job from now on")
		case err == nil:
		case hooks.SQLState(err) != undefinedFunction && hooks.SQLState(err) != insufficientPrivilege && !d.journal.Missing(err):
			return fmt.Errorf("forward: driver %s: %w", d.db.Driver, err)
		case listed:
			d.sayMoved(s, &st, true, "will deliver again what has a job (to avoid that, run journal.Upgrade, grant EXECUTE on the journal's functions, and restart this program)")
		}
	}
	return nil
}

// sayMoved warns that the relay still has s. known says that st is how it stands there,
// which the roles of apps may not see.
func (d *handler) sayMoved(s *sink, st *relay.State, known bool, does string) {
	fs := []zap.Field{zap.String("driver", d.db.Driver), zap.String("forwarder", s.name())}
	owes := "may still have to deliver what was committed before"
	if known {
		owes = "has nothing else to deliver now"
		if st.Behind+st.Retrying > 0 {
			owes = "still has to deliver what else was committed before"
		}
		fs = append(fs, zap.Int64("behind", st.Behind), zap.Int64("retrying", st.Retrying))
	}
	d.log().Warn("aftercommit: both the relay and the Queue have this forwarder: the relay "+does+", and "+owes+
		"; to move to the Queue, wait until no program without Options.Queue writes here any more, run Hub.Relay of a Hub without it until relay.Store.States has the forwarder no longer behind, then call relay.Store.Retire; "+
		"to move back to the relay, do not retire it, and work the jobs that are left", fs...)
}

// statesOf returns the states of forwarders that are not retired, by name, if the role may
// see them.
func (d *handler) statesOf(ctx context.Context, store *relay.Store, conn *sql.DB) (map[string]relay.State, error) {
	states, err := store.States(ctx, conn)
	if err != nil {
		if hooks.SQLState(err) == insufficientPrivilege || d.journal.Missing(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("forward: driver %s: %w", d.db.Driver, err)
	}
	all := make(map[string]relay.State, len(states))
	for _, st := range states {
		if st.RetiredAt.IsZero() {
			all[st.Forwarder] = st
		}
	}
	return all, nil
}

// handOver notes which flush has jobs, for forwarders that the relay still has.
func (d *handler) handOver(ctx context.Context, conn *sql.DB, key uuid.UUID) error {
	for _, s := range d.queue.given {
		if !s.moving.Load() {
			continue
		}
		has, err := d.queue.store.HandOver(ctx, conn, s.name(), []uuid.UUID{key})
		if err != nil {
			return fmt.Errorf("forward: note that the Queue delivers: %w", err)
		}
		s.moving.Store(has)
	}
	return nil
}
