package relay

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/nildb"
)

// Selection is what to replay: entries that match all that is set.
type Selection struct {
	// Forwarder gets them; it must be registered.
	Forwarder string
	// IDs are those of entries. A UUIDv7 is looked for in rows written within a day of its time. For any other ID the whole
	// journal is read, and for a UUIDv5, as row changes have it, all row changes, unless the forwarder has refused the
	// change. If the journal has an ID twice, both entries are selected. One that no entry has is an error.
	IDs []uuid.UUID
	// Positions are those of entries, as in [Failed] and in the journal. One that the journal, or the history of
	// row changes, does not have is an error.
	Positions []journal.Position
	// Reason selects discarded entries by why, as in [Failed]; a word that none of them
	// has selects nothing, and is no error.
	Reason string
	// Discarded selects discarded entries only. It is implied by Reason.
	Discarded bool
	// From (inclusive) and To (exclusive) limit RecordedAt.
	From, To time.Time
}

func (sel *Selection) check() error {
	switch {
	case sel.Forwarder == "":
		return errors.New("relay: replay: name the forwarder")
	case len(sel.IDs)+len(sel.Positions) == 0 && !sel.Discarded && sel.Reason == "" && sel.From.IsZero() && sel.To.IsZero():
		return errors.New("relay: replay: say what: IDs, Positions, Discarded, Reason, From or To")
	case len(sel.IDs) > 0 && len(sel.Positions) > 0:
		return errors.New("relay: replay: give IDs or Positions, not both")
	case !sel.From.IsZero() && !sel.To.IsZero() && !sel.From.Before(sel.To):
		return errors.New("relay: replay: From is not before To")
	}
	for _, p := range sel.Positions {
		if p.Ordinal < 0 {
			return fmt.Errorf("relay: replay: the position %s has the ordinal %d: the first one is 0", p.Text(), p.Ordinal)
		}
	}
	return nil
}

// named are entries whose positions are known, with the IDs of their events if these are.
type named map[journal.Position]uuid.UUID

// source is a table of them: key, ordinal, id.
func (n named) source(s *Store) string {
	rows := make([]string, 0, len(n))
	for p, id := range n {
		rows = append(rows, fmt.Sprintf("(%s, %d, %s)", s.d.uuid(p.Key), p.Ordinal, s.d.uuid(id)))
	}
	return "(WITH n (key, ordinal, id) AS (VALUES " + strings.Join(rows, ", ") + ") SELECT key, ordinal, nullif(id, " + s.d.uuid(uuid.Nil) + ") AS id FROM n) n"
}

// selected selects entries: n.key, n.ordinal, and n.id if it is known. It is "" if none can
// match.
func (s *Store) selected(ctx context.Context, q querier, sel *Selection, c *cursor) (string, error) {
	events := s.events() + " e"
	ordinal := "o.ordinal"
	from := "e.key AS key, o.ordinal AS ordinal, NULL AS id FROM " + events + " " + s.d.ordinals()
	join := ""
	terms := []string{"e.events > 0"}
	discarded := sel.Reason != "" || sel.Discarded
	names, err := s.names(ctx, q, sel)
	switch {
	case err != nil:
		return "", err
	case names != nil && len(names) == 0:
		return "", nil
	case names != nil:
		ordinal = "n.ordinal"
		from = "n.key AS key, n.ordinal AS ordinal, n.id AS id FROM " + names.source(s) + " JOIN " + events + " ON e.key = n.key AND n.ordinal < e.events"
		join = " JOIN " + s.prefix + "retries f ON f.key = n.key AND f.ordinal = n.ordinal"
	case discarded:
		ordinal = "f.ordinal"
		from, join = "f.key AS key, f.ordinal AS ordinal, f.event_id AS id FROM "+s.prefix+"retries f JOIN "+events+" ON e.key = f.key", ""
	}
	if discarded {
		from += join
		terms = append(terms, "f.forwarder = "+s.quote(sel.Forwarder), "f.state = '"+stateDiscarded+"'")
	}
	if sel.Reason != "" {
		terms = append(terms, "f.reason = "+s.quote(sel.Reason))
	}
	if !sel.From.IsZero() {
		terms = append(terms, "e.recorded_at >= "+s.time(sel.From))
	}
	if !sel.To.IsZero() {
		terms = append(terms, "e.recorded_at < "+s.time(sel.To))
	}
	// What the cursor has not reached comes anyway.
	terms = append(terms, s.d.reached(c, ordinal))
	selected := "SELECT " + from + " WHERE " + strings.Join(terms, " AND ")
	switch {
	case s.changes != nil:
		if changed := s.selectedChanges(sel, names, c); changed != "" {
			selected += " UNION ALL " + changed
		}
	case discarded && names == nil && s.d.hasChanges(): // else there would be a source
		selected += s.discardedChanges(sel)
	}
	return selected, nil
}

