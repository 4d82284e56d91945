package catalog

import (
	"fmt"
)

// LongText is how many bytes of a value's text are kept.
const LongText = 64 << 10

// SQLiteLong is the condition that a value is cut.
func SQLiteLong(v string) string {
	return fmt.Sprintf("typeof(%s) IN ('text', 'blob') AND length(CAST(%s AS BLOB)) > %d", v, v, LongText)
}
