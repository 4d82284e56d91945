package relay

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/lenient"
)

// Store reads and writes what the relay keeps beside the journal: cursors,
// leases, failures. It is safe for concurrent use; the database comes with each
// call. Its role needs USAGE on the journal's schema, SELECT on the table journal
// (Purge needs DELETE as well) and all rights on the other tables, journal_purges among them,
// which Replay and Purge lock; the owner has them. While there are tables of an earlier version
// Replay and the relay need INSERT on the table journal, too.
type Store struct {
	journal   *journal.Journal
	d         dialect
	prefix    string // before a table's name
	env       string
	sources   map[string]Changes // as in Options
	noChanges []string           // Options.EventsOnly
	changes   Changes            // that are read with the journal, nil if none are
}

// Options of a [Store]; nil is fine.
type Options struct {
	// Journal has the options of the journal, which names the schema.
	Journal *journal.Options
	// Environment is a name such as "production". A cursor that was made under
	// another does not move until an operator decides; see [Store.Resume]. It
	// distinguishes a copy from its original where the server cannot. It has at most 200
	// bytes of printable characters.
	Environment string
	// Changes has the source of the row changes for each forwarder that gets some ([Target.Changes]), by the
	// forwarder's name. With it [Store.States] counts them, and [Store.Replay] and [Store.Resume] replay them. It
	// is for PostgreSQL only.
	Changes map[string]Changes
	// EventsOnly names forwarders that get no row changes. Whether a forwarder that is in neither list gets some is known only
	// while a program runs that has registered it. Otherwise, if the database has row changes, Replay and Resume return
	// [ErrChangesUnknown] rather than leave some out.
	EventsOnly []string
}

// querier is a *sql.DB, *sql.Conn or *sql.Tx.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// New returns the store beside the journal of a database of that dialect. It
// does no I/O.
func New(d hooks.Dialect, o *Options) (*Store, error) {
	if o == nil {
		o = &Options{}
	}
	if err := checkEnvironment(o.Environment); err != nil {
		return nil, err
	}
	j, err := journal.New(d, o.Journal)
	if err != nil {
		return nil, err
	}
	s := &Store{journal: j, env: o.Environment, sources: maps.Clone(o.Changes), noChanges: slices.Clone(o.EventsOnly)}
	schema := j.Schema()
	if d == hooks.Postgres {
		s.d, s.prefix = postgres{}, `"`+schema+`".`
	} else {
		s.d, s.prefix = sqlite{}, "main."+schema+"_"
	}
	if err = s.checkSources(); err != nil {
		return nil, err
	}
	return s, nil
}

// events is the journal's table.
func (s *Store) events() string { return s.prefix + "journal" }

// quote puts a text into a statement, which then needs no arguments: one round
// trip, and no prepared statement that a pooler would lose.
func (s *Store) quote(text string) string { return s.d.quote(text) }

func (s *Store) time(t time.Time) string { return "'" + t.UTC().Format(lenient.TimeForm) + "'" }

func idList(ids []uuid.UUID) string {
	var b strings.Builder
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("'" + id.String() + "'")
	}
	return b.String()
}

// moment scans a time that the database has as such or as text.
type moment struct{ t *time.Time }

// Scan implements sql.Scanner.
func (m moment) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*m.t = time.Time{}
		return nil
	case time.Time:
		*m.t = v.UTC()
		return nil
	case []byte:
		return m.parse(string(v))
	case string:
		return m.parse(v)
	}
	return fmt.Errorf("a time from %T", src)
}

func (m moment) parse(text string) error {
	t, err := time.Parse(time.RFC3339Nano, text)
	*m.t = t
	return err
}

// readable scans a time, which stays zero if it is none: the app may own the table
// that it is in.
type readable struct{ moment }

// Scan implements sql.Scanner.
func (r readable) Scan(src any) error {
	if r.moment.Scan(src) != nil {
		*r.t = time.Time{}
	}
	return nil
}

// affected executes query and returns how many rows it changed.
func affected(ctx context.Context, q querier, query string) (int64, error) {
	res, err := q.ExecContext(ctx, query)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// inTx runs f in a transaction of conn's own, by statements, because what the
// conn is may have no other.
func (s *Store) inTx(ctx context.Context, conn *sql.Conn, limit time.Duration, f func() error) error {
	if _, err := conn.ExecContext(ctx, s.d.begin(limit)); err != nil {
		return err
	}
	err := f()
	if err == nil {
		if _, err = conn.ExecContext(ctx, "COMMIT"); err == nil {
			return nil
		}
	}
	if _, e := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); e != nil && !errors.Is(err, sql.ErrConnDone) {
		discard(conn)
		err = errors.Join(err, e)
	}
	return err
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
