package relay

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/internal/nildb"
)

// Settle notes that a forwarder has accepted entries without the relay, which then
// leaves them out.
func (s *Store) Settle(ctx context.Context, db *sql.DB, forwarder string, ids []uuid.UUID) (err error) {
	db = nildb.Replace(db)
	defer s.explain(ctx, db, &err)
	return s.accept(ctx, db, forwarder, ids)
}

func (s *Store) accept(ctx context.Context, q querier, forwarder string, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	name := s.quote(forwarder)
	rows := make([]string, len(ids))
	for i, id := range ids {
		rows[i] = "(" + name + ", '" + id.String() + "')"
	}
	_, err := q.ExecContext(ctx, "INSERT INTO "+s.prefix+"settled (forwarder, event_id) VALUES "+strings.Join(rows, ", ")+" ON CONFLICT DO NOTHING")
	return wrap("settle entries", forwarder, err)
}

// HandOver notes, in the transaction that db is in, that a Queue delivers its events to a
// forwarder that the relay has had so far: the relay then leaves them out. It reports
// whether the relay still has the forwarder; if not, nothing is noted. Without ids it only
// asks. On PostgreSQL it needs EXECUTE on a function of the journal.
func (s *Store) HandOver(ctx context.Context, db *sql.DB, forwarder string, ids []uuid.UUID) (has bool, err error) {
	db = nildb.Replace(db)
	if query := s.d.handOver(s, forwarder, ids); query != "" {
		err = db.QueryRowContext(ctx, query).Scan(&has)
		return has, wrap("hand events over", forwarder, err)
	}
	has, err = s.registered(ctx, db, forwarder)
	if err == nil && has {
		err = s.accept(ctx, db, forwarder, ids)
	}
	return has, err
}

// unsettled leaves out the entries e that are settled.
func (s *Store) unsettled(forwarder string) string {
	return " AND NOT EXISTS (SELECT 1 FROM " + s.prefix + "settled t WHERE t.forwarder = " + s.quote(forwarder) + " AND t.event_id = e.id)"
}

// Refusal is an entry that a forwarder has refused for good.
type Refusal struct {
	ID      uuid.UUID
	Failure Failure
}

// Refuse notes that a forwarder has refused entries for good without the relay,
// which then leaves them out: they are discarded, as after the relay's own attempt.
func (s *Store) Refuse(ctx context.Context, db *sql.DB, forwarder string, refusals []Refusal) (err error) {
	db = nildb.Replace(db)
	defer s.explain(ctx, db, &err)
	now := time.Now()
	ids, verdicts := make([]uuid.UUID, len(refusals)), make([]verdict, len(refusals))
	for i, r := range refusals {
		ids[i] = r.ID
		verdicts[i] = verdict{id: r.ID, failure: r.Failure, attempts: 1, discard: true, next: now}
	}
	if err = s.note(ctx, db, forwarder, verdicts, now); err != nil {
		return err
	}
	return s.accept(ctx, db, forwarder, ids)
}

// handedOver is unsettled for a forwarder of which nothing may be settled, such as an async
// one that has not moved to a Queue: that is looked for once.
func (s *Store) handedOver(forwarder string) string {
	return " AND (NOT EXISTS (SELECT 1 FROM " + s.prefix + "settled any_one WHERE any_one.forwarder = " + s.quote(forwarder) + ") OR " +
		strings.TrimPrefix(s.unsettled(forwarder), " AND ") + ")"
}

// sweepGone deletes settled rows of entries that are no longer in the journal.
func (s *Store) sweepGone(ctx context.Context, q querier) error {
	_, err := q.ExecContext(ctx, "DELETE FROM "+s.prefix+"settled WHERE NOT EXISTS (SELECT 1 FROM "+s.events()+" e WHERE e.id = event_id)")
	return err
}

// sweep deletes the settled rows of entries that the cursor has passed.
func (s *Store) sweep(ctx context.Context, q querier, forwarder string) error {
	name := s.quote(forwarder)
	_, err := q.ExecContext(ctx, "DELETE FROM "+s.prefix+"settled WHERE forwarder = "+name+" AND event_id IN (SELECT t.event_id FROM "+
		s.prefix+"settled t JOIN "+s.events()+" e ON e.id = t.event_id JOIN "+s.prefix+"forwarders f ON f.name = t.forwarder WHERE t.forwarder = "+name+
		" AND "+s.d.passed()+")")
	return wrap("forget what is settled", forwarder, err)
}

// confirm returns an error if the lease is lost.
func (s *Store) confirm(ctx context.Context, q querier, c *cursor) error {
	return wrap("confirm the lease", c.name, s.update(ctx, q, c, "moved_at = "+s.d.now()))
}
