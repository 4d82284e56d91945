package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/cmd/threadline/internal/screen"
	"github.com/go-aftercommit/aftercommit/threadline/internal/near"
)

func (a *app) forwarders() *cobra.Command {
	cmd := &cobra.Command{Use: "forwarders", Short: "Show how delivery stands, and deliver again"}
	var environment string
	var eventsOnly bool
	cmd.PersistentFlags().StringVar(&environment, "environment", "", "forward.Options.Environment of the programs that deliver")
	// ask calls f with the relay's store.
	ask := func(cmd *cobra.Command, forwarder string, f func(t *target, s *relay.Store) error) error {
		return a.with(cmd.Context(), func(t *target) error {
			opts := &relay.Options{Environment: environment}
			if eventsOnly {
				opts.EventsOnly = []string{forwarder}
			}
			s, err := changes.NewRelayStore(cmd.Context(), t.db, t.dialect, opts, &changes.Options{Schema: t.schema})
			switch hooks.SQLState(err) {
			case "42P01", "3F000", "42883": // there is no journal
				if is, failed := a.archive(cmd.Context(), t); failed == nil && is != "" {
					return &failure{exitFinding, errors.New(is + ": forwarders are in that database")}
				}
			}
			if err != nil {
				return err
			}
			return f(t, s)
		})
	}
	replays := []*cobra.Command{a.replay(ask), a.resume(ask)}
	for _, one := range replays {
		one.Flags().BoolVar(&eventsOnly, "events-only", false, "the forwarder gets no row changes; needed while no program runs that has registered it")
	}
	cmd.AddCommand(a.status(ask), a.deadLetters(ask), replays[0], replays[1], a.retire(ask))
	return cmd
}

// askRelay calls f with the relay's store. forwarder is the one that the command is about, "" if it is about all.
type askRelay func(cmd *cobra.Command, forwarder string, f func(t *target, s *relay.Store) error) error

// active returns how a forwarder stands, or the error of all that is asked of one that is not here, or retired.
func active(ctx context.Context, t *target, s *relay.Store, name string) (*relay.State, error) {
	states, err := s.States(ctx, t.db)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range states {
		st := &states[i]
		switch {
		case st.Forwarder != name:
			names = append(names, st.Forwarder)
		case !st.RetiredAt.IsZero():
			return nil, fmt.Errorf("%s was retired; it starts again, from then on, when a program that has it is started: %w", name, relay.ErrNotRegistered)
		default:
			return st, nil
		}
	}
	return nil, fmt.Errorf("%s: %w%s: threadline forwarders status lists the names", name, relay.ErrNotRegistered, meant(near.Of(name, names)))
}

func (a *app) status(ask askRelay) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show who is behind, and what has failed; exit with 1 if something needs you", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd, "", func(t *target, s *relay.Store) error {
				states, err := s.States(cmd.Context(), t.db)
				if err != nil {
					return err
				}
				return a.printStates(states)
			})
		},
	}
}

func (a *app) printStates(states []relay.State) error {
	bad := false
	var rows [][]string
	for _, st := range states {
		remark := ""
		switch {
		case !st.RetiredAt.IsZero():
			remark = "retired " + a.screen.Ago(st.RetiredAt)
		case st.Elsewhere:
			remark, bad = "this database is a copy: threadline forwarders resume "+st.Forwarder, true
		case st.Conflict != nil:
			remark, bad = "programs register different sinks by this name", true
		case len(st.Suspended) > 0:
			remark, bad = "the sink accepts nothing: "+st.Suspended[0].Reason, true
		case st.Discarded > 0:
			remark, bad = "threadline forwarders dead-letters "+st.Forwarder, true
		}
		oldest := ""
		if !st.Oldest.IsZero() {
			oldest = a.screen.Ago(st.Oldest)
		}
		rows = append(rows, []string{
			screen.Plain(st.Forwarder), fmt.Sprint(st.Behind), oldest, fmt.Sprint(st.Retrying), fmt.Sprint(st.Discarded), screen.Plain(remark),
		})
	}
	switch {
	case a.json:
		if err := a.print(append([]relay.State{}, states...)); err != nil {
			return err
		}
	case len(states) == 0:
		a.screen.Printf("No forwarder is registered here.\n")
	default:
		a.screen.Table([]screen.Column{
			{Head: "forwarder"},
			{Head: "behind", Right: true},
			{Head: "oldest"},
			{Head: "retrying", Right: true},
			{Head: "dead", Right: true},
			{Head: "", Wide: true},
		}, rows)
	}
	if bad {
		return errFound
	}
	return nil
}

func (a *app) deadLetters(ask askRelay) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "dead-letters [FORWARDER]", Short: "List what a forwarder will not get, and why; exit with 1 if there is any", Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return ask(cmd, "", func(t *target, s *relay.Store) error {
				if name != "" {
					if _, err := active(cmd.Context(), t, s, name); err != nil {
						return err
					}
				}
				failed, err := s.Failures(cmd.Context(), t.db, name, true, limit)
				if err != nil {
					return err
				}
				return a.printFailures(failed)
			})
		},
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", 100, "how many to show")
	return cmd
}

