package reading

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
)

// SQLiteEquality says which values are equal to a constraint.
type SQLiteEquality struct {
	Exact     bool   // only those of the same storage class and bytes
	collation string // of an index
	affinity  string // of the column that a foreign key refers to, "" where values have it already
}

// Fold returns the same text for values that are equal.
func (s SQLiteEquality) Fold(v change.Value) string {
	text := *v.Text
	if s.Exact {
		return v.Storage + " " + text
	}
	switch v.Storage {
	case "text":
		if f, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil && slices.Contains([]string{"INTEGER", "REAL", "NUMERIC"}, s.affinity) {
			return number(f, text)
		}
		switch strings.ToUpper(s.collation) {
		case "NOCASE":
			text = strings.Map(func(r rune) rune {
				if 'A' <= r && r <= 'Z' {
					return r + 'a' - 'A'
				}
				return r
			}, text)
		case "RTRIM":
			text = strings.TrimRight(text, " ")
		}
		return "text " + text
	case "integer", "real":
		if s.affinity == "TEXT" {
			return "text " + text
		}
		f, _ := strconv.ParseFloat(text, 64) // 9e999 is infinite
		return number(f, text)
	}
	return v.Storage + " " + text
}

// number is the text of a number, the same for 1 and 1.0.
func number(f float64, text string) string {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return "number " + strconv.FormatInt(n, 10)
	}
	if f == math.Trunc(f) && math.Abs(f) < 1<<63 {
		return "number " + strconv.FormatInt(int64(f), 10)
	}
	return "number " + strconv.FormatFloat(f, 'g', -1, 64)
}

// Collated are the columns, each with the collation by which the index compares it.
func (u *uniqueKey) Collated() []string {
	if u.Same == nil {
		return u.Columns
	}
	list := slices.Clone(u.Columns)
	for i := range list {
		list[i] += "\x00" + u.Same[i].collation
	}
	return list
}
