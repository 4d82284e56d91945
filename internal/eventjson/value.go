package eventjson

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// value appends a value of metadata. The cases are what hooks.Prepare and captured events
// have. Any other, and what is nested deeper than an event may be, goes through encoding/json,
// which finds maps that contain themselves.
func (o *Object) value(v any, depth int) error {
	switch v := v.(type) {
	case nil:
		o.b = append(o.b, "null"...)
		return nil
	case bool:
		o.b = strconv.AppendBool(o.b, v)
		return nil
	case int:
		o.b = strconv.AppendInt(o.b, int64(v), 10)
		return nil
	case int64:
		o.b = strconv.AppendInt(o.b, v, 10)
		return nil
	case json.Number:
		if isDecimal(v) {
			o.b = append(o.b, v...)
			return nil
		}
	case string:
		o.quote(v)
		return nil
	case map[string]any:
		if v != nil && depth <= hooks.MaxDepth {
			return o.members(v, depth)
		}
	case []any:
		if v != nil && depth <= hooks.MaxDepth {
			return o.elements(v, depth)
		}
	}
	return o.encode(v)
}

// members appends an object with its keys sorted, as encoding/json does.
func (o *Object) members(m map[string]any, depth int) error {
	keys := make([]string, 0, 16)
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	separator := byte('{')
	for _, k := range keys {
		o.b = append(o.b, separator)
		separator = ','
		o.quote(k)
		o.b = append(o.b, ':')
		if err := o.value(m[k], depth+1); err != nil {
			return err
		}
	}
	if len(keys) == 0 {
		o.b = append(o.b, '{')
	}
	o.b = append(o.b, '}')
	return nil
}

func (o *Object) elements(list []any, depth int) error {
	o.b = append(o.b, '[')
	for i, v := range list {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		if err := o.value(v, depth+1); err != nil {
			return err
		}
	}
	o.b = append(o.b, ']')
	return nil
}

// isDecimal reports whether a number is digits, as hooks.Prepare writes it: perhaps with a
// sign, and a point with digits on both sides, but without an exponent or needless zeros.
func isDecimal(n json.Number) bool {
	if len(n) > 0 && n[0] == '-' {
		n = n[1:]
	}
	if len(n) > 1 && n[0] == '0' && n[1] != '.' {
		return false
	}
	points := 0
	for i := range len(n) {
		switch c := n[i]; {
		case c >= '0' && c <= '9':
		case c == '.' && points == 0 && i > 0 && i < len(n)-1:
			points++
		default:
			return false
		}
	}
	return n != ""
}

// encode has encoding/json encode a value.
func (o *Object) encode(v any) error {
	var doc bytes.Buffer
	enc := json.NewEncoder(&doc)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	text := bytes.TrimSuffix(doc.Bytes(), []byte{'\n'})
	if o.utf8 {
		o.b = append(o.b, text...)
	} else {
		o.b = append(o.b, pgtext.ASCII(text)...)
	}
	return nil
}
