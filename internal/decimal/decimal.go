// Package decimal spells numbers of JSON as PostgreSQL's numeric prints them, so that each store
// returns the same.
package decimal

import (
	"strconv"
	"strings"
)

// WrittenOut returns a JSON number without an exponent, and zero without a
// sign: the same digits, and as many after the point. It reports false for a
// number with an exponent and more than most digits, which must be far inside
// of numeric's range (PostgreSQL manual, section 8.1).
func WrittenOut(s string, most int) (string, bool) {
	sign, rest := "", s
	if strings.HasPrefix(s, "-") {
		sign, rest = "-", s[1:]
	}
	mantissa, exponent := rest, "0"
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		mantissa, exponent = rest[:i], rest[i+1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	zero := strings.Trim(whole+fraction, "0") == ""
	if zero {
		sign = ""
	}
	if len(mantissa) == len(rest) {
		return sign + mantissa, true
	}
	if zero {
		return "0", true
	}
	shift, err := strconv.Atoi(exponent)
	if err != nil || shift > most || shift < -most {
		return "", false
	}
	digits, point := whole+fraction, len(whole)+shift
	if point <= 0 {
		digits, point = strings.Repeat("0", 1-point)+digits, 1
	}
	if point > len(digits) {
		digits += strings.Repeat("0", point-len(digits))
	}
	whole, fraction = strings.TrimLeft(digits[:point], "0"), digits[point:]
	if whole == "" {
		whole = "0"
	}
	if fraction != "" {
		fraction = "." + fraction
	}
	return sign + whole + fraction, len(whole)+len(fraction) <= most
}
