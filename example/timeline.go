package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/go-aftercommit/aftercommit/threadline"
)

// printTimeline prints the timeline as a table, oldest first.
func printTimeline(ctx context.Context, out io.Writer, store *threadline.Store) error {
	var actions []threadline.Action
	for a, err := range store.Each(ctx, threadline.Query{}) {
		if err != nil {
			return err
		}
		actions = append(actions, a)
	}
	slices.Reverse(actions)

	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TIME\tACTOR\tACTION\tTARGET\tOUTCOME\tDETAIL")
	for _, a := range actions {
		who := a.ActorRef()
		if a.Actor.OnBehalfOf != "" {
			who += " for " + a.Actor.OnBehalfOf
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", a.RecordedAt.Format("15:04:05.000"), who,
			a.Action, threadline.TargetRef(a.Target), a.Outcome, detail(a))
	}
	return w.Flush()
}

// detail is the rest of what a reader of one line wants to know.
func detail(a threadline.Action) string {
	var parts []string
	add := func(name string, value any) { parts = append(parts, fmt.Sprintf("%s=%v", name, value)) }
	if a.RequestID != "" {
		add("request", a.RequestID)
	}
	if a.JobID != "" {
		add("job", a.JobID)
	}
	if rows, ok := a.Metadata["rows"].(json.Number); ok && rows != "1" {
		add("rows", rows)
	}
	parts = append(parts, a.Marks()...)
	if cents, ok := a.Metadata["cents"]; ok {
		add("cents", cents)
	}
	if a.Reason != "" {
		parts = append(parts, a.Reason)
	}
	return strings.Join(parts, " ")
}
