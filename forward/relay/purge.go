package relay

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/nildb"
)

// PurgeOptions of [Store.Purge].
type PurgeOptions struct {
	// Before limits the purge to entries whose RecordedAt is earlier.
	Before time.Time
	// By is who deletes. It is kept, with what was deleted, in the table journal_purges.
	By string
	// Batch is how many rows of the journal one transaction deletes: 1,000 if zero, else 1
	// or more. A row has the events of one flush, at most 1,000.
	Batch int
	// Dry only counts.
	Dry bool
	// Changes also deletes row changes from the app's database, if another database keeps them: changes.KeptIn names it. Without
	// Changes none are deleted.
	Changes ChangesPurge
}

// Purged is what a purge did, or would do.
type Purged struct {
	// Events that an earlier version wrote, and that were moved from its table to the journal
	// since, count in both.
	Events int64 `json:"events"`
	// Kept counts entries of that age in rows of which a forwarder has not settled, or has
	// discarded, at least one.
	Kept int64 `json:"kept"`
	// Elsewhere names a forwarder whose cursor belongs to another database
	// ([State.Elsewhere]), if that is why all is kept.
	Elsewhere string `json:"elsewhere,omitempty"`
	// Changes and ChangesKept count row changes in the same way, if PurgeOptions.Changes is set. What the other database does not
	// have is kept, too.
	Changes     int64 `json:"changes,omitempty"`
	ChangesKept int64 `json:"changes_kept,omitempty"`
}

// Purge deletes old rows from the journal, and from the table of an earlier version if that is
// still there, in small transactions, so that writers go on. It leaves those of which a forwarder has yet to settle an entry, or has
// discarded one, until that is replayed or dismissed; [Store.Retire] frees what a
// forwarder keeps. Each run that deletes is written down.
//
// In a copy, or a restored database, it deletes nothing while a forwarder waits for
// [Store.Resume]: the cursor does not say there what the forwarder has got. Nor does it where
// the Store has another Environment than the programs that deliver.
//
// Row changes stay, unless [PurgeOptions.Changes] says that another database keeps them.
func (s *Store) Purge(ctx context.Context, db *sql.DB, o PurgeOptions) (p Purged, err error) {
	db = nildb.Replace(db)
	defer s.explain(ctx, db, &err)
	const usual = 1000
	if o.Batch == 0 {
		o.Batch = usual
	}
	switch {
	case o.Batch < 0:
		return p, fmt.Errorf("relay: purge: Batch is %d rows: use 1 or more, or 0 for the default", o.Batch)
	case o.Before.IsZero():
		return p, errors.New("relay: purge: Before is not set")
	case o.By == "" && !o.Dry:
		return p, errors.New("relay: purge: By is empty: say who deletes, for the record")
	}
	if err = s.mayPurgeChanges(&o); err != nil {
		return p, err
	}
	place, err := s.place(ctx, db)
	if err != nil {
		return p, wrapPurge(err)
	}
	if p, err = s.purge(ctx, db, o, place); err != nil {
		return p, err
	}
	earlier, err := s.purgeEarlier(ctx, db, o, place, p.Elsewhere != "")
	p.Events, p.Kept = p.Events+earlier.Events, p.Kept+earlier.Kept
	if err == nil {
		err = s.purgeChanges(ctx, db, o, place, p.Elsewhere != "", &p)
	}
	return p, wrapPurge(err)
}

func wrapPurge(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("relay: purge: %w", err)
}

// purge is Purge for the table journal.
func (s *Store) purge(ctx context.Context, db *sql.DB, o PurgeOptions, place string) (p Purged, err error) {
	old := " FROM " + s.events() + " e WHERE e.recorded_at < " + s.time(o.Before)
	free := old + " AND (e.events > 0 OR e.recorded_at < " + s.d.later(-tombstones) + ")" +
		" AND NOT EXISTS (SELECT 1 FROM " + s.prefix + "cursors f WHERE f.retired_at IS NULL AND (" + s.elsewhere(place) + " OR NOT " + s.d.settledFor() + "))" +
		" AND NOT EXISTS (SELECT 1 FROM " + s.prefix + "retries x WHERE x.key = e.key)"
	count := "SELECT coalesce(CAST(" + s.d.fn("sum") + "(e.events) AS bigint), 0)"
	var all int64
	if err = db.QueryRowContext(ctx, count+old).Scan(&all); err != nil {
		return p, wrapPurge(err)
	}
	p.Elsewhere, err = s.foreign(ctx, db, place)
	switch {
	case err != nil:
		return p, wrapPurge(err)
	case p.Elsewhere != "":
		p.Kept = all
		return p, nil
	}
	if o.Dry {
		if err = db.QueryRowContext(ctx, count+free).Scan(&p.Events); err != nil {
			return p, wrapPurge(err)
		}
		p.Kept = all - p.Events
		return p, nil
	}
	for after := uuid.Nil; ; {
		n, last, events, err := s.purgeBatch(ctx, db, free, after, o)
		p.Events, after = p.Events+events, last
		if err != nil {
			return p, wrapPurge(err)
		}
		if n < o.Batch {
			break
		}
	}
	p.Kept = max(0, all-p.Events)
	if err := s.sweepGone(ctx, db); err != nil {
		return p, wrapPurge(err)
	}
	return p, nil
}

