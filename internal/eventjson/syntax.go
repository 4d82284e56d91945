package eventjson

// isJSON reports what json.Valid does. That one calls a function for each byte, and takes more
// time than all else that is done to decode a document.
func isJSON(doc []byte) bool {
	s := syntax{doc}
	end := s.value(s.space(0), 0)
	return end >= 0 && s.space(end) == len(doc)
}

// syntax passes what a document has at an index, and returns the index behind it, negative if
// that is no JSON (RFC 8259).
type syntax struct{ doc []byte }

const notJSON = -1

// at returns the byte at i, and 0, which is none of JSON, behind the end.
func (s syntax) at(i int) byte {
	if i < len(s.doc) {
		return s.doc[i]
	}
	return 0
}

func (s syntax) space(i int) int {
	for {
		switch s.at(i) {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			return i
		}
	}
}

func (s syntax) value(i, depth int) int {
	const deepest = 10_000 // as in encoding/json
	switch c := s.at(i); c {
	case '{', '[':
		if depth == deepest {
			return notJSON
		}
		return s.members(i, depth+1, c)
	case '"':
		return s.text(i)
	case 't':
		return s.word(i, "true")
	case 'f':
		return s.word(i, "false")
	case 'n':
		return s.word(i, "null")
	}
	return s.number(i)
}

// members passes an object or an array, whose bracket is at i.
func (s syntax) members(i, depth int, bracket byte) int {
	closing := bracket + 2 // in ASCII
	if i = s.space(i + 1); s.at(i) == closing {
		return i + 1
	}
	for {
		if bracket == '{' {
			if s.at(i) != '"' {
				return notJSON
			}
			if i = s.text(i); i < 0 {
				return i
			}
			if i = s.space(i); s.at(i) != ':' {
				return notJSON
			}
			i = s.space(i + 1)
		}
		if i = s.value(i, depth); i < 0 {
			return i
		}
		switch i = s.space(i); s.at(i) {
		case closing:
			return i + 1
		case ',':
			i = s.space(i + 1)
		default:
			return notJSON
		}
	}
}

// text passes a string, whose quote is at i.
func (s syntax) text(i int) int {
	for i++; i < len(s.doc); i++ {
		switch c := s.doc[i]; {
		case c == '"':
			return i + 1
		case c < ' ':
			return notJSON
		case c == '\\':
			if i = s.escape(i + 1); i < 0 {
				return i
			}
		}
	}
	return notJSON
}

// escape passes an escape, and returns the index of its last byte.
func (s syntax) escape(i int) int {
	switch s.at(i) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i
	case 'u':
		for range 4 {
			i++
			if c := s.at(i) | 0x20; !isDigit(s.at(i)) && (c < 'a' || c > 'f') {
				return notJSON
			}
		}
		return i
	}
	return notJSON
}

func (s syntax) word(i int, word string) int {
	if len(s.doc)-i < len(word) || string(s.doc[i:i+len(word)]) != word {
		return notJSON
	}
	return i + len(word)
}

func (s syntax) number(i int) int {
	if s.at(i) == '-' {
		i++
	}
	if s.at(i) == '0' {
		i++
	} else if i = s.digits(i); i < 0 {
		return i
	}
	if s.at(i) == '.' {
		if i = s.digits(i + 1); i < 0 {
			return i
		}
	}
	if s.at(i)|0x20 == 'e' {
		if i++; s.at(i) == '+' || s.at(i) == '-' {
			i++
		}
		return s.digits(i)
	}
	return i
}

// digits passes one or more.
func (s syntax) digits(i int) int {
	start := i
	for isDigit(s.at(i)) {
		i++
	}
	if i == start {
		return notJSON
	}
	return i
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
