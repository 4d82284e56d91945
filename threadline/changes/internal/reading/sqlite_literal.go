package reading

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/sqlitetext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
)

// SQLiteLiteral is a value as SQL has it, of the same storage class and bytes.
func SQLiteLiteral(v change.Value) string {
	switch {
	case v.Text == nil:
		return "NULL"
	case v.Storage == "real":
		return realLiteral(*v.Text)
	case v.Storage != "text":
		return *v.Text
	case !utf8.ValidString(*v.Text) || strings.ContainsAny(*v.Text, "\x00\r"): // SQL ends at a NUL, and the shell drops a CR before an LF
		return "CAST(X'" + strings.ToUpper(hex.EncodeToString([]byte(*v.Text))) + "' AS TEXT)"
	}
	return sqlitetext.Literal(*v.Text)
}

// realLiteral is a float that any version of SQLite reads to the bit. Their readers of decimals are not exact. They are for
// up to three decimals, which one division makes. Others are a whole number, divided or multiplied by powers of
// two, each of which is exact.
func realLiteral(text string) string {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return text // 9e999
	}
	plain := strconv.FormatFloat(f, 'f', -1, 64)
	_, decimals, _ := strings.Cut(plain, ".")
	switch {
	case math.Abs(f) < 1e12 && decimals == "":
		return plain + ".0"
	case math.Abs(f) < 1e12 && len(decimals) <= 3:
		return plain
	}
	const most = 62 // a power of two that is an integer
	fraction, exponent := math.Frexp(f)
	whole := int64(math.Ldexp(fraction, 53))
	exponent -= 53
	for ; whole%2 == 0; exponent++ {
		whole /= 2
	}
	var b strings.Builder
	fmt.Fprintf(&b, "(CAST(%d AS REAL)", whole)
	operator := "*"
	if exponent < 0 {
		operator, exponent = "/", -exponent
	}
	for ; exponent > 0; exponent -= most {
		fmt.Fprintf(&b, " %s %d", operator, int64(1)<<min(exponent, most))
	}
	return b.String() + " /* " + text + " */)"
}

// sqliteIs is the condition that a column has a value, of the same storage class and bytes. The first comparison, by the
// column's collation, is for its index.
func sqliteIs(column string, v change.Value) string {
	literal := SQLiteLiteral(v)
	switch {
	case v.Text == nil:
		return column + " IS NULL"
	case v.Storage == "text":
		return fmt.Sprintf("%[1]s = %[2]s AND %[1]s = %[2]s COLLATE BINARY AND typeof(%[1]s) = 'text'", column, literal)
	}
	if f, err := strconv.ParseFloat(*v.Text, 64); err == nil && v.Storage == "real" && f == math.MinInt64 {
		// For a column that has been compared by = SQLite puts the value, also in typeof, and this one it does not make an integer first.
		return fmt.Sprintf("%[1]s BETWEEN %[2]s AND %[2]s AND typeof(%[1]s) = 'real'", column, literal)
	}
	return fmt.Sprintf("%[1]s = %[2]s AND typeof(%[1]s) = '%[3]s'", column, literal, v.Storage)
}

// sqliteKeyIs is the condition that the columns of a key have its values, as the texts of rows have them.
func sqliteKeyIs(columns, key []string) (string, error) {
	conditions := make([]string, len(columns))
	for i, c := range columns {
		v, err := ParseSQLiteKey(key[i])
		if err != nil {
			return "", err
		}
		conditions[i] = sqliteIs(pgschema.Ident(c), v)
	}
	return strings.Join(conditions, " AND "), nil
}

// ParseSQLiteKey reads a value of a key as a field has it. The triggers write floats with more digits.
func ParseSQLiteKey(text string) (change.Value, error) {
	v, err := parseSQLiteText(text)
	if err != nil || v.Storage != "real" {
		return v, err
	}
	f, err := strconv.ParseFloat(*v.Text, 64)
	if err != nil && !math.IsInf(f, 0) {
		return v, err
	}
	text = realText(f)
	return change.Value{Text: &text, Storage: "real"}, nil
}
