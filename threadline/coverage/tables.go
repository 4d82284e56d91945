package coverage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// table adds a table to the report, and what is wrong with it to the findings.
func (r *run) table(ctx context.Context, s *capture.Surveyed) error {
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
	_, err := r.installer.Plan(ctx, wanted)
	missing := errors.Is(err, capture.ErrNotMigrated)
	if missing {
		r.noHistory()
	}
	if err == nil || missing {
		r.add(Finding{Code: NotCaptured, Table: t.Name, Text: "it has no triggers", Fix: applyCommand(wanted)})
		return nil
	}
	r.add(Finding{Code: NotPossible, Table: t.Name, Text: plain(err), Fix: "correct the list, or exclude the table"})
	return r.ping(ctx)
}

// noHistory adds, once, that there is no history.
func (r *run) noHistory() {
	if !slices.ContainsFunc(r.report.Findings, func(f Finding) bool { return f.Code == NoHistory }) {
		r.add(Finding{Code: NoHistory, Text: "the tables of row changes are missing", Fix: "threadline migrate up"})
	}
}

// covered checks the capture of a table.
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
		r.add(Finding{Code: Drifted, Table: t.Name, Text: c.Drift, Fix: applyCommand(remedy)})
	}
	for _, name := range c.Strange {
		r.add(Finding{Code: StrangeTrigger, Table: t.Name, Text: "the trigger " + name + " is not part of the capture", Fix: "DROP TRIGGER " + name})
	}
	for _, w := range c.Warnings {
		r.add(Finding{Code: Warning, Table: t.Name, Notice: true, Text: strings.TrimPrefix(strings.TrimPrefix(w, s.Name), ": ")})
	}
	if configured && wanted.Key != nil && !slices.Equal(wanted.Key, c.Key) {
		r.add(Finding{Code: KeyDiffers, Table: t.Name, Text: fmt.Sprintf("its key is (%s), but (%s) is configured", strings.Join(c.Key, ", "), strings.Join(wanted.Key, ", ")), Fix: applyCommand(wanted)})
	}
	// One command masks all columns that look personal: one for each of them would unmask those before.
	var personal []int // findings
	for _, name := range c.Columns {
		column := Column{Name: name, Deployed: redaction(c.Table, name)}
		if configured {
			column.Configured = redaction(wanted, name)
		}
		t.Columns = append(t.Columns, column)
		differs := configured && column.Deployed != column.Configured
		if differs {
			r.add(Finding{Code: RedactionDiffers, Table: t.Name, Column: name, Text: fmt.Sprintf("its values are %s, but %s is configured", column.Deployed, column.Configured), Fix: applyCommand(wanted)})
		}
		word, is := looksPersonal(name)
		if accepted := is && r.matches(r.opts.Accept, s.Name, name); is && !accepted && !differs && column.Deployed == Kept && !slices.Contains(c.Key, name) {
			personal = append(personal, len(r.report.Findings))
			remedy.Mask = append(slices.Clone(remedy.Mask), name)
			r.add(Finding{Code: Personal, Table: t.Name, Column: name, Text: fmt.Sprintf("its values are kept, but its name suggests personal data or a secret (%s)", word)})
		}
	}
	for _, i := range personal {
		f := &r.report.Findings[i]
		f.Fix = "mask it: " + applyCommand(remedy) + "; or accept " + t.Name + "." + f.Column
	}
	for _, name := range slices.Concat(wanted.Mask, wanted.Hash, wanted.Exclude) {
		if configured && !slices.Contains(c.Columns, name) {
			r.add(Finding{Code: RedactionDiffers, Table: t.Name, Column: name, Text: "it is in the list, but the table has no such column", Fix: "correct the list: a renamed column stays masked, but one that is dropped and added again does not"})
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

// applyCommand is the command that captures a table. Its words are those that "threadline triggers" reads.
func applyCommand(t capture.Table) string {
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
	return "threadline triggers apply " + shellQuote(spec) + " --execute"
}

// shellQuote quotes a word for a shell, if that is needed.
func shellQuote(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:=,-") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
