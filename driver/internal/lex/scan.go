package lex

import "strings"

type kind uint8

const (
	eof    kind = iota
	word        // a keyword or a name without quotes
	quoted      // a name in quotes
	str         // a string literal
	number
	param
	punct // an operator, a bracket, a comma, a semicolon
)

// token is one lexeme. Its text is a part of the query: what stands between
// the quotes of a quoted name or string, without the sign of a named parameter.
type token struct {
	kind kind
	// form is the letter before a string's or name's quote, upper case (E, U,
	// B, X, N); '$' of a dollar quote; 0 of none.
	form byte
	// doubled says that the text holds its own quote, doubled.
	doubled bool
	// continued says that a string goes on in a later line: its text holds the
	// quotes and the space between its pieces.
	continued bool
	quote     byte
	// sign is that of a punct of one character, 0 of any other token.
	sign byte
	text string
	// ordinal is that of a parameter; 0 if it has a name, or is not known.
	ordinal int
}

// scanner cuts a query into tokens. It is a value: a copy of it looks ahead.
type scanner struct {
	src     string
	pos     int
	dialect Dialect // Postgres, SQLite or MySQL
	// escapes: a string without a letter before it is read as an E string is.
	escapes bool
	// ansi: "…" is a name on MySQL; executes: what is in /*! … */ is a part of the
	// query; within: the scanner is in such a one.
	ansi, executes, within bool
	// params is the highest ordinal so far. After a parameter with a name that
	// of a ? is not sure; in a statement after one with parameters that of none
	// is: SQLite drivers differ in whether each statement takes its own share
	// of the arguments.
	params        int
	unsure, later bool
	// broken: a quote or comment is open at the end of the query.
	broken bool
}

const (
	isSpace = 1 << iota
	isStart // of a name
	isDigit
	isOperator // of PostgreSQL
	isPart     = isStart | isDigit
)

// classes holds for each byte what it may be. PostgreSQL and SQLite agree that
// every byte of a character outside ASCII may stand in a name.
var classes = func() (t [256]byte) {
	for _, c := range " \t\n\r\f\v" {
		t[c] = isSpace
	}
	for c := '0'; c <= '9'; c++ {
		t[c] = isDigit
	}
	for c := range 26 {
		t['a'+c], t['A'+c] = isStart, isStart
	}
	t['_'] = isStart
	for c := 128; c < 256; c++ {
		t[c] = isStart
	}
	for _, c := range "+-*/<>=~!@#%^&|`?" {
		t[c] |= isOperator
	}
	return t
}()

func (s *scanner) peek(n int) byte {
	if s.pos+n < len(s.src) {
		return s.src[s.pos+n]
	}
	return 0
}

// next returns the next token; eof at the end, as often as it is asked.
func (s *scanner) next() token {
	s.space()
	if s.pos >= len(s.src) {
		return token{}
	}
	if s.dialect == MySQL {
		return s.mysql()
	}
	switch c := s.src[s.pos]; {
	case classes[c]&isStart != 0:
		return s.word()
	case classes[c]&isDigit != 0, c == '.' && classes[s.peek(1)]&isDigit != 0:
		return s.number()
	case c == '\'':
		return s.quotation(str, 0)
	case c == '"', s.dialect == SQLite && (c == '`' || c == '['):
		return s.quotation(quoted, 0)
	case s.dialect == SQLite:
		return s.sqlite(c)
	case c == '$':
		return s.dollar()
	case classes[c]&isOperator != 0:
		return s.operator()
	case c == ':' && (s.peek(1) == ':' || s.peek(1) == '='):
		return s.punct(2)
	}
	return s.punct(1)
}

func (s *scanner) punct(n int) token {
	t := token{kind: punct, text: s.src[s.pos : s.pos+n]}
	if n == 1 {
		t.sign = t.text[0]
	}
	s.pos += n
	return t
}

// space skips white space and comments.
func (s *scanner) space() {
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; {
		case classes[c]&isSpace != 0:
			s.pos++
		case s.dialect == MySQL:
			if !s.mysqlComment() {
				return
			}
		case c == '-' && s.peek(1) == '-':
			s.pos = s.lineEnd(s.pos)
		case c == '/' && s.peek(1) == '*':
			s.comment()
		case c == 0xEF && s.dialect == SQLite && strings.HasPrefix(s.src[s.pos:], "\uFEFF"):
			s.pos += len("\uFEFF")
		default:
			return
		}
	}
}

