package coverage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/internal/command"
	"github.com/go-aftercommit/aftercommit/threadline/internal/errtext"
)

// table adds a table to the report, and what is wrong with it to the findings.
func (r *run) table(ctx context.Context, s *capture.Relation) error {
	wanted, configured := r.wanted[s.Name]
	t := Table{Name: displayName(s.Name), Kind: s.Kind}
	excluded := r.matches(r.opts.Exclude, s.Name, "")
	if excluded && configured {
		return fmt.Errorf("coverage: %s is in Tables and in Exclude: remove it from one of them", t.Name)
	}
	switch supported := s.Kind == capture.Plain || s.Kind == capture.Partitioned; {
	case s.Capture != nil:
		t.State = Covered
		r.covered(s, &t, wanted, configured)
	case excluded:
		t.State = Excluded
	case !supported, s.Extension != "" && !configured:
		t.State = Unsupported
	default:
		t.State = Uncovered
	}
	r.report.Tables = append(r.report.Tables, t)
	if t.State == Covered || t.State == Excluded || t.State == Unsupported && !configured {
		return nil
	}
	if !configured {
		wanted = capture.Table{Name: t.Name}
	}
	fix := command.Apply(wanted)
	if !configured {
		fix = r.firstCommand(s, t.Name)
	}
	_, err := r.installer.Plan(ctx, wanted)
	missing := errors.Is(err, capture.ErrNotMigrated)
	if missing {
		r.noHistory()
	}
	if err == nil || missing {
		r.add(Finding{Code: NotCaptured, Table: t.Name, Text: "it has no triggers", Fix: fix})
		return nil
	}
	r.add(Finding{Code: CannotCapture, Table: t.Name, Text: errtext.Of(err), Fix: "correct the list, or exclude the table"})
	return r.ping(ctx)
}

// noHistory adds, once, that there is no history.
func (r *run) noHistory() {
	if !slices.ContainsFunc(r.report.Findings, func(f Finding) bool { return f.Code == NoHistory }) {
		r.add(Finding{Code: NoHistory, Text: "the tables of row changes are missing", Fix: "threadline migrate up"})
	}
}

// covered checks the capture of a table.
func (r *run) covered(s *capture.Relation, t *Table, wanted capture.Table, configured bool) {
	c := s.Capture
	t.Since, t.Key = c.Since, c.Key
	remedy := c.Table
	remedy.Name = t.Name
	if configured {
		remedy = strictest(wanted, c)
	}
	if c.Drift != "" {
		r.add(Finding{Code: Drifted, Table: t.Name, Text: c.Drift, Fix: command.Apply(remedy)})
	}
	for _, name := range c.StrayTriggers {
		r.add(Finding{Code: StrayTrigger, Table: t.Name, Text: "the trigger " + name + " is not part of the capture", Fix: "DROP TRIGGER " + name})
	}
	for _, w := range c.Warnings {
		r.add(Finding{Code: Warning, Table: t.Name, Notice: true, Text: w})
	}
	if configured && wanted.Key != nil && !slices.Equal(wanted.Key, c.Key) {
		r.add(Finding{Code: KeyDiffers, Table: t.Name, Text: fmt.Sprintf("its key is (%s), but (%s) is configured", strings.Join(c.Key, ", "), strings.Join(wanted.Key, ", ")), Fix: command.Apply(remedy)})
	}
	r.columns(s, t, wanted, configured, remedy)
	for _, name := range slices.Concat(wanted.Mask, wanted.Hash, wanted.Exclude) {
		if configured && !slices.Contains(c.Columns, name) {
			r.add(Finding{Code: RedactionDiffers, Table: t.Name, Column: name, Text: "it is in the list, but the table has no such column", Fix: "correct the list: a renamed column stays masked, but one that is dropped and added again does not"})
		}
	}
}
