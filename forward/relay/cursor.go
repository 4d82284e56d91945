package relay

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/nildb"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// cursor is how far a forwarder is, under a lease.
type cursor struct {
	name  string
	fence int64
	// incarnation is that of the server which the cursor was read from; "" on SQLite.
	incarnation string
	// done, tick and at are as in the table: of the tick all entries up to at are settled.
	// On SQLite done has the seq of at, and the table has no tick.
	done, tick string
	at         spot
	// shared says that others may have acknowledged something of the tick.
	shared bool
}

// dest is what the dialect's cursorColumns are scanned into.
func (c *cursor) dest() []any {
	c.shared = true
	return []any{&c.done, &c.tick, &c.at.number, &c.at.key, &c.at.ordinal}
}

// Errors of a cursor.
var (
	// ErrNotRegistered: there is no forwarder of that name, or it is retired.
	ErrNotRegistered = errors.New("relay: no forwarder of that name is registered here")
	// errRetired and errUnknown say which of the two it is, and what to do.
	errRetired = fmt.Errorf("%w: it was retired, and starts again, from then on, when a program that has it is started", ErrNotRegistered)
	errUnknown = fmt.Errorf("%w: Store.States lists the names", ErrNotRegistered)
	errLost    = errors.New("relay: the lease was lost to another process, or the server has been restarted since")
)

// Register registers a forwarder, unless it is registered already. It gets what is
// committed from now on. One that was retired starts again.
func (s *Store) Register(ctx context.Context, db *sql.DB, name string) error {
	return s.register(ctx, nildb.Replace(db), name, Mark{})
}

// RegisterFrom is Register for a cursor that starts earlier, at a mark, if that is
// of this database.
func (s *Store) RegisterFrom(ctx context.Context, db *sql.DB, name string, from Mark) error {
	return s.register(ctx, nildb.Replace(db), name, from)
}

func (s *Store) register(ctx context.Context, db querier, name string, from Mark) (err error) {
	defer s.explain(ctx, db, &err)
	place, err := s.place(ctx, db)
	if err != nil {
		return fmt.Errorf("relay: register %s: %w", name, err)
	}
	if err = s.d.adopt(ctx, db, s, place); err != nil {
		return fmt.Errorf("relay: register %s: adopt restored entries: %w", name, err)
	}
	// Looked at first: an insert would wait for a holder that has the row locked.
	known, err := s.registered(ctx, db, name)
	if err == nil && !known {
		if from.place != place {
			from = Mark{}
		}
		if place, err = s.homeEarlier(ctx, db, name, place); err == nil {
			_, err = db.ExecContext(ctx, s.d.register(s, name, place, from.at))
		}
	}
	if err != nil {
		return fmt.Errorf("relay: register %s: %w", name, err)
	}
	return nil
}

// Announce is Register for a role that may not use the relay's tables, because the relay
// runs elsewhere as another role. It calls a function of the journal, which exists on
// PostgreSQL only.
func (s *Store) Announce(ctx context.Context, db *sql.DB, name string) (err error) {
	db = nildb.Replace(db)
	schema := pgschema.Ident(s.journal.Schema())
	defer s.explainRight(ctx, db, &err, "run as the owner, and again after an upgrade: GRANT USAGE ON SCHEMA "+schema+" TO {role}; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA "+schema+" TO {role}")
	place, err := s.place(ctx, db)
	if err == nil {
		_, err = db.ExecContext(ctx, "SELECT "+s.prefix+"enlist("+s.quote(name)+"::pg_catalog.text, "+s.quote(place)+"::pg_catalog.text)")
	}
	if err != nil {
		return fmt.Errorf("relay: announce %s: %w", name, err)
	}
	return nil
}

// Registered reports whether a forwarder has a cursor, and is not retired.
func (s *Store) Registered(ctx context.Context, db *sql.DB, name string) (known bool, err error) {
	db = nildb.Replace(db)
	defer s.explain(ctx, db, &err)
	return s.registered(ctx, db, name)
}

