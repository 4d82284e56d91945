package relay

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/nildb"
)

// PurgeOptions of [Store.Purge].
type PurgeOptions struct {
	// Before limits the purge to entries whose RecordedAt is earlier.
	Before time.Time
	// By is who deletes. It is kept, with what was deleted, in the table purges.
	By string
	// Batch is how many entries one transaction deletes: 1,000 if zero, else 1 or more.
	Batch int
	// Dry only counts.
	Dry bool
}

// Purged is what a purge did, or would do.
type Purged struct {
	Events int64 `json:"events"`
	// Kept counts entries of that age that a forwarder has not settled, or has
	// discarded.
	Kept int64 `json:"kept"`
}

// Purge deletes old entries from the journal, in small transactions, so that
// writers go on. It leaves what a forwarder has yet to settle, and what it has
// discarded, until that is replayed or dismissed; [Store.Retire] frees what a
// forwarder keeps. Each run that deletes is written down.
func (s *Store) Purge(ctx context.Context, db *sql.DB, o PurgeOptions) (p Purged, err error) {
	db = nildb.Replace(db)
	defer s.explain(ctx, db, &err)
	const usual = 1000
	if o.Batch == 0 {
		o.Batch = usual
	}
	switch {
	case o.Batch < 0:
		return p, fmt.Errorf("relay: purge: Batch is %d entries: use 1 or more, or 0 for the default", o.Batch)
	case o.Before.IsZero():
		return p, errors.New("relay: purge: Before is not set")
	case o.By == "" && !o.Dry:
		return p, errors.New("relay: purge: By is empty: say who deletes, for the record")
	}
	old := " FROM " + s.events() + " e WHERE e.recorded_at < " + s.time(o.Before)
	free := old + " AND NOT EXISTS (SELECT 1 FROM " + s.prefix + "forwarders f WHERE f.retired_at IS NULL AND NOT (" + s.d.passed() + "))" +
		" AND NOT EXISTS (SELECT 1 FROM " + s.prefix + "failures x WHERE x.event_id = e.id)"
	var all int64
	if err := db.QueryRowContext(ctx, "SELECT "+s.d.fn("count")+"(*)"+old).Scan(&all); err != nil {
		return p, fmt.Errorf("relay: purge: %w", err)
	}
	if o.Dry {
		if err := db.QueryRowContext(ctx, "SELECT "+s.d.fn("count")+"(*)"+free).Scan(&p.Events); err != nil {
			return p, fmt.Errorf("relay: purge: %w", err)
		}
		p.Kept = all - p.Events
		return p, nil
	}
	for after := int64(0); ; {
		n, last, err := s.purgeBatch(ctx, db, free+" AND e.seq > "+itoa(after), o)
		p.Events, after = p.Events+n, last
		if err != nil {
			return p, fmt.Errorf("relay: purge: %w", err)
		}
		if n < int64(o.Batch) {
			break
		}
	}
	p.Kept = max(0, all-p.Events)
	if err := s.sweepGone(ctx, db); err != nil {
		return p, fmt.Errorf("relay: purge: %w", err)
	}
	return p, nil
}

// purgeBatch deletes and writes down one batch, up to the entry last.
func (s *Store) purgeBatch(ctx context.Context, db *sql.DB, free string, o PurgeOptions) (n, last int64, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	err = s.inTx(ctx, conn, 0, func() error {
		var low, high sql.NullInt64
		batch := "(SELECT e.seq AS seq" + free + " ORDER BY e.seq LIMIT " + itoa(int64(o.Batch)) + ")"
		if e := conn.QueryRowContext(ctx, "SELECT "+s.d.fn("min")+"(seq), "+s.d.fn("max")+"(seq) FROM "+batch+" b").Scan(&low, &high); e != nil || !low.Valid {
			return e
		}
		last = high.Int64
		var e error
		if n, e = affected(ctx, conn, "DELETE FROM "+s.events()+" WHERE seq IN "+batch); e != nil || n == 0 {
			return e
		}
		_, e = conn.ExecContext(ctx, "INSERT INTO "+s.prefix+"purges (purged_at, purged_by, before, events, first_seq, last_seq) VALUES ("+
			s.d.now()+", "+s.quote(o.By)+", "+s.time(o.Before)+", "+itoa(n)+", "+itoa(low.Int64)+", "+itoa(last)+")")
		return e
	})
	return n, last, err
}
