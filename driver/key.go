package driver

import (
	"database/sql/driver"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// A key is named only if it is certainly what the database received, and only in
// the one spelling that all statements about its row share: a wrong or a second
// name is worse than none. Where the type of the column is not known, a value is
// named if that is true whatever the type is.

// keyType is the type of the key's column, as far as it matters to the
// spelling of a key.
type keyType uint8

const (
	// someColumn is not known: the catalog could not be asked.
	someColumn keyType = iota
	integerColumn
	textColumn
	paddedColumn // char(n)
	uuidColumn
	numericColumn // SQLite's affinities INTEGER and NUMERIC
	// otherColumn has no key that could be named: its type has several spellings
	// of one value, several rows may have the value, or the table has no such
	// column.
	otherColumn
)

// keyTypes has them by pg_type.oid, by the affinities of SQLite, and by the names
// that base drivers have for what is returned. It has the types of which each
// value has one spelling that is known; all others are otherColumn.
var keyTypes = map[string]keyType{
	"20": integerColumn, "21": integerColumn, "23": integerColumn, "INT8": integerColumn, "INT2": integerColumn, "INT4": integerColumn,
	"1700": integerColumn, // numeric, of which whole numbers are named
	"25":   textColumn, "1043": textColumn,
	"1042": paddedColumn,
	"2950": uuidColumn, "UUID": uuidColumn,
	"affinity text": textColumn, "affinity numeric": numericColumn,
}

// keyTypeOf is the type that the catalog, or a base driver, calls so.
func keyTypeOf(name string) keyType {
	if t, known := keyTypes[name]; known {
		return t
	}
	return otherColumn
}

// keyDialect is how a database spells keys.
type keyDialect interface {
	// keyText is the one spelling of a key's value, given as text, in a column of that type;
	// "" if it has no certain one. returnedKey is that of a value which the database has
	// returned, and returnedType the type of the column, as the base driver calls it.
	keyText(column keyType, s string) string
	returnedKey(column keyType, v driver.Value) string
	returnedType(kind string) keyType
}

// intact returns a key that fits into an event as it is: what is cut, or has other
// characters for those that no store takes, may be the key of another row.
func intact(id string) string {
	if len(id) > hooks.MaxText || strings.IndexByte(id, 0) >= 0 || !utf8.ValidString(id) {
		return ""
	}
	return id
}

// keyOf is the key's value as text, or "" where it is not certain.
func (p *capturer) keyOf(k lex.Key, column keyType, args []driver.NamedValue) string {
	if !k.Found {
		return ""
	}
	text := k.Literal
	if k.Param > 0 || k.ParamName != "" {
		text = argumentText(k, args)
	}
	switch k.Type {
	case lex.Integer:
		if column == textColumn || column == paddedColumn {
			return "" // SQLite compares as numbers then: '007' is 7
		}
		text = integerText(text)
	case lex.UUID:
		if !p.names.is.uuids {
			return "" // which casts to a number
		}
		text = uuidText(text)
	}
	return p.keys.keyText(column, text)
}

// typedText is the one spelling of a value, given as text, in a column whose type says
// which that is.
func typedText(column keyType, s string) string {
	if s != intact(s) {
		return ""
	}
	switch column {
	case integerColumn:
		return integerText(s)
	case uuidColumn:
		return uuidText(s)
	case textColumn: // of a length, perhaps, beyond which spaces are cut
		if strings.HasSuffix(s, " ") {
			return ""
		}
		return s
	case paddedColumn:
		return strings.TrimRight(s, " ")
	case numericColumn:
		return numericText(s)
	default:
		return ""
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

// numericText is the one spelling of a value in SQLite's columns that make numbers
// of what reads as one: ' 7', '+7', '007' and '7.0' are 7 there.
func numericText(s string) string {
	if s == "" || strings.TrimSpace(s) != s || isNumber(s) && !isWhole(s) {
		return ""
	}
	return s
}

// isExact reports whether a float has the whole number s as it is, as SQLite's
// columns of floats do up to 53 bits.
func isExact(s string) bool {
	n, err := strconv.ParseInt(s, 10, 64)
	return err == nil && n <= 1<<53 && n >= -1<<53
}

// isWhole reports whether s is a number that has no other spelling. What has more
// than 64 bits may become a float.
func isWhole(s string) bool {
	if !isInteger(s) {
		return false
	}
	_, err := strconv.ParseInt(s, 10, 64)
	return err == nil
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
