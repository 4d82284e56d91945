package driver

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"reflect"
	"strings"
)

// columns answers for the optional interfaces of rows: from the base rows, or
// from what those said before they were closed. What the base cannot tell is
// told as database/sql would tell it.
type columns struct {
	base  driver.Rows
	snap  []column
	names []string
}

type column struct {
	scan             reflect.Type
	database         string
	length           int64
	hasLength        bool
	nullable         bool
	hasNullable      bool
	precision, scale int64
	hasDecimal       bool
}

// snapshot keeps what the base rows say, for the time after their Close.
func (c *columns) snapshot() {
	c.names = c.base.Columns()
	snap := make([]column, len(c.names))
	for i := range snap {
		s := &snap[i]
		s.scan = c.ColumnTypeScanType(i)
		s.database = c.ColumnTypeDatabaseTypeName(i)
		s.length, s.hasLength = c.ColumnTypeLength(i)
		s.nullable, s.hasNullable = c.ColumnTypeNullable(i)
		s.precision, s.scale, s.hasDecimal = c.ColumnTypePrecisionScale(i)
	}
	c.snap = snap
}

func (c *columns) Columns() []string {
	if c.snap != nil {
		return c.names
	}
	return c.base.Columns()
}

func (c *columns) ColumnTypeScanType(i int) reflect.Type {
	if c.snap != nil {
		return c.snap[i].scan
	}
	if p, ok := c.base.(driver.RowsColumnTypeScanType); ok {
		return p.ColumnTypeScanType(i)
	}
	return reflect.TypeFor[any]()
}

func (c *columns) ColumnTypeDatabaseTypeName(i int) string {
	if c.snap != nil {
		return c.snap[i].database
	}
	if p, ok := c.base.(driver.RowsColumnTypeDatabaseTypeName); ok {
		return p.ColumnTypeDatabaseTypeName(i)
	}
	return ""
}

func (c *columns) ColumnTypeLength(i int) (int64, bool) {
	if c.snap != nil {
		return c.snap[i].length, c.snap[i].hasLength
	}
	if p, ok := c.base.(driver.RowsColumnTypeLength); ok {
		return p.ColumnTypeLength(i)
	}
	return 0, false
}

func (c *columns) ColumnTypeNullable(i int) (nullable, ok bool) {
	if c.snap != nil {
		return c.snap[i].nullable, c.snap[i].hasNullable
	}
	if p, ok := c.base.(driver.RowsColumnTypeNullable); ok {
		return p.ColumnTypeNullable(i)
	}
	return false, false
}

func (c *columns) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	if c.snap != nil {
		return c.snap[i].precision, c.snap[i].scale, c.snap[i].hasDecimal
	}
	if p, ok := c.base.(driver.RowsColumnTypePrecisionScale); ok {
		return p.ColumnTypePrecisionScale(i)
	}
	return 0, 0, false
}

// HasNextResultSet and NextResultSet: a captured statement is a single one.
func (c *columns) HasNextResultSet() bool {
	p, ok := c.base.(driver.RowsNextResultSet)
	return ok && c.snap == nil && p.HasNextResultSet()
}

func (c *columns) NextResultSet() error {
	if p, ok := c.base.(driver.RowsNextResultSet); ok && c.snap == nil {
		return p.NextResultSet()
	}
	return io.EOF
}

// count adds the rows of a … RETURNING to its events, once they are known, and
// finds the key of a single one.
type count struct {
	captures []*capture
	n        int64
	done     bool

	c      *conn
	column int // of the key, if learns
	learns bool
	id     string
}

func (c *conn) newCount(base driver.Rows, captures []*capture) count {
	k := count{c: c, captures: captures}
	if len(captures) != 1 || !captures[0].learns {
		return k
	}
	found := 0
	for i, name := range base.Columns() {
		if strings.EqualFold(name, c.db.reg.cfg.keyColumn) {
			found++
			k.column = i
		}
	}
	k.learns = found == 1 // of two of that name, one is something else
	return k
}

// look is called with each row, before it is counted.
func (k *count) look(row []driver.Value) {
	if k.learns && k.n == 0 {
		k.id = textOf(row[k.column])
	}
}

func (k *count) settle(known bool) {
	if k.done {
		return
	}
	k.done = true
	for _, f := range k.captures {
		f.reading--
		switch {
		case !known:
			f.unknown = true
		case k.n == 0:
			f.statements--
		case k.n == 1 && k.id != "" && k.c.learned(f, k.id):
		default:
			f.rows += k.n
		}
	}
}

func (k *count) failed() {
	if k.done {
		return
	}
	k.done = true
	for _, f := range k.captures {
		f.reading--
		f.statements--
	}
}

// countedRows are rows of a captured statement inside the app's transaction.
type countedRows struct {
	columns
	c     *conn
	count count
	limit int
	// within: inside an implicit transaction, whose COMMIT waits for these rows.
	within bool
}

func newCountedRows(c *conn, base driver.Rows, captures []*capture) *countedRows {
	if c.tx.implicit {
		c.streams++
	}
	return &countedRows{
		columns: columns{base: base}, c: c, count: c.newCount(base, captures),
		limit: c.db.reg.cfg.drainRows, within: c.tx.implicit,
	}
}

