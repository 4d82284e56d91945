// Package lenient reads rows that others may have written: what cannot be read of
// one is left empty and noted, and the rest of it, and the rows after it, are
// read all the same. All values come as text.
package lenient

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// TimeForm is fixed in width, so that times stored as text sort.
const TimeForm = "2006-01-02T15:04:05.000000Z"

// Row collects what cannot be read of a row. The zero value is ready.
type Row struct {
	// Hex says that texts are hex digits.
	Hex      bool
	problems []string
	decoded  []byte // reused
}

// Begin forgets the row before.
func (r *Row) Begin() { r.problems = r.problems[:0] }

// Unreadable says what could not be read since Begin, "" if all could.
func (r *Row) Unreadable() string { return strings.Join(r.problems, "; ") }

func (r *Row) note(column, problem string, args ...any) {
	r.problems = append(r.problems, column+": "+fmt.Sprintf(problem, args...))
}

// excerpt quotes a value that may be of any length.
func excerpt(value []byte) string {
	const most = 64
	if len(value) <= most {
		return strconv.Quote(string(value))
	}
	return fmt.Sprintf("%q… (%d bytes)", value[:most], len(value))
}

// Time reads a time in TimeForm.
func (r *Row) Time(column string, value []byte) time.Time {
	t, err := time.Parse(TimeForm, string(value))
	if err != nil {
		r.note(column, "%s is no time in the years 1 to 9999", excerpt(value))
		return time.Time{}
	}
	return t
}

// Int reads a number.
func (r *Row) Int(column string, value []byte) int64 {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		r.note(column, "%s is no integer of 64 bits", excerpt(value))
		return 0
	}
	return n
}

// Bool reads a truth value as the databases spell it.
func (r *Row) Bool(column string, value []byte) bool {
	b, err := strconv.ParseBool(string(value))
	if err != nil {
		r.note(column, "%s is neither true nor false", excerpt(value))
	}
	return b
}

// ID reads a UUID.
func (r *Row) ID(column string, value []byte) uuid.UUID {
	id, err := uuid.ParseBytes(value)
	if err != nil {
		r.note(column, "%s is no UUID", excerpt(value))
		return uuid.Nil
	}
	return id
}

// Text reads a text. What is not UTF-8 in it is replaced, and noted.
func (r *Row) Text(column string, value []byte) string { return r.text(column, value, r.Hex) }

// HexText reads a text that is hex digits, whatever r.Hex says.
func (r *Row) HexText(column string, value []byte) string { return r.text(column, value, true) }

func (r *Row) text(column string, value []byte, hexed bool) string {
	if len(value) == 0 {
		return ""
	}
	value = r.plain(column, value, hexed)
	if utf8.Valid(value) {
		return string(value)
	}
	r.note(column, "is not UTF-8")
	return strings.ToValidUTF8(string(value), "\uFFFD")
}

func (r *Row) plain(column string, value []byte, hexed bool) []byte {
	if !hexed {
		return value
	}
	var err error
	if r.decoded, err = hex.AppendDecode(r.decoded[:0], value); err != nil {
		r.note(column, "%v", err)
		return nil
	}
	return r.decoded
}

// Object reads a JSON object, whose numbers are json.Number; none is nil.
func (r *Row) Object(column string, value []byte) map[string]any {
	if len(value) == 0 {
		return nil
	}
	value = r.plain(column, value, r.Hex)
	if len(value) == 0 {
		return nil
	}
	if !utf8.Valid(value) {
		r.note(column, "is not UTF-8")
		return nil
	}
	var object map[string]any
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	if err := dec.Decode(&object); err != nil {
		r.note(column, "is no JSON object: %v", err)
		return nil
	}
	if dec.More() {
		r.note(column, "is more than one JSON value")
	}
	return object
}
