package relay

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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
	journal *journal.Journal
	d       dialect
	prefix  string // before a table's name
	env     string
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
}

// dialect is what differs between the databases.
type dialect interface {
	// quote returns an expression of text, which can be stored whatever it is.
	quote(text string) string
	// read returns an expression of a column with texts, to be scanned by scan,
	// whatever the encodings of the server and of the session are.
	read(column string) string
	scan(dst *string) any
	// fn is the name of a function of the server's own, which others cannot take over.
	fn(name string) string
	// now is an expression for the database's clock.
	now() string
	later(d time.Duration) string
	// begin starts a transaction that writes. A server ends it if its client says
	// nothing for limit, or if a statement takes longer; zero leaves statements
	// their time.
	begin(limit time.Duration) string
	// keep begins a query, in or as a transaction, that gives entries to a forwarder: none of
	// them is purged meanwhile. purging begins one that purges, and waits for the others; ""
	// where there is one writer.
	keep(s *Store) string
	purging(s *Store) string
	// unlocked makes a sub-select pass over rows that others have locked, so that
	// nothing waits for a process that is frozen with its transaction open; ""
	// where rows have no locks.
	unlocked() string
	// locked makes a sub-select lock its row, and wait for that; "" where rows have no locks.
	locked() string
	// commit is a query that makes an update of one row and commits, or fails with
	// an error that missed knows if there is no such row.
	commit(update string) (query string, ok bool)
	missed(err error) bool
	// refuses reports whether err is the database's answer to what it got, which
	// would be the same again, and not that it cannot be reached or is busy.
	refuses(err error) bool
	// speaks reports whether an error, of which state is the SQLSTATE, may be of a
	// database of this dialect, with a journal.
	speaks(state, text string) bool
	// place is an expression that names the database, with a text behind it.
	place(suffix string) string
	// life is an expression that is another after each crash and each restart of the
	// server, whichever connection asks: a pooler's outlives both.
	life() string
	// mark selects the text of a [Mark] for now; "" if there is none.
	mark() string
	// register inserts a forwarder, or a retired one anew, which starts now, or at a
	// mark that the server has passed.
	register(s *Store, name, place, from string) string
	// handOver is a query for HandOver that also reports; "" if an insert will do.
	handOver(s *Store, name string, keys []uuid.UUID) string
	// adopt makes entries that were restored from elsewhere this database's own, which has
	// that place. Those that a cursor from there has yet to pass are unsafe until adopted is
	// called, and no cursor from elsewhere is left.
	adopt(ctx context.Context, q querier, s *Store, place string) error
	adopted(ctx context.Context, q querier, s *Store, place string) error
	// cursorColumns are what a cursor is scanned from.
	cursorColumns() string
	// aged returns a snapshot older than grace, for beginTick, if there is one; the
	// trail has those that were taken.
	aged(ctx context.Context, q querier, t *trail, now time.Time, grace time.Duration) (snapshot string, ok bool, err error)
	// until selects the rows e up to a snapshot that aged has returned; "" selects
	// all.
	until(snapshot string) string
	// bound selects the rows e that are committed now.
	bound(ctx context.Context, q querier, s *Store) (string, error)
	// beginTick begins a tick, up to now or trailing, if there is anything in it.
	beginTick(ctx context.Context, q querier, s *Store, c *cursor, trailing string) (found bool, err error)
	// within says which rows e a tick has: those that old selects, if it is not "", and
	// those with numbers from low on and below high. Of both it has the visible ones.
	within(c *cursor) (old string, low, high int64)
	visible(c *cursor) string
	// axis is the column that has the number of a spot. order is that of spots, and
	// backwards the reverse.
	axis() string
	order(alias string) string
	backwards(alias string) string
	// spot is that of a row's first entry.
	spot(row *journal.Row) spot
	// after selects the rows e with entries beyond a spot, and below those whose numbers are
	// less than one; both by an index.
	after(at spot) string
	below(number int64) string
	// compare orders the entries of a call.
	compare(a, b candidate) int
	// octets is how large the documents of a row e are, in bytes.
	octets() string
	// uuid is a literal, and asID an expression as a column with UUIDs takes it.
	uuid(id uuid.UUID) string
	asID(expression string) string
	// ordinals joins to a row e the ordinals of its entries, as o.ordinal.
	ordinals() string
	// mentions selects the rows e with any of these IDs in their documents.
	mentions(ids []uuid.UUID) string
	// advance sets the columns of a cursor.
	advance(c *cursor, to spot, last bool) string
	// pollsTogether reports whether one statement shows whether there is anything to do, so that a
	// process looks once for all of its workers. Else each looks by itself, as in a file, where
	// that costs little.
	pollsTogether() bool
	// arrived is whether there are entries that c, which is at the end of a tick, has yet to
	// pass, or c cannot be of this database.
	arrived(s *Store, c *cursor) string
	// heartbeat is a statement that executes insert, and affects rows if the expression hash has
	// another value than known.
	heartbeat(insert, hash string, known *int64) string
	// hash is a number for a list of texts.
	hash(texts string) string
	// registersForwarders reports whether processes register what their forwarders are.
	registersForwarders() bool
	// ahead is whether the cursor of a forwarder f cannot be of this database.
	ahead(s *Store) string
	// behind selects the rows e of which a cursor has yet to pass entries, in parts that
	// have none in common, and passed is how many entries of e it has passed then. They
	// have the cursor's values and not its columns: only from values can the planner see
	// that this is the end of an index.
	behind(c *cursor) []string
	passed(at spot) string
	// unpassed is behind as one condition, which needs another one that is for an index:
	// after, from low on or later.
	unpassed(c *cursor) string
	// reached selects the entries, of a row e and with an ordinal, that a cursor has passed.
	reached(c *cursor, ordinal string) string
	// low is a spot before which a cursor has passed every entry.
	low(c *cursor) spot
	// settledFor selects the rows e that the cursor of the forwarder f has wholly passed.
	settledFor() string
	// skip sets the columns of a cursor to now.
	skip(s *Store) string
	// originColumns are what the origin of the cursor of the forwarder f is scanned from, and
	// unsafe selects the rows e that it may not have passed in the database that it was of.
	originColumns(s *Store) string
	unsafe(o *origin) string
	// earlier is what it knows of the tables of earlier versions.
	earlier() earlier
	// rows selects about how many rows the journal has.
	rows(s *Store) string
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
	s := &Store{journal: j, env: o.Environment}
	schema := j.Schema()
	if d == hooks.Postgres {
		s.d, s.prefix = postgres{}, `"`+schema+`".`
	} else {
		s.d, s.prefix = sqlite{}, "main."+schema+"_"
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
