package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/cmd/threadline/internal/screen"
	"github.com/go-aftercommit/aftercommit/threadline/internal/command"
)

func (t *target) installer() *capture.Installer {
	return capture.NewInstaller(t.db, t.dialect, &capture.Options{Schema: t.schema})
}

// Plan is what "threadline triggers plan" prints as JSON.
type Plan struct {
	Steps    []PlanStep `json:"steps"`
	Warnings []string   `json:"warnings"`
}

// PlanStep is what is to be done for one table, in one transaction.
type PlanStep struct {
	Table string   `json:"table"`
	Why   string   `json:"why"`
	SQL   []string `json:"sql"`
}

func (a *app) triggers() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "triggers",
		Short: "Plan, apply and drop the triggers that capture row changes",
		Long: `triggers manages the captures of tables. Write each table with what is not to be kept of it:

  orders                     all of it
  orders:mask=card,cvc       that these columns changed, but no value
  orders:hash=email          a keyed hash of each value
  orders:exclude=cache       nothing of the column
  orders:key=code            another key than the primary key
  orders:bulk                for statements that change many rows
  orders:mask=card:exclude=cache

or put all tables into a JSON file (--file):

  {"tables": [{"name": "orders", "mask": ["card"]}]}`,
	}
	var file string
	plan := &cobra.Command{
		Use: "plan [TABLE...]", Short: "Print the SQL that would make the captures, and why; nothing is changed",
		Example: "  threadline triggers plan orders:mask=card order_lines > plan.sql",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.planned(cmd.Context(), file, args, func(_ *target, p *capture.Plan) error { return a.printPlan(p) })
		},
	}
	diff := &cobra.Command{
		Use: "diff [TABLE...]", Short: "Show how the captures differ from the tables given; exit with 1 if they do",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.planned(cmd.Context(), file, args, func(_ *target, p *capture.Plan) error { return a.printDifference(p) })
		},
	}
	var execute bool
	apply := &cobra.Command{
		Use: "apply [TABLE...] --execute", Short: "Make the captures, one table in each transaction",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.planned(cmd.Context(), file, args, func(t *target, p *capture.Plan) error {
				if !execute {
					if err := a.printPlan(p); err != nil {
						return err
					}
					fmt.Fprintln(a.err, "Nothing was changed. To make the captures, add --execute.")
					return nil
				}
				if err := t.installer().Apply(cmd.Context(), p); err != nil {
					return err
				}
				a.warn(p.Warnings)
				fmt.Fprintf(a.err, "Made or changed: %s.\n", count(len(p.Steps), "capture"))
				return nil
			})
		},
	}
	for _, c := range []*cobra.Command{plan, diff, apply} {
		c.Flags().StringVarP(&file, "file", "f", "", "file with the tables")
	}
	drop := &cobra.Command{
		Use: "drop TABLE --execute", Short: "End the capture of a table; what was captured stays", Args: exactly("the table"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(t *target) error { return a.dropCapture(cmd.Context(), t, args[0], execute) })
		},
	}
	for _, c := range []*cobra.Command{apply, drop} {
		c.Flags().BoolVar(&execute, "execute", false, "do it")
	}
	cmd.AddCommand(plan, diff, apply, drop)
	return cmd
}

// dropCapture ends the capture of a table.
func (a *app) dropCapture(ctx context.Context, t *target, table string, execute bool) error {
	_, err := t.rows().Breaks(ctx, table)
	switch {
	case errors.Is(err, changes.ErrNotCaptured):
		return &failure{exitFinding, fmt.Errorf("%s was never captured, so there is nothing to end", table)}
	case err != nil && !errors.Is(err, changes.ErrNotMigrated): // triggers may be left where the history is gone
		return err
	}
	if err = nil; execute {
		err = t.installer().Remove(ctx, table)
	}
	return a.did(err, execute, "This would end the capture of "+table+"; what was captured would stay", "The capture of "+table+" has ended; what was captured stays")
}

// planned calls f with the plan for the tables that were named.
func (a *app) planned(ctx context.Context, file string, args []string, f func(*target, *capture.Plan) error) error {
	list, err := tablesOf(file, args)
	if err != nil {
		return err
	}
	return a.with(ctx, func(t *target) error {
		p, err := t.installer().Plan(ctx, list.Tables...)
		if err != nil {
			return err
		}
		return f(t, p)
	})
}

func (a *app) printPlan(p *capture.Plan) error {
	if !a.json {
		a.screen.Printf("%s", p.String())
		return nil
	}
	answer := Plan{Steps: []PlanStep{}, Warnings: append([]string{}, p.Warnings...)}
	for _, s := range p.Steps {
		answer.Steps = append(answer.Steps, PlanStep{s.Table, s.Why, s.SQL})
	}
	return a.print(answer)
}

// printDifference shows a line for each table that a plan would change.
func (a *app) printDifference(p *capture.Plan) error {
	if a.json {
		if err := a.printPlan(p); err != nil {
			return err
		}
	} else {
		for _, s := range p.Steps {
			a.screen.Printf("%s: %s\n", screen.Plain(s.Table), screen.Plain(s.Why))
		}
		a.warn(p.Warnings)
	}
	if len(p.Steps) > 0 {
		return errFound
	}
	return nil
}

func (a *app) warn(warnings []string) {
	for _, w := range warnings {
		fmt.Fprintln(a.err, "warning: "+said(w))
	}
}

// tableList says which tables are to be captured. What triggers does needs only Tables, so that one file serves all commands.
type tableList struct {
	Tables          []capture.Table
	Exclude, Accept []string
}

// tablesOf reads the tables of a file or of words.
func tablesOf(file string, args []string) (list tableList, err error) {
	if file != "" && len(args) > 0 {
		return list, usage("give either tables or --file, and not both")
	}
	if file != "" {
		return tablesIn(file)
	}
	if len(args) == 0 {
		return list, usage("no tables: name them, or give --file")
	}
	for _, arg := range args {
		t, err := command.ParseTable(arg)
		if err != nil {
			return list, usage("%w", err)
		}
		list.Tables = append(list.Tables, t)
	}
	return list, nil
}

func tablesIn(file string) (list tableList, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return list, usage("--file: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err = d.Decode(&list); err != nil {
		return list, usage(`--file %s: %w: it is to be {"tables": [{"name": "orders", "mask": ["card"]}]}`, file, err)
	}
	return list, nil
}
