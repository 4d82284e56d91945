package cli

import (
	"github.com/spf13/cobra"

	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// Undo is what "threadline undo" prints as JSON.
type Undo struct {
	Cause      string      `json:"cause"`
	Statements []Statement `json:"statements"`
	Script     string      `json:"script"` // for psql or sqlite3: it changes all or nothing
	Conflicts  []string    `json:"conflicts"`
	Refusals   []string    `json:"refusals"`
	Triggers   []string    `json:"triggers"`
	Warnings   []string    `json:"warnings"`
}

// Statement is one of an [Undo].
type Statement struct {
	SQL     string `json:"sql"`
	Rows    int64  `json:"rows"`
	Comment string `json:"comment"`
}

func (a *app) undo() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "undo",
		Short: "Print the SQL that would reverse a transaction, or a row's changes",
		Long: `undo prints a script for psql, or for SQLite's shell, and executes nothing. The script
changes all or nothing. Comments in it say what is in its way now; then the exit code
is 1.`,
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "transaction ID[@START]",
		Short:   "Reverse all that a transaction has changed",
		Example: "  threadline undo transaction 775@2026-11-30T10:00:00.000001Z > undo.sql",
		Args:    exactly("the transaction"),
		RunE: func(cmd *cobra.Command, args []string) error {
			tx, err := txKey(args[0])
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), func(t *target) (err error) {
				tx, err = a.begun(cmd.Context(), t, t.rows(), tx)
				if err != nil {
					return err
				}
				script, err := undo.Transaction(cmd.Context(), t.rows(), tx.ID, tx.StartedAt)
				return a.printUndo(script, err)
			})
		},
	})
	var to string
	row := &cobra.Command{
		Use:   "row TABLE KEY... --to TIME",
		Short: "Make a row again what it was at a time",
		Long: `row prints the script that makes a row again what it was at the time of --to: changes up to
that time stay, those that began later are reversed, and so is an insert or a delete. It is
the state that "threadline as-of" shows for that time.`,
		Example: `  threadline as-of orders 42 --at yesterday
  threadline undo row orders 42 --to yesterday`,
		Args: atLeast("the table", "the key of the row"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" {
				return usage("--to is missing: a time such as 2d, yesterday or 2026-11-30T10:00")
			}
			when, err := a.past("--to", to)
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), func(t *target) error {
				script, err := undo.RowAsOf(cmd.Context(), t.rows(), args[0], when, args[1:]...)
				return a.printUndo(script, err)
			})
		},
	}
	row.Flags().StringVar(&to, "to", "", "the time whose state the row is to have again: 30m, 2d, yesterday, 2026-11-30, 2026-11-30T10:00Z")
	cmd.AddCommand(row)
	return cmd
}

func (a *app) printUndo(u *undo.Script, err error) error {
	if err != nil {
		return err
	}
	if a.json {
		answer := Undo{
			Cause: u.Cause, Script: u.String(), Statements: []Statement{}, Conflicts: []string{}, Refusals: []string{},
			Triggers: append([]string{}, u.Triggers...), Warnings: append([]string{}, u.Warnings...),
		}
		for _, s := range u.Statements {
			answer.Statements = append(answer.Statements, Statement{s.SQL, s.Rows, s.Comment})
		}
		for _, c := range u.Conflicts {
			answer.Conflicts = append(answer.Conflicts, c.String())
		}
		for _, r := range u.Refusals {
			answer.Refusals = append(answer.Refusals, r.String())
		}
		err = a.print(answer)
	} else {
		a.screen.Printf("%s", u.String())
	}
	if err == nil && len(u.Conflicts)+len(u.Refusals) > 0 {
		err = errFound
	}
	return err
}
