package reading

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
)

// NameOf names a row of a table for people.
func NameOf(table string, key []string) string {
	if key == nil {
		return table
	}
	return table + " (" + strings.Join(key, ", ") + ")"
}

// Title names a change for people.
func Title(c *change.Change) string {
	return fmt.Sprintf("%s of %s at %s in transaction %d", c.Op, NameOf(pgschema.Ident(c.Schema)+"."+pgschema.Ident(c.Table), c.Key), c.CapturedAt.UTC().Format(time.RFC3339Nano), c.XID)
}