func (r *countedRows) Next(dest []driver.Value) error {
	err := r.base.Next(dest)
	if err == nil {
		r.count.look(dest)
	}
	return r.saw(err)
}

// saw counts a row, or what came instead of one.
func (r *countedRows) saw(err error) error {
	switch {
	case err == nil:
		r.count.n++
	case errors.Is(err, io.EOF):
		r.count.settle(true)
	default:
		r.count.failed()
		r.c.afterFailure(context.Background())
	}
	return err
}

// Close counts what the app did not read; the statement has changed those rows
// all the same.
func (r *countedRows) Close() error {
	if !r.count.done {
		r.count.settle(r.count.drain(r.base, r.limit))
	}
	err := r.base.Close()
	if r.within {
		r.within = false
		r.c.streams--
		if cerr := r.c.finishDue(); err == nil {
			err = cerr
		}
	}
	return err
}

// finishDue commits an implicit transaction whose own rows have ended, once the
// last rows of other statements in it have, too: SQLite refuses it before.
func (c *conn) finishDue() error {
	if c.streams > 0 || !c.open || !c.tx.due {
		return nil
	}
	return c.finishImplicit(context.Background())
}

// drain reads on to the end and reports whether it got there.
func (k *count) drain(rows driver.Rows, limit int) bool {
	dest := make([]driver.Value, len(rows.Columns()))
	for range limit {
		if err := rows.Next(dest); err != nil {
			return errors.Is(err, io.EOF)
		}
		k.look(dest)
		k.n++
	}
	return false
}

// implicitRows are rows of a captured autocommit statement that end its
// transaction: read in advance as far as possible, then streamed.
type implicitRows struct {
	columns
	c     *conn
	after func() error // what ends the transaction
	count count
	ahead [][]driver.Value
	ended bool
	err   error
}

func (r *implicitRows) Next(dest []driver.Value) error {
	if len(r.ahead) > 0 {
		copy(dest, r.ahead[0])
		r.ahead = r.ahead[1:]
		return nil
	}
	if r.ended {
		return r.last()
	}
	err := r.base.Next(dest)
	if err == nil {
		r.count.look(dest)
	}
	return r.saw(err)
}

func (r *implicitRows) last() error {
	if r.err != nil {
		return r.err
	}
	return io.EOF
}

func (r *implicitRows) saw(err error) error {
	switch {
	case err == nil:
		r.count.n++
		return nil
	case errors.Is(err, io.EOF):
		r.count.settle(true)
		r.finish()
		return r.last()
	default:
		r.count.failed()
		r.ended, r.err = true, err
		_ = r.base.Close()
		r.c.streams--
		if r.c.open {
			r.c.abandon(context.Background())
		}
		return err
	}
}

// finish commits after the last row.
func (r *implicitRows) finish() {
	r.ended = true
	r.snapshot()
	err := r.base.Close()
	r.c.streams--
	if cerr := r.after(); err == nil {
		err = cerr
	}
	r.err = err
}

// Close ends the transaction if reading to the end has not.
func (r *implicitRows) Close() error {
	r.ahead = nil
	if r.ended {
		return nil
	}
	r.count.settle(r.count.drain(r.base, r.c.db.reg.cfg.drainRows))
	r.finish()
	return r.err
}

// serve hands the app the rows of a captured autocommit statement. On PostgreSQL
// they are read before, and the transaction is committed: held open, it would
// keep row locks for as long as the app reads, which the bare statement does not.
func (c *conn) serve(ctx context.Context, base driver.Rows, captures []*capture) (driver.Rows, error) {
	r := &implicitRows{columns: columns{base: base}, c: c, count: c.newCount(base, captures)}
	ctx = context.WithoutCancel(ctx)
	r.after = func() error {
		if !c.open {
			return nil
		}
		if c.streams > 0 {
			c.tx.due = true
			return nil
		}
		return c.finishImplicit(ctx)
	}
	c.streams++
	if !c.postgres() || scansColumns(base) {
		return shapeRows(r, r.saw), nil
	}
	names := base.Columns()
	for range c.db.reg.cfg.drainRows {
		dest := make([]driver.Value, len(names))
		err := base.Next(dest)
		if err == nil {
			r.count.look(dest)
		}
		if err = r.saw(err); err == nil {
			r.ahead = append(r.ahead, own(dest))
			continue
		}
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		return nil, err
	}
	return r, nil
}

// own copies bytes that the driver may use again.
func own(row []driver.Value) []driver.Value {
	for i, v := range row {
		if b, ok := v.([]byte); ok && b != nil {
			row[i] = append(make([]byte, 0, len(b)), b...)
		}
	}
	return row
}

// wrappedRows is what both kinds of wrapped rows have.
type wrappedRows interface {
	driver.Rows
	driver.RowsNextResultSet
	driver.RowsColumnTypeScanType
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeLength
	driver.RowsColumnTypeNullable
	driver.RowsColumnTypePrecisionScale
	baseRows() driver.Rows
}

var (
	_ wrappedRows = (*countedRows)(nil)
	_ wrappedRows = (*implicitRows)(nil)
)

func (c *columns) baseRows() driver.Rows { return c.base }
