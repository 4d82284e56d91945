package relay

import (
	"context"
	"database/sql"
	"errors"

	"github.com/go-aftercommit/aftercommit/internal/nildb"
)

// TakesOver reports, for the Hub, whether a forwarder is registered in the tables of an earlier
// version: the relay goes on there where the cursor is.
func (s *Store) TakesOver(ctx context.Context, db *sql.DB, name string) (takes bool, err error) {
	db = nildb.Replace(db)
	if has, e := s.hasEarlier(ctx, db); e != nil || !has {
		return false, e
	}
	c, err := s.earlierCursorOf(ctx, db, name)
	return c != nil, wrap("look for the forwarder in the tables of an earlier version", name, err)
}

// homeEarlier is the place of a forwarder's cursor in the tables of an earlier version, or else
// here. A cursor that has not been made yet in this version gets it, so that in a copy it waits
// for an operator as the other does.
func (s *Store) homeEarlier(ctx context.Context, q querier, name, here string) (place string, err error) {
	if has, e := s.hasEarlier(ctx, q); e != nil || !has {
		return here, e
	}
	err = q.QueryRowContext(ctx, "SELECT "+s.d.read("place")+" FROM "+s.prefix+"forwarders WHERE retired_at IS NULL AND name = "+s.quote(name)).Scan(s.d.scan(&place))
	if errors.Is(err, sql.ErrNoRows) {
		return here, nil
	}
	return place, err
}

// retireEarlier retires a forwarder in the tables of an earlier version, and reports whether it
// was there.
func (s *Store) retireEarlier(ctx context.Context, q querier, name string) (bool, error) {
	if has, err := s.hasEarlier(ctx, q); err != nil || !has {
		return false, err
	}
	is := " = " + s.quote(name)
	n, err := affected(ctx, q, "UPDATE "+s.prefix+"forwarders SET retired_at = "+s.d.now()+", holder = NULL, lease_until = NULL, fence = fence + 1 WHERE retired_at IS NULL AND name"+is)
	for _, table := range []string{"failures", "settled"} {
		if err == nil {
			_, err = q.ExecContext(ctx, "DELETE FROM "+s.prefix+table+" WHERE forwarder"+is)
		}
	}
	return n > 0, err
}

// resumeEarlier is resume for the tables of an earlier version: what is replayed is noted there
// as refused, to be taken over.
func (s *Store) resumeEarlier(ctx context.Context, q querier, name, place string, replay bool) (n int64, err error) {
	if has, e := s.hasEarlier(ctx, q); e != nil || !has {
		return 0, e
	}
	d, forwarder, here := s.d.earlier(), s.quote(name), s.quote(place)
	if query := d.adopt(s); query != "" {
		if _, err = q.ExecContext(ctx, query); err != nil {
			return 0, err
		}
	}
	moved, err := affected(ctx, q, "UPDATE "+s.prefix+"forwarders SET "+d.skip(s)+", place = "+here+", holder = NULL, lease_until = NULL, fence = fence + 1"+
		" WHERE retired_at IS NULL AND name = "+forwarder+" AND place <> "+here)
	if err != nil || moved == 0 {
		return 0, err
	}
	old := " FROM " + d.table(s) + " e JOIN " + s.prefix + "forwarders f ON f.name = " + forwarder + " WHERE e.seq > f.safe_seq"
	if !replay {
		err = q.QueryRowContext(ctx, "SELECT "+s.d.fn("count")+"(*)"+old).Scan(&n)
		return n, err
	}
	now := "(SELECT " + s.d.now() + ")"
	return affected(ctx, q, "INSERT INTO "+s.prefix+"failures (forwarder, event_id, state, attempts, next_at, reason, error, first_at, last_at)"+
		" SELECT "+forwarder+", e.id, '"+stateRetrying+"', 0, "+now+", 'replay', '', "+now+", "+now+old+
		" ON CONFLICT (forwarder, event_id) DO UPDATE SET state = excluded.state, attempts = 0, next_at = excluded.next_at, reason = excluded.reason, error = ''")
}
