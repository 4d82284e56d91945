package relay

import (
	"context"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
)

// trail are snapshots that age until they are older than the grace period.
type trail struct {
	marks []trailMark
}

type trailMark struct {
	at       time.Time
	snapshot string
}

// next returns the newest snapshot that is older than grace, and takes a new one
// for later. ok is false if there is none.
func (t *trail) next(now time.Time, grace time.Duration, take func() (string, error)) (snapshot string, ok bool, err error) {
	if n := len(t.marks); n == 0 || now.Sub(t.marks[n-1].at) >= grace/4 {
		taken, err := take()
		if err != nil {
			return "", false, err
		}
		t.marks = append(t.marks, trailMark{now, taken})
	}
	i := 0
	for i < len(t.marks) && now.Sub(t.marks[i].at) >= grace {
		i++
	}
	if i == 0 {
		return "", false, nil
	}
	snapshot = t.marks[i-1].snapshot
	t.marks = t.marks[i-1:]
	return snapshot, true, nil
}

// wait returns how long it is until next takes a snapshot again.
func (t *trail) wait(now time.Time, grace time.Duration) time.Duration {
	if len(t.marks) == 0 {
		return 0
	}
	return max(0, t.marks[len(t.marks)-1].at.Add(grace/4).Sub(now))
}

// aged takes one from the trail: a past snapshot cannot be asked for.
func (d postgres) aged(ctx context.Context, q querier, t *trail, now time.Time, grace time.Duration) (string, bool, error) {
	return t.next(now, grace, func() (string, error) { return d.current(ctx, q) })
}

// aged computes it: entries have their time.
func (sqlite) aged(_ context.Context, _ querier, _ *trail, now time.Time, grace time.Duration) (string, bool, error) {
	return now.Add(-grace).UTC().Format(lenient.TimeForm), true, nil
}

func (postgres) until(snapshot string) string {
	if snapshot == "" {
		return ""
	}
	return " AND pg_catalog.pg_visible_in_snapshot(e.xid, '" + snapshot + "'::pg_catalog.pg_snapshot)"
}

func (sqlite) until(snapshot string) string {
	if snapshot == "" {
		return ""
	}
	return " AND e.recorded_at <= '" + snapshot + "'"
}
