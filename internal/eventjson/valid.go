package eventjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// validate notes the first thing that package hooks would have refused, except secrets in
// metadata: a role that may write to the journal need not use it. Metadata was checked where it
// was read.
func (d *Decoded) validate() {
	e := d.Event
	switch {
	case d.Unreadable != "":
		return
	case e.OccurredAt.IsZero():
		d.note("occurred_at", "is missing")
		return
	}
	e.Metadata = nil
	if err := hooks.Validate(e); err != nil {
		invalid := new(hooks.InvalidError)
		errors.As(err, &invalid)
		d.note(invalid.Field, invalid.Reason)
	}
}

// maxRaw is what metadata can have at most when each of its characters is escaped.
const maxRaw = 6 * hooks.MaxMetadata

// metadata reads a JSON object, of which it refuses what package hooks does, unless r is lax:
// it has the same length for both, that of what encoding/json writes in UTF-8.
func (r *reader) metadata(d *Decoded) {
	switch {
	case r.isNull():
		return
	case !r.begins('{'):
		d.note("metadata", excerpt(string(r.skip()))+" is no JSON object")
		return
	}
	start := r.at
	r.last, r.noted, r.longer = start+maxRaw, false, 0
	m := r.members(d, "metadata", 1)
	n := r.at - start
	if n > maxRaw {
		d.note("metadata", tooLong(n, maxRaw))
		return
	}
	if len(m) > 0 {
		d.Event.Metadata = m
	}
	// encoding/json has at most three bytes for one, of \b.
	if n+r.longer > hooks.MaxMetadata/3 && !r.lax && !r.noted {
		if n, err := length(m); err != nil || n > hooks.MaxMetadata {
			d.note("metadata", tooLong(n, hooks.MaxMetadata))
		}
	}
}

func tooLong(n, limit int) string { return fmt.Sprintf("has %d bytes, the limit is %d", n, limit) }

// length is how many bytes metadata has for package hooks.
func length(m map[string]any) (int, error) {
	var doc bytes.Buffer
	enc := json.NewEncoder(&doc)
	enc.SetEscapeHTML(false)
	err := enc.Encode(m)
	return doc.Len() - len("\n"), err
}
