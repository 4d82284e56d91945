package sqltest

import (
	"context"
	"database/sql/driver"
	"io"
	"reflect"
)

// rows has every method that rows can have; [shapeRows] shows some.
type rows struct {
	conn  *conn
	query string
	sets  []Set // the current one first
	next  int   // the row that Next gives
	memory
}

func (r *rows) call(method string, effect func() error) error {
	return r.conn.call(context.Background(), Call{Method: method, Query: r.query}, effect)
}

func (r *rows) Columns() []string {
	if r.lost("Columns") {
		return nil
	}
	names := make([]string, len(r.sets[0].Columns))
	for i, c := range r.sets[0].Columns {
		names[i] = c.Name
	}
	if r.forgets {
		r.names = names
	}
	return names
}

func (r *rows) Close() error {
	r.close()
	return r.call("Rows.Close", nil)
}

func (r *rows) Next(dest []driver.Value) error {
	r.lost("Next")
	return r.call("Rows.Next", func() error {
		if err := r.advance(); err != nil {
			return err
		}
		copy(dest, r.row())
		r.lend(dest)
		return nil
	})
}

func (r *rows) advance() error {
	r.forget()
	if r.next >= len(r.sets[0].Rows) {
		r.end()
		return io.EOF
	}
	r.next++
	return nil
}

func (r *rows) row() []driver.Value { return r.sets[0].Rows[r.next-1] }

func (r *rows) HasNextResultSet() bool {
	r.lost("HasNextResultSet")
	return len(r.sets) > 1
}

func (r *rows) NextResultSet() error {
	r.lost("NextResultSet")
	return r.call("Rows.NextResultSet", func() error {
		if len(r.sets) < 2 {
			return io.EOF
		}
		r.forget()
		r.sets, r.next, r.ended = r.sets[1:], 0, false
		return nil
	})
}

func (r *rows) column(i int) Column {
	if r.lost("ColumnType") {
		return Column{}
	}
	return r.sets[0].Columns[i]
}

func (r *rows) ColumnTypeDatabaseTypeName(i int) string { return r.column(i).DatabaseType }

// ColumnTypeScanType is any where the column does not tell, as database/sql has
// it for drivers without the method.
func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	if t := r.column(i).ScanType; t != nil {
		return t
	}
	return reflect.TypeFor[any]()
}

func (r *rows) ColumnTypeLength(i int) (int64, bool) {
	n := r.column(i).Length
	return n, n > 0
}

func (r *rows) ColumnTypeNullable(i int) (nullable, ok bool) { return r.column(i).Nullable, true }

func (r *rows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	c := r.column(i)
	return c.Precision, c.Scale, c.Precision > 0
}
