package coverage

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// table adds a table, and what is wrong with it.
func (r *run) table(ctx context.Context, s *capture.Surveyed) error {
	wanted, configured := r.wanted[s.Name]
	t := Table{Name: shown(s.Name), Kind: s.Kind}
	excluded := r.matches(r.opts.Exclude, s.Name, "")
	if excluded && configured {
		return fmt.Errorf("coverage: %s is in Tables and in Exclude: take it out of one", t.Name)
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
	_, err := r.installer.Plan(ctx, wanted)
	if err == nil {
		r.add(Finding{Code: NotCaptured, Table: t.Name, Text: "it has no triggers", Fix: apply(wanted)})
		return nil
	}
	if dead := r.alive(ctx); dead != nil {
		return dead
	}
	if strings.Contains(err.Error(), "Migrate first") {
		r.noHistory()
		r.add(Finding{Code: NotCaptured, Table: t.Name, Text: "it has no triggers", Fix: apply(wanted)})
		return nil
	}
	r.add(Finding{Code: NotPossible, Table: t.Name, Text: plain(err), Fix: "correct the list, or exclude the table"})
	return nil
}

// noHistory says once that there is no history.
func (r *run) noHistory() {
	if !slices.ContainsFunc(r.report.Findings, func(f Finding) bool { return f.Code == NoHistory }) {
		r.add(Finding{Code: NoHistory, Text: "the tables of row changes are not there", Fix: "threadline migrate up"})
	}
}

// covered looks at the capture of a table.
func (r *run) covered(s *capture.Surveyed, t *Table, wanted capture.Table, configured bool) {
	c := s.Capture
	t.Since, t.Key = c.Since, c.Key
	remedy := c.Table
	if configured {
		remedy = wanted
	} else {
		remedy.Name = t.Name
	}
	if c.Drift != "" {
		r.add(Finding{Code: Drifted, Table: t.Name, Text: c.Drift, Fix: apply(remedy)})
	}
	for _, name := range c.Strange {
		r.add(Finding{Code: StrangeTrigger, Table: t.Name, Text: "the trigger " + name + " is no part of the capture", Fix: "DROP TRIGGER " + name})
	}
	for _, w := range c.Warnings {
		r.add(Finding{Code: Warning, Table: t.Name, Notice: true, Text: strings.TrimPrefix(strings.TrimPrefix(w, s.Name), ": ")})
	}
	if configured && wanted.Key != nil && !slices.Equal(wanted.Key, c.Key) {
		r.add(Finding{Code: KeyDiffers, Table: t.Name, Text: fmt.Sprintf("its rows are known by (%s), and (%s) is configured", strings.Join(c.Key, ", "), strings.Join(wanted.Key, ", ")), Fix: apply(wanted)})
	}
	for _, name := range c.Columns {
		column := Column{Name: name, Deployed: redaction(c.Table, name)}
		if configured {
			column.Configured = redaction(wanted, name)
		}
		t.Columns = append(t.Columns, column)
		differs := configured && column.Deployed != column.Configured
		if differs {
			r.add(Finding{Code: RedactionDiffers, Table: t.Name, Column: name, Text: fmt.Sprintf("its values are %s, and %s is configured", column.Deployed, column.Configured), Fix: apply(wanted)})
		}
		word, is := looksPersonal(name)
		if accepted := is && r.matches(r.opts.Accept, s.Name, name); is && !accepted && !differs && column.Deployed == Kept && !slices.Contains(c.Key, name) {
			masked := remedy
			masked.Mask = append(slices.Clone(remedy.Mask), name)
			r.add(Finding{Code: Personal, Table: t.Name, Column: name, Text: fmt.Sprintf("its values are kept, and the name looks personal or secret (%s)", word), Fix: "mask it: " + apply(masked) + "; or accept " + t.Name + "." + name})
		}
	}
	for _, name := range slices.Concat(wanted.Mask, wanted.Hash, wanted.Exclude) {
		if configured && !slices.Contains(c.Columns, name) {
			r.add(Finding{Code: RedactionDiffers, Table: t.Name, Column: name, Text: "the list names it, and there is no such column", Fix: "correct the list: a column that was renamed is kept masked, and one that is made again is not"})
		}
	}
}

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

// apply is the command that captures a table.
func apply(t capture.Table) string {
	spec := t.Name
	for _, part := range []struct {
		word    string
		columns []string
	}{{"key", t.Key}, {"mask", t.Mask}, {"hash", t.Hash}, {"exclude", t.Exclude}} {
		if len(part.columns) > 0 {
			spec += ":" + part.word + "=" + strings.Join(part.columns, ",")
		}
	}
	if t.Bulk {
		spec += ":bulk"
	}
	return "threadline triggers apply " + quoted(spec) + " --execute"
}

// quoted is a word for a shell.
func quoted(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:=,-") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
