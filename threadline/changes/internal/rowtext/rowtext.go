// Package rowtext reads and writes the texts of rows and keys, as PostgreSQL prints a row.
package rowtext

import (
	"errors"
	"strings"
)

// Format is the text of a row of these values, as PostgreSQL writes it.
func Format(values []string) string {
	var b strings.Builder
	for i, v := range values {
		b.WriteByte("(,"[min(i, 1)])
		if v != "" && !strings.ContainsAny(v, "\"\\(), \t\n\r\v\f") {
			b.WriteString(v)
			continue
		}
		b.WriteByte('"')
		b.WriteString(strings.NewReplacer(`"`, `""`, `\`, `\\`).Replace(v))
		b.WriteByte('"')
	}
	return b.String() + ")"
}

// ErrSyntax is returned for a text that is not that of a row.
var ErrSyntax = errors.New("not the text of a row")

// Parse reads the text of a row, as PostgreSQL writes it (manual, section 8.16.6). nil is NULL.
func Parse(text string) ([]*string, error) {
	if len(text) < 2 || text[0] != '(' || text[len(text)-1] != ')' {
		return nil, ErrSyntax
	}
	text = text[1 : len(text)-1]
	var values []*string
	for {
		value, rest, err := parseField(text)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
		if rest == "" {
			return values, nil
		}
		if rest[0] != ',' {
			return nil, ErrSyntax
		}
		text = rest[1:]
	}
}

// parseField reads up to the next comma outside quotes.
func parseField(text string) (value *string, rest string, err error) {
	if text == "" || text[0] == ',' {
		return nil, text, nil
	}
	var b strings.Builder
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"' && quoted && i+1 < len(text) && text[i+1] == '"':
			b.WriteByte('"')
			i++
		case c == '"':
			quoted = !quoted
		case c == '\\':
			if i++; i == len(text) {
				return nil, "", ErrSyntax
			}
			b.WriteByte(text[i])
		case c == ',' && !quoted:
			s := b.String()
			return &s, text[i:], nil
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return nil, "", ErrSyntax
	}
	s := b.String()
	return &s, "", nil
}