func (s *Store) registered(ctx context.Context, db querier, name string) (known bool, err error) {
	err = db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+s.prefix+"cursors WHERE name = "+s.quote(name)+" AND retired_at IS NULL)").Scan(&known)
	if err != nil {
		return false, fmt.Errorf("relay: look for %s: %w", name, err)
	}
	return known, nil
}

// acquire takes the lease of a forwarder if it is free and its cursor is of this place, and
// returns the cursor. It takes one that is not free, too, if it is still as doubted says. It does
// not wait for a holder that is frozen with the row locked.
func (s *Store) acquire(ctx context.Context, q querier, name, holder, place string, ttl time.Duration, doubted *doubted) (*cursor, error) {
	me := s.quote(holder)
	table := s.prefix + "cursors"
	query := "UPDATE " + table + " SET holder = " + me + ", fence = fence + 1, lease_until = " + s.d.later(ttl) +
		" WHERE name = (SELECT name FROM " + table + " WHERE name = " + s.quote(name) +
		" AND retired_at IS NULL AND place = " + s.quote(place) + " AND (holder IS NULL OR holder = " + me + " OR lease_until < " + s.d.now() + doubted.still(s) + ")" + s.d.skipLocked() + ")" +
		" RETURNING fence, " + s.d.incarnation() + ", " + s.d.cursorColumns()
	c := &cursor{name: name}
	err := q.QueryRowContext(ctx, query).Scan(append([]any{&c.fence, &c.incarnation}, c.dest()...)...)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil //nolint:nilnil // another process has it, or there is no such row here
	case err != nil:
		return nil, fmt.Errorf("relay: take the lease of %s: %w", name, err)
	}
	return c, nil
}

// cursorOf reads the cursor of a forwarder, without its lease. It is an error if
// there is none.
func (s *Store) cursorOf(ctx context.Context, q querier, name string) (*cursor, error) {
	c := &cursor{name: name}
	err := q.QueryRowContext(ctx, "SELECT "+s.d.cursorColumns()+" FROM "+s.prefix+"cursors WHERE retired_at IS NULL AND name = "+s.quote(name)).
		Scan(c.dest()...)
	if errors.Is(err, sql.ErrNoRows) {
		var retired bool
		if _, retired, err = s.known(ctx, q, name); err == nil {
			err = errUnknown
			if retired {
				err = errRetired
			}
		}
	}
	return c, wrap("look for the forwarder", name, err)
}

// known reports whether a forwarder has ever been registered, and whether it is retired.
func (s *Store) known(ctx context.Context, q querier, name string) (known, retired bool, err error) {
	var n int
	err = q.QueryRowContext(ctx, "SELECT CASE WHEN retired_at IS NULL THEN 0 ELSE 1 END FROM "+s.prefix+"cursors WHERE name = "+s.quote(name)).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return false, false, nil
	}
	return err == nil, n == 1, err
}

// mustKnow is an error if a forwarder has never been registered: its name is misspelt.
func (s *Store) mustKnow(ctx context.Context, q querier, name string) error {
	known, _, err := s.known(ctx, q, name)
	if err == nil && !known {
		err = errUnknown
	}
	return wrap("look for the forwarder", name, err)
}

// some is an expression for whether there are visible rows that where selects.
func (s *Store) some(where string) string {
	var terms []string
	for _, from := range s.streams() {
		terms = append(terms, from.some(where))
	}
	return "(" + strings.Join(terms, " OR ") + ")"
}

// isBehind reports whether a forwarder has not settled all within bound.
func (s *Store) isBehind(ctx context.Context, q querier, name, bound string) (is bool, err error) {
	c, err := s.cursorOf(ctx, q, name)
	if errors.Is(err, ErrNotRegistered) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	parts := s.d.behind(c)
	for i, part := range parts {
		parts[i] = s.some(part + " AND " + bound)
	}
	err = q.QueryRowContext(ctx, "SELECT "+strings.Join(parts, " OR ")).Scan(&is)
	return is, wrap("look whether it is behind", name, err)
}

