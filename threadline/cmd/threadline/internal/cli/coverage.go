package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/go-aftercommit/aftercommit/threadline/cmd/threadline/internal/screen"
	"github.com/go-aftercommit/aftercommit/threadline/coverage"
)

// coverageFlags are those of coverage and policy.
type coverageFlags struct {
	file            string
	exclude, accept []string
	since           string
	strict          bool
}

func (c *coverageFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&c.file, "file", "f", "", `JSON file with "tables", "exclude" and "accept"`)
	f.StringArrayVar(&c.exclude, "exclude", nil, "table that needs no capture; * matches any text (can be repeated)")
	f.StringArrayVar(&c.accept, "accept", nil, "column whose values may be kept: customers.email (can be repeated)")
	f.BoolVar(&c.strict, "strict", false, "exit with 1 even if there are only notices")
}

const tablesHelp = `
Give the tables as in "threadline triggers --help", or in a file:

  {"tables": [{"name": "orders", "mask": ["card"]}],
   "exclude": ["schema_migrations", "queue.*"],
   "accept": ["customers.email"]}

Without tables, every table of the database has to be captured, with any masks.`

func (a *app) coverage() *cobra.Command {
	var c coverageFlags
	cmd := &cobra.Command{
		Use: "coverage [TABLE...]", Short: "Which tables are captured, and what is wrong with it; exit with 1 if something is",
		Long: `coverage lists the tables of the database. It finds tables without triggers, triggers that
are disabled or do not fit their tables, keys and masks that are not as configured, and
columns that look personal but whose values are kept. With --since it also finds times at
which changes may be missing, and transactions in which the driver counted other rows than
the triggers kept.
` + tablesHelp,
		Example: `  threadline coverage --file tables.json --since 7d
  threadline coverage orders:mask=card customers --exclude 'queue.*'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.checkCoverage(cmd.Context(), &c, args, a.printCoverage)
		},
	}
	c.add(cmd)
	cmd.Flags().StringVar(&c.since, "since", "", "also look for gaps since this time: 7d, 2026-11-01")
	return cmd
}

func (a *app) policy() *cobra.Command {
	var c coverageFlags
	cmd := &cobra.Command{
		Use: "policy [TABLE...]", Short: "What is kept of each column, as configured and as deployed; exit with 1 if they differ",
		Long: `policy shows how much is kept of each column's values in the captured tables, as configured
in the list that you give and as deployed in the database. It shows no values.
` + tablesHelp,
		Example: "  threadline policy --file tables.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.checkCoverage(cmd.Context(), &c, args, a.printPolicy)
		},
	}
	c.add(cmd)
	return cmd
}

// checkCoverage prints the report of a check, in JSON or by print. If there are findings, it returns errFound.
func (a *app) checkCoverage(ctx context.Context, c *coverageFlags, args []string, print func(*coverage.Report)) error {
	opts, err := a.coverageOptions(c, args)
	if err != nil {
		return err
	}
	return a.with(ctx, func(t *target) error {
		opts.Schema, opts.Aliases = t.schema, t.aliases
		if is, err := a.archive(ctx, t); err == nil && is != "" { // other errors are those of the check, too
			return &failure{exitFinding, errors.New(is + ": ask that database which of its tables are captured")}
		}
		report, err := coverage.NewChecker(t.db, t.dialect, opts).Check(ctx)
		if err != nil {
			return err
		}
		for i := range report.Findings {
			f := &report.Findings[i]
			f.Text, f.Fix = said(f.Text), said(f.Fix)
		}
		if a.json {
			err = a.print(report)
		} else {
			print(report)
		}
		if err == nil && (report.CountFaults() > 0 || c.strict && len(report.Findings) > 0) {
			err = errFound
		}
		return err
	})
}

func (a *app) coverageOptions(c *coverageFlags, args []string) (*coverage.Options, error) {
	opts := &coverage.Options{Exclude: c.exclude, Accept: c.accept}
	if c.file != "" || len(args) > 0 {
		list, err := tablesOf(c.file, args)
		if err != nil {
			return nil, err
		}
		opts.Tables, opts.Exclude, opts.Accept = list.Tables, append(opts.Exclude, list.Exclude...), append(opts.Accept, list.Accept...)
	}
	if c.since == "" {
		return opts, nil
	}
	since, err := a.moment("--since", c.since)
	if err != nil {
		return nil, err
	}
	if opts.Window = a.now.Sub(since); opts.Window <= 0 {
		return nil, usage("--since %s is in the future", c.since)
	}
	return opts, nil
}

func (a *app) printCoverage(r *coverage.Report) {
	var rows [][]string
	styles := map[coverage.State]screen.Style{coverage.Covered: screen.Good, coverage.Uncovered: screen.Bad}
	for _, t := range r.Tables {
		since := ""
		if !t.Since.IsZero() {
			since = a.screen.Time(t.Since)
		}
		rows = append(rows, []string{screen.Plain(t.Name), string(t.Kind), a.screen.In(styles[t.State], string(t.State)), screen.Plain(strings.Join(t.Key, ", ")), since})
	}
	a.screen.Table([]screen.Column{{Head: "table", Wide: true}, {Head: "kind"}, {Head: "state"}, {Head: "key", Wide: true}, {Head: "since"}}, rows)
	if w := r.Window; w != nil {
		more := ""
		if w.Truncated {
			more = " newest"
		}
		a.screen.Printf("\nCompared the%s %s since %s: the rows that the driver counted with those that the triggers kept.\n", more, count(w.Transactions, "transaction"), a.screen.Time(w.From))
	}
	a.printFindings(r, func(coverage.Finding) bool { return true })
}

func (a *app) printPolicy(r *coverage.Report) {
	var rows [][]string
	for _, t := range r.Tables {
		for _, c := range t.Columns {
			configured, style := string(c.Configured), screen.Faint
			if configured == "" {
				configured = "-"
			} else if c.Configured != c.Deployed {
				style = screen.Bad
			}
			rows = append(rows, []string{screen.Plain(t.Name), screen.Plain(c.Name), a.screen.In(style, configured), string(c.Deployed)})
		}
	}
	if len(rows) == 0 {
		a.screen.Printf("No table is captured, so nothing is kept of any column.\n")
	} else {
		a.screen.Table([]screen.Column{{Head: "table", Wide: true}, {Head: "column", Wide: true}, {Head: "configured"}, {Head: "deployed"}}, rows)
	}
	a.printFindings(r, func(f coverage.Finding) bool { return f.Column != "" || f.Code == coverage.NoHistory })
}

// printFindings prints a line for each finding that is wanted.
func (a *app) printFindings(r *coverage.Report, wanted func(coverage.Finding) bool) {
	first := true
	for _, f := range r.Findings {
		if !wanted(f) {
			continue
		}
		if first {
			a.screen.Printf("\n")
			first = false
		}
		style := screen.Bad
		if f.Notice {
			style = screen.Mind
		}
		a.screen.Printf("%s%s\n", a.screen.In(style, string(f.Code)), screen.Plain(strings.TrimPrefix(f.String(), string(f.Code))))
	}
	if first {
		a.screen.Printf("\nThere are no findings.\n")
	}
}
