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
)

// journal looks at the app's journal of events, and reports whether there is one: the database may have a timeline only.
func (e *examination) journal(ctx context.Context) bool {
	const part = "journal"
	j, err := journal.New(e.dialect, &journal.Options{NoMigrate: true})
	if err == nil {
		err = j.Check(ctx, e.db)
	}
	var setup *journal.SetupError
	if errors.As(err, &setup) {
		e.add(part, Notice, "if an app is to be audited in this database, start it once as a role that may make the tables, or run what threadline migrate print prints", "%s", setup.Problem)
		return false
	}
	if err != nil {
		e.unknown(part, err)
		return false
	}
	n, err := j.Count(ctx, e.db, journal.Query{})
	if err != nil {
		e.unknown(part, err)
		return false
	}
	e.add(part, OK, "", "%d events", n)
	return true
}

// timeline looks at the tables of actions.
func (e *examination) timeline(ctx context.Context) {
	const part = "timeline"
	store := threadline.NewStore(e.db, e.dialect, &threadline.Options{Schema: e.opts.Schema})
	var wrong *threadline.SchemaError
	switch err := store.Check(ctx); {
	case errors.As(err, &wrong) && wrong.Have > wrong.Need:
		e.add(part, Problem, "use a newer version of this program", "%s", wrong.Problem)
	case errors.As(err, &wrong):
		e.add(part, Problem, "threadline migrate up --help, or "+wrong.Fix, "%s", wrong.Problem)
	case err != nil:
		e.unknown(part, err)
	default:
		e.add(part, OK, "", "its tables fit this program")
	}
}

// rowChanges looks at the captures. Which tables should be captured it does not know.
func (e *examination) rowChanges(ctx context.Context) {
	const part = "row changes"
	report, err := coverage.NewChecker(e.db, e.dialect, &coverage.Options{Schema: e.opts.Schema, Exclude: []string{"*"}, Accept: []string{"*.*"}}).Check(ctx)
	if err != nil {
		e.unknown(part, err)
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
			continue // a plan has said so
		}
		fine = false
		e.add(part, Problem, f.Fix, "%s: %s", f.Table, f.Text)
	}
	switch {
	case captured == 0:
		e.add(part, Notice, "threadline coverage", "no table is captured here")
	case fine:
		e.add(part, OK, "", "the triggers of %d captured tables are as they should be", captured)
	}
}

// delivery looks at the forwarders of this database.
func (e *examination) delivery(ctx context.Context) {
	const part = "delivery"
	store, err := changes.Relay(ctx, e.db, e.dialect, &relay.Options{Environment: e.opts.Environment}, &changes.Options{Schema: e.opts.Schema})
	var states []relay.State
	if err == nil {
		states, err = store.States(ctx, e.db)
	}
	if err != nil {
		e.unknown(part, err)
		return
	}
	active := 0
	for i := range states {
		if states[i].RetiredAt.IsZero() {
			active++
			e.forwarder(ctx, &states[i])
		}
	}
	if active == 0 {
		e.add(part, Notice, "register one with Hub.Register; a database that only keeps a timeline has none", "no forwarder is registered here")
	}
}

// forwarder looks at one.
func (e *examination) forwarder(ctx context.Context, st *relay.State) {
	part := "forwarder " + st.Forwarder
	before := len(e.results)
	if st.Elsewhere {
		e.add(part, Problem, "threadline forwarders resume "+st.Forwarder+" --execute, or with --skip", "it belongs to another database, of which this one is a copy or a restore, and it is delivered nothing")
	}
	if st.Conflict != nil {
		e.add(part, Problem, "give them different IDs, or make their configurations equal", "running programs have registered different sinks by this name: %s", strings.Join(st.Conflict, ", "))
	}
	for _, s := range st.Suspended {
		e.add(part, Problem, "repair the sink: it is tried again by itself", "its sink accepts nothing: %s", s.Reason)
	}
	if st.Discarded > 0 {
		e.add(part, Problem, "threadline forwarders dead-letters "+st.Forwarder+", repair the cause, then threadline forwarders replay "+st.Forwarder+" --dead-letters --execute", "it will not get %d entries", st.Discarded)
	}
	if late := e.age(ctx, st); late > e.opts.Lag {
		who := "no process delivers to it: start the app, or a process that calls Hub.Relay"
		if st.Holder != "" {
			who = "look at the logs of " + st.Holder + ", which delivers to it"
		}
		e.add(part, Problem, who, "it is %d entries behind; the oldest waits for %s", st.Behind, late.Round(time.Second))
	}
	if len(e.results) > before {
		return
	}
	text := fmt.Sprintf("it is %d entries behind", st.Behind)
	if st.Retrying > 0 {
		text += fmt.Sprintf(", of which %d are tried again", st.Retrying)
	}
	e.add(part, OK, "", "%s", text)
}

// age is how long the oldest entry waits, by the server's clock.
func (e *examination) age(ctx context.Context, st *relay.State) time.Duration {
	if st.Oldest.IsZero() || st.Elsewhere {
		return 0
	}
	now := time.Now()
	if e.dialect == hooks.Postgres {
		if err := e.db.QueryRowContext(ctx, "SELECT pg_catalog.clock_timestamp()").Scan(&now); err != nil {
			now = time.Now()
		}
	}
	return now.Sub(st.Oldest)
}

// unknown adds a part that could not be looked at.
func (e *examination) unknown(part string, err error) {
	fix := "ask again as a role that may read it"
	if hooks.SQLState(err) != "42501" {
		fix = ""
	}
	e.add(part, Unknown, fix, "%s", short(err))
}

// short is an error in one line, without the package that it is from.
func short(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	for _, prefix := range []string{"threadline: ", "journal: ", "changes: ", "capture: ", "relay: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}