// behind returns how many entries a cursor has yet to pass, without those that are
// acknowledged, and when the first of them was recorded.
func (s *Store) behind(ctx context.Context, q querier, c *cursor) (n int64, oldest time.Time, err error) {
	passed := s.d.passed(c.at)
	acknowledged := s.prefix + "acknowledged"
	name := s.quote(c.name)
	count, sum, least := s.d.fn("count"), s.d.fn("sum"), s.d.fn("min")
	acknowledgements := "CASE WHEN EXISTS (SELECT 1 FROM " + acknowledged + " any_one WHERE any_one.forwarder = " + name + ") THEN" +
		" (SELECT " + count + "(*) FROM " + acknowledged + " t WHERE t.forwarder = " + name + " AND t.key = e.key AND t.ordinal >= " + passed + " AND t.ordinal < e.events) ELSE 0 END"
	var parts []string
	for _, part := range s.d.behind(c) {
		parts = append(parts, "SELECT e.events - "+passed+" - "+acknowledgements+" AS n, e.recorded_at FROM "+s.events()+" e WHERE e.events > 0 AND "+part)
		if s.changes != nil {
			parts = append(parts, "SELECT e.events - "+passed+" AS n, e.recorded_at FROM "+s.changesFrom()+" e WHERE "+part+known)
		}
	}
	err = q.QueryRowContext(ctx, "SELECT coalesce(CAST("+sum+"(n) AS bigint), 0), "+least+"(CASE WHEN n > 0 THEN recorded_at END) FROM ("+strings.Join(parts, " UNION ALL ")+") parts").
		Scan(&n, readable{moment{&oldest}})
	return n, oldest, wrap("count how far it is behind", c.name, err)
}

// undecided is behind for a cursor from elsewhere: what Resume would replay.
func (s *Store) undecided(ctx context.Context, q querier, name string, o *origin) (n int64, oldest time.Time, err error) {
	rows := "SELECT e.events, e.recorded_at FROM " + s.events() + " e WHERE e.events > 0 AND " + s.d.unsafe(o)
	if s.changes != nil {
		rows += " UNION ALL SELECT 1, e.recorded_at FROM " + s.changesFrom("c.elsewhere") + " e WHERE " + s.d.unsafe(o) + " AND NOT e.elsewhere"
	}
	err = q.QueryRowContext(ctx, "SELECT coalesce(CAST("+s.d.fn("sum")+"(u.events) AS bigint), 0), "+s.d.fn("min")+"(u.recorded_at) FROM ("+rows+") u").
		Scan(&n, readable{moment{&oldest}})
	return n, oldest, wrap("count what waits for a decision", name, err)
}

// leaseStatus is who may take a forwarder's lease.
type leaseStatus struct {
	free    bool   // no other process has it
	offered bool   // and any process is to take it
	place   string // of the cursor
	// tooFarAhead says that another process's lease ends later than any lease lasts; fence and
	// until identify that lease.
	tooFarAhead bool
	fence       int64
	until       time.Time
}

// leaseStatus returns nil if the forwarder is not registered. A lease lasts for maxLease at most.
func (s *Store) leaseStatus(ctx context.Context, q querier, name, holder string, maxLease time.Duration) (*leaseStatus, error) {
	var free, unheld, dated, far int
	st := &leaseStatus{}
	err := q.QueryRowContext(ctx, "SELECT CASE WHEN holder IS NULL OR holder = "+s.quote(holder)+" OR lease_until < "+s.d.now()+" THEN 1 ELSE 0 END,"+
		" CASE WHEN holder IS NULL THEN 1 ELSE 0 END, CASE WHEN lease_until IS NULL THEN 0 ELSE 1 END, CASE WHEN lease_until > "+s.d.later(maxLease)+" THEN 1 ELSE 0 END, fence, lease_until, "+s.d.read("place")+
		" FROM "+s.prefix+"cursors WHERE name = "+s.quote(name)+" AND retired_at IS NULL").Scan(&free, &unheld, &dated, &far, &st.fence, readable{moment{&st.until}}, s.d.scan(&st.place))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // there is none
	}
	st.free, st.offered, st.tooFarAhead = free == 1, unheld+dated == 2, free == 0 && far == 1
	return st, wrap("look for the lease", name, err)
}

