package reading

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
)

// LiveRule is a rule of a [LiveTable] (CREATE RULE), which rewrites statements that name the table.
type LiveRule struct {
	Name    string
	Event   string // pg_rewrite.ev_type
	Instead bool
}

// rulesOf are the rules of the table c that are in force.
const rulesOf = `(SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', w.rulename, 'event', w.ev_type, 'instead', w.is_instead) ORDER BY w.rulename)
		FROM pg_catalog.pg_rewrite w WHERE w.ev_class = c.oid AND w.ev_enabled IN ('O', 'A'))`

// Of reports whether the rule rewrites the statements of an operation.
func (w *LiveRule) Of(op change.Op) bool {
	switch op {
	case change.Update:
		return w.Event == "2"
	case change.Insert:
		return w.Event == "3"
	case change.Delete:
		return w.Event == "4"
	}
	return false
}

// Describe says for people what the rule does with a statement of an operation on a table.
func (w *LiveRule) Describe(table string, op change.Op) string {
	text := fmt.Sprintf("the rule %s of %s does something beside an %s", strconv.Quote(w.Name), table, strings.ToUpper(string(op)))
	if w.Instead {
		text = fmt.Sprintf("the rule %s of %s does something instead of an %s: the statement may affect no row, and then undoes nothing", strconv.Quote(w.Name), table, strings.ToUpper(string(op)))
	}
	return strings.Replace(text, " an DELETE", " a DELETE", 1)
}
