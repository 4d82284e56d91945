package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// record is an event as a table has it: of the journal or of the timeline,
// read without the packages that wrote it.
type record struct {
	id, action, outcome   string
	actorType, actorID    string
	onBehalfOf            string
	targetType, targetID  string
	request, reason, meta string
}

// records reads a table of events in the order of some columns. Both dialects know CAST(… AS TEXT).
func records(ctx context.Context, db *sql.DB, table, action, order string) ([]record, error) {
	rows, err := db.QueryContext(ctx, `SELECT CAST(id AS TEXT), `+action+`, outcome,
		coalesce(actor_type, ''), coalesce(actor_id, ''), coalesce(on_behalf_of, ''),
		coalesce(target_type, ''), coalesce(target_id, ''),
		coalesce(request_id, ''), coalesce(reason, ''), coalesce(CAST(metadata AS TEXT), '')
		FROM `+table+` ORDER BY `+order)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []record
	for rows.Next() {
		var r record
		err := rows.Scan(&r.id, &r.action, &r.outcome, &r.actorType, &r.actorID, &r.onBehalfOf,
			&r.targetType, &r.targetID, &r.request, &r.reason, &r.meta)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// journalRows and timelineRows read the journal's view and the timeline's table under the names that the
// dialects give them.
func journalRows(ctx context.Context, db *sql.DB, dialect hooks.Dialect) ([]record, error) {
	if dialect == hooks.Postgres {
		return records(ctx, db, "aftercommit.audit_events", "action", "key, ordinal")
	}
	return records(ctx, db, "aftercommit_audit_events", "action", "seq, ordinal")
}

func timelineRows(ctx context.Context, db *sql.DB, dialect hooks.Dialect) ([]record, error) {
	if dialect == hooks.Postgres {
		return records(ctx, db, "threadline.audit_actions", "name", "recorded_at, seq")
	}
	return records(ctx, db, "threadline_audit_actions", "name", "recorded_at, seq")
}

// number returns a number of the record's metadata.
func (r record) number(name string) (int64, error) {
	var meta map[string]json.RawMessage
	if err := json.Unmarshal([]byte(r.meta), &meta); err != nil {
		return 0, fmt.Errorf("metadata of event %s: %w", r.id, err)
	}
	var n int64
	if err := json.Unmarshal(meta[name], &n); err != nil {
		return 0, fmt.Errorf("metadata of event %s: %s: %w", r.id, name, err)
	}
	return n, nil
}

// sum adds up the rows that records of an action tell of.
func sum(all []record, action string) (n int64, err error) {
	for _, r := range all {
		if r.action != action {
			continue
		}
		rows, err := r.number("rows")
		if err != nil {
			return 0, err
		}
		n += rows
	}
	return n, nil
}

func count(all []record, keep func(record) bool) int {
	n := 0
	for _, r := range all {
		if keep(r) {
			n++
		}
	}
	return n
}
