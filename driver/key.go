package driver

import (
	"database/sql/driver"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// A key is named only if it is certainly what the database received, and only in
// the one spelling that all statements about its row share: a wrong or a second
// name is worse than none. Where the type of the column is not known, a value is
// named if that is true whatever the type is.

// keyType is the type of the key's column, as far as it matters to the
// spelling of a key.
type keyType uint8

const (
	someColumn keyType = iota // not known, or of a type that is not one of these
	integerColumn
	textColumn
	paddedColumn // char(n)
	uuidColumn
	byteColumn
)

// keyTypes has them by pg_type.oid, and by the names that base drivers have for
// what is returned.
var keyTypes = map[string]keyType{
	"20": integerColumn, "21": integerColumn, "23": integerColumn, "INT8": integerColumn, "INT2": integerColumn, "INT4": integerColumn,
	"25": textColumn, "1043": textColumn, "TEXT": textColumn, "VARCHAR": textColumn,
	"1042": paddedColumn, "BPCHAR": paddedColumn,
	"2950": uuidColumn, "UUID": uuidColumn,
	"17": byteColumn, "BYTEA": byteColumn,
}

// keyOf is the key's value as text, or "" where it is not certain.
func (c *conn) keyOf(k lex.Key, column keyType, args []driver.NamedValue) string {
	if !k.Found {
		return ""
	}
	text := k.Literal
	if k.Param > 0 || k.ParamName != "" {
		text = argumentText(k, args)
	}
	switch {
	case column != someColumn:
	case k.Type == lex.Integer:
		column = integerColumn
	case k.Type == lex.UUID:
		column = uuidColumn
	}
	return c.columnText(column, text)
}

// columnText is the one spelling of a value, given as text, in a column.
func (c *conn) columnText(column keyType, s string) string {
	switch column {
	case integerColumn:
		return integerText(s)
	case uuidColumn:
		return uuidText(s)
	case byteColumn:
		return ""
	case textColumn: // of a length, perhaps, beyond which spaces are cut
		if strings.HasSuffix(s, " ") || !utf8.ValidString(s) {
			return ""
		}
		return s
	case paddedColumn:
		return c.columnText(textColumn, strings.TrimRight(s, " "))
	default:
		return c.keyText(s)
	}
}

// integerText is the integer that either server reads in s, if it has 64 bits.
func integerText(s string) string {
	s = strings.Trim(s, " \t\n\v\f\r")
	if strings.Trim(s, "+-0123456789") != "" {
		return ""
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// argumentText is the text of the argument that k is.
func argumentText(k lex.Key, args []driver.NamedValue) string {
	args, sure := withoutOptions(args)
	if !sure {
		return ""
	}
	for i, a := range args {
		if (k.ParamName != "" && a.Name == k.ParamName) || (k.ParamName == "" && i+1 == k.Param) {
			return valueText(a.Value)
		}
	}
	return ""
}

// keyText is the one spelling of a value that was given as text, or "" if the
// column's type decides which value it is: ' 7', '+7', '007' and '7.0' are 7 in a
// column of numbers, '7 ' is '7' in a char(2).
func (c *conn) keyText(s string) string {
	switch {
	case c.mysql():
		return mysqlKey(s)
	case s == "", !utf8.ValidString(s), strings.TrimSpace(s) != s, isNumber(s) && !c.isWhole(s):
		return ""
	case c.postgres() && isHex(s):
		return "" // a UUID without hyphens, or what only looks like one
	case c.postgres():
		if id := uuidText(s); id != "" {
			return id
		}
	}
	return s
}

// isWhole reports whether s is a number that has no other spelling. SQLite makes
// a float of what has more than 64 bits.
func (c *conn) isWhole(s string) bool {
	if !isInteger(s) {
		return false
	}
	_, err := strconv.ParseInt(s, 10, 64)
	return err == nil || c.postgres()
}

// isInteger reports whether s is an integer as both servers write it.
func isInteger(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || digits[0] == '0' && s != "0" {
		return false
	}
	return strings.Trim(digits, "0123456789") == ""
}

// isNumber reports whether either server may read s as a number.
func isNumber(s string) bool {
	s = strings.TrimLeft(s, "+-")
	if s == "" || (s[0] < '0' || s[0] > '9') && s[0] != '.' {
		return false
	}
	s = strings.ReplaceAll(s, "_", "")
	if strings.Trim(s, "0123456789") == "" {
		return true
	}
	_, err := strconv.ParseFloat(s, 64)
	if _, syntax := strconv.ParseUint(s, 0, 64); syntax == nil || isRange(syntax) {
		return true
	}
	return err == nil || isRange(err)
}

func isRange(err error) bool { return errors.Is(err, strconv.ErrRange) }

// isHex reports whether s is the 32 digits of a UUID.
func isHex(s string) bool {
	const digits = 2 * len(uuid.UUID{})
	return len(s) == digits && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// uuidText is the canonical spelling of a UUID in any that PostgreSQL takes: upper
// or lower case, in braces or not, hyphens after any four digits or none. It is ""
// for what is no UUID.
func uuidText(s string) string {
	if inner, braced := strings.CutPrefix(s, "{"); braced {
		if s, braced = strings.CutSuffix(inner, "}"); !braced {
			return ""
		}
	}
	digits := ""
	for part := range strings.SplitSeq(s, "-") {
		if part == "" || len(part)%4 != 0 {
			return ""
		}
		digits += part
	}
	if !isHex(digits) {
		return ""
	}
	id, err := uuid.Parse(digits)
	if err != nil {
		return ""
	}
	return id.String()
}

// returnedKey is a key that the database returned, in the spelling that statements
// about its row have. kind is the base driver's name for the column's type.
func (c *conn) returnedKey(kind string, v driver.Value) string {
	column := keyTypes[kind]
	if b, ok := v.([]byte); ok {
		switch {
		case !c.postgres(), kind == "", column == byteColumn:
			return ""
		case column == uuidColumn && len(b) == len(uuid.UUID{}):
			return uuid.UUID(b).String()
		}
		v = string(b) // as lib/pq returns the text of many types
	}
	text := valueText(v)
	if !c.postgres() {
		column = someColumn // a name there that the app chose
	}
	return c.columnText(column, text)
}
