package cli

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/cmd/threadline/internal/screen"
	"github.com/go-aftercommit/aftercommit/threadline/internal/command"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

func (a *app) search() *cobra.Command {
	var limit int
	var cursor string
	cmd := &cobra.Command{
		Use:   "search [WORD...]",
		Short: "Find actions and row changes, the newest first",
		Long: `search finds the actions and row changes that match all words.

  actor:user:42  action:order.refunded  action:order.*  target:order:42
  table:orders   op:delete   field:status   old.status:new   new.status:paid
  tenant:acme    correlation:c-7   request:r-1   outcome:failure
  after:2d  before:2026-11-30T10:00   "any text"   -actor:user:7 (leaves out)

The column "show" has what "threadline show" takes: the transaction, or the event if it has none.

Write words with a minus sign after two hyphens: threadline search -- -op:delete`,
		Example: `  threadline search actor:alice table:orders after:2d
  threadline search --json target:order:42 | jq .items`,
		RunE: func(cmd *cobra.Command, args []string) error {
			terms, err := a.terms(args)
			if err != nil {
				return err
			}
			q, err := terms.Trail(a.now)
			if err != nil {
				return pointed(err, terms.String())
			}
			if limit < 1 {
				return usage("--limit must be at least 1")
			}
			q.Cursor = cursor
			return a.with(cmd.Context(), func(t *target) error {
				reader, err := a.trail(cmd.Context(), t)
				if err != nil {
					return err
				}
				page, err := read(cmd.Context(), reader, q, limit)
				if err != nil {
					return pointed(terms.Explain(err), terms.String())
				}
				return a.found(page)
			})
		},
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", trail.DefaultLimit, "how many to show")
	cmd.Flags().StringVar(&cursor, "cursor", "", "continue where the previous page ended")
	return cmd
}

// read reads pages until there are as many items as limit, or no more.
func read(ctx context.Context, reader *trail.Reader, q trail.Query, limit int) (all trail.Page, err error) {
	all.Items = []trail.Item{}
	for {
		q.Limit = min(limit-len(all.Items), trail.MaxLimit)
		page, err := reader.Page(ctx, q)
		if err != nil {
			return all, err
		}
		all.Items, all.Next = append(all.Items, page.Items...), page.Next
		if q.Cursor = page.Next; q.Cursor == "" || len(all.Items) >= limit {
			return all, nil
		}
	}
}

// narrow is the width of a terminal below which the last column of a search has a line of its own.
const narrow = 120

// found shows what a search has found.
func (a *app) found(page trail.Page) error {
	if a.json {
		return a.print(page)
	}
	if len(page.Items) == 0 {
		a.screen.Printf("Nothing matches.\n")
		return nil
	}
	s := a.screen
	columns := []screen.Column{{Head: s.ZoneName()}, {Head: "who", Wide: true}, {Head: "what"}, {Head: "where", Wide: true}, {Head: "show"}, {Head: "changed", Wide: true}}
	var rows [][]string
	for _, item := range page.Items {
		cells := a.cells(item)
		rows = append(rows, append([]string{s.Second(item.Time())}, slices.Insert(cells, len(cells)-1, a.shown(item))...))
	}
	if s.Width > 0 && s.Width < narrow {
		s.Folded(columns, rows)
	} else {
		s.Table(columns, rows)
	}
	if page.Next != "" {
		s.Printf("%s\n", s.In(screen.Faint, "There are more: --cursor "+page.Next))
	}
	return nil
}

// cells are who, what, where and changed of an item.
func (a *app) cells(item trail.Item) []string {
	who := screen.Plain(item.Who())
	if c := item.Change; c != nil {
		return []string{who, string(c.Op), screen.Plain(rowName(c)), fieldsLine(c)}
	}
	act := item.Action
	said := act.Reason
	if marks := act.Marks(); len(marks) > 0 {
		said = strings.TrimSpace(said + " (" + strings.Join(marks, ", ") + ")")
	}
	if act.Status() != "ok" {
		said = strings.TrimSpace(string(act.Outcome) + " " + said)
	}
	return []string{who, screen.Plain(act.Action), screen.Plain(threadline.TargetRef(act.Target)), screen.Plain(said)}
}

// shown is what "threadline show" takes for an item: its transaction, on a terminal the ID alone, or else the event.
func (a *app) shown(item trail.Item) string {
	switch tx := item.Tx(); {
	case tx.ID != 0 && a.screen.Width > 0:
		return strconv.FormatInt(tx.ID, 10)
	case tx.ID != 0:
		return command.Tx(tx)
	case item.Action != nil:
		return item.Action.ID.String()
	}
	return ""
}

// rowName names a row: "orders 42", "shop.lines 42, 1".
func rowName(c *changes.Change) string {
	name := c.Table
	if c.Schema != "public" && c.Schema != "main" {
		name = c.Schema + "." + name
	}
	if c.Key == nil {
		return name
	}
	return name + " " + strings.Join(c.Key, ", ")
}

// fieldsLine has the fields of an update that differ, old and new, and of an insert or a delete their values.
func fieldsLine(c *changes.Change) string {
	line := strings.Join(c.FieldTexts(), "; ")
	if c.Drifted {
		line = strings.TrimSpace(line + " (the whole row was kept)")
	}
	return screen.Plain(line)
}