func (a *app) printFailures(failed []relay.Failed) error {
	var rows [][]string
	for _, f := range failed {
		rows = append(rows, []string{a.screen.Second(f.LastAt), screen.Plain(f.Forwarder), f.EventID.String(), screen.Plain(f.Reason), screen.Plain(f.Error)})
	}
	switch {
	case a.json:
		if err := a.print(append([]relay.Failed{}, failed...)); err != nil {
			return err
		}
	case len(failed) == 0:
		a.screen.Printf("There are no dead letters.\n")
	default:
		a.screen.Table([]screen.Column{
			{Head: a.screen.ZoneName()}, {Head: "forwarder", Wide: true}, {Head: "event"}, {Head: "reason"}, {Head: "error", Wide: true},
		}, rows)
	}
	if len(failed) > 0 {
		return errFound
	}
	return nil
}

func (a *app) replay(ask askRelay) *cobra.Command {
	var (
		ids              []string
		from, to, reason string
		discarded        bool
		execute          bool
	)
	cmd := &cobra.Command{
		Use: "replay FORWARDER --execute", Short: "Deliver entries to a forwarder again",
		Example: `  threadline forwarders replay threadline.Forwarder/default --dead-letters
  threadline forwarders replay webhook/default --from 2d --execute`,
		Args: exactly("the forwarder"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			sel := relay.Selection{Forwarder: args[0], Reason: reason, Discarded: discarded}
			for _, id := range ids {
				parsed, wrong := uuid.Parse(id)
				if wrong != nil {
					return usage("--id %q is no UUID", id)
				}
				sel.IDs = append(sel.IDs, parsed)
			}
			if err = a.between(&sel, from, to); err != nil {
				return err
			}
			return ask(cmd, args[0], func(t *target, s *relay.Store) error {
				if _, err := active(cmd.Context(), t, s, args[0]); err != nil {
					return err
				}
				n, err := s.Replay(cmd.Context(), t.db, sel, !execute)
				entries := count(int(n), "entry")
				return a.did(err, execute, fmt.Sprintf("%s would be delivered to %s again", entries, args[0]), fmt.Sprintf("%s will be delivered to %s again, within seconds", entries, args[0]))
			})
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&ids, "id", nil, "an event's UUID (can be repeated)")
	f.StringVar(&from, "from", "", "recorded from this time on")
	f.StringVar(&to, "to", "", "recorded before this time")
	f.StringVar(&reason, "reason", "", "dead letters with this reason")
	f.BoolVar(&discarded, "dead-letters", false, "dead letters only")
	f.BoolVar(&execute, "execute", false, "do it")
	return cmd
}

// between reads the times of a selection, and refuses one that selects nothing.
func (a *app) between(sel *relay.Selection, from, to string) (err error) {
	if from != "" {
		if sel.From, err = a.past("--from", from); err != nil {
			return err
		}
	}
	if to != "" {
		if sel.To, err = a.past("--to", to); err != nil {
			return err
		}
	}
	switch {
	case len(sel.IDs) == 0 && !sel.Discarded && sel.Reason == "" && from == "" && to == "":
		return usage("say what to deliver again: --dead-letters, --reason, --id, --from or --to")
	case from != "" && to != "" && !sel.From.Before(sel.To):
		return usage("--from %s is not before --to %s: swap them, or leave one out", from, to)
	}
	return nil
}

// did says what was done, or would be without --execute.
func (a *app) did(err error, execute bool, would, has string) error {
	switch {
	case err != nil:
		return err
	case execute:
		fmt.Fprintln(a.err, has+".")
	default:
		fmt.Fprintln(a.err, would+". Nothing was changed. To do it, add --execute.")
	}
	return nil
}

func (a *app) resume(ask askRelay) *cobra.Command {
	var execute, skip bool
	cmd := &cobra.Command{
		Use: "resume FORWARDER --execute", Short: "Let a forwarder go on in a database that was copied or restored",
		Args: exactly("the forwarder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, args[0], func(t *target, s *relay.Store) error {
				st, err := active(cmd.Context(), t, s, args[0])
				switch {
				case err != nil:
					return err
				case !st.Elsewhere:
					return &failure{exitFinding, fmt.Errorf("%s belongs to this database, so there is nothing to decide and nothing was changed", args[0])}
				case !execute:
					what := "get what it may have missed, some of it perhaps twice, and then what is committed from now on"
					if skip {
						what = "skip all that is in the journal, and get what is committed from now on"
					}
					return a.did(nil, false, args[0]+" would "+what, "")
				}
				n, err := s.Resume(cmd.Context(), t.db, args[0], !skip)
				done := "delivered again"
				if skip {
					done = "skipped"
				}
				return a.did(err, true, "", fmt.Sprintf("%s goes on; %s: %s", args[0], done, count(int(n), "entry")))
			})
		},
	}
	cmd.Flags().BoolVar(&skip, "skip", false, "deliver nothing again")
	cmd.Flags().BoolVar(&execute, "execute", false, "do it")
	return cmd
}

func (a *app) retire(ask askRelay) *cobra.Command {
	var execute bool
	cmd := &cobra.Command{
		Use: "retire FORWARDER --execute", Short: "End a forwarder that is gone, so that the journal keeps nothing for it",
		Args: exactly("the forwarder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, args[0], func(t *target, s *relay.Store) error {
				_, err := active(cmd.Context(), t, s, args[0])
				if err == nil && execute {
					err = s.Retire(cmd.Context(), t.db, args[0])
				}
				return a.did(err, execute, args[0]+" would get nothing any more", args[0]+" is retired")
			})
		},
	}
	cmd.Flags().BoolVar(&execute, "execute", false, "do it")
	return cmd
}
