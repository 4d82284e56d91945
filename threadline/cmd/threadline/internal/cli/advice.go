package cli

import (
	"errors"
	"strings"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
	"github.com/go-aftercommit/aftercommit/threadline/cmd/threadline/internal/screen"
	"github.com/go-aftercommit/aftercommit/threadline/export"
	"github.com/go-aftercommit/aftercommit/threadline/internal/errtext"
	"github.com/go-aftercommit/aftercommit/threadline/search"
	"github.com/go-aftercommit/aftercommit/threadline/trail"
)

// The packages speak to programmers: their errors name what a program calls. Here is what a person at a terminal has instead.

// advice is what to say of an error, and the exit code.
type advice struct {
	of   error
	code int
	text string // instead of the error's, unless it is ""
}

const noHistory = "the tables of row changes are not in this database: threadline migrate up makes them"

// advices has each error that a package exports and a command may end with. The first that fits counts.
var advices = []advice{
	{changes.ErrNotMigrated, exitUnreachable, noHistory},
	{relay.ErrChangesUnknown, exitFinding, relay.ErrChangesUnknown.Error() + ", so nothing was changed: start a program that has registered it, or, if it gets none, add --events-only"},
	{relay.ErrNotRegistered, exitFinding, ""},
	{relay.ErrNoEntry, exitFinding, ""},
	{threadline.ErrNotFound, exitFinding, ""},
	{changes.ErrKey, exitUsage, ""},
	{capture.ErrNoColumn, exitUsage, ""},
	{changes.ErrNoKey, exitFinding, ""},
	{changes.ErrFuture, exitUsage, ""},
	{changes.ErrNoTable, exitFinding, ""},
	{changes.ErrNotCaptured, exitFinding, ""},
	{changes.ErrNoChange, exitFinding, ""},
	{changes.ErrGone, exitFinding, ""},
	{changes.ErrNotYet, exitFinding, ""},
	{changes.ErrBeforeCapture, exitFinding, ""},
	{changes.ErrBroken, exitFinding, ""},
	{changes.ErrHidden, exitFinding, ""},
	{undo.ErrTooMany, exitFinding, ""},
	{export.ErrStarted, exitUsage, ""},
	{export.ErrNotStarted, exitUsage, ""},
	{search.ErrActionsOnly, exitUsage, ""},
	{search.ErrChangesOnly, exitUsage, ""},
}

// advised is an error as it is shown, with its exit code.
func advised(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return &failure{f.code, errors.New(said(f.Error()))}
	}
	for _, a := range advices {
		if errors.Is(err, a.of) {
			if a.text != "" {
				return &failure{a.code, errors.New(a.text)}
			}
			return &failure{a.code, errors.New(said(err.Error()))}
		}
	}
	code := exitUnreachable
	var query *trail.QueryError
	// An unknown command is cobra's own error, which has no type.
	if errors.As(err, &query) || strings.HasPrefix(err.Error(), "unknown command") {
		code = exitUsage
	}
	text := said(err.Error())
	if hint := refusal(err); hint != "" && hooks.SQLState(err) != "42501" { // a right on a table is another than on the database
		text += ": " + hint
	}
	var setup *journal.SetupError
	if errors.As(err, &setup) && !setup.Denied() {
		return &failure{code, errors.New("the journal: " + said(setup.Problem) + ": start the program that writes it once, as a role that may create tables, or run the SQL that threadline migrate print prints")}
	}
	return &failure{code, errors.New(text)}
}

// said returns a package's text with commands and flags for what it calls in Go, without the package's name, and plain.
func said(text string) string {
	return screen.Lines(phrases.Replace(errtext.Text(strings.TrimSpace(text))))
}

