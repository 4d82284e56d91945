package health

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Options of [Check]. Nil and the zero value mean the defaults.
type Options struct {
	// Schema is the schema of the timeline and the history, "threadline" by default; on SQLite the prefix of their names.
	Schema string
	// Environment is that of the programs that deliver: see forward.Options.
	Environment string
	// Lag is how long an entry may wait for a forwarder before that is a problem. Zero means [DefaultLag].
	Lag time.Duration
}

// DefaultLag is longer than a retry or a deployment takes.
const DefaultLag = 5 * time.Minute

// Status says how a part is.
type Status string

// The statuses, the best first.
const (
	OK      Status = "ok"
	Notice  Status = "notice"  // it works, but someone should know
	Problem Status = "problem" // it does not work, or soon will not
	Unknown Status = "unknown" // it could not be checked
)

// Result is what was found about one part.
type Result struct {
	Part   string `json:"part"`
	Status Status `json:"status"`
	Text   string `json:"text"`
	// Fix is what to do, usually a command. It is "" if Status is OK, and may be if it is Unknown.
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

// Check checks each part, the connection first. If that fails, it checks no other. A part that could not be checked is Unknown, and its
// text says why.
func Check(ctx context.Context, db *sql.DB, dialect hooks.Dialect, opts *Options) []Result {
	c := &checker{db: db, dialect: dialect}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.Lag == 0 {
		c.opts.Lag = DefaultLag
	}
	if !c.connection(ctx) {
		return c.results
	}
	c.clock(ctx)
	c.archived(ctx)
	c.rights(ctx)
	journal := c.journal(ctx)
	c.timeline(ctx)
	c.rowChanges(ctx)
	if journal {
		c.delivery(ctx)
	}
	return c.results
}

// Healthy reports whether no result is a Problem or Unknown.
func Healthy(results []Result) bool {
	for _, r := range results {
		if r.Status == Problem || r.Status == Unknown {
			return false
		}
	}
	return true
}

// checker is one call of Check.
type checker struct {
	db      *sql.DB
	dialect hooks.Dialect
	opts    Options
	results []Result

	archive bool // its row changes are another database's

	ahead time.Duration // of the server's clock before this machine's, zero if it is not known
}

func (c *checker) add(part string, status Status, fix, format string, args ...any) {
	c.results = append(c.results, Result{Part: part, Status: status, Text: fmt.Sprintf(format, args...), Fix: fix})
}

// connection reports whether the database answers.
func (c *checker) connection(ctx context.Context) bool {
	const part = "connection"
	query := "SELECT pg_catalog.current_setting('server_version'), current_user::pg_catalog.text, pg_catalog.current_database()::pg_catalog.text, pg_catalog.pg_is_in_recovery()"
	if c.dialect == hooks.SQLite {
		query = "SELECT sqlite_version(), '', coalesce((SELECT file FROM pragma_database_list WHERE name = 'main'), ''), false"
	}
	var version, role, name string
	var standby bool
	if err := c.db.QueryRowContext(ctx, query).Scan(&version, &role, &name, &standby); err != nil {
		c.add(part, Problem, "is the server running, and are host, port, user and password right?", "%v", err)
		return false
	}
	switch {
	case c.dialect == hooks.SQLite:
		c.add(part, OK, "", "SQLite %s, %s", version, name)
	case standby:
		c.add(part, Notice, "check the primary", "PostgreSQL %s, database %s, as role %s: it is a standby: nothing can be delivered or repaired from here", version, name, role)
	default:
		c.add(part, OK, "", "PostgreSQL %s, database %s, as role %s", version, name, role)
	}
	return true
}

// clockTolerance is how far two clocks may differ.
const clockTolerance = 2 * time.Second

// clock compares the server's clock with this machine's.
func (c *checker) clock(ctx context.Context) {
	if c.dialect == hooks.SQLite {
		return // SQLite has no clock of its own
	}
	before := time.Now()
	var there time.Time
	if err := c.db.QueryRowContext(ctx, "SELECT pg_catalog.clock_timestamp()").Scan(&there); err != nil {
		c.add("clock", Unknown, "", "%v", err)
		return
	}
	after := time.Now()
	c.ahead = there.Sub(after)
	differs := time.Duration(0)
	if there.Before(before.Add(-clockTolerance)) {
		differs = there.Sub(before)
	} else if there.After(after.Add(clockTolerance)) {
		differs = there.Sub(after)
	}
	if differs != 0 {
		c.add("clock", Notice, "synchronize both with NTP: events have the app's time, row changes the server's", "the server's clock differs from this machine's by %s", differs.Round(time.Millisecond))
		return
	}
	c.add("clock", OK, "", "the server's clock agrees with this machine's")
}
