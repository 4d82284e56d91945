package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/cmd/threadline/internal/screen"
	"github.com/go-aftercommit/aftercommit/threadline/internal/command"
)

// History is what "threadline history" prints as JSON.
type History struct {
	Table   string         `json:"table"`
	Key     []string       `json:"key"`
	Changes []changes.Diff `json:"changes"` // the oldest first
	Breaks  []Break        `json:"breaks"`  // of the table: where changes may be missing
}

// Break is a changes.Break.
type Break struct {
	Kind changes.BreakKind `json:"kind"`
	From string            `json:"from"`
	To   string            `json:"to"`
	Text string            `json:"text"`
}

func (a *app) history() *cobra.Command {
	return &cobra.Command{
		Use:   "history TABLE KEY...",
		Short: "Show all changes of one row, the oldest first",
		Long: `history shows all changes of one row: who made each, and each field from which value to which.
On a terminal long values are shortened, with their length; --full shows them whole. In a pipe
they always are.
If the key has several columns, give their values as several words, in the order of the key.`,
		Example: `  threadline history orders 42
  threadline history shop.order_lines 42 1`,
		Args: atLeast("the table", "the key of the row"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(t *target) error { return a.printHistory(cmd.Context(), t, args[0], args[1:]) })
		},
	}
}

func (a *app) printHistory(ctx context.Context, t *target, table string, key []string) error {
	rows := t.rows()
	list, err := rows.History(ctx, table, key...)
	if err != nil {
		return err
	}
	breaks, err := rows.Breaks(ctx, table)
	if err != nil {
		return err
	}
	if a.json {
		answer := History{Table: table, Key: key, Changes: []changes.Diff{}, Breaks: []Break{}}
		for i := range list {
			answer.Changes = append(answer.Changes, list[i].Diff())
		}
		for _, b := range breaks {
			answer.Breaks = append(answer.Breaks, Break{b.Kind, b.From.UTC().Format(timeForm), b.To.UTC().Format(timeForm), b.Text})
		}
		return a.orNone(a.print(answer), len(list))
	}
	s := a.screen
	if len(list) == 0 {
		s.Printf("The history has no change of %s %s.\n", screen.Plain(table), screen.Plain(strings.Join(key, ", ")))
	}
	for i := range list {
		a.printChange(&list[i])
	}
	a.printBreaks(breaks)
	s.Printf("%s\n", s.In(screen.Faint, "Times are in "+s.ZoneName()+"."))
	return a.orNone(nil, len(list))
}

// orNone makes it a finding that what was asked for by its name has nothing.
func (a *app) orNone(err error, n int) error {
	if err == nil && n == 0 {
		return errFound
	}
	return err
}

// printBreaks shows where changes may be missing, with both times of each.
func (a *app) printBreaks(breaks []changes.Break) {
	s := a.screen
	if len(breaks) > 0 {
		s.Printf("%s\n", s.In(screen.Bold, "Where the history of the table may have holes:"))
		for _, b := range breaks {
			style := screen.Mind
			if b.Kind == changes.Began {
				style = screen.Faint
			}
			s.Printf("  %s  %s\n", s.Span(b.From, b.To), s.In(style, screen.Plain(string(b.Kind))+": "+said(b.Text)))
		}
	}
}

// printChange shows a change: a line of who and when, and one for each field.
func (a *app) printChange(c *changes.Change) {
	s := a.screen
	style := map[changes.Op]screen.Style{changes.Insert: screen.Good, changes.Update: screen.Mind}[c.Op]
	if style == "" {
		style = screen.Bad
	}
	s.Printf("%s  %s  %s by %s\n", s.Second(c.CapturedAt), s.Ago(c.CapturedAt), s.In(style, string(c.Op)), screen.Plain(c.By.String()))
	if c.XID == 0 { // on SQLite that of another program
		s.Printf("    %s\n", s.In(screen.Faint, "its transaction has no number"))
	} else {
		s.Printf("    %s\n", s.In(screen.Faint, "transaction "+command.Tx(journal.TxKey{ID: c.XID, StartedAt: c.TxStartedAt})))
	}
	if c.FormerKey != nil {
		s.Printf("    its key was %s\n", screen.Plain(strings.Join(c.FormerKey, ", ")))
	}
	if c.Drifted {
		s.Printf("    %s\n", s.In(screen.Mind, "made after DDL, before the capture was replaced: the whole row was kept"))
	}
	for _, f := range c.Changed() {
		name := "    " + screen.Plain(f.Name) + ": "
		old, now := screen.Plain(f.Old.String()), screen.Plain(f.New.String())
		switch c.Op {
		case changes.Insert:
			s.Printf("%s%s\n", name, s.In(screen.Good, s.Short(now, len(name))))
		case changes.Delete:
			s.Printf("%s%s\n", name, s.In(screen.Bad, s.Short(old, len(name))))
		default:
			old, now = s.Both(old, now, len(name)+len(" > "))
			s.Printf("%s%s → %s\n", name, s.In(screen.Bad, old), s.In(screen.Good, now))
		}
	}
}
