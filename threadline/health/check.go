package health

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Options say what is looked at. Nil, and the zero value, mean defaults.
type Options struct {
	// Schema is the schema of the timeline and the history, "threadline" by default; on SQLite the prefix of their names.
	Schema string
	// Environment is that of the programs that deliver: see forward.Options.
	Environment string
	// Lag is how old the oldest entry may be that a forwarder has not got, [DefaultLag] if zero.
	Lag time.Duration
}

// DefaultLag is more than a retry or a deployment takes.
const DefaultLag = 5 * time.Minute

// Status is how something stands.
type Status string

// The statuses, the best first.
const (
	OK      Status = "ok"
	Notice  Status = "notice"  // it works, and somebody should know
	Problem Status = "problem" // it does not work, or not for long
	Unknown Status = "unknown" // it could not be found out
)

// Result is what was found about one part.
type Result struct {
	Part   string `json:"part"`
	Status Status `json:"status"`
	Text   string `json:"text"`
	// Fix is what to do, mostly a command; "" if Status is OK.
	Fix string `json:"fix,omitempty"`
}

// String returns the result for people, in one line.
func (r Result) String() string {
	text := fmt.Sprintf("%s: %s: %s", r.Status, r.Part, r.Text)
	if r.Fix != "" {
		text += ": " + r.Fix
	}
	return text
}

// Check looks at each part, the connection first. Where that fails, the others are left out. A part that could not be looked at is Unknown, and
// says why.
func Check(ctx context.Context, db *sql.DB, dialect hooks.Dialect, opts *Options) []Result {
	e := &examination{db: db, dialect: dialect}
	if opts != nil {
		e.opts = *opts
	}
	if e.opts.Lag == 0 {
		e.opts.Lag = DefaultLag
	}
	if !e.connection(ctx) {
		return e.results
	}
	e.clock(ctx)
	journal := e.journal(ctx)
	e.timeline(ctx)
	e.rowChanges(ctx)
	if journal {
		e.delivery(ctx)
	}
	return e.results
}

// Healthy reports whether there is neither a problem nor something unknown.
func Healthy(results []Result) bool {
	for _, r := range results {
		if r.Status == Problem || r.Status == Unknown {
			return false
		}
	}
	return true
}

// examination is one Check.
type examination struct {
	db      *sql.DB
	dialect hooks.Dialect
	opts    Options
	results []Result
}

func (e *examination) add(part string, status Status, fix, format string, args ...any) {
	e.results = append(e.results, Result{Part: part, Status: status, Text: fmt.Sprintf(format, args...), Fix: fix})
}

// connection reports whether the database answers.
func (e *examination) connection(ctx context.Context) bool {
	const part = "connection"
	query := "SELECT pg_catalog.current_setting('server_version'), current_user::pg_catalog.text, pg_catalog.current_database()::pg_catalog.text, pg_catalog.pg_is_in_recovery()"
	if e.dialect == hooks.SQLite {
		query = "SELECT sqlite_version(), '', coalesce((SELECT file FROM pragma_database_list WHERE name = 'main'), ''), false"
	}
	var version, role, name string
	var standby bool
	if err := e.db.QueryRowContext(ctx, query).Scan(&version, &role, &name, &standby); err != nil {
		e.add(part, Problem, "is the server running, and do host, port, user and password lead to it?", "%v", err)
		return false
	}
	switch {
	case e.dialect == hooks.SQLite:
		e.add(part, OK, "", "SQLite %s, %s", version, name)
	case standby:
		e.add(part, Notice, "look at the primary", "PostgreSQL %s, database %s, as role %s: it is a standby: nothing is delivered from here, and nothing can be repaired", version, name, role)
	default:
		e.add(part, OK, "", "PostgreSQL %s, database %s, as role %s", version, name, role)
	}
	return true
}

// fast is how far two clocks may differ.
const fast = 2 * time.Second

// clock compares the server's clock with this machine's.
func (e *examination) clock(ctx context.Context) {
	if e.dialect == hooks.SQLite {
		return // it has none of its own
	}
	before := time.Now()
	var there time.Time
	if err := e.db.QueryRowContext(ctx, "SELECT pg_catalog.clock_timestamp()").Scan(&there); err != nil {
		e.add("clock", Unknown, "", "%v", err)
		return
	}
	after := time.Now()
	differs := time.Duration(0)
	if there.Before(before.Add(-fast)) {
		differs = there.Sub(before)
	} else if there.After(after.Add(fast)) {
		differs = there.Sub(after)
	}
	if differs != 0 {
		e.add("clock", Notice, "set both clocks by NTP: times of events are the apps', times of changes are the server's", "the server's clock differs from this machine's by %s", differs.Round(time.Millisecond))
		return
	}
	e.add("clock", OK, "", "the server's clock is this machine's")
}
