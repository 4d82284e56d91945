package relay

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/internal/nildb"
)

// Acknowledge notes that a forwarder has accepted entries without the relay, which then
// leaves them out.
func (s *Store) Acknowledge(ctx context.Context, db *sql.DB, forwarder string, entries []journal.Position) (err error) {
	db = nildb.Replace(db)
	defer s.explain(ctx, db, &err)
	return s.acknowledge(ctx, db, forwarder, entries)
}

func (s *Store) acknowledge(ctx context.Context, q querier, forwarder string, entries []journal.Position) error {
	if len(entries) == 0 {
		return nil
	}
	name := s.quote(forwarder)
	rows := make([]string, len(entries))
	for i, p := range entries {
		rows[i] = "(" + name + ", '" + p.Key.String() + "', " + strconv.Itoa(p.Ordinal) + ")"
	}
	_, err := q.ExecContext(ctx, "INSERT INTO "+s.prefix+"acknowledged (forwarder, key, ordinal) VALUES "+strings.Join(rows, ", ")+" ON CONFLICT DO NOTHING")
	return wrap("acknowledge entries", forwarder, err)
}

// HandOver notes, in the transaction that db is in, that a Queue delivers the events of its
// flushes with these keys to a forwarder that the relay has had so far: the relay then leaves
// them out. It reports whether the relay still has the forwarder; if not, nothing is noted.
// Without keys it only asks. On PostgreSQL it needs EXECUTE on a function of the journal.
func (s *Store) HandOver(ctx context.Context, db *sql.DB, forwarder string, keys []uuid.UUID) (has bool, err error) {
	db = nildb.Replace(db)
	if query := s.d.handOver(s, forwarder, keys); query != "" {
		err = db.QueryRowContext(ctx, query).Scan(&has)
		return has, wrap("hand events over", forwarder, err)
	}
	has, err = s.registered(ctx, db, forwarder)
	if err == nil && has && len(keys) > 0 {
		_, err = db.ExecContext(ctx, "INSERT INTO "+s.prefix+"acknowledged (forwarder, key, ordinal) SELECT "+s.quote(forwarder)+", e.key, o.ordinal FROM "+
			s.events()+" e "+s.d.ordinals()+" WHERE e.key IN ("+idList(keys)+") ON CONFLICT DO NOTHING")
	}
	return has, wrap("hand events over", forwarder, err)
}

// anyAcknowledged is an expression for whether anything of a forwarder is acknowledged. Of
// one that is async, and has not moved to a Queue, nothing is.
func (s *Store) anyAcknowledged(forwarder string) string {
	return "EXISTS (SELECT 1 FROM " + s.prefix + "acknowledged any_one WHERE any_one.forwarder = " + s.quote(forwarder) + ")"
}

// unacknowledged leaves out the rows e of which all entries are acknowledged. Positions that no
// entry has do not count.
func (s *Store) unacknowledged(forwarder string) string {
	return " AND e.events > (SELECT " + s.d.fn("count") + "(*) FROM " + s.prefix + "acknowledged t WHERE t.forwarder = " + s.quote(forwarder) + " AND t.key = e.key AND t.ordinal >= 0 AND t.ordinal < e.events)"
}

// acknowledged returns which entries of the rows with these keys are.
func (s *Store) acknowledged(ctx context.Context, q querier, forwarder string, keys []uuid.UUID) (found map[journal.Position]bool, err error) {
	rows, err := q.QueryContext(ctx, "SELECT key, ordinal FROM "+s.prefix+"acknowledged WHERE forwarder = "+s.quote(forwarder)+" AND key IN ("+idList(keys)+")")
	if err != nil {
		return nil, wrap("read acknowledgements", forwarder, err)
	}
	defer rows.Close()
	found = make(map[journal.Position]bool)
	for rows.Next() {
		var p journal.Position
		if err := rows.Scan(&p.Key, &p.Ordinal); err != nil {
			return nil, wrap("read acknowledgements", forwarder, err)
		}
		found[p] = true
	}
	return found, wrap("read acknowledgements", forwarder, rows.Err())
}

// Refusal is an entry that a forwarder has refused for good.
type Refusal struct {
	Position journal.Position
	ID       uuid.UUID // of the event
	Failure  Failure
}

// Refuse notes that a forwarder has refused entries for good without the relay,
// which then leaves them out: they are discarded, as after the relay's own attempt.
func (s *Store) Refuse(ctx context.Context, db *sql.DB, forwarder string, refusals []Refusal) (err error) {
	db = nildb.Replace(db)
	defer s.explain(ctx, db, &err)
	now := time.Now()
	entries, verdicts := make([]journal.Position, len(refusals)), make([]verdict, len(refusals))
	for i, r := range refusals {
		entries[i] = r.Position
		verdicts[i] = verdict{at: r.Position, id: r.ID, failure: r.Failure, attempts: 1, discard: true, next: now}
	}
	if err = s.note(ctx, db, forwarder, verdicts, now); err != nil {
		return err
	}
	return s.acknowledge(ctx, db, forwarder, entries)
}

// sweepGone deletes acknowledgements of rows that are no longer in the journal.
func (s *Store) sweepGone(ctx context.Context, q querier) error {
	_, err := q.ExecContext(ctx, "DELETE FROM "+s.prefix+"acknowledged AS t WHERE NOT EXISTS (SELECT 1 FROM "+s.events()+" e WHERE e.key = t.key)")
	return err
}

// sweep deletes the acknowledgements of rows that the cursor has passed.
func (s *Store) sweep(ctx context.Context, q querier, forwarder string) error {
	name := s.quote(forwarder)
	_, err := q.ExecContext(ctx, "DELETE FROM "+s.prefix+"acknowledged WHERE forwarder = "+name+" AND key IN (SELECT t.key FROM "+
		s.prefix+"acknowledged t JOIN "+s.events()+" e ON e.key = t.key JOIN "+s.prefix+"cursors f ON f.name = t.forwarder WHERE t.forwarder = "+name+
		" AND "+s.d.settledFor()+")")
	return wrap("delete acknowledgements", forwarder, err)
}

// confirm returns an error if the lease is lost.
func (s *Store) confirm(ctx context.Context, q querier, c *cursor) error {
	return wrap("confirm the lease", c.name, s.update(ctx, q, c, "moved_at = "+s.d.now()))
}
