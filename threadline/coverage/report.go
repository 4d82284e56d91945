package coverage

import (
	"fmt"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// Report is what a check has found.
type Report struct {
	// At is when it was made, by this machine's clock.
	At time.Time `json:"at"`
	// Tables are all of the database, by name.
	Tables []Table `json:"tables"`
	// Findings are in the order of the tables. There are none if all is as it should be.
	Findings []Finding `json:"findings"`
	// Window is what was looked at for [Options.Window], nil without one.
	Window *Window `json:"window,omitempty"`
}

// State is whether a table is captured.
type State string

// The states of a table.
const (
	Covered   State = "covered"
	Uncovered State = "uncovered"
	// Excluded tables are in [Options.Exclude], and not captured.
	Excluded State = "excluded"
	// Unsupported are views, foreign and virtual tables: no trigger sees their rows change.
	Unsupported State = "unsupported"
)

// Table is a table of the database.
type Table struct {
	// Name is qualified, with quotes only where it needs them.
	Name  string       `json:"name"`
	Kind  capture.Kind `json:"kind"`
	State State        `json:"state"`
	// Since is when its capture was last made or changed.
	Since time.Time `json:"since,omitzero"`
	// Key are the columns that identify a row, none if it has no key.
	Key []string `json:"key,omitempty"`
	// Columns are all that it has, if it is captured.
	Columns []Column `json:"columns,omitempty"`
}

// Column is a column of a captured table: how much of its values is kept.
type Column struct {
	Name string `json:"name"`
	// Deployed is what the capture in the database does, Configured what [Options.Tables] has, "" if that does not have the table.
	Deployed   Redaction `json:"deployed"`
	Configured Redaction `json:"configured,omitempty"`
}

// Redaction is what is kept of a column's values.
type Redaction string

// The redactions, each stricter than the one before.
const (
	Kept           Redaction = "kept"
	Hashed         Redaction = "hashed"
	Masked         Redaction = "masked"
	ExcludedColumn Redaction = "excluded"
)

// Code is what a finding is about. Later versions may have more.
type Code string

// The codes of findings.
const (
	// NotCaptured is a table without triggers that is not in [Options.Exclude].
	NotCaptured Code = "not_captured"
	// NoTable is a table in [Options.Tables], or a name in [Options.Exclude] or [Options.Accept], that the database does not have.
	NoTable Code = "no_such_table"
	// NotPossible is a table in [Options.Tables] that cannot be captured as it says.
	NotPossible Code = "cannot_be_captured"
	// Drifted is a capture that differs from its table or its triggers: the text says how.
	Drifted Code = "drift"
	// StrangeTrigger is a trigger that is no part of the capture, although it calls its function or has a name of its triggers.
	StrangeTrigger Code = "strange_trigger"
	// RedactionDiffers is a column of which more, or less, is kept than is configured.
	RedactionDiffers Code = "redaction"
	// KeyDiffers is a capture with another key than is configured.
	KeyDiffers Code = "key"
	// Personal is a column whose name looks like that of personal data or a secret, and whose values are kept.
	Personal Code = "personal"
	// Warning is what a plan warns of: an unlogged table, one without a key, a column that is computed from masked ones.
	Warning Code = "warning"
	// Gap is a time within [Options.Window] at which changes may be missing.
	Gap Code = "gap"
	// Difference is a transaction of which the driver and the triggers have counted differently, and there is no ordinary explanation.
	Difference Code = "difference"
	// NoHistory says that the tables of the history are missing.
	NoHistory Code = "no_history"
)

// Finding is something to look at.
type Finding struct {
	Code Code `json:"code"`
	// Table and Column are what it is about, as far as it is about one.
	Table  string `json:"table,omitempty"`
	Column string `json:"column,omitempty"`
	// Notice says that it does not have to be wrong: a table without a key is an example.
	Notice bool   `json:"notice,omitempty"`
	Text   string `json:"text"`
	// Fix is what to do about it, mostly a command.
	Fix string `json:"fix,omitempty"`
}

// String returns the finding for people, in one line.
func (f Finding) String() string {
	where := f.Table
	if f.Column != "" {
		where += "." + f.Column
	}
	if where != "" {
		where += ": "
	}
	text := fmt.Sprintf("%s: %s%s", f.Code, where, f.Text)
	if f.Fix != "" {
		text += ": " + f.Fix
	}
	return text
}

// Faults is how many of the findings are no mere notices.
func (r *Report) Faults() (n int) {
	for _, f := range r.Findings {
		if !f.Notice {
			n++
		}
	}
	return n
}

// Window is what was compared of a time.
type Window struct {
	From time.Time `json:"from"`
	// Transactions is how many were compared. Truncated says that there are more, older ones: see [MaxTransactions].
	Transactions int  `json:"transactions"`
	Truncated    bool `json:"truncated,omitempty"`
	// Explained is how many differences between the driver and the triggers have an ordinary explanation.
	Explained int `json:"explained,omitempty"`
}
