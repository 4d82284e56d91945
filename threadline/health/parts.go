package health

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/coverage"
	"github.com/go-aftercommit/aftercommit/threadline/internal/errtext"
)

// journal checks the app's journal of events, and reports whether there is one: the database may have only a timeline.
func (c *checker) journal(ctx context.Context) bool {
	const part = "journal"
	j, err := journal.New(c.dialect, &journal.Options{NoMigrate: true})
	if err == nil {
		err = j.Check(ctx, c.db)
	}
	var setup *journal.SetupError
	if errors.As(err, &setup) && c.archive {
		return false // the journal is in the app's database
	}
	if errors.As(err, &setup) {
		c.add(part, Notice, "to audit an app in this database, start it once as a role that may create the tables, or run the SQL that threadline migrate print prints", "%s", setup.Problem)
		return false
	}
	if err != nil {
		c.unknown(part, err)
		return false
	}
	n, err := j.Count(ctx, c.db, journal.Query{})
	if err != nil {
		c.unknown(part, err)
		return false
	}
	c.add(part, OK, "", "%d events", n)
	return true
}

// archived says so if the database is the archive of another one, and since when it may lack changes.
func (c *checker) archived(ctx context.Context) {
	const part = "archive"
	from, err := changes.NewStore(c.db, c.dialect, &changes.Options{Schema: c.opts.Schema}).CopiedFrom(ctx)
	if err != nil && !errors.Is(err, changes.ErrNotMigrated) {
		c.unknown(part, err)
		return
	}
	for _, f := range from {
		c.archive = true
		c.add(part, OK, "", "this database has the row changes of the database %s; the last were copied at %s, and it is complete up to then as far as its forwarder there is not behind and has no dead letters: threadline forwarders status, in that database", f.Place, f.At.Format(time.RFC3339))
	}
}

// timeline checks the table of actions.
func (c *checker) timeline(ctx context.Context) {
	const part = "timeline"
	store := threadline.NewStore(c.db, c.dialect, &threadline.Options{Schema: c.opts.Schema})
	var wrong *threadline.SchemaError
	switch err := store.Check(ctx); {
	case errors.As(err, &wrong) && wrong.Have > wrong.Need:
		c.add(part, Problem, "use a newer version of this program", "%s", wrong.Problem)
	case errors.As(err, &wrong):
		c.add(part, Problem, "threadline migrate up --help, or "+wrong.Fix, "%s", wrong.Problem)
	case err != nil:
		c.unknown(part, err)
	default:
		c.add(part, OK, "", "its tables have the version of this program")
	}
}

// rowChanges checks the captures that there are. It does not know which tables should be captured.
func (c *checker) rowChanges(ctx context.Context) {
	const part = "row changes"
	_, err := changes.NewStore(c.db, c.dialect, &changes.Options{Schema: c.opts.Schema}).Captured(ctx)
	if errors.Is(err, changes.ErrNotMigrated) {
		c.add(part, Notice, "threadline migrate up, then threadline triggers apply", "their tables are not in this database, so what a write changed is not kept")
		return
	}
	if err != nil {
		c.unknown(part, err)
		return
	}
	if c.archive {
		return // the triggers are in the app's database
	}
	report, err := coverage.NewChecker(c.db, c.dialect, &coverage.Options{Schema: c.opts.Schema, Exclude: []string{"*"}, Accept: []string{"*.*"}}).Check(ctx)
	if err != nil {
		c.unknown(part, err)
		return
	}
	captured := 0
	for _, t := range report.Tables {
		if t.State == coverage.Covered {
			captured++
		}
	}
	fine := true
	for _, f := range report.Findings {
		if f.Code == coverage.Warning {
			continue // the plan warned of it
		}
		fine = false
		c.add(part, Problem, f.Fix, "%s: %s", f.Table, f.Text)
	}
	switch {
	case captured == 0:
		c.add(part, Notice, "threadline coverage", "no table is captured here")
	case fine:
		c.add(part, OK, "", "the triggers of %d captured tables are as they should be", captured)
	}
}

// delivery checks the forwarders of this database.
func (c *checker) delivery(ctx context.Context) {
	const part = "delivery"
	store, err := changes.NewRelayStore(ctx, c.db, c.dialect, &relay.Options{Environment: c.opts.Environment}, &changes.Options{Schema: c.opts.Schema})
	var states []relay.State
	if err == nil {
		states, err = store.States(ctx, c.db)
	}
	if err != nil {
		c.unknown(part, err)
		return
	}
	active := 0
	for i := range states {
		if states[i].RetiredAt.IsZero() {
			active++
			c.forwarder(&states[i])
		}
	}
	if active == 0 {
		c.add(part, Notice, "start a program that registers one; a database with only a timeline needs none", "no forwarder is registered here")
	}
}

// forwarder checks one.
func (c *checker) forwarder(st *relay.State) {
	part := "forwarder " + st.Forwarder
	before := len(c.results)
	if st.Elsewhere {
		c.add(part, Problem, "threadline forwarders resume "+st.Forwarder+" --execute, with --skip to leave out what the journal has now", "it belongs to another database, which this one was copied or restored from, so nothing is delivered to it")
	}
	if st.Conflict != nil {
		c.add(part, Problem, "give them different IDs, or make their configurations equal", "running programs have registered different sinks under this name: %s", strings.Join(st.Conflict, ", "))
	}
	for _, s := range st.Suspended {
		c.add(part, Problem, "repair the sink: delivery is tried again automatically", "its sink accepts nothing: %s", s.Reason)
	}
	if st.Discarded > 0 {
		c.add(part, Problem, "threadline forwarders dead-letters "+st.Forwarder+" shows why: fix that, then threadline forwarders replay "+st.Forwarder+" --dead-letters --execute", "it will not get %d entries, which are dead letters", st.Discarded)
	}
	if late := c.age(st); late > c.opts.Lag {
		fix := "no process delivers to it: start the app, or the process that relays for it"
		if st.Holder != "" {
			fix = "read the logs of " + st.Holder + ", which delivers to it"
		}
		c.add(part, Problem, fix, "it is %d entries behind; the oldest has waited for %s", st.Behind, late.Round(time.Second))
	}
	if len(c.results) > before {
		return
	}
	text := fmt.Sprintf("it is %d entries behind", st.Behind)
	if st.Retrying > 0 {
		text += fmt.Sprintf(", of which %d are tried again", st.Retrying)
	}
	c.add(part, OK, "", "%s", text)
}

// age is how long the oldest entry has waited, by the server's clock.
func (c *checker) age(st *relay.State) time.Duration {
	if st.Oldest.IsZero() || st.Elsewhere {
		return 0
	}
	return time.Now().Add(c.ahead).Sub(st.Oldest)
}

// unknown adds a part that could not be checked.
func (c *checker) unknown(part string, err error) {
	fix := "check again as a role that may read it"
	if hooks.SQLState(err) != "42501" {
		fix = ""
	}
	c.add(part, Unknown, fix, "%s", oneLine(err))
}

// oneLine returns the text of an error in one line, without the name of the package that it comes from.
func oneLine(err error) string {
	return errtext.Text(strings.Join(strings.Fields(err.Error()), " "))
}