// phrases are what the texts of packages say in Go, and what they mean on a command line. A longer one comes before its parts.
var phrases = strings.NewReplacer(
	": relay: ", ": ", ": changes: ", ": ", ": journal: ", ": ", ": threadline: ", ": ",
	"run capture.Installer.Migrate first", "threadline migrate up makes them",
	"call capture.Installer.Migrate", "run threadline migrate up",
	"capture.Installer.Migrate", "threadline migrate up",
	"call Migrate of threadline's Store", "run threadline migrate up",
	"run Store.Migrate", "run threadline migrate up",
	"Store.Migrate", "threadline migrate up",
	"Store.Check", "threadline migrate status",
	"the SQL that threadline.Schema returns", "the SQL that threadline migrate print prints",
	"what journal.Schema returns", "what threadline migrate print prints",
	"what journal.Schema(hooks.Postgres, options) returns", "what threadline migrate print postgres prints",
	"what journal.Schema(hooks.SQLite, options) returns", "what threadline migrate print sqlite prints",
	"run what journal.Upgrade(hooks.Postgres, options) returns", "start the newest version of the program that writes it",
	"run what journal.Upgrade(hooks.SQLite, options) returns", "start the newest version of the program that writes it",
	"run what journal.Upgrade returns as a superuser", "start the newest version of the program that writes it as a superuser",
	", or for tables of an earlier version journal.Upgrade", "",
	", and Options.NoMigrate is set", "",
	"Options.NoMigrate is set", "this command makes none",
	"begin another journal with another name in Options.Schema", "begin another journal under another name",
	", or give the journal another schema by Options.Schema", "",
	"; or give the journal another prefix by Options.Schema", "",
	"use another Options.Schema", "use another --schema",
	"give Options.Schema", "give --schema",
	"Options.Schema", "--schema",
	"Options.Aliases", "--alias",
	"give relay.Options.Environment the programs' value", "give --environment the programs' value",
	"and this Store has", "and this command",
	"give forward.Options.Environment the same value in all programs", "give all programs the same environment",
	"name it in capture.Of, or apply a plan for it", "name it to threadline triggers apply",
	"run Installer.Plan and Installer.Apply", "run threadline triggers apply",
	"make them with Installer.Plan and Installer.Apply", "make them with threadline triggers apply",
	"Installer.Remove ends it", "threadline triggers drop ends it",
	": name it in Options.OtherJournals", ", which this command does not read",
	"leave Options.Partition out", "leave the partitions out",
	"a partition of another Options.Partition", "a partition of another length",
	"Store.States lists the names", "threadline forwarders status lists the names",
	"this Store cannot read them: pass relay.New their source in Options.Changes", "this command does not know where they are: give the --schema that has them",
	"name it in Options.Changes if it gets them, in Options.EventsOnly if not", "if it gets none, add --events-only",
	"delivery waits until you call Store.Resume: with replay the forwarder gets all that it may have missed, perhaps some of it twice; without, it skips what is in the journal",
	"delivery waits for threadline forwarders resume: then the forwarder gets all that it may have missed, perhaps some of it twice; with --skip it skips what is in the journal",
	"these jobs wait until you call river.Resume: with replay the forwarder gets their events, perhaps a second time; without, they are cancelled",
	"these jobs wait for the operator of the queue",
	"what the documentation of relay.Store lists", "what forward/OPERATING.md lists under Roles",
	"this database is not of the dialect that relay.New was given, or has no journal", "this database has no journal",
	"give relay.New the dialect and the journal.Options of the programs that write here", "no program that writes one was started here; name another database",
	"or end it by relay.Store.Retire", "or end it by threadline forwarders retire",
	"in the app's database: relay.Store.Replay", "in the app's database: threadline forwarders replay",
	"register it in the process that calls Hub.Relay (or start the program that relays to it)", "start the program that relays to it",
	"have Hub.Keep called by a process that calls Hub.Relay as that role", "have the process that relays keep them as that role",
	"in Key of capture.Table", "as in threadline triggers apply orders:key=code",
	"Options.Changes of", "the source of the row changes of", ": pass what changes.NewSource returns", "",
	", or Store.Each", "", ", or Reader.Each", "",
	" is not before To, ", " is not before ",
)
