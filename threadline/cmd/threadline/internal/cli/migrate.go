package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/cmd/threadline/internal/screen"
)

// Migration is what "threadline migrate status" prints as JSON of a part.
type Migration struct {
	Part    string `json:"part"` // "timeline" or "row changes"
	OK      bool   `json:"ok"`
	Problem string `json:"problem,omitempty"`
}

func (a *app) migrate() *cobra.Command {
	cmd := &cobra.Command{Use: "migrate", Short: "Make the tables of the trail, or bring them up to date"}
	cmd.AddCommand(
		&cobra.Command{
			Use: "up", Short: "Make what is missing, as the role that is to own it", Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.with(cmd.Context(), func(t *target) error {
					err := t.timeline().Migrate(cmd.Context())
					if err == nil {
						err = t.installer().Migrate(cmd.Context())
					}
					if err == nil {
						a.screen.Printf("The timeline and the tables of row changes are up to date.\n")
					}
					return err
				})
			},
		},
		&cobra.Command{
			Use: "status", Short: "Check whether the tables fit this program; exit with 1 if not", Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.with(cmd.Context(), func(t *target) error { return a.printMigrations(cmd.Context(), t) })
			},
		},
		&cobra.Command{
			Use: "print [postgres|sqlite]", Short: "Print the SQL that makes the tables, to be run by other means",
			Args: exactly("postgres or sqlite"), ValidArgs: []string{"postgres", "sqlite"},
			RunE: func(_ *cobra.Command, args []string) error {
				dialect := map[string]hooks.Dialect{"postgres": hooks.Postgres, "sqlite": hooks.SQLite}[args[0]]
				if dialect == "" {
					return usage("%q is no dialect: write postgres or sqlite", args[0])
				}
				sql, err := journal.Schema(dialect, nil)
				if err != nil {
					return err
				}
				a.screen.Printf("%s\n%s\n", sql, threadline.Schema(dialect, &threadline.Options{Schema: a.schema}))
				return nil
			},
		},
	)
	return cmd
}

func (a *app) printMigrations(ctx context.Context, t *target) error {
	list := []Migration{{Part: "timeline", OK: true}, {Part: "row changes", OK: true}}
	err := t.timeline().Check(ctx)
	var wrong *threadline.SchemaError
	if err != nil && !errors.As(err, &wrong) {
		return err
	}
	if err != nil {
		list[0] = Migration{Part: list[0].Part, Problem: said(err.Error())}
	}
	if _, err = t.rows().Captured(ctx); errors.Is(err, changes.ErrNotMigrated) {
		list[1] = Migration{Part: list[1].Part, Problem: noHistory}
	} else if err != nil && list[0].OK { // else a role that may not use the schema has its answer
		return err
	} else if err != nil {
		list[1] = Migration{Part: list[1].Part, Problem: said(err.Error())}
	}
	if a.json {
		err = a.print(list)
	} else {
		err = nil
		for _, m := range list {
			if m.OK {
				a.screen.Printf("%s  %s\n", a.screen.In(screen.Good, "ok     "), m.Part)
			} else {
				a.screen.Printf("%s  %s: %s\n", a.screen.In(screen.Bad, "problem"), m.Part, m.Problem)
			}
		}
	}
	if err == nil && (!list[0].OK || !list[1].OK) {
		err = errFound
	}
	return err
}
