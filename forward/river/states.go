package river

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// States returns how all forwarders with jobs stand, whether anything works them or not.
// With River it is what relay.Store.States is with the relay. Behind and Oldest are about the
// events of jobs that wait or run, Retrying about those of jobs that River tries again after
// a failure, and Discarded about those of dead letters. Elsewhere says that some jobs wait
// for [Resume], because they were enqueued in another database. That they were in another
// environment only the programs that work the jobs can know: forward.Hub.Status says it
// there. The other fields are zero. schema is that of River's tables, as in [Migrate]; the
// role needs SELECT on river_job.
func States(ctx context.Context, db *sql.DB, dialect hooks.Dialect, schema string) (states []relay.State, err error) {
	t, err := tablesOf(db, dialect, schema)
	if err != nil {
		return nil, err
	}
	elsewhere, err := t.dialect.elsewhere(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("river: how forwarders stand: %w", err)
	}
	return t.states(ctx, elsewhere)
}

// states returns how forwarders stand, with a condition for a job that is Elsewhere.
func (t *tables) states(ctx context.Context, elsewhere string) (states []relay.State, err error) {
	defer t.explain(ctx, toRead, &err)
	table, err := t.name(ctx, "river_job")
	if err != nil {
		return nil, err
	}
	rows, err := t.db.QueryContext(ctx, strings.NewReplacer("{table}", table, "{kind}", Kind, "{elsewhere}", elsewhere).Replace(t.dialect.statements().states))
	if err != nil {
		return nil, fmt.Errorf("river: how forwarders stand: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var (
			st     relay.State
			oldest sql.NullFloat64
		)
		if err := rows.Scan(&st.Forwarder, &st.Behind, &st.Retrying, &st.Discarded, &oldest, &st.Elsewhere); err != nil {
			return nil, fmt.Errorf("river: how forwarders stand: %w", err)
		}
		if oldest.Valid {
			st.Oldest = time.UnixMilli(int64(oldest.Float64 * 1000)).UTC()
		}
		states = append(states, st)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("river: how forwarders stand: %w", err)
	}
	return states, nil
}
