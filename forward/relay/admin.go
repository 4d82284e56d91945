package relay

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/internal/nildb"
)

// Failed is an entry that a forwarder has refused.
type Failed struct {
	Forwarder string `json:"forwarder"`
	// Position is where the journal has it. In JSON it is an object here, while
	// [journal.Entry] has its fields key and ordinal among its own.
	Position journal.Position `json:"position"`
	// EventID is zero for an entry that is unreadable and has no ID, and for one that was
	// chosen by time for a replay and has not been tried since.
	EventID uuid.UUID `json:"event_id,omitzero"`
	// Discarded says that no further attempt will be made.
	Discarded bool `json:"discarded"`
	Attempts  int  `json:"attempts"`
	// NextAt is when it is tried again, unless it is discarded.
	NextAt  time.Time `json:"next_at,omitzero"`
	Reason  string    `json:"reason"`
	Error   string    `json:"error"`
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
}

// Failures returns the entries that a forwarder has refused, the oldest attempt first:
// those that are discarded, or those that are still tried. limit is in entries, 1,000 if
// it is zero. An empty name stands for all forwarders; one that was never registered is
// an error.
func (s *Store) Failures(ctx context.Context, db *sql.DB, forwarder string, discarded bool, limit int) (failed []Failed, err error) {
	db = nildb.Replace(db)
	defer s.explain(ctx, db, &err)
	const most = 1000
	switch {
	case limit < 0:
		return nil, fmt.Errorf("relay: list failures: the limit %d is negative: use 0 for the default of %d", limit, most)
	case limit == 0:
		limit = most
	}
	state := stateRetrying
	if discarded {
		state = stateDiscarded
	}
	query := "SELECT " + s.d.read("forwarder") + ", key, ordinal, coalesce(CAST(event_id AS varchar), ''), state, attempts, next_at, " + s.d.read("reason") + ", " + s.d.read("error") + ", first_at, last_at FROM " + s.prefix + "retries WHERE state = '" + state + "'"
	if forwarder != "" {
		query += " AND forwarder = " + s.quote(forwarder)
	}
	rows, err := db.QueryContext(ctx, query+" ORDER BY last_at, key, ordinal LIMIT "+itoa(int64(limit)))
	if err != nil {
		return nil, fmt.Errorf("relay: list failures: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var (
			f  Failed
			id string
		)
		if err = rows.Scan(s.d.scan(&f.Forwarder), &f.Position.Key, &f.Position.Ordinal, &id, &state, &f.Attempts, moment{&f.NextAt}, s.d.scan(&f.Reason), s.d.scan(&f.Error), moment{&f.FirstAt}, moment{&f.LastAt}); err != nil {
			return nil, fmt.Errorf("relay: list failures: %w", err)
		}
		f.EventID, _ = uuid.Parse(id) // on SQLite an unreadable entry may have none
		if f.Discarded = state == stateDiscarded; f.Discarded {
			f.NextAt = time.Time{}
		}
		failed = append(failed, f)
	}
	if err = rows.Err(); err == nil && len(failed) == 0 && forwarder != "" {
		err = s.mustKnow(ctx, db, forwarder)
	}
	return failed, err
}

// Dismiss forgets discarded entries of a forwarder, so that they no longer keep
// the journal from being purged, and returns how many. Without ids, which are those of
// events, it forgets all: that is also the only way to forget one that has no
// [Failed.EventID]. A name that was never registered is an error.
func (s *Store) Dismiss(ctx context.Context, db *sql.DB, forwarder string, ids ...uuid.UUID) (n int64, err error) {
	db = nildb.Replace(db)
	defer s.explain(ctx, db, &err)
	query := "DELETE FROM " + s.prefix + "retries WHERE state = '" + stateDiscarded + "' AND forwarder = " + s.quote(forwarder)
	if len(ids) > 0 {
		query += " AND event_id IN (" + idList(ids) + ")"
	}
	if n, err = affected(ctx, db, query); err != nil || n > 0 {
		return n, wrap("dismiss failures", forwarder, err)
	}
	return 0, s.mustKnow(ctx, db, forwarder)
}

// Retire ends a forwarder: nothing is delivered to it any more, and it keeps
// nothing in the journal, nor in the table of an earlier version. A program that still has it
// warns, and when it is started again registers it anew.
func (s *Store) Retire(ctx context.Context, db *sql.DB, forwarder string) (err error) {
	db = nildb.Replace(db)
	defer s.explain(ctx, db, &err)
	earlier, err := s.retireEarlier(ctx, db, forwarder)
	if err != nil {
		return wrap("retire", forwarder, err)
	}
	if _, err := s.cursorOf(ctx, db, forwarder); err != nil {
		if earlier && errors.Is(err, ErrNotRegistered) {
			return nil
		}
		return err
	}
	name := s.quote(forwarder)
	for _, query := range []string{
		"UPDATE " + s.prefix + "cursors SET retired_at = " + s.d.now() + ", holder = NULL, lease_until = NULL, fence = fence + 1 WHERE name = " + name,
		"DELETE FROM " + s.prefix + "retries WHERE forwarder = " + name,
		"DELETE FROM " + s.prefix + "acknowledged WHERE forwarder = " + name,
	} {
		if _, err := db.ExecContext(ctx, query); err != nil {
			return wrap("retire", forwarder, err)
		}
	}
	return nil
}

