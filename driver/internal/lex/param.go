package lex

import (
	"strconv"
	"strings"
)

// variable reads a parameter with a name. SQLite numbers those in order of
// appearance; $1, $2 … in that order are what they look like, in any other order
// SQLite drivers differ.
func (s *scanner) variable() token {
	sign := s.src[s.pos]
	end := s.variableEnd(s.pos + 1)
	name := s.src[s.pos+1 : end]
	if name == "" {
		return s.punct(1)
	}
	s.pos = end
	if n, err := strconv.ParseUint(name, 10, 31); sign == '$' && err == nil && n >= 1 && int(n) <= s.params+1 && !s.unsure {
		return s.ordinal(name)
	}
	s.unsure = true
	if classes[name[0]]&isDigit != 0 {
		return token{kind: param} // database/sql has no such names
	}
	return token{kind: param, text: name}
}

// variableEnd returns where the name at pos ends, with the :: and the (suffix)
// that SQLite allows for Tcl's sake.
func (s *scanner) variableEnd(pos int) int {
	start := pos
	for pos < len(s.src) {
		c := s.src[pos]
		switch {
		case classes[c]&isPart != 0 || c == '$':
			pos++
		case c == ':' && strings.HasPrefix(s.src[pos:], "::"):
			pos += 2
		case c == '(' && pos > start:
			for pos < len(s.src) && s.src[pos] != ')' && classes[s.src[pos]]&isSpace == 0 {
				pos++
			}
			return min(pos+1, len(s.src))
		default:
			return pos
		}
	}
	return pos
}

// ordinal is a parameter with these digits behind its sign. A bare ? is the one
// after the highest so far.
func (s *scanner) ordinal(digits string) token {
	n := s.params + 1
	if digits != "" {
		v, err := strconv.ParseUint(digits, 10, 31)
		if err != nil {
			return token{kind: param}
		}
		n = int(v)
	}
	s.params = max(s.params, n)
	if s.later || s.unsure && digits == "" {
		n = 0
	}
	return token{kind: param, ordinal: n}
}