// discardedChanges selects the row changes among the dead letters, which are not in the journal.
func (s *Store) discardedChanges(sel *Selection) string {
	query := " UNION ALL SELECT f.key, f.ordinal, f.event_id FROM " + s.prefix + "retries f WHERE f.forwarder = " + s.quote(sel.Forwarder) +
		" AND f.state = '" + stateDiscarded + "' AND f.key >= " + s.d.uuid(leastChange)
	if sel.Reason != "" {
		query += " AND f.reason = " + s.quote(sel.Reason)
	}
	return query
}

// names are the entries that a Selection names, nil if it names none.
func (s *Store) names(ctx context.Context, q querier, sel *Selection) (named, error) {
	switch {
	case len(sel.IDs) > 0:
		found, err := s.find(ctx, q, sel.IDs)
		if err == nil && s.changes != nil {
			err = s.findChanges(ctx, q, sel.Forwarder, sel.IDs, found)
		}
		if err == nil {
			err = s.existIDs(ctx, q, sel.IDs, found)
		}
		return found, err
	case len(sel.Positions) > 0:
		names := make(named)
		for _, p := range sel.Positions {
			names[p] = uuid.Nil
		}
		return names, s.exist(ctx, q, names)
	}
	return nil, nil //nolint:nilnil // as documented
}

// exist returns an error if the journal, or the history of row changes, lacks one of the entries.
func (s *Store) exist(ctx context.Context, q querier, names named) error {
	var changed []uuid.UUID
	if s.changes != nil {
		names = maps.Clone(names)
		maps.DeleteFunc(names, func(p journal.Position, _ uuid.UUID) bool {
			if isChange(p.Key) {
				changed = append(changed, p.Key)
				return true
			}
			return false
		})
	}
	if err := s.existChanges(ctx, q, changed); err != nil || len(names) == 0 {
		return err
	}
	var p journal.Position
	err := q.QueryRowContext(ctx, "SELECT n.key, n.ordinal FROM "+names.source(s)+" WHERE NOT EXISTS (SELECT 1 FROM "+s.events()+" e WHERE e.key = n.key AND n.ordinal < e.events) LIMIT 1").
		Scan(&p.Key, &p.Ordinal)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("the journal has no entry at position %s: it was purged, or the position is of another journal", p.Text())
}

