package changes

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// keysAtATime is how many rows TableAsOf has in memory.
const keysAtATime = 100

// TableAsOf returns the rows that a table had at a time, as [Store.RowAsOf] has each, in the order of their keys' texts. The time must not be in
// the future ([ErrFuture]).
// It reads one state of the database, that of its beginning: all keys by one statement, and then the rows, a hundred at a
// time. DDL, such as ALTER TABLE, waits for one of these reads at most: in between, and while the loop's body runs, no
// transaction is open and nothing is locked. At most a hundred rows are in memory, and one or two statements are executed for
// each row that there is now or was at any time.
//
// Until the loop ends it has a connection with a cursor WITH HOLD: the server keeps the keys, in a temporary file if they
// are many. Behind a transaction pooler the cursor is not found, and the loop ends with an error. On SQLite it has no
// connection while the loop's body runs. There the rows that no change names come last, in the order of the table's
// key, and a row that had NULL in its key is no row of the loop: it ends with ErrBroken.
//
// If it is not known what a row was, the row comes with its Key alone and an [*AsOfError], and the loop goes on. So does a
// row that no change names, if a TRUNCATE removes it before the loop gets there. An error without a row is the last one. If
// [errors.Is] finds [ErrBroken] or [ErrHidden] in it, rows that no change names may be missing: those that were removed by
// a TRUNCATE or while the table was not captured (ErrBroken), and those that row-level security may hide (ErrHidden).
func (s *Store) TableAsOf(ctx context.Context, table string, at time.Time) iter.Seq2[*Row, error] {
	return func(yield func(*Row, error) bool) {
		if err := eachRow(ctx, s.reader(), table, reading.Bounded(at), yield); err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}
}

// errStopped says that the loop has ended before the rows.
var errStopped = errors.New("the loop has ended")

func eachRow(ctx context.Context, s *reading.Reader, table string, at time.Time, yield func(*Row, error) bool) (err error) {
	if s, ok := onSQLite(s); ok {
		return s.tableAsOf(ctx, table, at, yield)
	}
	if err = s.Catalog.Supported(); err != nil {
		return err
	}
	conn, err := s.Catalog.DB.Conn(ctx)
	if err != nil {
		return catalog.Wrap("read the history", err)
	}
	r := &tableReader{reader: s, conn: conn, at: at}
	defer r.close(ctx) // also if the body panics
	if err = r.begin(ctx, table); err != nil {
		return err
	}
	for {
		keys, err := r.next(ctx)
		if err != nil {
			return catalog.Wrap("read the keys of "+r.whole.table.Label(), err)
		}
		if len(keys) == 0 {
			return r.whole.missing(at)
		}
		page, err := r.page(ctx, keys)
		if err != nil {
			return err
		}
		for _, one := range page {
			if !yield(one.row, one.err) {
				return errStopped
			}
		}
	}
}

// tableReader reads what a table was at a time. The snapshot in which it has begun decides which rows and changes there are.
//
// Rows are read in later snapshots, with the same result. Changes that were committed meanwhile come behind those that the first
// snapshot has seen: of one key each waits for the one before, by the lock of the row or of the unique index. So they are recognised by
// how many changes of a key the first snapshot has seen, and count as made after the time, even if they were captured before it. The live
// row is read only for values that no later change has replaced; what was changed meanwhile is in that change, which is in the same
// snapshot. What no change says, such as what a TRUNCATE has removed, or what was done while a trigger was disabled, is an error of the
// row, as in RowAsOf.
type tableReader struct {
	reader *reading.Reader
	conn   *sql.Conn
	at     time.Time

	cursor  string    // of the keys, "" if there is none
	whole   *asOf     // the table and its breaks
	began   time.Time // not after the first snapshot
	keyless int       // how many changes without a key the first snapshot has seen
}

// seenKey is a key, and how many changes the first snapshot has seen of it: if none, it has seen a row.
type seenKey struct {
	text    string
	changes int
}