// hasHolder is a condition for a row whose lease a process has. A lease that is given back keeps its
// fence: one that is renewed nevertheless would look like one on offer.
const hasHolder = "retired_at IS NULL AND holder IS NOT NULL"

// where selects c's row while its lease holds, and the server lives that c was read
// from. After a crash a server gives the xids out again that it had not written to
// disk, and what is remembered here would take them for old ones.
func (s *Store) where(c *cursor) string {
	where := " WHERE name = " + s.quote(c.name) + " AND fence = " + itoa(c.fence) + " AND " + hasHolder
	if c.incarnation != "" {
		where += " AND " + s.d.incarnation() + " = '" + c.incarnation + "'"
	}
	return where
}

// held is an expression for whether c's lease holds.
func (s *Store) held(c *cursor) string {
	return "EXISTS (SELECT 1 FROM " + s.prefix + "cursors" + s.where(c) + ")"
}

func (s *Store) updateQuery(c *cursor, set string) string {
	return "UPDATE " + s.prefix + "cursors SET " + set + s.where(c)
}

// update sets columns of c's row. It is an error if the lease is lost.
func (s *Store) update(ctx context.Context, q querier, c *cursor, set string) error {
	n, err := affected(ctx, q, s.updateQuery(c, set))
	if err == nil && n == 0 {
		return errLost
	}
	return err
}

func (s *Store) renew(ctx context.Context, q querier, c *cursor, ttl time.Duration) error {
	return s.update(ctx, q, c, "lease_until = "+s.d.later(ttl))
}

// release gives the lease back, if holder still has it.
func (s *Store) release(ctx context.Context, q querier, name, holder string) error {
	_, err := q.ExecContext(ctx, "UPDATE "+s.prefix+"cursors SET holder = NULL, lease_until = NULL WHERE name = "+s.quote(name)+" AND holder = "+s.quote(holder))
	return err
}

// offer is release for a lease that any other process is to take at once, whatever its
// share is: it has no holder, and a time at which it ended.
func (s *Store) offer(ctx context.Context, q querier, name, holder string) error {
	_, err := q.ExecContext(ctx, "UPDATE "+s.prefix+"cursors SET holder = NULL, lease_until = "+s.d.now()+" WHERE name = "+s.quote(name)+" AND holder = "+s.quote(holder))
	return wrap("offer the lease", name, err)
}

// advance moves c to a spot of its tick, or, with last, to the end of it. It is an
// error if the lease is lost. With commits, it commits in the same round trip
// where that is possible, and reports whether it did.
func (s *Store) advance(ctx context.Context, q querier, c *cursor, to spot, last, commits bool) (committed bool, err error) {
	set := s.d.advance(c, to, last) + ", moved_at = " + s.d.now()
	if query, ok := s.d.commit(s.updateQuery(c, set)); ok && commits {
		_, err = q.ExecContext(ctx, query)
		if s.d.missed(err) {
			err = errLost
		}
		return err == nil, wrap("move the cursor", c.name, err)
	}
	return false, wrap("move the cursor", c.name, s.update(ctx, q, c, set))
}

// moved brings c in line with what advance has committed.
func (c *cursor) moved(to spot, last bool) {
	c.at = to
	if last {
		c.done, c.tick, c.at = c.tick, "", spot{}
	}
}

func wrap(what, name string, err error) error {
	if err == nil || errors.Is(err, errLost) {
		return err
	}
	return fmt.Errorf("relay: %s for %s: %w", what, name, err)
}
