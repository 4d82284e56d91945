package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/cmd/threadline/internal/screen"
	"github.com/go-aftercommit/aftercommit/threadline/internal/command"
)

// Story is what "threadline show" prints as JSON of a transaction.
type Story struct {
	Transaction journal.TxKey       `json:"transaction"`
	Recorded    []threadline.Action `json:"recorded"`
	Statements  []StoryStatement    `json:"statements"`
	Shared      []StoryShared       `json:"shared"` // changes that several of the statements may have made
	Nested      []changes.Diff      `json:"nested"` // by triggers and foreign keys
	Unseen      []changes.Diff      `json:"unseen"` // by statements without an event
	Differences []string            `json:"differences"`
	Lost        []string            `json:"lost"`
	More        bool                `json:"more"` // there is more than a story can have
}

// StoryStatement is a captured event, and the changes that it made.
type StoryStatement struct {
	Action  threadline.Action `json:"action"`
	Changes []changes.Diff    `json:"changes"`
}

// StoryShared are changes, and the IDs of the events that may have made them.
type StoryShared struct {
	Statements []uuid.UUID    `json:"statements"`
	Changes    []changes.Diff `json:"changes"`
}

func (a *app) show() *cobra.Command {
	return &cobra.Command{
		Use:   "show EVENT | ID | ID@START",
		Short: "Show an event by its UUID, or all that a transaction did",
		Long: `show shows what the column "show" of a search names: all that a transaction did, by its ID,
or an event, by its UUID. A restored database counts IDs anew: then the start says which of the
transactions with an ID is meant.`,
		Example: `  threadline show 775
  threadline show 01994c5e-8f2b-7c55-b8a0-2f7d1c3e9a10
  threadline show 775@2026-11-30T10:00:00.000001Z`,
		Args: exactly("the event's UUID, or the transaction"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if id, err := uuid.Parse(args[0]); err == nil {
				return a.with(cmd.Context(), func(t *target) error { return a.printEvent(cmd.Context(), t, id) })
			}
			tx, err := txKey(args[0])
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), func(t *target) error { return a.printStory(cmd.Context(), t, tx) })
		},
	}
}

func (a *app) printEvent(ctx context.Context, t *target, id uuid.UUID) error {
	action, err := t.timeline().Get(ctx, id)
	if errors.Is(err, threadline.ErrNotFound) {
		return &failure{exitFinding, errors.New("the timeline has no event " + id.String())}
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.print(action)
	}
	s := a.screen
	text, err := json.Marshal(action)
	if err != nil {
		return err
	}
	var members map[string]json.RawMessage
	if err = json.Unmarshal(text, &members); err != nil {
		return err
	}
	var cells [][]string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		value := string(members[name])
		var plain string
		if json.Unmarshal(members[name], &plain) == nil {
			value = plain
		}
		cells = append(cells, []string{name, screen.Plain(value)})
	}
	s.Table([]screen.Column{{Head: "member"}, {Head: "value", Wide: true}}, cells)
	if action.Tx.ID != 0 {
		s.Printf("%s\n", s.In(screen.Faint, "What else its transaction did: threadline show "+command.Tx(action.Tx)))
	}
	return nil
}

func (a *app) printStory(ctx context.Context, t *target, tx journal.TxKey) error {
	rows, err := a.kept(ctx, t)
	if err == nil {
		tx, err = a.begun(ctx, t, rows, tx)
	}
	if err != nil {
		return err
	}
	story, err := t.timeline().Story(ctx, rows, tx)
	if errors.Is(err, threadline.ErrNotFound) {
		return &failure{exitFinding, errors.New("neither the timeline nor the row changes have a transaction " + command.Tx(tx))}
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.print(storyOf(story))
	}
	for line := range strings.Lines(story.String()) {
		a.screen.Printf("%s\n", a.screen.Short(screen.Plain(strings.TrimSuffix(line, "\n")), 0))
	}
	return nil
}

func storyOf(s *threadline.Story) Story {
	answer := Story{
		Transaction: s.Tx, Recorded: append([]threadline.Action{}, s.Recorded...), Statements: []StoryStatement{}, Shared: []StoryShared{},
		Nested: diffs(s.Nested), Unseen: diffs(s.Unseen), Differences: []string{}, Lost: []string{}, More: s.More,
	}
	for _, m := range s.Statements {
		answer.Statements = append(answer.Statements, StoryStatement{m.Action, diffs(m.Changes)})
	}
	for _, g := range s.Shared {
		shared := StoryShared{Changes: diffs(g.Changes)}
		for _, m := range g.Statements {
			shared.Statements = append(shared.Statements, s.Statements[m].ID)
		}
		answer.Shared = append(answer.Shared, shared)
	}
	for _, d := range s.Differences {
		answer.Differences = append(answer.Differences, d.Reason)
	}
	for _, l := range s.Lost {
		answer.Lost = append(answer.Lost, fmt.Sprintf("%s.%s: %d × %s: %s", l.Schema, l.Table, l.Count, l.Op, l.Reason))
	}
	return answer
}

func diffs(list []changes.Change) []changes.Diff {
	answer := make([]changes.Diff, len(list))
	for i := range list {
		answer[i] = list[i].Diff()
	}
	return answer
}
