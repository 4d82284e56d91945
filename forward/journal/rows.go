package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/nildb"
)

// Querier is for package relay and the Hub. It is a *sql.DB, *sql.Conn or *sql.Tx.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Rows is for package relay and the Hub. It returns the rows that a query selects; from is what
// follows FROM in it: the table journal, or a sub-select with its columns. It needs SELECT on
// the table.
func (j *Journal) Rows(ctx context.Context, q Querier, from string) ([]Row, error) {
	return read(ctx, q, "SELECT "+j.store.columns()+" FROM "+from)
}

// Written is for package relay and the Hub. It returns the rows of those keys that are in the
// journal, without their documents: the process that made a key has the events that it wrote
// with it. On PostgreSQL it needs only EXECUTE on the function written.
func (j *Journal) Written(ctx context.Context, db *sql.DB, keys []uuid.UUID) ([]Row, error) {
	db = nildb.Replace(db)
	rows, err := eachPart(keys, func(keys []uuid.UUID) ([]Row, error) { return read(ctx, db, j.store.written(keys)) })
	return rows, j.store.explain(ctx, db, err, false)
}

// ByKey is for package relay and the Hub. It returns the rows of those keys that are in the
// journal, in the order of the keys. It needs SELECT on the table.
func (j *Journal) ByKey(ctx context.Context, db *sql.DB, keys []uuid.UUID) ([]Row, error) {
	db = nildb.Replace(db)
	rows, err := eachPart(keys, func(keys []uuid.UUID) ([]Row, error) {
		return j.Rows(ctx, db, j.store.table()+" WHERE key "+j.store.among(keys)+" AND events <> 0 ORDER BY key")
	})
	return rows, j.store.explain(ctx, db, err, true)
}

// Readable is for package relay and the Hub. It returns a [*SetupError] if the role may not read the
// table.
func (j *Journal) Readable(ctx context.Context, db *sql.DB) error {
	db = nildb.Replace(db)
	_, err := j.Rows(ctx, db, j.store.table()+" WHERE events < 0")
	if j.Missing(err) {
		return nil // nothing was written yet
	}
	return j.store.explain(ctx, db, err, true)
}

// mostKeys is how many keys a query has at most.
const mostKeys = 1000

func eachPart(keys []uuid.UUID, read func([]uuid.UUID) ([]Row, error)) (rows []Row, err error) {
	for len(keys) > 0 && err == nil {
		n := min(len(keys), mostKeys)
		var part []Row
		part, err = read(keys[:n])
		rows, keys = append(rows, part...), keys[n:]
	}
	return rows, err
}

func read(ctx context.Context, q Querier, query string) ([]Row, error) {
	var in scanner
	return readAll(ctx, q, query, in.scan)
}

// readAll returns what scan makes of each row that a query returns.
func readAll[T any](ctx context.Context, q Querier, query string, scan func(*sql.Rows) (T, error)) (list []T, err error) {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("journal: read: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("journal: read: %w", err)
		}
		list = append(list, one)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("journal: read: %w", err)
	}
	return list, nil
}

// scanner scans rows whose columns are those of store.columns.
type scanner struct {
	values lenient.Row
	raw    [rowColumns]sql.RawBytes
}

const rowColumns = 10

// scan returns the row that rows is at. What cannot be read of it is Row.Unreadable, since
// the rows after it are to be read all the same.
func (s *scanner) scan(rows *sql.Rows) (Row, error) {
	var r Row
	var dest [rowColumns]any
	for i := range s.raw {
		dest[i] = &s.raw[i]
	}
	if err := rows.Scan(dest[:]...); err != nil {
		return r, err
	}
	v := &s.values
	v.Begin()
	r.Seq = v.Int("seq", s.raw[0])
	r.Key = v.ID("key", s.raw[1])
	r.Tx.ID = v.Int("tx", s.raw[2])
	r.Tx.StartedAt = v.Time("tx_started_at", s.raw[3])
	r.RecordedAt = v.Time("recorded_at", s.raw[4])
	r.Role = v.HexText("role", s.raw[5])
	r.Events = int(v.Int("events", s.raw[6]))
	r.Format = int(v.Int("format", s.raw[7]))
	r.Document, r.Personal = own(s.raw[8]), own(s.raw[9])
	r.Unreadable = v.Unreadable()
	r.detectMoved()
	return r, nil
}

func own(b sql.RawBytes) []byte {
	if len(b) == 0 {
		return nil
	}
	return append(make([]byte, 0, len(b)), b...)
}
