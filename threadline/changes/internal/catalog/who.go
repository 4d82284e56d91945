package catalog

import (
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// WhoIndex is an index of audit_contexts on a column by which queries ask who.
type WhoIndex struct{ Name, Column string }

// WhoIndexes are the indexes that the timeline's script makes with the table; the first have the fewest rows for a value. If they are
// there, the table has the contexts of all events of the timeline: on an older table they are made only once it has those of earlier
// events.
var WhoIndexes = []WhoIndex{
	{"audit_contexts_request", "request_id"},
	{"audit_contexts_correlation", "correlation_id"},
	{"audit_contexts_actor", "actor_id"},
}

// LateIndex is the index of audit_changes on those that are late.
const LateIndex = "audit_changes_late"

// punctual is how long after the start of its transaction a change is captured that is not late.
const punctual = "'00:00:10'::pg_catalog.interval"

// Late is a condition for the few changes that were captured long after their transaction began, or, by a clock that was set
// back, before it did. All others are found by the time at which it began.
func Late(captured, started string) string {
	took := "(" + captured + " OPERATOR(pg_catalog.-) " + started + ")"
	return "(" + took + " OPERATOR(pg_catalog.<) '00:00:00'::pg_catalog.interval OR " + took + " OPERATOR(pg_catalog.>) " + punctual + ")"
}

// LatestPunctual is an expression for the latest time at which a change can have been captured that is not late, if its transaction
// began at a time.
func LatestPunctual(started string) string { return "(" + started + " + " + punctual + ")" }

// EarliestStart is an expression for the earliest time at which a transaction can have begun, if a change of it that is not late was
// captured at a time.
func EarliestStart(captured string) string { return "(" + captured + " - " + punctual + ")" }

// WhoIndexed is a condition: all of WhoIndexes are there and can be used.
func (s *Database) WhoIndexed() string {
	var names []string
	for _, i := range WhoIndexes {
		names = append(names, i.Name)
	}
	return s.indexed(names...)
}

// LateIndexed is the same for LateIndex.
func (s *Database) LateIndexed() string { return s.indexed(LateIndex) }

func (s *Database) indexed(names ...string) string {
	return fmt.Sprintf("(SELECT pg_catalog.count(*) = %d FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"+
		" WHERE n.nspname = %s AND c.relname IN ('%s') AND x.indisvalid)", len(names), pgtext.Literal(s.Schema), strings.Join(names, "', '"))
}