// Replay gives entries to a forwarder again, whether it has accepted or refused
// them, and returns how many. The relay delivers them within seconds, beside what is new. It
// reads those of one Replay in the order of their keys, that is, of the clients' clocks, and
// sorts each call like any other. With dry it only counts.
//
// It is an error, and changes nothing, if the forwarder gets row changes, or may, and the Store does not know where they
// are: see [Options.Changes].
//
// IDs, From and To also select what an earlier version has written to its own table and
// delivered from there: these entries are moved to the table journal first.
func (s *Store) Replay(ctx context.Context, db *sql.DB, sel Selection, dry bool) (n int64, err error) {
	db = nildb.Replace(db)
	defer s.explain(ctx, db, &err)
	if err = sel.check(); err != nil {
		return 0, err
	}
	c, err := s.cursorOf(ctx, db, sel.Forwarder)
	if err != nil {
		return 0, err
	}
	if sel.concernsChanges() {
		s = s.of(sel.Forwarder)
		if err = s.mustRead(ctx, db, sel.Forwarder); err != nil {
			return 0, wrap("replay", sel.Forwarder, err)
		}
	}
	fetched, err := s.fetch(ctx, db, &sel, dry)
	if err != nil {
		return 0, wrap("look for what to replay in the table of an earlier version", sel.Forwarder, err)
	}
	selected, err := s.selected(ctx, db, &sel, c)
	switch {
	case err != nil:
		return 0, wrap("look for what to replay", sel.Forwarder, err)
	case selected == "" && dry:
		return fetched, nil
	case selected == "":
		return 0, nil
	case dry:
		err = db.QueryRowContext(ctx, "SELECT "+s.d.fn("count")+"(*) FROM ("+selected+") s").Scan(&n)
		return fetched + n, wrap("count what to replay", sel.Forwarder, err)
	}
	n, err = s.replay(ctx, db, sel.Forwarder, selected)
	return n, wrap("replay", sel.Forwarder, err)
}

// replay has the entries tried again that a query selects. All of them are due at the same
// moment, so that they come in the order of their keys.
func (s *Store) replay(ctx context.Context, q querier, forwarder, selected string) (int64, error) {
	now := "(SELECT " + s.d.now() + ")" // evaluated once
	n, err := affected(ctx, q, s.d.holdPurges(s)+"INSERT INTO "+s.prefix+"retries AS f (forwarder, key, ordinal, event_id, state, attempts, next_at, reason, error, first_at, last_at)"+
		" SELECT "+s.quote(forwarder)+", s.key, s.ordinal, "+s.d.asID("s.id")+", '"+stateRetrying+"', 0, "+now+", 'replay', '', "+now+", "+now+" FROM ("+selected+") s WHERE true"+
		" ON CONFLICT (forwarder, key, ordinal) DO UPDATE SET event_id = coalesce(excluded.event_id, f.event_id), state = excluded.state, attempts = 0, next_at = excluded.next_at, reason = excluded.reason, error = ''")
	return n, besidePurge(err)
}

// lockNotAvailable is the SQLSTATE of a statement that waits for a lock for too long.
const lockNotAvailable = "55P03"

// besidePurge says what an error means that a statement behind holdPurges has returned.
func besidePurge(err error) error {
	if hooks.SQLState(err) == lockNotAvailable {
		return fmt.Errorf("a purge is running: try again when it is done: %w", err)
	}
	return err
}

// find looks for events in the documents.
func (s *Store) find(ctx context.Context, q querier, ids []uuid.UUID) (named, error) {
	found := make(named)
	for _, span := range spans(ids) {
		wanted := make(map[uuid.UUID]bool, len(span.ids))
		for _, id := range span.ids {
			wanted[id] = true
		}
		for {
			keys, more, err := s.mentioning(ctx, q, &span, wanted)
			if err != nil {
				return nil, err
			}
			for part := range slices.Chunk(keys, mostMentioning) {
				rows, err := s.journal.Rows(ctx, q, s.events()+" e WHERE e.key IN ("+idList(part)+")")
				if err != nil {
					return nil, err
				}
				for i := range rows {
					for _, e := range rows[i].Entries() {
						if wanted[e.ID] {
							found[e.Position] = e.ID
						}
					}
				}
			}
			if !more {
				break
			}
		}
	}
	return found, nil
}