// Size returns how many events the table journal has: exactly if it has few rows, else as the
// database's statistics and the first rows have it, because to count them would read them all.
// What is still in the table of an earlier version is not in it.
func (s *Store) Size(ctx context.Context, db *sql.DB) (n int64, err error) {
	db = nildb.Replace(db)
	defer s.explain(ctx, db, &err)
	const few = 10_000
	count, sum := s.d.fn("count"), s.d.fn("sum")
	var rows, all int64
	err = db.QueryRowContext(ctx, "SELECT "+count+"(*), coalesce(CAST("+sum+"(events) AS bigint), 0) FROM (SELECT events FROM "+s.events()+" WHERE events > 0 LIMIT "+itoa(few)+") first").Scan(&rows, &n)
	if err == nil && rows == few {
		if err = db.QueryRowContext(ctx, "SELECT "+s.d.rows(s)).Scan(&all); err == nil {
			n = int64(float64(n) / few * float64(max(all, few)))
		}
	}
	if err != nil {
		return 0, fmt.Errorf("relay: the size of the journal: %w", err)
	}
	return n, nil
}

// State is how a forwarder stands.
type State struct {
	Forwarder    string    `json:"forwarder"`
	RegisteredAt time.Time `json:"registered_at,omitzero"`
	// RetiredAt is zero unless it is retired.
	RetiredAt time.Time `json:"retired_at,omitzero"`
	// Holder is the process that has the lease, "" if none has, as after one has died, or
	// while the sink is suspended in each of several processes.
	Holder string `json:"holder,omitempty"`
	// Behind is how many committed entries it has not got yet: events, row changes, and what is still in the table of an
	// earlier version. Those that have jobs of a Queue are left out, and so are those that it has accepted within Commit, once
	// that is written down: on PostgreSQL after a second, on SQLite at a commit at least a second later, or when the
	// database is closed. Oldest is when the first of them was recorded, zero if that cannot be read. While it is
	// Elsewhere, both are about what [Store.Resume] would replay, for which all of the journal is read.
	Behind int64     `json:"behind"`
	Oldest time.Time `json:"oldest,omitzero"`
	// EventsOnlyReason says why Behind and Oldest leave out the row changes that the forwarder also gets. It is "" if they include
	// them, or if it gets none. That it gets some is known from [Options.Changes], or while a program runs that has registered it so.
	EventsOnlyReason string `json:"events_only,omitempty"`
	// Retrying and Discarded count failures.
	Retrying  int64 `json:"retrying"`
	Discarded int64 `json:"discarded"`
	// Elsewhere says that its cursor belongs to another database; see
	// [PlaceError].
	Elsewhere bool `json:"elsewhere"`
	// Suspended says in which processes the sink accepts nothing, since when, and why; as
	// of their last heartbeats, which are some seconds old. It is nil on SQLite.
	Suspended []Suspension `json:"suspended,omitempty"`
	// Conflict lists what running programs have registered by this name, if that
	// differs, so that one of them gets nothing. It is nil otherwise, and on SQLite.
	Conflict []string `json:"conflict,omitempty"`
}

// States returns how all forwarders stand.
func (s *Store) States(ctx context.Context, db *sql.DB) (states []State, err error) {
	db = nildb.Replace(db)
	defer s.explain(ctx, db, &err)
	place, err := s.place(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("relay: how forwarders stand: %w", err)
	}
	failures := "(SELECT " + s.d.fn("count") + "(*) FROM " + s.prefix + "retries x WHERE x.forwarder = f.name AND x.state = '"
	rows, err := db.QueryContext(ctx, "SELECT "+s.d.read("f.name")+", f.registered_at, f.retired_at, "+s.d.read("coalesce(CASE WHEN f.lease_until >= "+s.d.now()+" THEN f.holder END, '')")+", "+s.elsewhere(place)+", "+
		failures+stateRetrying+"'), "+failures+stateDiscarded+"'), "+s.d.originColumns(s)+", "+s.d.cursorColumns()+" FROM "+s.prefix+"cursors f ORDER BY f.name")
	if err != nil {
		return nil, fmt.Errorf("relay: how forwarders stand: %w", err)
	}
	states, cursors, origins, err := s.scanStates(rows)
	if err != nil {
		return nil, fmt.Errorf("relay: how forwarders stand: %w", err)
	}
	all, err := s.registrations(ctx, db)
	if err != nil {
		return nil, err
	}
	earlier, err := s.hasEarlier(ctx, db)
	if err != nil {
		return nil, err
	}
	found, suspended := conflicts(all), suspensions(all)
	for i := range states {
		if st := &states[i]; st.RetiredAt.IsZero() {
			st.Conflict, st.Suspended = foundFor(st.Forwarder, found), foundFor(st.Forwarder, suspended)
			of := s.of(st.Forwarder)
			if st.EventsOnlyReason, err = of.eventsOnlyReason(ctx, db, st.Forwarder, all); err != nil {
				return nil, err
			}
			if st.EventsOnlyReason != "" {
				of = s
			}
			if st.Elsewhere {
				st.Behind, st.Oldest, err = of.undecided(ctx, db, st.Forwarder, &origins[i])
			} else if st.Behind, st.Oldest, err = of.behind(ctx, db, &cursors[i]); err == nil && earlier {
				err = s.addEarlier(ctx, db, st)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return states, nil
}

func (s *Store) scanStates(rows *sql.Rows) (states []State, cursors []cursor, origins []origin, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var (
			st State
			c  cursor
			o  origin
		)
		dest := []any{s.d.scan(&st.Forwarder), moment{&st.RegisteredAt}, moment{&st.RetiredAt}, s.d.scan(&st.Holder), &st.Elsewhere, &st.Retrying, &st.Discarded}
		if err := rows.Scan(slices.Concat(dest, o.dest(), c.dest())...); err != nil {
			return nil, nil, nil, err
		}
		c.name = st.Forwarder
		states, cursors, origins = append(states, st), append(cursors, c), append(origins, o)
	}
	return states, cursors, origins, rows.Err()
}
