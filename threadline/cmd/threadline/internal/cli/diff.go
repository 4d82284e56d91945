package cli

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/cmd/threadline/internal/screen"
)

// Difference is what "threadline diff" prints as JSON.
type Difference struct {
	Table string   `json:"table"`
	Key   []string `json:"key"`
	From  Side     `json:"from"`
	To    Side     `json:"to"`
	// Fields are those that differ. The value of a side without the row, or without the column, is absent.
	Fields []changes.DiffField `json:"fields"`
	// Unknown are the columns of which it is not known whether they differ, because no value is kept of them, for example.
	Unknown []string `json:"unknown"`
}

// Side is one of the two times of a [Difference].
type Side struct {
	At string `json:"at"`
	// Row says whether there was a row; it is null if that is not known. Why says why there was none, or why it is not known.
	Row *bool  `json:"row"`
	Why string `json:"why,omitempty"`

	at  time.Time
	row *changes.Row
}

func (a *app) diff() *cobra.Command {
	var from, to string
	cmd := &cobra.Command{
		Use:   "diff TABLE KEY... --from TIME [--to TIME]",
		Short: "Show how a row differs between two times",
		Long: `diff shows which fields of a row differ between two times, and from which value to which,
however often they were changed in between. "threadline history" shows each change.`,
		Example: `  threadline diff orders 42 --from 2026-03-01
  threadline diff shop.order_lines 42 1 --from 2026-03-01 --to 2026-04-01 --json`,
		Args: atLeast("the table", "the key of the row"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if from == "" {
				return usage("--from is missing: a time such as 2d, yesterday or 2026-11-30T10:00")
			}
			earlier, err := a.past("--from", from)
			if err != nil {
				return err
			}
			later, err := a.past("--to", to)
			if err != nil {
				return err
			}
			if later.Before(earlier) {
				return usage("--from %s is after --to %s: exchange them", from, to)
			}
			return a.with(cmd.Context(), func(t *target) error {
				return a.compareRow(cmd.Context(), t, args[0], args[1:], earlier, later)
			})
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "the earlier time: 30m, 2d, yesterday, 2026-11-30, 2026-11-30T10:00Z")
	cmd.Flags().StringVar(&to, "to", "now", "the later time")
	return cmd
}

func (a *app) compareRow(ctx context.Context, t *target, table string, key []string, from, to time.Time) error {
	d := Difference{Table: table, Key: key, Fields: []changes.DiffField{}, Unknown: []string{}}
	var err error
	if d.From, err = side(ctx, t, table, key, from); err == nil {
		d.To, err = side(ctx, t, table, key, to)
	}
	if err != nil {
		return err
	}
	known := d.From.Row != nil && d.To.Row != nil
	if known {
		d.compare()
	}
	if a.json {
		err = a.print(d)
	} else {
		a.printDiff(&d)
	}
	if err == nil && !known {
		err = errFound
	}
	return err
}

// side is what is known of a row at a time.
func side(ctx context.Context, t *target, table string, key []string, at time.Time) (Side, error) {
	s := Side{At: at.UTC().Format(timeForm), at: at}
	row, err := t.rows().RowAsOf(ctx, table, at, key...)
	var none *changes.AsOfError
	if err != nil && !errors.As(err, &none) {
		return s, err
	}
	is := err == nil
	s.row = row
	if !is {
		s.Why = said(none.Error())
	}
	if is || errors.Is(err, changes.ErrGone) || errors.Is(err, changes.ErrNotYet) {
		s.Row = &is
	}
	return s, nil
}

// compare sets what differs.
func (d *Difference) compare() {
	before, after := d.From.row, d.To.row
	diff := changes.DiffRows(before, after)
	has := func(r *changes.Row, name string) bool {
		return r != nil && slices.ContainsFunc(r.Values, func(v changes.RowValue) bool { return v.Name == name })
	}
	for i := range diff.Fields {
		f, op := &diff.Fields[i], changes.Update
		switch {
		case !has(before, f.Name):
			op = changes.Insert
		case !has(after, f.Name):
			op = changes.Delete
		}
		d.Fields = append(d.Fields, f.Diff(op))
	}
	d.Unknown = append(d.Unknown, diff.Unknown...)
}

func (a *app) printDiff(d *Difference) {
	s := a.screen
	s.Printf("%s %s from %s to %s, %s\n", screen.Plain(d.Table), screen.Plain(strings.Join(d.Key, ", ")), s.Second(d.From.at), s.Second(d.To.at), s.ZoneName())
	for _, side := range []*Side{&d.From, &d.To} {
		if side.Why != "" {
			s.Printf("At %s: %s\n", s.Second(side.at), screen.Plain(side.Why))
		}
	}
	for _, f := range d.Fields {
		s.Printf("    %s: %s → %s\n", screen.Plain(f.Name), s.In(screen.Bad, d.From.text(f.Old)), s.In(screen.Good, d.To.text(f.New)))
	}
	if len(d.Unknown) > 0 {
		s.Printf("It is not known whether these differ, because their values are not kept: %s\n", screen.Plain(strings.Join(d.Unknown, ", ")))
	}
	if d.From.Row != nil && d.To.Row != nil && len(d.Fields) == 0 && len(d.Unknown) == 0 {
		s.Printf("Nothing differs.\n")
	}
}

// text is a value at that time, for people.
func (s *Side) text(v changes.DiffValue) string {
	if v.Kind == changes.KindAbsent && s.row != nil {
		return "(no such column)"
	}
	return screen.Plain(v.String())
}
