package coverage

import (
	"fmt"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// Report is what a check found.
type Report struct {
	// At is when the check began, by this machine's clock.
	At time.Time `json:"at"`
	// Tables are all tables of the database, by name.
	Tables []Table `json:"tables"`
	// Findings are what to look at, and not nil. There are none if all is as it should be.
	Findings []Finding `json:"findings"`
	// Window says what was compared within [Options.Window]. It is nil if that is zero.
	Window *Window `json:"window,omitempty"`
}

// State says whether a table is captured.
type State string

// The states of a table.
const (
	Covered   State = "covered"
	Uncovered State = "uncovered"
	// Excluded tables are not captured, and [Options.Exclude] names them.
	Excluded State = "excluded"
	// Unsupported are views, foreign tables and virtual tables, whose changes no trigger sees, and tables of extensions that are not in
	// [Options.Tables].
	Unsupported State = "unsupported"
)

// Table is a table of the database.
type Table struct {
	// Name is the qualified name, with quotes only where SQL needs them.
	Name  string       `json:"name"`
	Kind  capture.Kind `json:"kind"`
	State State        `json:"state"`
	// Since is when its capture was last created or changed.
	Since time.Time `json:"since,omitzero"`
	// Key are the columns that identify a row. It is empty if there is no key.
	Key []string `json:"key,omitempty"`
	// Columns are all columns of the table, if it is captured.
	Columns []Column `json:"columns,omitempty"`
}

// Column says how much is kept of the values of a captured table's column.
type Column struct {
	Name string `json:"name"`
	// Deployed is what the capture in the database does. Configured is what [Options.Tables] says, "" if the table is not there.
	Deployed   Redaction `json:"deployed"`
	Configured Redaction `json:"configured,omitempty"`
}

// Redaction says what is kept of a column's values.
type Redaction string

// The redactions, each stricter than the one before.
const (
	Kept           Redaction = "kept"
	Hashed         Redaction = "hashed"
	Masked         Redaction = "masked"
	ExcludedColumn Redaction = "excluded"
)

// Code says what a finding is about. Later versions may add codes.
type Code string

// The codes of findings.
const (
	// NotCaptured is a table without triggers that [Options.Exclude] does not name.
	NotCaptured Code = "not_captured"
	// NotFound is a name in [Options.Tables], [Options.Exclude] or [Options.Accept] that no table or column has.
	NotFound Code = "no_such_table"
	// CannotCapture is a table that cannot be captured, or not as [Options.Tables] says.
	CannotCapture Code = "cannot_be_captured"
	// Drifted is a capture that no longer fits its table, or has triggers that are missing or altered. The text says how.
	Drifted Code = "drift"
	// StrayTrigger is a trigger that is not part of the capture, although it calls the capture's function or is named like one of its triggers.
	StrayTrigger Code = "strange_trigger"
	// RedactionDiffers is a column of which more or less is kept than configured.
	RedactionDiffers Code = "redaction"
	// KeyDiffers is a capture whose key is not the configured one.
	KeyDiffers Code = "key"
	// Personal is a column whose values are kept although its name suggests personal data or a secret. If it is in the key, it cannot be masked
	// before the table has another key.
	Personal Code = "personal"
	// Warning is a warning of the table's plan: it is unlogged, say, or has no key, or a column that is computed from masked ones.
	Warning Code = "warning"
	// Gap is a time within [Options.Window] at which changes may be missing.
	Gap Code = "gap"
	// Difference is a transaction in which the driver and the triggers counted different numbers of rows, without an ordinary explanation.
	Difference Code = "difference"
	// NoHistory means that the tables of the history are missing.
	NoHistory Code = "no_history"
)

// Finding is something to look at.
type Finding struct {
	Code Code `json:"code"`
	// Table and Column name what the finding is about. They are "" if it is not about one.
	Table  string `json:"table,omitempty"`
	Column string `json:"column,omitempty"`
	// Notice says that the finding may be intended, as a table without a key.
	Notice bool   `json:"notice,omitempty"`
	Text   string `json:"text"`
	// Fix is what to do about it, usually a command.
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

// CountFaults returns how many findings are not mere notices.
func (r *Report) CountFaults() (n int) {
	for _, f := range r.Findings {
		if !f.Notice {
			n++
		}
	}
	return n
}

// Window says what was compared within [Options.Window].
type Window struct {
	From time.Time `json:"from"`
	// Transactions is how many were compared. Truncated says that older ones were not: see [MaxTransactions].
	Transactions int  `json:"transactions"`
	Truncated    bool `json:"truncated,omitempty"`
	// Explained is how many differences between the driver's counts and the triggers' have an ordinary explanation. They are not findings.
	Explained int `json:"explained,omitempty"`
}
