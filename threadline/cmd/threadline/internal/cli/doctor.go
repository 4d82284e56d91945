package cli

import (
	"github.com/spf13/cobra"

	"github.com/go-aftercommit/aftercommit/threadline/cmd/threadline/internal/screen"
	"github.com/go-aftercommit/aftercommit/threadline/health"
)

func (a *app) doctor() *cobra.Command {
	var opts health.Options
	cmd := &cobra.Command{
		Use: "doctor", Short: "Find what is wrong with the trail, and the command that fixes it; exit with 1 if something is", Args: noArgs,
		Long: `doctor checks the connection, the clock, the journal, the timeline, the captures of row
changes and the forwarders. It changes nothing. "threadline coverage" finds tables that
should be captured but are not.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(t *target) error {
				opts.Schema = t.schema
				return a.printHealth(health.Check(cmd.Context(), t.db, t.dialect, &opts))
			})
		},
	}
	cmd.Flags().StringVar(&opts.Environment, "environment", "", "the environment of the programs that deliver, if they have one (forward.Options.Environment)")
	cmd.Flags().DurationVar(&opts.Lag, "lag", health.DefaultLag, "how long an entry may wait for a forwarder before that is a problem")
	return cmd
}

func (a *app) printHealth(results []health.Result) error {
	for i := range results {
		results[i].Text, results[i].Fix = said(results[i].Text), said(results[i].Fix)
	}
	if a.json {
		if err := a.print(results); err != nil {
			return err
		}
	} else {
		styles := map[health.Status]screen.Style{health.OK: screen.Good, health.Notice: screen.Mind, health.Problem: screen.Bad, health.Unknown: screen.Bad}
		for _, r := range results {
			a.screen.Printf("%s  %s: %s\n", a.screen.In(styles[r.Status], (string(r.Status) + "       ")[:7]), screen.Plain(r.Part), r.Text)
			if r.Fix != "" {
				a.screen.Printf("         → %s\n", r.Fix)
			}
		}
	}
	if !health.Healthy(results) {
		return errFound
	}
	return nil
}
