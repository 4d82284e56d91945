package relay

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// What operators ask about the row changes of a forwarder. A Store knows from its Options where they are.

// checkSources returns an error if [Options.Changes] cannot be used.
func (s *Store) checkSources() error {
	for name, c := range s.sources {
		switch {
		case !s.d.hasChanges():
			return fmt.Errorf("relay: Options.Changes of %q: row changes are delivered on PostgreSQL only", name)
		case c == nil:
			return fmt.Errorf("relay: Options.Changes of %q is nil: pass what changes.NewSource returns", name)
		}
	}
	return nil
}

// of returns the store for a forwarder: it also reads the forwarder's row changes, if Options.Changes has their source.
func (s *Store) of(forwarder string) *Store {
	for name, c := range s.sources {
		if stores(name, forwarder) {
			return s.withChanges(c)
		}
	}
	return s
}

const noSource = "it also gets row changes, but this Store cannot read them: pass relay.New their source in Options.Changes"

// eventsOnlyReason returns why the row changes that a forwarder gets cannot be read, "" if they can, or if it gets none. s is the store for
// that forwarder: see [Store.of].
func (s *Store) eventsOnlyReason(ctx context.Context, db *sql.DB, forwarder string, all []registered) (why string, err error) {
	if s.changes == nil {
		for i := range all {
			if slices.ContainsFunc(all[i].Changes, func(name string) bool { return stores(name, forwarder) }) {
				return noSource, nil
			}
		}
		return "", nil
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return "", wrap("look for row changes", forwarder, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if e := s.changes.Check(ctx, conn); e != nil {
		if ctx.Err() != nil {
			return "", wrap("look for row changes", forwarder, e)
		}
		return e.Error(), nil
	}
	return "", nil
}

// ErrChangesUnknown means that nothing was replayed: the database has row changes, and if the forwarder gets them, they would be left out.
// Options.Changes and [Options.EventsOnly] say whether it does.
var ErrChangesUnknown = errors.New("this database has row changes, and it is not known whether the forwarder gets them")

// mustRead returns an error if a forwarder gets row changes, may get some, or has refused some, and they cannot be read: then only a part
// would be replayed. s is the store for that forwarder.
func (s *Store) mustRead(ctx context.Context, db *sql.DB, forwarder string) error {
	if !s.d.hasChanges() {
		return nil
	}
	all, err := s.registrations(ctx, db)
	if err != nil {
		return err
	}
	why, err := s.eventsOnlyReason(ctx, db, forwarder, all)
	if err == nil && why == "" && s.changes == nil {
		var some bool
		err = wrap("look for row changes", forwarder, db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+s.prefix+"retries r WHERE r.forwarder = "+s.quote(forwarder)+" AND NOT "+s.ofJournal("r.key")+")").Scan(&some))
		if some {
			why = noSource
		}
	}
	if err == nil && why == "" && s.changes == nil && !s.knownWithout(forwarder, all) {
		var captured bool
		err = wrap("look for row changes", forwarder, db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class c WHERE c.relname = 'audit_changes' AND c.relkind IN ('r', 'p'))").Scan(&captured))
		if captured {
			return fmt.Errorf("nothing was changed: %w: start a program that has registered it, or name it in Options.Changes if it gets them, in Options.EventsOnly if not", ErrChangesUnknown)
		}
	}
	if err == nil && why != "" {
		err = fmt.Errorf("nothing was changed: %s", why)
	}
	return err
}

// knownWithout reports whether a forwarder is known to get no row changes: [Options.EventsOnly] names it, or a process that lives has
// registered it. That it was registered without changes is already known here: see eventsOnlyReason.
func (s *Store) knownWithout(forwarder string, all []registered) bool {
	is := func(name string) bool { return stores(name, forwarder) }
	return slices.ContainsFunc(s.noChanges, is) || slices.ContainsFunc(all, func(r registered) bool {
		return slices.ContainsFunc(slices.Collect(maps.Keys(r.Forwarders)), is)
	})
}

// concernsChanges reports whether row changes may be selected other than as dead letters, which are known without a source.
func (sel *Selection) concernsChanges() bool {
	return !sel.From.IsZero() || !sel.To.IsZero() || slices.ContainsFunc(sel.IDs, mayBeChange) ||
		slices.ContainsFunc(sel.Positions, func(p journal.Position) bool { return isChange(p.Key) })
}

// mayBeChange reports whether an ID may be that of a change: see changeID.
func mayBeChange(id uuid.UUID) bool {
	const sha1 = 5
	return id.Version() == sha1
}

// ofJournal selects the keys of rows of the journal, and not those of row changes. If another program has written it, a row of the
// journal may have a key that looks like that of a change.
func (s *Store) ofJournal(key string) string {
	if !s.d.hasChanges() {
		return "true"
	}
	return "(" + key + " < " + s.d.uuid(leastChange) + " OR EXISTS (SELECT 1 FROM " + s.events() + " j WHERE j.key = " + key + "))"
}

// xidOf is an expression for the transaction ID of a change, and lsnOf for its place in the WAL, by its key: see journal.ChangePosition.
func xidOf(key string) string {
	return "('x' || pg_catalog.substr(" + digits(key) + ", 19, 12))::pg_catalog.bit(48)::pg_catalog.int8"
}

func lsnOf(key string) string {
	part := func(from, length int) string {
		return fmt.Sprintf("pg_catalog.substr(%s, %d, %d)", digits(key), from, length)
	}
	return "pg_catalog.concat(" + part(3, 6) + ", '/', " + part(9, 4) + ", " + part(14, 3) + ", " + part(18, 1) + ")::pg_catalog.pg_lsn"
}

func digits(key string) string {
	return "pg_catalog.replace(" + key + "::pg_catalog.text, '-', '')"
}

// selectedChanges is [Store.selected] for row changes. Those that were captured in another database go to no forwarder.
func (s *Store) selectedChanges(sel *Selection, names named, c *cursor) string {
	from, id := s.changesFrom("c.elsewhere"), "NULL::pg_catalog.uuid"
	terms := []string{s.d.reached(c, "0"), "NOT e.elsewhere"}
	discarded := sel.Reason != "" || sel.Discarded
	if names != nil {
		of := make(named)
		var keys []uuid.UUID
		for p, id := range names {
			if isChange(p.Key) {
				of[p] = id
				keys = append(keys, p.Key)
			}
		}
		if len(of) == 0 {
			return ""
		}
		from, id = s.changesAt(keys, "c.elsewhere")+" JOIN "+of.source(s)+" ON n.key = e.key", "n.id"
	} else if !discarded {
		from += " e"
	}
	if discarded {
		of := s.prefix + "retries f"
		terms = append(terms, "f.forwarder = "+s.quote(sel.Forwarder), "f.state = '"+stateDiscarded+"'", "f.key >= "+s.d.uuid(leastChange))
		if sel.Reason != "" {
			terms = append(terms, "f.reason = "+s.quote(sel.Reason))
		}
		if names != nil {
			from += " JOIN " + of + " ON f.key = e.key AND f.ordinal = 0"
		} else {
			// OFFSET 0 keeps the server from joining by a hash of all changes.
			from = of + " CROSS JOIN LATERAL (SELECT * FROM " + from + " e WHERE e.xid = (" + xidOf("f.key") + ")::pg_catalog.text::pg_catalog.xid8 AND e.lsn = " + lsnOf("f.key") + " OFFSET 0) e"
			id = "f.event_id"
			terms = append(terms, "e.key = f.key")
		}
	}
	if !sel.From.IsZero() {
		terms = append(terms, "e.recorded_at >= "+s.time(sel.From))
	}
	if !sel.To.IsZero() {
		terms = append(terms, "e.recorded_at < "+s.time(sel.To))
	}
	return "SELECT e.key AS key, 0 AS ordinal, " + id + " AS id FROM " + from + " WHERE " + strings.Join(terms, " AND ")
}

// findChanges adds the row changes with some IDs to found. It looks among those that the forwarder has refused, and then among all, since
// an ID does not say where its change is.
func (s *Store) findChanges(ctx context.Context, q querier, forwarder string, ids []uuid.UUID, found named) error {
	wanted := make(map[uuid.UUID]bool)
	for _, id := range ids {
		if mayBeChange(id) {
			wanted[id] = true
		}
	}
	for _, id := range found {
		delete(wanted, id)
	}
	if len(wanted) == 0 {
		return nil
	}
	if err := s.findRefused(ctx, q, forwarder, wanted, found); err != nil {
		return err
	}
	where := ""
	for len(wanted) > 0 {
		rows, err := s.journal.Rows(ctx, q, s.changesFrom()+" e WHERE true"+where+" ORDER BY e.xid, e.lsn LIMIT "+itoa(mostLooked))
		if err != nil {
			return err
		}
		for i := range rows {
			if id := changeID(&rows[i]); wanted[id] {
				found[journal.Position{Key: rows[i].Key}] = id
				delete(wanted, id)
			}
		}
		if len(rows) < mostLooked {
			return nil
		}
		where = " AND (e.xid, e.lsn) > " + placeOf(rows[len(rows)-1].Key)
	}
	return nil
}

// findRefused is findChanges for the changes that the forwarder has refused. It deletes their IDs from wanted.
func (s *Store) findRefused(ctx context.Context, q querier, forwarder string, wanted map[uuid.UUID]bool, found named) error {
	var ids []uuid.UUID
	for id := range wanted {
		ids = append(ids, id)
	}
	rows, err := q.QueryContext(ctx, "SELECT key, event_id FROM "+s.prefix+"retries WHERE forwarder = "+s.quote(forwarder)+" AND key >= "+s.d.uuid(leastChange)+" AND event_id IN ("+idList(ids)+")")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key, id uuid.UUID
		if err = rows.Scan(&key, &id); err != nil {
			return err
		}
		if isChange(key) {
			found[journal.Position{Key: key}] = id
			delete(wanted, id)
		}
	}
	return rows.Err()
}

// existChanges returns an error if one of the changes is not there.
func (s *Store) existChanges(ctx context.Context, q querier, keys []uuid.UUID) error {
	if len(keys) == 0 {
		return nil
	}
	rows, err := s.changesOf(ctx, q, keys)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if !slices.ContainsFunc(rows, func(row journal.Row) bool { return row.Key == key }) {
			return fmt.Errorf("there is no row change at position %s: it was deleted, or the position is of another database", journal.Position{Key: key}.Text())
		}
	}
	return nil
}
