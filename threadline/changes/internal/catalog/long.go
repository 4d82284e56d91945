package catalog

import (
	"fmt"
)

// LongText is how many bytes of a value's text are kept.
const LongText = 64 << 10

// SQLiteLong is the condition that a value is shortened. A number never is, since its digits are few.
func SQLiteLong(v string) string {
	return fmt.Sprintf("ifnull(length(CAST(%s AS BLOB)), 0) > %d", v, LongText)
}
