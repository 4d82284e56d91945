package relay

import (
	"context"
	"database/sql"
	"errors"

	"github.com/go-aftercommit/aftercommit/internal/nildb"
)

// errOwn is what Resume returns for a forwarder that needs no decision: a suspended one,
// say, of which notices speak in similar words.
var errOwn = errors.New("its cursor belongs to this database, so there is nothing to decide and nothing was changed: " +
	"a suspended forwarder goes on by itself once its sink accepts events; Replay gives it events again, Dismiss gives up discarded ones, Retire ends it")

// Resume continues a forwarder whose cursor belongs to another database
// ([State.Elsewhere]), with what is committed from now on. For any other forwarder it is
// an error, and changes nothing.
//
// With replay the forwarder also gets what it may have missed: what the cursor had not
// passed when the copy was made, and what was committed in the copy since, whatever its clock
// says. Nothing is lost; some entries may come twice. On PostgreSQL these are what was recorded
// from one minute before the time up to which all is known to be delivered, by the original's
// clock, and, in a server with lower transaction numbers than the original, what has the
// numbers of this server's transactions since the restore.
//
// Without replay these entries are skipped, and only [Store.Replay] by IDs or time still
// delivers them. Resume returns how many entries it replays, or skips. Until it is called
// [Store.Purge] deletes nothing.
//
// The Store must have the Environment of the programs that deliver from this database: it
// is an error, and changes nothing, while one runs that has the forwarder and another
// environment. On SQLite that is known of a process of Hub.Relay only.
func (s *Store) Resume(ctx context.Context, db *sql.DB, forwarder string, replay bool) (n int64, err error) {
	db = nildb.Replace(db)
	defer s.explain(ctx, db, &err)
	if _, err = s.cursorOf(ctx, db, forwarder); err != nil {
		return 0, err
	}
	of := s.of(forwarder)
	if replay {
		err = of.mustRead(ctx, db, forwarder)
	} else if why, e := of.eventsOnlyReason(ctx, db, forwarder, nil); why != "" || e != nil {
		of, err = s, e // what is skipped is only counted
	}
	if err != nil {
		return 0, wrap("resume", forwarder, err)
	}
	place, err := s.place(ctx, db)
	if err != nil {
		return 0, wrap("resume", forwarder, err)
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return 0, wrap("resume", forwarder, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	err = of.inTx(ctx, conn, 0, func() (e error) {
		n, e = of.resume(ctx, conn, forwarder, place, replay)
		return e
	})
	return n, wrap("resume", forwarder, err)
}

// resume is Resume within the transaction that q is in.
func (s *Store) resume(ctx context.Context, q querier, forwarder, place string, replay bool) (n int64, err error) {
	if err = s.mayResume(ctx, q, forwarder); err != nil {
		return 0, err
	}
	if err = s.d.adopt(ctx, q, s, place); err != nil {
		return 0, err
	}
	name := s.quote(forwarder)
	var o origin
	err = q.QueryRowContext(ctx, "SELECT "+s.d.originColumns(s)+" FROM "+s.prefix+"cursors f WHERE f.retired_at IS NULL AND f.name = "+name+" AND "+s.elsewhere(place)+s.d.forUpdate()).
		Scan(o.dest()...)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, errOwn
	case err != nil:
		return 0, err
	}
	// Before the entries are chosen, so that what is committed meanwhile follows the cursor.
	_, err = q.ExecContext(ctx, "UPDATE "+s.prefix+"cursors SET "+s.d.skip(s)+", place = "+s.quote(place)+
		", holder = NULL, lease_until = NULL, fence = fence + 1 WHERE name = "+name)
	if err != nil {
		return 0, err
	}
	earlier, err := s.resumeEarlier(ctx, q, forwarder, place, replay)
	if err != nil {
		return 0, err
	}
	if n, err = s.replayUnsafe(ctx, q, forwarder, &o, replay); err != nil {
		return 0, err
	}
	return earlier + n, s.d.adopted(ctx, q, s, place)
}

// origin is how far a cursor was in another database.
type origin struct {
	// done is as in the table. On SQLite it is the seq from which on entries may not have been
	// passed, "" if none may.
	done string
	// safe is the time up to which all was settled, and start the number of the transaction
	// that brought the cursor here, or of an earlier one. SQLite has neither.
	safe, start string
}

// dest is what the dialect's originColumns are scanned into.
func (o *origin) dest() []any { return []any{&o.done, &o.safe, &o.start} }

// replayUnsafe replays what a cursor that was moved to now may not have passed before, or counts
// it.
func (s *Store) replayUnsafe(ctx context.Context, q querier, forwarder string, o *origin, replay bool) (n int64, err error) {
	name := s.quote(forwarder)
	rows := " FROM " + s.events() + " e JOIN " + s.prefix + "cursors f ON f.name = " + name + " "
	where := " WHERE e.events > 0 AND " + s.d.unsafe(o) + " AND " + s.d.settledFor()
	changed := ""
	if s.changes != nil {
		changed = " FROM " + s.changesFrom("c.elsewhere") + " e JOIN " + s.prefix + "cursors f ON f.name = " + name + where + " AND NOT e.elsewhere"
	}
	if replay {
		selected := "SELECT e.key AS key, o.ordinal AS ordinal, " + s.d.asID("NULL") + " AS id" + rows + s.d.ordinals() + where
		if changed != "" {
			selected += " UNION ALL SELECT e.key, 0, NULL" + changed
		}
		return s.replay(ctx, q, forwarder, selected)
	}
	sum := "SELECT coalesce(CAST(" + s.d.fn("sum") + "(e.events) AS bigint), 0)"
	if err = q.QueryRowContext(ctx, sum+rows+where).Scan(&n); err == nil && changed != "" {
		var of int64
		err = q.QueryRowContext(ctx, sum+changed).Scan(&of)
		n += of
	}
	return n, err
}
