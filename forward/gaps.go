package forward

import (
	"context"
	"database/sql"
	"slices"

	"github.com/go-aftercommit/aftercommit/forward/relay"
)

// recordGaps calls the forwarder of s once, over the lent connection.
func (d *handler) recordGaps(ctx context.Context, lent *sql.DB, s *sink, r GapRecorder, gaps []relay.Gap) relay.Result {
	if err := d.mayCall(s); err != nil {
		return relay.Result{Err: &relay.Failure{Reason: reasonSuspended, Err: err}}
	}
	result, returned := d.callWithin(ctx, lent, s, nil, func(ctx context.Context) (result callResult) {
		defer func() {
			if v := recover(); v != nil {
				result.err = &panicError{v}
			}
		}()
		result.finished = true
		result.err = r.RecordGaps(ctx, slices.Clone(gaps))
		tryOut(result.err)
		result.timedOut = result.err != nil && ctx.Err() != nil
		return result
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