// foreign returns a forwarder whose cursor belongs elsewhere, "" if there is none.
func (s *Store) foreign(ctx context.Context, q querier, place string) (name string, err error) {
	err = q.QueryRowContext(ctx, "SELECT "+s.d.read("f.name")+" FROM "+s.prefix+"cursors f WHERE f.retired_at IS NULL AND "+s.elsewhere(place)+" ORDER BY f.name LIMIT 1").
		Scan(s.d.scan(&name))
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return name, err
}

// tombstones is how long a tombstone stays at least: what it keeps from being written may be
// on its way for as long.
const tombstones = 24 * time.Hour

// purgeBatch deletes and writes down one batch of the rows that free selects. It returns how
// many it has looked at, up to which key, and how many events those had that it has deleted.
func (s *Store) purgeBatch(ctx context.Context, db *sql.DB, free string, after uuid.UUID, o PurgeOptions) (n int, last uuid.UUID, events int64, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return 0, after, 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// It may have to read much, which nothing is to wait for.
	keys, err := s.keys(ctx, conn, "SELECT e.key"+free+" AND e.key > "+s.d.uuid(after)+" ORDER BY e.key LIMIT "+itoa(int64(o.Batch)))
	if err != nil || len(keys) == 0 {
		return 0, after, 0, err
	}
	var b purged
	err = s.inTx(ctx, conn, 0, func() (e error) {
		b, e = s.deleteRows(ctx, conn, keys, free)
		if e != nil || b.events == 0 { // as of tombstones
			return e
		}
		more, list, e := s.transactionsOf(ctx, conn, &b)
		if e != nil {
			return e
		}
		_, e = conn.ExecContext(ctx, "INSERT INTO "+s.prefix+"journal_purges (purged_at, purged_by, before, events, first_key, last_key"+more+") VALUES ("+
			s.d.now()+", "+s.quote(o.By)+", "+s.time(o.Before)+", "+itoa(b.events)+", '"+b.first.String()+"', '"+b.last.String()+"'"+list+")")
		return e
	})
	if err != nil {
		return 0, after, 0, err
	}
	return len(keys), keys[len(keys)-1], b.events, nil
}

// keys returns what a query for keys selects.
func (s *Store) keys(ctx context.Context, q querier, query string) (keys []uuid.UUID, err error) {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var key uuid.UUID
		if err := rows.Scan(&key); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, rows.Err()
}

// purged is what was deleted.
type purged struct {
	events       int64
	first, last  uuid.UUID
	transactions []int64
}

// transactionsOf is the list of them for journal_purges, behind its other columns, and ""
// where the table has none.
func (s *Store) transactionsOf(ctx context.Context, q querier, b *purged) (column, list string, err error) {
	query := s.d.listsPurged(s)
	if query == "" {
		return "", "", nil
	}
	var lists bool
	if err = q.QueryRowContext(ctx, query).Scan(&lists); err != nil || !lists {
		return "", "", err
	}
	slices.Sort(b.transactions)
	var ids []string
	for _, id := range slices.Compact(b.transactions) {
		ids = append(ids, itoa(id))
	}
	return ", transactions", ", '{" + strings.Join(ids, ",") + "}'", nil
}

// deleteRows deletes the rows with these keys that free still selects: not those that another
// purge has deleted meanwhile, or that a forwarder is to get again.
func (s *Store) deleteRows(ctx context.Context, conn *sql.Conn, keys []uuid.UUID, free string) (b purged, err error) {
	if query := s.d.lockForPurge(s); query != "" {
		if _, err = conn.ExecContext(ctx, query); err != nil {
			if hooks.SQLState(err) == lockNotAvailable {
				err = fmt.Errorf("another purge is deleting, or entries are being given to a forwarder, by Replay, by Resume or from the tables of an earlier version: "+
					"run Purge again after that: %w", err)
			}
			return b, err
		}
	}
	const each = 1000 // what a statement has room for
	for part := range slices.Chunk(keys, each) {
		if err = s.deleteSome(ctx, conn, "SELECT e.key"+free+" AND e.key IN ("+idList(part)+")", &b); err != nil {
			return b, err
		}
	}
	return b, nil
}

// deleteSome deletes the rows whose keys a query selects, and adds them to b.
func (s *Store) deleteSome(ctx context.Context, conn *sql.Conn, keys string, b *purged) error {
	rows, err := conn.QueryContext(ctx, "DELETE FROM "+s.events()+" WHERE key IN ("+keys+") RETURNING key, events, "+s.d.number())
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			key        uuid.UUID
			events, tx int64
		)
		if err := rows.Scan(&key, &events, &tx); err != nil {
			return err
		}
		if events > 0 {
			b.transactions = append(b.transactions, tx)
		}
		if b.first == uuid.Nil || bytes.Compare(key[:], b.first[:]) < 0 {
			b.first = key
		}
		if bytes.Compare(key[:], b.last[:]) > 0 {
			b.last = key
		}
		b.events += events
	}
	return rows.Err()
}
