package undo

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// ConflictKind is what is in the way of a [Script].
type ConflictKind string

// The kinds of conflicts.
const (
	ChangedLater  ConflictKind = "changed later"  // values are no longer those that were left: by later changes in the history
	Differs       ConflictKind = "differs"        // values are no longer those that were left, and the history has no change that says so
	RowGone       ConflictKind = "row gone"       // the row is not there
	KeyTaken      ConflictKind = "key taken"      // another row has the key, or the values of another unique index
	ParentMissing ConflictKind = "parent missing" // the row that a foreign key refers to is not there
	StillReferred ConflictKind = "still referred" // rows refer to one that would be deleted, or have another key
	NotAllowed    ConflictKind = "not allowed"    // a NOT NULL or a CHECK does not allow the row, or no partition is for it
)

// Conflict is something that is in the way of a [Script] now.
type Conflict struct {
	Kind  ConflictKind
	Table string   // of the row that would be changed: qualified, in quotes
	Key   []string // of that row, as the change left it
	// Columns are those that are concerned.
	Columns []string
	// Is is what is there: the values of Columns, or the row that is in the way.
	Is string
	// Later are the later changes that have done it, the oldest first, 20 at most.
	Later []change.Change
}

// String returns the conflict for people.
func (c Conflict) String() string {
	s := reading.NameOf(c.Table, c.Key)
	if len(c.Columns) > 0 {
		s += ": " + strings.Join(c.Columns, ", ")
	}
	s += ": " + string(c.Kind)
	if c.Is != "" {
		s += ": " + c.Is
	}
	for i := range c.Later {
		l := &c.Later[i]
		s += fmt.Sprintf("; %s in transaction %d at %s", l.Op, l.XID, l.CapturedAt.Format(time.RFC3339Nano))
		if l.By != nil {
			s += " by " + l.By.String()
		}
	}
	return s
}

// Refusal says why something cannot be undone.
type Refusal struct {
	Table   string // qualified, in quotes
	Key     []string
	Columns []string // those that are the reason, if some are
	Reason  string
}

// String returns the refusal for people.
func (r Refusal) String() string {
	s := reading.NameOf(r.Table, r.Key)
	if len(r.Columns) > 0 {
		s += ": " + strings.Join(r.Columns, ", ")
	}
	return s + ": " + r.Reason
}
