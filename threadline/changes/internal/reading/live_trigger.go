package reading

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
)

// LiveTrigger is a trigger of the app's on a [LiveTable].
type LiveTrigger struct {
	Name, Table, Function string
	Type                  int
	Columns               []string
}

const qualifiedTrigger = `pg_catalog.concat('"', pg_catalog.replace(gn.nspname, '"', '""'), '"."', pg_catalog.replace(gc.relname, '"', '""'), '"')`

// Bits of pg_trigger.tgtype.
const (
	TriggerRow    = 1
	TriggerBefore = 2
	triggerInsert = 4
	triggerDelete = 8
	triggerUpdate = 16
)

// Fires reports whether a trigger fires for an operation; of an update, on any of the columns.
func (g *LiveTrigger) Fires(op change.Op, columns []string) bool {
	switch op {
	case change.Insert:
		return g.Type&triggerInsert != 0
	case change.Delete:
		return g.Type&triggerDelete != 0
	default:
		return g.Type&triggerUpdate != 0 && (len(g.Columns) == 0 || slices.ContainsFunc(g.Columns, func(c string) bool { return slices.Contains(columns, c) }))
	}
}

// Describe says for people when the trigger fires for an operation.
func (g *LiveTrigger) Describe(op change.Op) string {
	when := "AFTER"
	if g.Type&TriggerBefore != 0 {
		when = "BEFORE"
	}
	each := "STATEMENT"
	if g.Type&TriggerRow != 0 {
		each = "ROW"
	}
	text := fmt.Sprintf("%s on %s, %s %s FOR EACH %s", strconv.Quote(g.Name), g.Table, when, strings.ToUpper(string(op)), each)
	if g.Function == "" { // SQLite has none
		return text
	}
	return text + ": " + g.Function
}
