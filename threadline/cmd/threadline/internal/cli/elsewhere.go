package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// elsewhere says on stderr if the actions seem to be in another database, and returns it as an error if there is no timeline here. The app's
// database does not have the name of the other one: what it shows is that a timeline's forwarder has got events, and none is here.
func (a *app) elsewhere(ctx context.Context, t *target) error {
	page, err := t.timeline().Timeline(ctx, threadline.Query{Limit: 1})
	var schema *threadline.SchemaError
	missing := errors.As(err, &schema) || hooks.SQLState(err) == "42P01" || hooks.SQLState(err) == "3F000"
	if len(page.Actions) > 0 || err != nil && !missing {
		return nil // what is asked next has the same error
	}
	name := t.timelineForwarder(ctx)
	if name == "" {
		return nil
	}
	note := fmt.Errorf("no action is in this database, though %s has got the events of its journal: it seems to deliver to a timeline in another database: name that with --database-url", name)
	if missing {
		return &failure{exitUnreachable, note}
	}
	fmt.Fprintln(a.err, "threadline: "+note.Error())
	return nil
}

// timelineForwarder returns the name of a timeline's forwarder that has got all events of this database's journal, "" if there is none, or if
// that cannot be read.
func (t *target) timelineForwarder(ctx context.Context) string {
	j, err := journal.New(t.dialect, &journal.Options{NoMigrate: true})
	if err != nil {
		return ""
	}
	if n, failed := j.Count(ctx, t.db, journal.Query{}); failed != nil || n == 0 {
		return ""
	}
	s, err := relay.New(t.dialect, nil)
	if err != nil {
		return ""
	}
	states, err := s.States(ctx, t.db)
	if err != nil {
		return ""
	}
	for i := range states {
		st := &states[i]
		if strings.HasPrefix(st.Forwarder, "threadline.Forwarder/") && st.RetiredAt.IsZero() && !st.Elsewhere && st.Behind == 0 && st.Retrying+st.Discarded == 0 {
			return st.Forwarder
		}
	}
	return ""
}
