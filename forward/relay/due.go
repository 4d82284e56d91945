package relay

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// due is an entry whose time to be tried again has come.
type due struct {
	at       journal.Position
	id       uuid.UUID // of its event, zero if it is not known
	attempts int
	// octets is how large the documents of its row are, in bytes; negative if the journal
	// does not have it any more.
	octets int
}

// documents are decoded rows of entries that are due, by key. While a batch of these is
// halved, no document is decoded again.
type documents map[uuid.UUID][]candidate

// due reads entries whose time to be tried again has come, first those that have waited
// longest; and gone are those that the journal has no more. It is limited in bytes, too.
func (s *Store) due(ctx context.Context, q querier, forwarder string, until string, limit int, known documents) (batch []candidate, gone []due, err error) {
	all, err := s.dueEntries(ctx, q, forwarder, until, limit)
	if err != nil {
		return nil, nil, wrap("look for what is due", forwarder, err)
	}
	var missing []uuid.UUID
	for i := range all {
		if s.changes != nil && isChange(all[i].at.Key) {
			all[i].octets = 0 // they are read when they are delivered
		}
	}
	octets := 0
	for i, d := range all {
		if _, ok := known[d.at.Key]; ok || d.octets < 0 {
			continue
		}
		if n := len(missing); n > 0 && missing[n-1] == d.at.Key {
			continue
		}
		if octets += d.octets; octets > mostOctets && len(missing) > 0 {
			all = all[:i]
			break
		}
		missing = append(missing, d.at.Key)
	}
	if err := s.decode(ctx, q, missing, known); err != nil {
		return nil, nil, wrap("read what is due", forwarder, err)
	}
	for _, d := range all {
		if entries := known[d.at.Key]; d.at.Ordinal >= 0 && d.at.Ordinal < len(entries) {
			a := entries[d.at.Ordinal]
			a.attempts = d.attempts
			batch = append(batch, a)
		} else {
			gone = append(gone, d)
		}
	}
	return batch, gone, nil
}

// decode adds the rows with these keys to known.
func (s *Store) decode(ctx context.Context, q querier, keys []uuid.UUID, known documents) error {
	if len(keys) == 0 {
		return nil
	}
	rows, err := s.journal.Rows(ctx, q, s.events()+" e WHERE e.key IN ("+idList(keys)+") AND e.events > 0 ORDER BY "+s.d.order("e"))
	if err != nil {
		return err
	}
	if of := slices.DeleteFunc(slices.Clone(keys), func(key uuid.UUID) bool { return !isChange(key) }); s.changes != nil && len(of) > 0 {
		changed, err := s.changesOf(ctx, q, of)
		if err != nil {
			return err
		}
		rows, _ = s.merge(rows, true, changed, true)
	}
	var u unpacker
	for i := range rows {
		known[rows[i].Key] = u.entries(&rows[i], s.d.spot(&rows[i]))
	}
	return nil
}

func (s *Store) dueEntries(ctx context.Context, q querier, forwarder, until string, limit int) (all []due, err error) {
	rows, err := q.QueryContext(ctx, "SELECT r.key, r.ordinal, coalesce(CAST(r.event_id AS varchar), ''), r.attempts, CASE WHEN e.key IS NULL THEN -1 ELSE "+s.d.octets()+" END FROM (SELECT key, ordinal, event_id, attempts, next_at FROM "+
		s.prefix+"retries WHERE forwarder = "+s.quote(forwarder)+" AND state = '"+stateRetrying+"' AND next_at <= "+until+s.mine()+
		" ORDER BY next_at, key, ordinal LIMIT "+itoa(int64(limit))+") r LEFT JOIN "+s.events()+" e ON e.key = r.key AND e.events > 0 ORDER BY r.next_at, r.key, r.ordinal")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			d  due
			id string
		)
		if err := rows.Scan(&d.at.Key, &d.at.Ordinal, &id, &d.attempts, &d.octets); err != nil {
			return nil, err
		}
		d.id, _ = uuid.Parse(id) // it is for people
		all = append(all, d)
	}
	return all, rows.Err()
}
