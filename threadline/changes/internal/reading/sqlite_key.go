package reading

import (
	"context"
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// Keys are all keys that a person may mean by the texts in key, each value behind the letter of its storage class, as stored keys
// have it: the text of a value does not say its class. Keys in which an integer's text stands for a real come last.
func (s SQLite) Keys(ctx context.Context, q catalog.Querier, key []string) (keys [][]string, err error) {
	keys = [][]string{nil}
	for _, text := range key {
		may, err := s.classes(ctx, q, text)
		if err != nil {
			return nil, err
		}
		var longer [][]string
		for _, k := range keys {
			for _, m := range may {
				longer = append(longer, append(slices.Clone(k), m))
			}
		}
		keys = longer
	}
	slices.SortStableFunc(keys, func(a, b []string) int { return RealsOf(a, key) - RealsOf(b, key) })
	return keys, nil
}

// RealsOf is how many reals of typed are written as integers in key.
func RealsOf(typed, key []string) (n int) {
	for i, text := range key {
		if typed[i][0] == 'r' && isInteger(text) {
			n++
		}
	}
	return n
}

// isInteger reports whether a text is how an integer is written.
func isInteger(text string) bool {
	n, err := strconv.ParseInt(text, 10, 64)
	return err == nil && strconv.FormatInt(n, 10) == text
}

// classes are the values that a text may mean, each behind the letter of its storage class.
func (s SQLite) classes(ctx context.Context, q catalog.Querier, text string) ([]string, error) {
	may := []string{"t" + text}
	if isInteger(text) {
		may = append(may, "i"+text)
	}
	if len(text) > 2 && strings.EqualFold(text[:2], "X'") && strings.HasSuffix(text, "'") {
		if b, err := hex.DecodeString(text[2 : len(text)-1]); err == nil {
			may = append(may, "b"+strings.ToUpper(hex.EncodeToString(b)))
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(f, 0) || math.IsNaN(f) || strings.ContainsAny(text, "xX_") {
		return may, nil
	}
	if n, failed := strconv.ParseInt(text, 10, 64); failed == nil && (f >= math.MaxInt64 || int64(f) != n) {
		return may, nil // the nearest real is another number
	}
	// SQLite prints it: versions of SQLite differ in how many digits they print.
	var printed string
	written := realText(f)
	if err = q.QueryRowContext(ctx, "SELECT 'r' || printf('%!.17g', "+SQLiteLiteral(change.Value{Text: &written, Storage: "real"})+" + 0.0)").Scan(&printed); err != nil {
		return nil, catalog.Wrap("read a key", err)
	}
	return append(may, printed), nil
}
