package driver

import (
	"database/sql/driver"
	"errors"
	"io"
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/txn"
)

// count adds the rows of a … RETURNING to its events, once they are known, and
// finds the key of a single one. Only the first result set is counted: it is the
// captured statement's.
type count struct {
	to       *txn.Record // that has the events
	captures []unread
	n        int64
	done     bool
	broken   error // of the statement, met while its rows were drained

	keys   keyDialect
	column int // of the key, if learns
	learns bool
	key    keyType
	id     string
	// statements is how many the transaction had when this one was the last.
	statements int
}

func (p *capturer) newCount(to *txn.Record, base driver.Rows, captures []unread) count {
	k := count{keys: p.keys, to: to, captures: captures, statements: to.Statements()}
	if len(captures) != 1 || !captures[0].learns {
		return k
	}
	found := 0
	for i, name := range base.Columns() {
		if strings.EqualFold(name, p.names.key) {
			found++
			k.column = i
		}
	}
	k.learns = found == 1 // of two of that name, one is something else
	k.key = captures[0].column
	if t, ok := base.(driver.RowsColumnTypeDatabaseTypeName); ok && k.learns && k.key == someColumn {
		k.key = p.keys.returnedType(t.ColumnTypeDatabaseTypeName(k.column))
	}
	return k
}

// look is called with each row, before it is counted.
func (k *count) look(row []driver.Value) {
	if k.learns && k.n == 0 && !k.done {
		k.id = k.keys.returnedKey(k.key, row[k.column])
	}
}

func (k *count) settle(known bool) {
	if k.done {
		return
	}
	k.done = true
	for _, f := range k.captures {
		k.to.Settle(f.Captured, txn.Returned{Rows: k.n, Known: known, ID: k.id}, k.statements)
	}
}

func (k *count) failed() {
	if k.done {
		return
	}
	k.done = true
	for _, f := range k.captures {
		f.Failed()
	}
}

// drain reads on to the end of the result set and reports whether it got there.
func (k *count) drain(rows driver.Rows, limit int) bool {
	dest := make([]driver.Value, len(rows.Columns()))
	for range limit {
		if err := rows.Next(dest); err != nil {
			if !errors.Is(err, io.EOF) {
				k.broken = err
				return false
			}
			return true
		}
		k.look(dest)
		k.n++
	}
	return false
}
