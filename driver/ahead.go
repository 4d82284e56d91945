package driver

import (
	"database/sql/driver"
	"errors"
	"io"
	"slices"
	"time"
)

// aheadRows replay what was read of other rows in advance, set by set and error
// by error, and then continue with those.
type aheadRows struct {
	columns
	rest     driver.RowsNextResultSet
	sets     []readSet // the current one first; empty once rest has the current row
	reported bool      // the error that was read in advance has been returned
}

var _ wrappedRows = (*aheadRows)(nil)

// readSet is a result set, or the first part of one.
type readSet struct {
	description *description
	rows        [][]driver.Value
	// early and late are what HasNextResultSet said before the end and at it.
	early, late bool
	// end is what Next returned after the last row; nil if there may be more rows.
	end  error
	over bool // end has been returned
	// next is the error of NextResultSet at the end, if there was one.
	next error
}

// readAhead reads up to limit rows in all.
func readAhead(rest driver.RowsNextResultSet, limit int) driver.Rows {
	a := &aheadRows{rest: rest}
	a.base = rest
	for more := true; more; {
		s := readSet{description: describe(rest), early: rest.HasNextResultSet()}
		more = s.read(rest, &limit)
		a.sets = append(a.sets, s)
	}
	a.kept = a.sets[0].description
	return a
}

// read reads on to the end of the set and reports whether it was followed by
// another one.
func (s *readSet) read(rest driver.RowsNextResultSet, limit *int) bool {
	dest := make([]driver.Value, len(s.description.names))
	for ; *limit > 0; *limit-- {
		if s.end = rest.Next(dest); s.end != nil {
			break
		}
		row, safe := own(dest)
		s.rows = append(s.rows, row)
		if !safe {
			*limit = 0
			return false
		}
	}
	if !errors.Is(s.end, io.EOF) {
		return false
	}
	if s.late = rest.HasNextResultSet(); !s.late {
		return false
	}
	s.next = rest.NextResultSet()
	return s.next == nil
}

// own copies a row whose memory the driver may use again with the next one. It
// is not safe to read past a value of a type whose memory is not known, such as
// rows within a row.
func own(dest []driver.Value) (row []driver.Value, safe bool) {
	row, safe = slices.Clone(dest), true
	for i, v := range row {
		switch v := v.(type) {
		case []byte:
			if v != nil {
				row[i] = append(make([]byte, 0, len(v)), v...)
			}
		case nil, int64, float64, bool, string, time.Time:
		case int, int8, int16, int32, uint, uint8, uint16, uint32, uint64, float32:
		default:
			safe = false
		}
	}
	return row, safe
}

func (r *aheadRows) Next(dest []driver.Value) error {
	if len(r.sets) == 0 {
		return r.rest.Next(dest)
	}
	s := &r.sets[0]
	switch {
	case len(s.rows) > 0:
		copy(dest, s.rows[0])
		s.rows = s.rows[1:]
		return nil
	case s.end != nil:
		s.over, r.reported = true, !errors.Is(s.end, io.EOF)
		return s.end
	}
	r.sets = nil
	return r.rest.Next(dest)
}

// HasNextResultSet is as it was when the rows were read.
func (r *aheadRows) HasNextResultSet() bool {
	if len(r.sets) == 0 {
		return r.rest.HasNextResultSet()
	}
	s := &r.sets[0]
	if s.over {
		return s.late
	}
	return s.early
}

// NextResultSet goes to the next set where the base would have: some drivers
// cannot before they are at the end of the current one.
func (r *aheadRows) NextResultSet() error {
	if len(r.sets) == 0 {
		return r.liveSet()
	}
	s := &r.sets[0]
	switch {
	case s.end == nil:
		r.sets = nil
		return r.liveSet()
	case !s.over && !s.early, !s.late:
		return io.EOF
	case s.next != nil:
		r.reported = true
		return s.next
	}
	r.sets = r.sets[1:]
	r.kept = r.sets[0].description
	return nil
}

func (r *aheadRows) liveSet() error {
	err := r.rest.NextResultSet()
	if err == nil {
		r.kept = describe(r.rest)
	}
	return err
}

// Close returns an error that the app has not read up to, as a driver does that
// reads on to the end.
func (r *aheadRows) Close() error {
	err := r.rest.Close()
	if n := len(r.sets); err == nil && n > 0 && !r.reported {
		s := &r.sets[n-1]
		switch {
		case s.next != nil && !errors.Is(s.next, io.EOF):
			err = s.next
		case s.end != nil && !errors.Is(s.end, io.EOF):
			err = s.end
		}
	}
	r.reported = true
	return err
}
