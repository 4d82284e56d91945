package lex

import "strings"

// quotation reads a string or a name whose quote stands at pos.
func (s *scanner) quotation(k kind, form byte) token {
	if s.escapes && k == str && (form == 0 || form == 'N') {
		form = 'E'
	}
	t := token{kind: k, form: form, quote: s.src[s.pos]}
	s.pos++
	start, closing := s.pos, t.quote
	if closing == '[' {
		closing = ']'
	}
	for {
		n := s.quoteEnd(closing, form == 'E')
		if n < 0 {
			s.broken = true
			t.text, s.pos = s.src[start:], len(s.src)
			return t
		}
		s.pos += n + 1
		switch {
		case s.peek(0) == closing && closing != ']':
			t.doubled = true
			s.pos++
		case form == 'E' && s.dialect != MySQL && s.continued():
			t.continued = true
		default:
			t.text = s.src[start : s.pos-1]
			return t
		}
	}
}

// quoteEnd returns how far the next closing quote is, or -1.
func (s *scanner) quoteEnd(closing byte, escapes bool) int {
	rest := s.src[s.pos:]
	if !escapes {
		return strings.IndexByte(rest, closing)
	}
	for i := 0; i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++
		case closing:
			return i
		}
	}
	return -1
}

// continued moves into the next piece of an E string, if there is one: a string
// goes on in a later line as it began, backslashes included (PostgreSQL manual,
// section 4.1.2.1).
func (s *scanner) continued() bool {
	newline := false
	for i := s.pos; i < len(s.src); {
		switch c := s.src[i]; {
		case c == '\n' || c == '\r':
			newline = true
			i++
		case classes[c]&isSpace != 0:
			i++
		case c == '-' && i+1 < len(s.src) && s.src[i+1] == '-':
			i = s.lineEnd(i)
		case c == '\'' && newline:
			s.pos = i + 1
			return true
		default:
			return false
		}
	}
	return false
}

// dollar reads a parameter or a dollar quote of PostgreSQL.
func (s *scanner) dollar() token {
	if classes[s.peek(1)]&isDigit != 0 {
		s.pos++
		return s.ordinal(s.run(isDigit, len(s.src)))
	}
	end := s.pos + 1
	for end < len(s.src) && classes[s.src[end]]&isPart != 0 {
		end++
	}
	if end >= len(s.src) || s.src[end] != '$' {
		return s.punct(1)
	}
	tag := s.src[s.pos : end+1]
	body := s.src[end+1:]
	t := token{kind: str, form: '$', text: body}
	if n := strings.Index(body, tag); n >= 0 {
		t.text = body[:n]
		s.pos = end + 1 + n + len(tag)
	} else {
		s.broken = true
		s.pos = len(s.src)
	}
	return t
}
