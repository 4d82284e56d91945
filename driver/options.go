package driver

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Capture makes an event of every write that r matches. Without it only what
// the app records is in the trail.
func Capture(r *Rules) Option {
	return func(c *config) error {
		if r == nil {
			return errors.New("Capture of nil rules: use driver.AllTables() or driver.Tables(…)")
		}
		c.rules = r
		return r.check()
	}
}

// WithMode sets the mode that the driver starts with; the default is strict.
// The environment variable AFTERCOMMIT_MODE (strict, best-effort, off) wins.
func WithMode(m hooks.Mode) Option {
	return func(c *config) error {
		if m < hooks.Strict || m > hooks.Off {
			return fmt.Errorf("mode %d: use hooks.Strict, hooks.BestEffort or hooks.Off", m)
		}
		c.mode = m
		return nil
	}
}

// DefaultActor is the actor of events whose contexts name none, or one that is not known
// (see [hooks.Actor.IsKnown]). It is for a program that acts on its own behalf, such as a
// nightly job. The zero Actor is refused.
func DefaultActor(a hooks.Actor) Option {
	return func(c *config) error {
		if a.IsZero() {
			return errors.New("DefaultActor is empty: give it a Type, and an ID unless the Type is system or anonymous, or leave the option out")
		}
		_, err := hooks.Prepare(hooks.Event{Action: "actor.checked", Actor: a})
		c.actor = a
		return err
	}
}

// RequireActor refuses, in strict mode, events without an actor: their transaction
// does not commit, and the error says why. By default, and in best effort always,
// they are written, counted and reported as unattributed.
func RequireActor() Option {
	return func(c *config) error {
		c.requireActor = true
		return nil
	}
}

// WithDialect says how the database is spoken to, for base drivers that are not
// recognised. These are, also in wrappers that show what they wrap: lib/pq, pgx,
// modernc.org/sqlite, mattn/go-sqlite3, ncruces/go-sqlite3, glebarez's and
// go-sql-driver/mysql. Opening fails if the base driver, or a connection, shows
// that it speaks something else.
func WithDialect(d hooks.Dialect) Option {
	return func(c *config) error {
		if dialects[d] == nil {
			return fmt.Errorf("dialect %q: use hooks.Postgres, hooks.SQLite or hooks.MySQL", d)
		}
		c.dialect = d
		return nil
	}
}

// KeyColumn names the column, in every table, whose value becomes the target's ID
// of captured events, where a statement plainly shows it; the default is "id", and
// another is named in their metadata, as "column". In a table where it has no unique
// index on it alone, or a type of which one value may have several spellings, rows are
// not named.
func KeyColumn(name string) Option {
	return func(c *config) error {
		if name == "" {
			return errors.New("KeyColumn is empty")
		}
		c.keyColumn = name
		return nil
	}
}

// Limits bounds what one transaction may buffer: events, and their bytes
// (estimated), whether recorded or captured; the defaults are 10,000 and 16 MiB.
// Beyond, Record returns an error, and statements that would need another event are
// counted as uncaptured.
func Limits(events, bytes int) Option {
	return func(c *config) error {
		if events < 1 || bytes < 1 {
			return fmt.Errorf("limits of %d events and %d bytes: both must be positive", events, bytes)
		}
		c.maxEvents, c.maxBytes = events, bytes
		return nil
	}
}

// DrainRows is how many rows of a captured autocommit … RETURNING are kept in
// memory on PostgreSQL, so that its transaction ends before the app reads the
// first of them; the default is 10,000. Beyond, and always with 0, the
// transaction stays open until the rows are read or closed.
func DrainRows(n int) Option {
	return func(c *config) error {
		if n < 0 {
			return fmt.Errorf("DrainRows %d: it cannot be negative", n)
		}
		c.drainRows = n
		return nil
	}
}

// WriteTimeout bounds how long writing the events may hold up a commit, for
// instance because of locks on the journal: 1 ms to 24 h, the default is 5 s. Where the server
// does not answer, it may be two seconds more. What is called after the COMMIT has
// its own limits: forwarders that are called within it (forward.Options.Timeout), and
// functions of [hooks.OnCommit].
func WriteTimeout(d time.Duration) Option {
	return func(c *config) error {
		const most = 24 * time.Hour // PostgreSQL's lock_timeout is less than 25 days
		if d < time.Millisecond || d > most {
			return fmt.Errorf("WriteTimeout %v: use a millisecond to %v", d, most)
		}
		c.writeTimeout = d
		return nil
	}
}

// SideConnector opens the connections that only the hook needs, such as those of
// the relay, by c instead of the connector that is wrapped. It is for
// [WrapConnector] of a connector whose connections are the app's own few.
func SideConnector(c driver.Connector) Option {
	return func(cfg *config) error {
		if c == nil {
			return errors.New("SideConnector is nil")
		}
		cfg.side = c
		return nil
	}
}

// ForgetNames drops what a connection knows of the names of tables whenever the
// pool hands it out again. It is for base connections that change search_path or
// the role by themselves at that moment, as with pgx's stdlib.OptionResetSession:
// nothing shows that they did. It costs one question for each table that is
// written to between two such moments.
func ForgetNames() Option {
	return func(c *config) error {
		c.forgets = true
		return nil
	}
}
