package reading

import (
	"context"
	"database/sql"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// AttributeBy sets By of changes. A transaction without a number was not begun by the driver, or has written
// unseen by it: it may have events, and which ones is not known. It is never said that there were none: what was purged
// from the journal may have been.
func (s SQLite) AttributeBy(ctx context.Context, db catalog.Querier, list []*change.Change) error {
	found := make(map[int64]*change.Attribution)
	var ids []string
	for _, c := range list {
		if found[c.XID] == nil {
			found[c.XID] = &change.Attribution{State: change.Unknown, Reason: "the driver has not numbered its transaction"}
			if c.XID != 0 {
				found[c.XID].Reason = "its events are not known"
				ids = append(ids, strconv.FormatInt(c.XID, 10))
			}
		}
		c.By = found[c.XID]
	}
	if len(ids) == 0 {
		return nil
	}
	here := func(table string) (is bool, err error) {
		err = db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ?)", table).Scan(&is)
		return is, err
	}
	timeline, err := here(s.Catalog.Schema + "_audit_contexts")
	if err != nil || !timeline {
		return catalog.Wrap("read who made the changes", err)
	}
	among := " IN (" + strings.Join(ids, ", ") + ")"
	_, err = catalog.ReadAll(ctx, db, func(rows *sql.Rows) (_ struct{}, err error) {
		var id int64
		var r attributionRow
		destinations := []any{&id}
		for i := range r.context {
			destinations = append(destinations, &r.context[i])
		}
		if err = rows.Scan(append(destinations, &r.events, &r.first, &r.last)...); err != nil {
			return struct{}{}, err
		}
		found[id].State, found[id].Reason = change.Recorded, ""
		return struct{}{}, r.addTo(found[id])
	}, "SELECT tx_id, "+strings.Join(contextColumns, ", ")+", events, first_recorded_at, last_recorded_at FROM "+s.In("audit_contexts")+" WHERE tx_id"+among)
	for _, journal := range s.Journals {
		var is bool
		if err == nil {
			is, err = here(journal + "_journal")
		}
		if err == nil && is {
			err = s.pending(ctx, db, journal, among, found)
		}
	}
	return catalog.Wrap("read who made the changes", err)
}

// pending sets the state of transactions of which a journal has events, and the timeline none.
func (s SQLite) pending(ctx context.Context, db catalog.Querier, journal, among string, found map[int64]*change.Attribution) error {
	_, err := catalog.ReadAll(ctx, db, func(rows *sql.Rows) (_ struct{}, err error) {
		var id int64
		if err = rows.Scan(&id); err == nil && found[id].State != change.Recorded {
			found[id].State, found[id].Reason = change.Pending, ""
		}
		return struct{}{}, err
	}, "SELECT DISTINCT tx_id FROM main."+pgschema.Ident(journal+"_journal")+" WHERE events > 0 AND tx_id"+among)
	return err
}
