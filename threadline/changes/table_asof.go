package changes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// keysAtATime is how many rows TableAsOf has in memory.
const keysAtATime = 100

// TableAsOf returns the rows that a table had at a time, as [Store.RowAsOf] has each, in the order of their keys' texts.
// It reads one state of the database: until the loop ends it has a connection, and a transaction open. It has no more than a
// hundred rows in memory, and executes a statement or two for each row that there is now or was at any time.
//
// A row of which it is not known what it was comes with its Key alone and an [*AsOfError], and the loop goes on. An error without a
// row is the last one. If that is an [*AsOfError] of [ErrBroken], rows may be missing: those that were removed, by a TRUNCATE or while
// the table was not captured, without ever having been changed before.
func (s *Store) TableAsOf(ctx context.Context, table string, at time.Time) iter.Seq2[*Row, error] {
	return func(yield func(*Row, error) bool) {
		err := s.known()
		if err == nil {
			err = s.inSnapshot(ctx, func(r *snapshot) error { return r.tableAsOf(ctx, table, at, yield) })
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}
}

// errStopped says that the loop has ended before the rows.
var errStopped = errors.New("the loop has ended")

func (r *snapshot) tableAsOf(ctx context.Context, table string, at time.Time, yield func(*Row, error) bool) error {
	t, err := r.look(ctx, table)
	switch {
	case err != nil:
		return err
	case t.named == nil:
		return fmt.Errorf("changes: %s was never captured", table)
	case !t.keyed():
		return fmt.Errorf("changes: the rows of %s have no key by which to tell what they were", t.name())
	}
	if err = r.pin(ctx); err != nil {
		return err
	}
	whole := &asOf{snapshot: r, table: t}
	if whole.breaks, err = r.breaks(ctx, t); err != nil {
		return err
	}
	if began := whole.began(); began != nil && at.Before(began.To) {
		return &AsOfError{Err: ErrBeforeCapture, Break: began}
	}
	if _, err = r.tx.ExecContext(ctx, "DECLARE threadline_keys NO SCROLL CURSOR FOR "+r.keysOf(t)); err != nil {
		return wrap("read the keys of "+t.name(), err)
	}
	for {
		keys, err := readAll(ctx, r.tx, func(rows *sql.Rows) (key string, err error) { return key, rows.Scan(&key) }, "FETCH "+strconv.Itoa(keysAtATime)+" FROM threadline_keys")
		if err != nil {
			return wrap("read the keys of "+t.name(), err)
		}
		if len(keys) == 0 {
			return whole.unnamed(at)
		}
		if err := whole.some(ctx, keys, at, yield); err != nil {
			return err
		}
	}
}

// keysOf is a query for all keys that rows of the table have, or have had.
func (r *snapshot) keysOf(t *undoTable) string {
	changes := r.store.at("audit_changes")
	of := " FROM " + changes + " c WHERE c.table_id = " + strconv.FormatInt(t.id, 10) + " AND c."
	query := "SELECT k.key FROM (SELECT c.key" + of + "key IS NOT NULL UNION SELECT c.former_key" + of + "former_key IS NOT NULL"
	if a := (&asOf{table: t}); t.liveTable != nil && len(t.key) > 0 && a.keyHolds(t.key) {
		columns := make([]string, len(t.key))
		for i, k := range t.key {
			columns[i] = "t." + pgschema.Ident(k)
		}
		query += ` UNION SELECT ROW(` + strings.Join(columns, ", ") + `)::pg_catalog.text COLLATE "C" FROM ` + t.only() + " t"
	}
	return query + `) k ORDER BY k.key COLLATE "C"`
}

// some yields the rows that had some keys.
func (a *asOf) some(ctx context.Context, keys []string, at time.Time, yield func(*Row, error) bool) error {
	type result struct {
		row *Row
		err error
	}
	var results []result
	var since []*Change // by which rows became what they were
	for _, text := range keys {
		key, err := keyOf(sql.NullString{String: text, Valid: true})
		if err != nil {
			return err
		}
		one := &asOf{snapshot: a.snapshot, table: a.table, key: key, breaks: a.breaks, lives: &lives{store: a.store, db: a.tx, tableID: a.table.id, under: make(map[string][]*row)}}
		if one.under, err = one.lives.changes(ctx, text); err != nil {
			return err
		}
		row, err := one.rowAt(ctx, at)
		var unknown *AsOfError
		switch {
		case errors.Is(err, ErrGone), errors.Is(err, ErrNotYet):
			continue
		case errors.As(err, &unknown):
			row = &Row{Schema: a.table.named.Schema, Table: a.table.named.Table, Key: key}
		case err != nil:
			return err
		}
		if row.Since != nil {
			since = append(since, row.Since)
		}
		results = append(results, result{row, err})
	}
	if err := a.store.attributeBy(ctx, a.tx, since); err != nil {
		return err
	}
	for _, one := range results {
		if !yield(one.row, one.err) {
			return errStopped
		}
	}
	return nil
}

// rowAt returns the row that had the key at a time.
func (a *asOf) rowAt(ctx context.Context, at time.Time) (*Row, error) {
	captured, last := at.UTC().Format(lenient.TimeForm), -1
	for i, c := range a.under {
		if c.captured <= captured {
			last = i
		}
	}
	return a.row(ctx, at, last)
}

// unnamed returns an error if rows may have been removed since a moment that no change names.
func (a *asOf) unnamed(at time.Time) error {
	now := time.Now().Add(24 * time.Hour) // whatever the clocks say
	b := a.broken(at, now)
	if b == nil {
		if i := slices.IndexFunc(a.breaks, func(b Break) bool { return b.Kind == Truncated && b.To.After(at) }); i >= 0 {
			b = &a.breaks[i]
		}
	}
	if b == nil && (a.table.liveTable == nil || !a.table.capturing) {
		b = &Break{Kind: Uncaptured, From: at, To: time.Now(), Schema: a.table.named.Schema, Table: a.table.named.Table, Text: "no trigger captures the table now"}
	}
	if b == nil {
		return nil
	}
	return &AsOfError{Err: ErrBroken, Break: b}
}