const (
	// fewIDs is how many IDs the database looks for by itself: it reads a document once for
	// each. More are looked for here, in documents that have all to be sent.
	fewIDs = 16
	// mostMentioning is how many rows are decoded at a time, each of which may be large.
	mostMentioning = 20
	// mostLooked is how many are looked at in one statement, which keeps a snapshot.
	mostLooked = 10_000
)

// mentioning returns the keys of rows at the beginning of a span whose documents mention one of its
// IDs, and moves the beginning behind the rows that it has looked at. more says that there may
// be others.
func (s *Store) mentioning(ctx context.Context, q querier, of *span, wanted map[uuid.UUID]bool) (keys []uuid.UUID, more bool, err error) {
	document, limit, mentions := "e.document", mostLooked, ""
	if len(of.ids) <= fewIDs {
		document, limit, mentions = "NULL", mostMentioning, " AND "+s.d.mentions(of.ids)
	}
	is := " >= "
	if of.begun {
		is = " > "
	}
	rows, err := q.QueryContext(ctx, "SELECT e.key, "+document+" FROM "+s.events()+" e WHERE e.events > 0"+mentions+
		" AND e.key <= "+s.d.uuid(of.to)+" AND e.key"+is+s.d.uuid(of.from)+" ORDER BY e.key LIMIT "+itoa(int64(limit)))
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	n := 0
	for ; rows.Next(); n++ {
		var document sql.RawBytes
		if err := rows.Scan(&of.from, &document); err != nil {
			return nil, false, err
		}
		if mentions != "" || mentionsAny(document, wanted) {
			keys = append(keys, of.from)
		}
	}
	of.begun = of.begun || n > 0
	return keys, n == limit, rows.Err()
}

// mentionsAny reports whether a document has one of the IDs, as text. It reads the document
// once.
func mentionsAny(document []byte, ids map[uuid.UUID]bool) bool {
	const first, length = 8, 36 // where a UUID's text has the first of four dashes
	for at := first; at < len(document); at++ {
		dash := bytes.IndexByte(document[at:], '-')
		if dash < 0 {
			return false
		}
		at += dash
		if end := at - first + length; end > len(document) {
			return false
		} else if document[at+5] == '-' {
			if id, err := uuid.ParseBytes(document[at-first : end]); err == nil && ids[id] {
				return true
			}
		}
	}
	return false
}

// span is a range of keys, both included, and the events that may be in their rows.
type span struct {
	from, to uuid.UUID
	ids      []uuid.UUID
	begun    bool // the row with the key from has been looked at
}

// spans returns where to look for events: a key is a UUIDv7 of the moment at which its row was
// written, and an ID that is one has the moment at which the event was made. Keys below all
// of these are of rows that were moved from the table of an earlier version. For an ID that
// says nothing of its time the whole journal is one span.
func spans(ids []uuid.UUID) []span {
	const day = 24 * 60 * 60 * 1000 // in milliseconds
	all := span{to: uuid.Max, ids: ids}
	var spans []span
	for _, id := range slices.SortedFunc(slices.Values(ids), func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }) {
		if id.Version() != 7 {
			return []span{all}
		}
		at := binary.BigEndian.Uint64(id[:8]) >> 16
		from, to := keyAt(max(at, day+firstKey)-day), keyAt(at+day)
		if n := len(spans); n > 0 && bytes.Compare(from[:], spans[n-1].to[:]) <= 0 {
			spans[n-1].to, spans[n-1].ids = to, append(spans[n-1].ids, id)
		} else {
			spans = append(spans, span{from: from, to: to, ids: []uuid.UUID{id}})
		}
	}
	return append(spans, span{to: keyAt(firstKey), ids: ids})
}

// firstKey is a time, in milliseconds since 1970, before all keys of rows that clients have
// written, and beyond what the key of a moved row has in its place.
const firstKey = 1 << 40

// keyAt is the least key of a time in milliseconds.
func keyAt(ms uint64) (key uuid.UUID) {
	binary.BigEndian.PutUint64(key[:8], ms<<16)
	return key
}