// begin reads what there is, and has the server keep the keys.
func (r *tableReader) begin(ctx context.Context, table string) error {
	return r.reader.InSnapshot(ctx, r.conn, func(first *reading.Snapshot) error {
		first.Past = true
		t, err := first.Look(ctx, table)
		if err != nil {
			return err
		}
		if r.whole, err = wholeTable(ctx, first, t, r.at); err != nil {
			return err
		}
		var now string
		err = first.Tx.QueryRowContext(ctx, "SELECT "+pgtext.Time("pg_catalog.now()")+", (SELECT pg_catalog.count(*) FROM "+r.reader.At("audit_changes")+" c WHERE c.key IS NULL AND c.table_id = $1)", t.ID).Scan(&now, &r.keyless)
		if err == nil {
			r.began, err = time.Parse(lenient.TimeForm, now)
		}
		if err != nil {
			return catalog.Wrap("read the keys of "+t.Label(), err)
		}
		// Behind a pooler another session's cursor must not be taken for this one.
		cursor := "threadline_keys_" + strings.ToLower(rand.Text())
		if _, err = first.Tx.ExecContext(ctx, "DECLARE "+cursor+" NO SCROLL CURSOR WITH HOLD FOR "+keysOf(first, t)); err != nil {
			return catalog.Wrap("read the keys of "+t.Label(), err)
		}
		if keyIsThere(t) {
			if err = first.CheckIntact(ctx, t.OID); err != nil {
				return err
			}
		}
		r.cursor = cursor
		return catalog.Wrap("read the keys of "+t.Label(), first.Tx.Commit()) // which reads them
	})
}

// wholeTable returns a table with its breaks, unless nothing says what it was at a time.
func wholeTable(ctx context.Context, r *reading.Snapshot, t *reading.Table, at time.Time) (*asOf, error) {
	if err := t.NeedsKey(); err != nil {
		return nil, err
	}
	if err := r.CheckPast(ctx, t, at); err != nil {
		return nil, err
	}
	if err := r.Pin(ctx); err != nil {
		return nil, err
	}
	whole := &asOf{table: t}
	var err error
	if whole.breaks, err = r.Breaks(ctx, t); err != nil {
		return nil, err
	}
	if began := whole.began(); began != nil && at.Before(began.To) {
		return nil, &AsOfError{Err: ErrBeforeCapture, Break: began}
	}
	return whole, nil
}

// next returns the next keys, none at the end.
func (r *tableReader) next(ctx context.Context) ([]seenKey, error) {
	return catalog.ReadAll(ctx, r.conn, func(rows *sql.Rows) (k seenKey, err error) { return k, rows.Scan(&k.text, &k.changes) }, "FETCH "+strconv.Itoa(keysAtATime)+" FROM "+r.cursor)
}

// closeTime is how long a cursor may take to close.
const closeTime = 5 * time.Second

