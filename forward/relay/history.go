package relay

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// What an earlier version has delivered stays in its table. An operator may still want it: to
// replay it, for which it is moved first, and to delete it.

// history returns the table with the events of earlier versions, "" if there is none.
func (s *Store) history(ctx context.Context, q querier) (table string, err error) {
	err = q.QueryRowContext(ctx, s.d.earlier().history(s)).Scan(&table)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("relay: look for the table of an earlier version: %w", err)
	}
	schema, _, _ := strings.Cut(s.prefix, ".")
	return schema + "." + table, nil
}

// earlierCursorOf returns the cursor of a forwarder in the tables of earlier versions, nil if it
// has none.
func (s *Store) earlierCursorOf(ctx context.Context, q querier, name string) (*earlierCursor, error) {
	c := &earlierCursor{name: name}
	err := q.QueryRowContext(ctx, "SELECT "+s.d.earlier().columns()+" FROM "+s.prefix+"forwarders WHERE retired_at IS NULL AND name = "+s.quote(name)).
		Scan(c.dest()...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // as documented
	}
	return c, err
}

// fetch moves what a Selection selects in the table of earlier versions to the table journal, so
// that it can be replayed, and returns how many entries that are. It leaves what the forwarder
// is yet to get, which comes anyway, and discarded entries, which are taken over as such. With
// dry it only counts.
func (s *Store) fetch(ctx context.Context, q querier, sel *Selection, dry bool) (n int64, err error) {
	if len(sel.Positions) > 0 || sel.Discarded || sel.Reason != "" {
		return 0, nil
	}
	table, err := s.history(ctx, q)
	if err != nil || table == "" {
		return 0, err
	}
	c, err := s.earlierCursorOf(ctx, q, sel.Forwarder)
	if err != nil {
		return 0, err
	}
	d := s.d.earlier()
	from := table + " e WHERE NOT EXISTS (SELECT 1 FROM " + s.events() + " m WHERE m.key = " + d.keyOf() + ")"
	if c != nil {
		from += " AND " + d.reached(c)
	}
	if len(sel.IDs) > 0 {
		from += " AND e.id IN (" + idList(sel.IDs) + ")"
	}
	if !sel.From.IsZero() {
		from += " AND e.recorded_at >= " + s.time(sel.From)
	}
	if !sel.To.IsZero() {
		from += " AND e.recorded_at < " + s.time(sel.To)
	}
	if dry {
		err = q.QueryRowContext(ctx, "SELECT "+s.d.fn("count")+"(*) FROM "+from).Scan(&n)
		return n, err
	}
	for after := int64(0); ; {
		entries, err := s.journal.Earlier(ctx, q, from+" AND e.seq > "+itoa(after)+" ORDER BY e.seq LIMIT "+itoa(DefaultBatch))
		if err != nil || len(entries) == 0 {
			return n, err
		}
		moved := make([]*journal.Entry, len(entries))
		for i := range entries {
			moved[i] = &entries[i]
		}
		if err = s.moveRows(ctx, q, moved); err != nil {
			return n, err
		}
		n, after = n+int64(len(entries)), seqOf(&entries[len(entries)-1])
	}
}

// purgeEarlier is Purge for the table of earlier versions. With all it keeps all.
func (s *Store) purgeEarlier(ctx context.Context, db *sql.DB, o PurgeOptions, place string, all bool) (p Purged, err error) {
	table, err := s.history(ctx, db)
	if err != nil || table == "" {
		return p, err
	}
	old := " FROM " + table + " e WHERE e.recorded_at < " + s.time(o.Before)
	has, err := s.hasEarlier(ctx, db)
	if err != nil {
		return p, err
	}
	keeps := "NOT " + s.d.earlier().passed()
	if has { // else all had been delivered when the table was renamed, and Resume knows it no more
		keeps = "(f.place <> " + s.quote(place) + " OR " + keeps + ")"
	}
	free := old + " AND NOT EXISTS (SELECT 1 FROM " + s.prefix + "forwarders f WHERE f.retired_at IS NULL AND " + keeps + ")" +
		" AND NOT EXISTS (SELECT 1 FROM " + s.prefix + "failures x WHERE x.event_id = e.id)"
	count := "SELECT " + s.d.fn("count") + "(*)"
	if err = db.QueryRowContext(ctx, count+old).Scan(&p.Kept); err != nil || all {
		return p, err
	}
	if o.Dry {
		err = db.QueryRowContext(ctx, count+free).Scan(&p.Events)
		p.Kept -= p.Events
		return p, err
	}
	for after := int64(0); ; {
		n, last, err := s.purgeEarlierBatch(ctx, db, table, free+" AND e.seq > "+itoa(after), o)
		p.Events, p.Kept, after = p.Events+n, max(0, p.Kept-n), last
		if err != nil || n < int64(o.Batch) {
			return p, err
		}
	}
}

// purgeEarlierBatch deletes and writes down one batch, up to the entry last.
func (s *Store) purgeEarlierBatch(ctx context.Context, db *sql.DB, table, free string, o PurgeOptions) (n, last int64, err error) {
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
		if n, e = affected(ctx, conn, "DELETE FROM "+table+" WHERE seq IN "+batch); e != nil || n == 0 {
			return e
		}
		_, e = conn.ExecContext(ctx, "INSERT INTO "+s.prefix+"purges (purged_at, purged_by, before, events, first_seq, last_seq) VALUES ("+
			s.d.now()+", "+s.quote(o.By)+", "+s.time(o.Before)+", "+itoa(n)+", "+itoa(low.Int64)+", "+itoa(last)+")")
		return e
	})
	return n, last, err
}

// addEarlier adds to a state what is still in the table of earlier versions for the forwarder.
func (s *Store) addEarlier(ctx context.Context, q querier, st *State) error {
	c, err := s.earlierCursorOf(ctx, q, st.Forwarder)
	if err != nil || c == nil {
		return err
	}
	d := s.d.earlier()
	parts := d.behind(c)
	for i, part := range parts {
		parts[i] = "SELECT " + s.d.fn("count") + "(*) AS n, " + s.d.fn("min") + "(e.recorded_at) AS oldest FROM " + d.table(s) + " e WHERE " + part +
			" AND NOT EXISTS (SELECT 1 FROM " + s.prefix + "settled t WHERE t.forwarder = " + s.quote(st.Forwarder) + " AND t.event_id = e.id)"
	}
	var (
		n      int64
		oldest time.Time
	)
	err = q.QueryRowContext(ctx, "SELECT CAST("+s.d.fn("sum")+"(n) AS bigint), "+s.d.fn("min")+"(oldest) FROM ("+strings.Join(parts, " UNION ALL ")+") parts").
		Scan(&n, readable{moment{&oldest}})
	if n > 0 && (st.Behind == 0 || oldest.Before(st.Oldest)) {
		st.Oldest = oldest
	}
	st.Behind += n
	return wrap("count what is left in the table of an earlier version", st.Forwarder, err)
}
