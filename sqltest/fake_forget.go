package sqltest

import (
	"database/sql/driver"
	"slices"
)

// memory is what rows remember; see [Fake.Forget].
type memory struct {
	forgets bool
	ended   bool // the current set
	closed  bool
	lent    []driver.Value // where the last row was written to
	names   []string       // of the columns, as given out
}

const forgotten = "forgotten"

// lost reports whether a call comes too late to be answered. After Close it must
// not come at all.
func (m *memory) lost(method string) bool {
	if m.forgets && m.closed {
		panic("sqltest: " + method + " of rows that are closed")
	}
	return m.forgets && m.ended
}

// lend hands out a row, in bytes that are the driver's own.
func (m *memory) lend(dest []driver.Value) {
	if !m.forgets {
		return
	}
	for i, v := range dest {
		if b, ok := v.([]byte); ok {
			dest[i] = slices.Clone(b)
		}
	}
	m.lent = dest
}

// forget reuses the memory of the last row.
func (m *memory) forget() {
	for i, v := range m.lent {
		if b, ok := v.([]byte); ok {
			for i := range b {
				b[i] = '#'
			}
		}
		m.lent[i] = forgotten
	}
	m.lent = nil
}

// forgetNames reuses the memory of the columns' names.
func (m *memory) forgetNames() {
	for i := range m.names {
		m.names[i] = forgotten
	}
	m.names = nil
}

func (m *memory) end() {
	m.ended = true
	m.forgetNames()
}

func (m *memory) close() {
	m.lost("Close")
	m.forget()
	m.forgetNames()
	m.closed = true
}

// forgetArgs reuses the arguments of a call that has returned.
func (f *Fake) forgetArgs(args []driver.NamedValue) {
	if !f.forgetful() {
		return
	}
	for i := range args {
		args[i] = driver.NamedValue{Name: forgotten, Ordinal: -1, Value: forgotten}
	}
}
