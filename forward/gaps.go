package forward

import (
	"context"
	"database/sql"
	"slices"

	"github.com/go-aftercommit/aftercommit/forward/relay"
)

// keepGaps makes one call of the forwarder s, which is k, over the lent connection.
func (d *handler) keepGaps(ctx context.Context, lent *sql.DB, s *sink, k GapKeeper, gaps []relay.Gap) relay.Result {
	if err := d.mayCall(s); err != nil {
		return relay.Result{Err: &relay.Failure{Reason: reasonSuspended, Err: err}}
	}
	result, returned := d.callWithin(ctx, lent, s, nil, func(ctx context.Context) (r callResult) {
		defer func() {
			if v := recover(); v != nil {
				r.err = &panicError{v}
			}
		}()
		r.finished = true
		r.err = k.KeepGaps(ctx, slices.Clone(gaps))
		tryOut(r.err)
		r.timedOut = r.err != nil && ctx.Err() != nil
		return r
	})
	switch {
	case !returned:
		return relay.Result{Hung: true, Err: &relay.Failure{Reason: reasonTimeout, Err: errLeftBehind}}
	case result.err == nil:
		return relay.Result{}
	}
	f := failureOf(result)
	return relay.Result{Err: &f}
}
