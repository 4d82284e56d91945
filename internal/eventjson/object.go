package eventjson

import (
	"encoding/hex"
	"time"

	"github.com/google/uuid"
)

// object appends the members of a JSON object. Their names need no escapes.
type object struct {
	b    []byte
	more bool // a member stands before the next one
}

func (o *object) name(name string) {
	if o.more {
		o.b = append(o.b, ',')
	}
	o.more = true
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
}

// open begins an object inside the object; close ends it.
func (o *object) open(name string) {
	o.name(name)
	o.b, o.more = append(o.b, '{'), false
}

func (o *object) close() { o.b, o.more = append(o.b, '}'), true }

// text appends a text that is left out if it is empty.
func (o *object) text(name, s string) {
	if s != "" {
		o.always(name, s)
	}
}

func (o *object) always(name, s string) {
	o.name(name)
	o.quote(s)
}

func (o *object) id(name string, id uuid.UUID) {
	o.name(name)
	o.b = append(o.b, '"')
	for i, part := range [...][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			o.b = append(o.b, '-')
		}
		o.b = hex.AppendEncode(o.b, part)
	}
	o.b = append(o.b, '"')
}

func (o *object) time(name string, t time.Time) (err error) {
	o.name(name)
	if o.b, err = t.AppendText(append(o.b, '"')); err == nil {
		o.b = append(o.b, '"')
	}
	return err
}
