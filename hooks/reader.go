package hooks

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-aftercommit/aftercommit/internal/decimal"
)

// reader decodes what encoding/json has encoded, so it can rely on the syntax.
// It is not encoding/json's decoder because that one repairs silently what must
// be refused: half a surrogate pair, a key that occurs twice.
//
// The Field of its errors is the path from the value being read, as in
// ".card.number[3]".
type reader struct {
	doc    []byte
	at     int
	longer int // bytes by which what is returned is longer than doc
}

func (r *reader) value(depth int) (any, *InvalidError) {
	switch r.doc[r.at] {
	case '{':
		return r.object(depth)
	case '[':
		return r.array(depth)
	case '"':
		return r.text()
	case 't':
		r.at += len("true")
		return true, nil
	case 'f':
		r.at += len("false")
		return false, nil
	case 'n':
		r.at += len("null")
		return nil, nil
	default:
		return r.number()
	}
}

func (r *reader) object(depth int) (map[string]any, *InvalidError) {
	if depth > MaxDepth {
		return nil, tooDeep()
	}
	m := make(map[string]any)
	for r.next('}') {
		key, err := r.text()
		if err != nil {
			err.Field, err.Reason = step(key), "its name "+err.Reason
			return nil, err
		}
		r.at++ // the colon
		switch _, twice := m[key]; {
		case twice:
			return nil, &InvalidError{step(key), "occurs twice in its object, and only one of the two would be stored"}
		case IsSecret(key):
			return nil, &InvalidError{step(key), "its name says that it is a secret, and an audit trail keeps things forever: leave it out, or store a fingerprint under another name"}
		}
		v, err := r.value(depth + 1)
		if err != nil {
			err.Field = step(key) + err.Field
			return nil, err
		}
		m[key] = v
	}
	return m, nil
}

func (r *reader) array(depth int) ([]any, *InvalidError) {
	if depth > MaxDepth {
		return nil, tooDeep()
	}
	list := []any{}
	for r.next(']') {
		v, err := r.value(depth + 1)
		if err != nil {
			err.Field = "[" + strconv.Itoa(len(list)) + "]" + err.Field
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// next passes the bracket or comma before a member, or the closing bracket, and
// reports whether there is a member.
func (r *reader) next(closing byte) bool {
	opened := r.doc[r.at] == '{' || r.doc[r.at] == '['
	if !opened && r.doc[r.at] == closing || opened && r.doc[r.at+1] == closing {
		r.at++
		if opened {
			r.at++
		}
		return false
	}
	r.at++
	return true
}

func tooDeep() *InvalidError {
	return &InvalidError{"", fmt.Sprintf("is nested deeper than the %d levels that every store can read", MaxDepth)}
}

func (r *reader) text() (string, *InvalidError) {
	start, escaped := r.at, false
	r.at++
	for r.doc[r.at] != '"' {
		if r.doc[r.at] == '\\' {
			escaped = true
			r.at++
		}
		r.at++
	}
	r.at++
	s := string(r.doc[start+1 : r.at-1])
	switch {
	case !utf8.ValidString(s):
		return s, &InvalidError{"", "is not valid UTF-8"}
	case !escaped:
		return s, nil
	case halfPair(s):
		return s, &InvalidError{"", `contains one half of a surrogate pair, such as \ud83d, which is no character`}
	}
	var decoded string
	if err := json.Unmarshal(r.doc[start:r.at], &decoded); err != nil {
		return s, &InvalidError{"", "is not JSON: " + err.Error()}
	}
	if strings.IndexByte(decoded, 0) >= 0 {
		return decoded, &InvalidError{"", `contains \u0000, which PostgreSQL's jsonb cannot store`}
	}
	return decoded, nil
}

// halfPair reports whether one of the escapes in s is half a surrogate pair.
func halfPair(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		i++
		if s[i] != 'u' {
			continue
		}
		if unit := hexUnit(s[i+1:]); unit >= 0xDC00 && unit < 0xE000 {
			return true
		} else if unit >= 0xD800 && unit < 0xDC00 {
			rest := s[i+5:]
			if !strings.HasPrefix(rest, `\u`) || hexUnit(rest[2:]) < 0xDC00 || hexUnit(rest[2:]) >= 0xE000 {
				return true
			}
			i += len(`\uXXXX`)
		}
		i += len("XXXX")
	}
	return false
}

func hexUnit(s string) uint64 {
	unit, _ := strconv.ParseUint(s[:4], 16, 16)
	return unit
}

func (r *reader) number() (json.Number, *InvalidError) {
	start := r.at
	for r.at < len(r.doc) && strings.IndexByte("+-.eE0123456789", r.doc[r.at]) >= 0 {
		r.at++
	}
	given := string(r.doc[start:r.at])
	n, ok := decimal.WrittenOut(given, MaxMetadata)
	if !ok {
		return "", &InvalidError{"", fmt.Sprintf("is a number of more than %d digits, written out as stores return it", MaxMetadata)}
	}
	r.longer += len(n) - len(given)
	return json.Number(n), nil
}