// lineEnd returns where the comment at pos ends: PostgreSQL takes either of the
// line's ends, SQLite the newline only.
func (s *scanner) lineEnd(pos int) int {
	n := strings.IndexByte(s.src[pos:], '\n')
	if n < 0 {
		n = len(s.src) - pos
	}
	if s.dialect == Postgres {
		if r := strings.IndexByte(s.src[pos:pos+n], '\r'); r >= 0 {
			n = r
		}
	}
	return pos + n
}

// comment skips a block comment. They nest on PostgreSQL; one that nobody
// closes is an error there, and simply the rest on SQLite.
func (s *scanner) comment() {
	depth := 0
	for s.pos < len(s.src) {
		switch {
		case s.src[s.pos] == '*' && s.peek(1) == '/':
			s.pos += 2
			if depth--; depth <= 0 {
				return
			}
		case s.src[s.pos] == '/' && s.peek(1) == '*' && (depth == 0 || s.dialect == Postgres):
			s.pos += 2
			depth++
		default:
			s.pos++
		}
	}
	s.broken = true
}

// run takes bytes of a class, at most limit.
func (s *scanner) run(class byte, limit int) string {
	start := s.pos
	end := start + min(limit, len(s.src)-start)
	for s.pos < end && classes[s.src[s.pos]]&class != 0 {
		s.pos++
	}
	return s.src[start:s.pos]
}

func (s *scanner) word() token {
	start := s.pos
	for s.pos < len(s.src) && (classes[s.src[s.pos]]&isPart != 0 || s.src[s.pos] == '$') {
		s.pos++
	}
	text := s.src[start:s.pos]
	if len(text) != 1 {
		return token{kind: word, text: text}
	}
	form := text[0] &^ 0x20
	switch next := s.peek(0); {
	case form == 'X' && next == '\'':
		return s.quotation(str, form)
	case s.dialect == SQLite:
	case (form == 'E' || form == 'B' || form == 'N') && next == '\'':
		return s.quotation(str, form)
	case form == 'U' && next == '&' && s.peek(1) == '\'':
		s.pos++
		return s.quotation(str, form)
	case form == 'U' && next == '&' && s.peek(1) == '"':
		s.pos++
		return s.quotation(quoted, form)
	}
	return token{kind: word, text: text}
}

// number takes more than numbers are, such as 0x1F, 1_000 and 1.2.3: what
// stands with one is never anything else.
func (s *scanner) number() token {
	start := s.pos
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		if classes[c]&isPart == 0 && c != '.' {
			break
		}
		s.pos++
		hex := s.pos > start+1 && s.src[start] == '0' && s.src[start+1]&^0x20 == 'X'
		if c&^0x20 == 'E' && !hex && (s.peek(0) == '+' || s.peek(0) == '-') && classes[s.peek(1)]&isDigit != 0 {
			s.pos++
		}
	}
	return token{kind: number, text: s.src[start:s.pos]}
}

// operator reads an operator of PostgreSQL, which is as long as it can be, but
// ends before a comment, and ends in + or - only if it holds one of the
// characters that the SQL standard has no operator of (PostgreSQL manual,
// section 4.1.3). A longer one than a name can be is an error there; cutting it
// keeps a row of signs, each an operator of its own, from being read over and
// over.
func (s *scanner) operator() token {
	start := s.pos
	op := s.run(isOperator, maxName+1)
	for i := 1; i < len(op); i++ {
		if pair := op[i-1 : i+1]; pair == "--" || pair == "/*" {
			op = op[:i-1]
		}
	}
	if !strings.ContainsAny(op, "~!@#%^&|`?") {
		for len(op) > 1 && (op[len(op)-1] == '+' || op[len(op)-1] == '-') {
			op = op[:len(op)-1]
		}
	}
	s.pos = start
	return s.punct(len(op))
}

// sqlite reads a parameter or an operator of SQLite.
func (s *scanner) sqlite(c byte) token {
	switch c {
	case '?':
		s.pos++
		return s.ordinal(s.run(isDigit, len(s.src)))
	case '$', '@', ':', '#':
		return s.variable()
	}
	two := s.src[s.pos:min(s.pos+2, len(s.src))]
	switch two {
	case "==", "<=", ">=", "<>", "!=", "<<", ">>", "||", "->":
		return s.punct(2)
	}
	return s.punct(1)
}
