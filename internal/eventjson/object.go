package eventjson

import (
	"encoding/hex"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
)

// Object appends the members of a JSON object. Their names need no escapes.
type Object struct {
	b    []byte
	more bool // a member stands before the next one
	utf8 bool // what is not ASCII is written as such
}

// Begin begins an object behind b, in ASCII or in UTF-8.
func Begin(b []byte, utf8 bool) Object { return Object{b: append(b, '{'), utf8: utf8} }

// End ends the object, and returns the bytes with it.
func (o *Object) End() []byte { return append(o.b, '}') }

func (o *Object) name(name string) {
	b := o.b
	if o.more {
		b = append(b, ',')
	}
	b = append(append(b, '"'), name...)
	o.b, o.more = append(b, '"', ':'), true
}

// open begins an object inside the object; close ends it.
func (o *Object) open(name string) {
	o.name(name)
	o.b, o.more = append(o.b, '{'), false
}

func (o *Object) close() { o.b, o.more = append(o.b, '}'), true }

// Text appends a text that is left out if it is empty.
func (o *Object) Text(name, s string) {
	if s != "" {
		o.Always(name, s)
	}
}

// Always is Text for one that is not left out.
func (o *Object) Always(name, s string) {
	o.name(name)
	o.quote(s)
}

// Int appends a number that is left out if it is zero.
func (o *Object) Int(name string, n int64) {
	if n != 0 {
		o.name(name)
		o.b = strconv.AppendInt(o.b, n, 10)
	}
}

// True appends what is left out if it is false.
func (o *Object) True(name string, is bool) {
	if is {
		o.name(name)
		o.b = append(o.b, "true"...)
	}
}

// Metadata appends a map that is left out if it is empty. It fails if that has a value that is
// no JSON.
func (o *Object) Metadata(name string, m map[string]any) error {
	if len(m) == 0 {
		return nil
	}
	o.name(name)
	return o.members(m, 1)
}

// Time appends a time in the form of [lenient.TimeForm], in UTC.
func (o *Object) Time(name string, t time.Time) {
	o.name(name)
	o.b = append(t.UTC().AppendFormat(append(o.b, '"'), lenient.TimeForm), '"')
}

// ID appends an ID.
func (o *Object) ID(name string, id uuid.UUID) {
	o.name(name)
	text := [...]byte{0: '"', 9: '-', 14: '-', 19: '-', 24: '-', 37: '"'}
	hex.Encode(text[1:], id[:4])
	hex.Encode(text[10:], id[4:6])
	hex.Encode(text[15:], id[6:8])
	hex.Encode(text[20:], id[8:10])
	hex.Encode(text[25:], id[10:])
	o.b = append(o.b, text[:]...)
}

// exact appends a time with as many digits as it has. It fails outside the years 0 to 9999.
func (o *Object) exact(name string, t time.Time) (err error) {
	o.name(name)
	if o.b, err = t.AppendText(append(o.b, '"')); err == nil {
		o.b = append(o.b, '"')
	}
	return err
}
