package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/internal/command"
	"github.com/go-aftercommit/aftercommit/threadline/search"
)

// atLeast makes a command refuse fewer words than it needs, and say which.
func atLeast(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usage("%s is missing", names[len(args)])
		}
		return nil
	}
}

func exactly(names ...string) cobra.PositionalArgs {
	return cobra.MatchAll(atMost(len(names)), atLeast(names...))
}

func atMost(n int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > n {
			return usage("%q is a word too many", args[n])
		}
		return nil
	}
}

func noArgs(cmd *cobra.Command, args []string) error { return exactly()(cmd, args) }

// moment reads a time as a search has it.
func (a *app) moment(flag, text string) (time.Time, error) {
	t, err := search.ParseTime(text, a.now)
	if err != nil {
		return t, usage("%s: %q %w", flag, text, err)
	}
	return t, nil
}

// past is moment, of what has happened.
func (a *app) past(flag, text string) (time.Time, error) {
	t, err := a.moment(flag, text)
	if err == nil && t.After(a.now) {
		err = usage("%s: %s is in the future", flag, text)
	}
	return t, err
}

// terms reads a search. Its error shows the place.
func (a *app) terms(words []string) (search.Terms, error) {
	text := strings.Join(words, " ")
	terms, err := search.Parse(text)
	return terms, pointed(err, text)
}

// pointed makes an error of a search one of usage, with the place.
func pointed(err error, text string) error {
	var wrong *search.Error
	if !errors.As(err, &wrong) {
		return err
	}
	code := exitUsage
	if errors.Is(wrong, changes.ErrNotCaptured) {
		code = exitFinding // the words are right, and what they name is not there
	}
	return &failure{code, fmt.Errorf("%s\n%s%s", said(wrong.Error()), wrong.Point(text), meantWord(wrong.Near))}
}

func meantWord(name string) string {
	if name == "" {
		return ""
	}
	return "\nDid you mean " + name + "?"
}

// timeForm is how a time is written for programs, as in changes.Diff.
const timeForm = "2006-01-02T15:04:05.000000Z07:00"

// txKey reads what command.Tx writes, or the ID alone: then there is no start.
func txKey(text string) (journal.TxKey, error) {
	number, start, ok := strings.Cut(text, "@")
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil || id <= 0 {
		return journal.TxKey{}, usage("%q is no transaction: write its ID, as threadline search and threadline history show it, such as 775 or 775@2026-11-30T10:00:00.000001Z", text)
	}
	if !ok {
		return journal.TxKey{ID: id}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, start)
	if err != nil {
		return journal.TxKey{}, usage("the start of transaction %d is no time: %q: write 775@2026-11-30T10:00:00.000001Z, or the ID alone", id, start)
	}
	return journal.TxKey{ID: id, StartedAt: at}, nil
}

// begun returns the transaction with its start, which is looked for if it was not given.
func (a *app) begun(ctx context.Context, t *target, rows *changes.Store, tx journal.TxKey) (journal.TxKey, error) {
	if !tx.StartedAt.IsZero() {
		return tx, nil
	}
	starts, err := t.timeline().Starts(ctx, tx.ID)
	if err == nil && rows != nil {
		var others []time.Time
		others, err = rows.Starts(ctx, tx.ID)
		starts = append(starts, others...)
	}
	if err != nil {
		return tx, err
	}
	slices.SortFunc(starts, time.Time.Compare)
	starts = slices.CompactFunc(starts, time.Time.Equal)
	switch {
	case len(starts) == 0:
		return tx, &failure{exitFinding, fmt.Errorf("neither the timeline nor the row changes have a transaction %d", tx.ID)}
	case len(starts) > 1 && t.dialect != hooks.SQLite: // there the ID is random, and the start of an action is another than that of a change
		var list []string
		for _, at := range starts {
			list = append(list, command.Tx(journal.TxKey{ID: tx.ID, StartedAt: at}))
		}
		return tx, &failure{exitFinding, fmt.Errorf("several transactions have the ID %d, since a restored database counts anew: write one of %s", tx.ID, strings.Join(list, ", "))}
	}
	tx.StartedAt = starts[0]
	return tx, nil
}