// close closes the cursor and returns the connection to the pool. If the cursor cannot be closed, it discards the connection.
func (r *tableReader) close(ctx context.Context) {
	defer func() { _ = r.conn.Close() }() // it may be closed below
	if r.cursor == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	if _, err := r.conn.ExecContext(ctx, "CLOSE "+r.cursor); err != nil {
		_ = r.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
}

// keysOf is a query for all keys that rows of the table have, or have had, and how many changes have them.
func keysOf(r *reading.Snapshot, t *reading.Table) string {
	changes := r.Reader.At("audit_changes")
	of := ", c.lsn FROM " + changes + " c WHERE c.table_id = " + strconv.FormatInt(t.ID, 10) + " AND c."
	query := "SELECT k.key, pg_catalog.count(k.lsn) FROM (SELECT c.key" + of + "key IS NOT NULL UNION ALL SELECT c.former_key" + of + "former_key IS NOT NULL"
	if keyIsThere(t) {
		columns := make([]string, len(t.Key))
		for i, k := range t.Key {
			columns[i] = "t." + pgschema.Ident(k)
		}
		query += ` UNION ALL SELECT ROW(` + strings.Join(columns, ", ") + `)::pg_catalog.text COLLATE "C", NULL FROM ` + t.Only() + " t"
	}
	return query + `) k GROUP BY k.key ORDER BY k.key COLLATE "C"`
}

// keyIsThere reports whether the rows that the table has now have the key that its changes have.
func keyIsThere(t *reading.Table) bool {
	return t.LiveTable != nil && len(t.Key) > 0 && (&asOf{table: t}).keyHolds(t.Key)
}

// tableRow is what a loop gets of a row.
type tableRow struct {
	row *Row
	err error
}

// tableRow returns what the loop gets for the result of a read, nil if the row was not there then.
func (a *asOf) tableRow(row *Row, failed error) (*tableRow, error) {
	var unknown *AsOfError
	switch {
	case errors.Is(failed, ErrGone), errors.Is(failed, ErrNotYet):
		return nil, nil
	case errors.As(failed, &unknown):
		row = &Row{Schema: a.table.LastShape.Schema, Table: a.table.LastShape.Table, Key: a.table.Plain(a.key)}
	case failed != nil:
		return nil, failed
	}
	return &tableRow{row, failed}, nil
}

// page reads the rows that had some keys.
func (r *tableReader) page(ctx context.Context, keys []seenKey) ([]tableRow, error) {
	var page []tableRow
	err := r.reader.InSnapshot(ctx, r.conn, func(later *reading.Snapshot) (err error) {
		page, later.Past = nil, true
		if err = later.Pin(ctx); err != nil {
			return err
		}
		t, err := later.Table(ctx, r.whole.table.ID)
		if err != nil {
			return err
		}
		if t.LastShape == nil {
			return fmt.Errorf("changes: the history of %s is gone", r.whole.table.Label())
		}
		breaks, err := later.Breaks(ctx, t)
		if err != nil {
			return err
		}
		var since []*Change // by which rows became what they were
		for _, k := range keys {
			one := &asOf{Snapshot: later, table: t, breaks: breaks, lives: later.Lives(t)}
			row, err := r.row(ctx, one, k)
			then, err := one.tableRow(row, err)
			if err != nil {
				return err
			}
			if then == nil {
				continue
			}
			if then.row.Since != nil {
				since = append(since, then.row.Since)
			}
			page = append(page, *then)
		}
		return r.reader.AttributeBy(ctx, later.Tx, since)
	})
	return page, err
}

// row returns the row that had a key.
func (r *tableReader) row(ctx context.Context, a *asOf, k seenKey) (row *Row, err error) {
	key, err := reading.KeyOf(sql.NullString{String: k.text, Valid: true})
	if err != nil {
		return nil, err
	}
	if err = a.read(ctx, key); err != nil {
		return nil, err
	}
	at := r.at
	if r.began.Before(at) {
		at = r.began // what is broken since then is
	}
	row, err = a.row(ctx, at, a.last(r.at, k.changes, r.keyless))
	if errors.Is(err, ErrNotYet) && k.changes == 0 {
		// It was there, and a TRUNCATE has removed it that this snapshot sees done, and not its change.
		err = &AsOfError{Err: ErrBroken, Break: &Break{Kind: Lost, From: at, To: time.Now(), Schema: a.table.LastShape.Schema, Table: a.table.LastShape.Table, Text: "the row is not there any more, and no change says so"}}
	}
	return row, err
}

// rowAt returns the row that had the key at a time.
func (a *asOf) rowAt(ctx context.Context, at time.Time) (*Row, error) {
	return a.row(ctx, at, a.last(at, len(a.under), len(a.under)))
}

// last returns which change was the last that was captured by a time, -1 if none was: of the first so many with the key, and of the
// first so many without one.
func (a *asOf) last(at time.Time, keyed, keyless int) int {
	captured, last := at.UTC().Format(lenient.TimeForm), -1
	for i, c := range a.under {
		left := &keyed
		if !c.Key.Valid {
			left = &keyless
		}
		if *left--; *left >= 0 && c.Captured <= captured {
			last = i
		}
	}
	return last
}

// missing returns an error if there may be rows that no change names, and that the loop did not have.
func (a *asOf) missing(at time.Time) error {
	err := a.unnamed(at)
	if a.table.LiveTable == nil || !a.table.Secured {
		return err
	}
	hidden := &AsOfError{Err: ErrHidden}
	if err == nil {
		return hidden
	}
	return errors.Join(err, hidden)
}

// unnamed returns an error if rows may have been removed since a moment that no change names.
func (a *asOf) unnamed(at time.Time) error {
	now := time.Now().Add(24 * time.Hour) // whatever the clocks say
	b := reading.FirstBroken(a.breaks, at, now)
	if b == nil {
		if i := slices.IndexFunc(a.breaks, func(b reading.Break) bool { return b.Kind == Truncated && b.To.After(at) }); i >= 0 {
			b = &a.breaks[i].Break
		}
	}
	if b == nil && a.table.Copied {
		b = copiedElsewhere(a.table)
	}
	if b == nil && (a.table.LiveTable == nil || !a.table.Capturing) {
		b = &Break{Kind: Uncaptured, From: at, To: time.Now(), Schema: a.table.LastShape.Schema, Table: a.table.LastShape.Table, Text: "a trigger of its capture is missing or disabled now"}
	}
	if b == nil && len(a.table.Detached) > 0 {
		b = hasDetached(a.table)
	}
	if b == nil && !keyIsThere(a.table) {
		b = hadOtherKey(a.table)
	}
	if b == nil {
		return nil
	}
	return &AsOfError{Err: ErrBroken, Break: b}
}
