package cli

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/cmd/threadline/internal/screen"
)

// Row is what "threadline as-of" prints as JSON of a row, one on each line.
type Row struct {
	Table  string           `json:"table"`
	Key    []string         `json:"key"`
	Values map[string]*Cell `json:"values,omitempty"`
	// Unknown says why it is not known what the row was. Then there are no values.
	Unknown string `json:"unknown,omitempty"`
}

// Cell is a value of a [Row].
type Cell struct {
	Type      string  `json:"type"`
	Text      *string `json:"text"` // null for NULL, and where nothing is known
	Masked    bool    `json:"masked,omitempty"`
	Shortened bool    `json:"shortened,omitempty"` // the text is the value's length and SHA-256
	Unknown   bool    `json:"unknown,omitempty"`
}

func (a *app) asOf() *cobra.Command {
	var at string
	cmd := &cobra.Command{
		Use:   "as-of TABLE [KEY...] --at TIME",
		Short: "Show a row, or a whole table, as it was at a time",
		Example: `  threadline as-of orders 42 --at 2026-03-01
  threadline as-of orders --at 2d --json > orders.ndjson`,
		Args: atLeast("the table"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if at == "" {
				return usage("--at is missing: a time such as 2d, yesterday or 2026-11-30T10:00")
			}
			when, err := a.past("--at", at)
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), func(t *target) error {
				if len(args) > 1 {
					return a.printRow(cmd.Context(), t, args[0], when, args[1:])
				}
				return a.printTable(cmd.Context(), t, args[0], when)
			})
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "the time: 30m, 2d, yesterday, 2026-11-30, 2026-11-30T10:00Z")
	return cmd
}

func (a *app) printRow(ctx context.Context, t *target, table string, at time.Time, key []string) error {
	row, err := t.rows().RowAsOf(ctx, table, at, key...)
	var none *changes.AsOfError
	if errors.As(err, &none) {
		if a.json {
			err = a.print(Row{Table: table, Key: key, Unknown: said(none.Error())})
		} else {
			a.screen.Printf("%s %s: %s\n", screen.Plain(table), screen.Plain(strings.Join(key, ", ")), said(none.Error()))
		}
		return errors.Join(err, errFound)
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.print(rowOf(row))
	}
	s := a.screen
	s.Printf("%s %s as of %s, %s\n", screen.Plain(row.Table), screen.Plain(strings.Join(row.Key, ", ")), s.Second(at), s.ZoneName())
	var cells [][]string
	for _, v := range row.Values {
		cells = append(cells, []string{screen.Plain(v.Name), screen.Plain(v.String())})
	}
	s.Table([]screen.Column{{Head: "column"}, {Head: "value", Wide: true}}, cells)
	if row.Since != nil {
		s.Printf("%s\n", s.In(screen.Faint, "since "+s.Second(row.Since.CapturedAt)+", by "+screen.Plain(row.Since.By.String())))
	}
	return nil
}

func rowOf(row *changes.Row) Row {
	r := Row{Table: row.Schema + "." + row.Table, Key: row.Key, Values: make(map[string]*Cell)}
	for _, v := range row.Values {
		r.Values[v.Name] = &Cell{Type: v.Type, Text: v.Text, Masked: v.Masked, Shortened: v.Shortened, Unknown: v.Unknown}
	}
	return r
}

// printTable streams a table: it has one row in memory.
func (a *app) printTable(ctx context.Context, t *target, table string, at time.Time) error {
	unknown, some := false, false
	for row, err := range t.rows().TableAsOf(ctx, table, at) {
		if row == nil {
			return err
		}
		some = true
		switch {
		case err != nil && a.json:
			unknown = true
			if failed := a.print(Row{Table: row.Schema + "." + row.Table, Key: row.Key, Unknown: said(err.Error())}); failed != nil {
				return failed
			}
		case err != nil:
			unknown = true
			a.screen.Printf("%s %s: %s\n", screen.Plain(row.Table), screen.Plain(strings.Join(row.Key, ", ")), said(err.Error()))
		case a.json:
			if err = a.print(rowOf(row)); err != nil {
				return err
			}
		default:
			a.screen.Printf("%s\n", a.screen.Short(screen.Plain(row.String()), 0))
		}
	}
	if !some && !a.json {
		a.screen.Printf("%s had no rows at %s, %s.\n", screen.Plain(table), a.screen.Second(at), a.screen.ZoneName())
	}
	if unknown {
		return errFound
	}
	return nil
}
