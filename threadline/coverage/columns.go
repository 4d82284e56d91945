package coverage

import (
	"fmt"
	"slices"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/internal/command"
	"github.com/go-aftercommit/aftercommit/threadline/internal/personal"
)

// columns adds the columns of a captured table to the report, and what is wrong with them to the findings. remedy is what loosens nothing.
func (r *run) columns(s *capture.Relation, t *Table, wanted capture.Table, configured bool, remedy capture.Table) {
	c := s.Capture
	// One command masks all columns that look personal: one for each of them would unmask those before.
	var revealing []int // findings
	for _, name := range c.Columns {
		column := Column{Name: name, Deployed: redaction(c.Table, name)}
		if configured {
			column.Configured = redaction(wanted, name)
		}
		t.Columns = append(t.Columns, column)
		if differs := configured && column.Deployed != column.Configured; differs {
			fix := command.Apply(remedy)
			if stricter(column.Deployed, column.Configured) {
				loosest := strictest(wanted, &capture.Captured{Table: capture.Table{Key: c.Table.Key}, Columns: c.Columns})
				fix = "correct the list, or keep more from now on: " + command.Apply(loosest)
			}
			r.add(Finding{Code: RedactionDiffers, Table: t.Name, Column: name, Text: fmt.Sprintf("its values are %s, but %s is configured", column.Deployed, column.Configured), Fix: fix})
			continue
		}
		word, is := personal.Looks(name)
		if accepted := is && r.matches(r.opts.Accept, s.Name, name); !is || accepted || column.Deployed != Kept {
			continue
		}
		f := Finding{Code: Personal, Table: t.Name, Column: name, Text: fmt.Sprintf("its values are kept, but its name suggests personal data or a secret (%s)", word)}
		if slices.Contains(c.Key, name) {
			f.Text = fmt.Sprintf("its values are kept with each change, because it is in the key, but its name suggests personal data or a secret (%s)", word)
		} else {
			remedy.Mask = append(slices.Clone(remedy.Mask), name)
		}
		revealing = append(revealing, len(r.report.Findings))
		r.add(f)
	}
	for _, i := range revealing {
		f := &r.report.Findings[i]
		if slices.Contains(c.Key, f.Column) {
			f.Fix = "it cannot be masked as long as it is in the key: " + otherKeyCommand(remedy, c.Key) + "; or end the capture (threadline triggers drop " + command.Quote(t.Name) + " --execute) and exclude the table"
		} else {
			f.Fix = "mask it: " + command.Apply(remedy)
		}
		f.Fix += "; or accept " + t.Name + "." + f.Column
	}
}

// firstCommand is what captures a table that is in no list: with masks for the columns that look personal.
func (r *run) firstCommand(s *capture.Relation, name string) string {
	t := capture.Table{Name: name}
	keyed := ""
	for _, column := range s.Columns {
		if _, is := personal.Looks(column); !is || r.matches(r.opts.Accept, s.Name, column) {
			continue
		}
		if slices.Contains(s.PrimaryKey, column) {
			keyed = column
			continue
		}
		t.Mask = append(t.Mask, column)
	}
	if keyed != "" {
		return otherKeyCommand(t, s.PrimaryKey) + ": each change would have the column " + name + "." + keyed + " of the primary key, whose name suggests personal data or a secret; or exclude the table, or accept the column"
	}
	return command.Apply(t)
}

// otherKeyCommand is the command that captures a table with another key than one that looks personal, and masks that.
func otherKeyCommand(t capture.Table, key []string) string {
	t.Key, t.Mask = []string{"COLUMNS"}, slices.Clone(t.Mask)
	for _, column := range key {
		if _, is := personal.Looks(column); is {
			t.Mask = append(t.Mask, column)
		}
	}
	return command.Apply(t) + " with the COLUMNS of a unique index over NOT NULL columns"
}

// redactions are all, each stricter than the one before.
var redactions = []Redaction{Kept, Hashed, Masked, ExcludedColumn}

// stricter reports whether of a column less is kept by a than by b.
func stricter(a, b Redaction) bool { return slices.Index(redactions, a) > slices.Index(redactions, b) }

func redaction(t capture.Table, column string) Redaction {
	switch {
	case slices.Contains(t.Exclude, column):
		return ExcludedColumn
	case slices.Contains(t.Mask, column):
		return Masked
	case slices.Contains(t.Hash, column):
		return Hashed
	}
	return Kept
}

// strictest is wanted, with the key that a capture has, unless another is wanted, and of no column more than the capture keeps. It has no
// columns that the table does not have, with which a plan would be refused.
func strictest(wanted capture.Table, c *capture.Captured) capture.Table {
	t := capture.Table{Name: wanted.Name, Key: wanted.Key, Bulk: wanted.Bulk}
	if t.Key == nil {
		t.Key = c.Table.Key
	}
	for _, name := range c.Columns {
		r := redaction(wanted, name)
		if deployed := redaction(c.Table, name); stricter(deployed, r) {
			r = deployed
		}
		switch r {
		case ExcludedColumn:
			t.Exclude = append(t.Exclude, name)
		case Masked:
			t.Mask = append(t.Mask, name)
		case Hashed:
			t.Hash = append(t.Hash, name)
		}
	}
	return t
}
