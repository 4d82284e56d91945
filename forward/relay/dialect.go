package relay

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// dialect is what differs between the databases. In its methods e is a row of the journal, and f a
// forwarder's row of the table cursors.
type dialect interface {
	sqlDialect
	txDialect
	placeDialect
	cursorDialect
	tickDialect
	memberDialect

	// handOver is a query for HandOver that also reports; "" if an insert will do.
	handOver(s *Store, name string, keys []uuid.UUID) string
	// earlier is what it knows of the tables of earlier versions.
	earlier() earlier
	// hasChanges reports whether row changes can be among the entries.
	hasChanges() bool
	// rows selects about how many rows the journal has.
	rows(s *Store) string
}

// sqlDialect is how SQL is spelled.
type sqlDialect interface {
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
	// uuid is a literal, and asID an expression as a column with UUIDs takes it.
	uuid(id uuid.UUID) string
	asID(expression string) string
	// octets is how large the documents of a row e are, in bytes.
	octets() string
	// ordinals joins to a row e the ordinals of its entries, as o.ordinal.
	ordinals() string
	// mentions selects the rows e with any of these IDs in their documents.
	mentions(ids []uuid.UUID) string
	// hash is a number for a list of texts.
	hash(texts string) string
}

// txDialect is how transactions begin and end, and what they lock.
type txDialect interface {
	// begin starts a transaction that writes. A server ends it if its client says
	// nothing for limit, or if a statement takes longer; zero leaves statements
	// their time.
	begin(limit time.Duration) string
	// holdPurges begins a query, in or as a transaction, that gives entries to a forwarder: none of
	// them is purged meanwhile. lockForPurge begins one that purges, and waits for the others; ""
	// where there is one writer.
	holdPurges(s *Store) string
	lockForPurge(s *Store) string
	// listsPurged asks whether journal_purges has the transactions whose events were deleted; "" if
	// none is known. number is that of a row's transaction, without a table before its column.
	listsPurged(s *Store) string
	number() string
	// skipLocked makes a sub-select pass over rows that others have locked, so that
	// nothing waits for a process that is frozen with its transaction open; ""
	// where rows have no locks.
	skipLocked() string
	// forUpdate makes a sub-select lock its row, and wait for that; "" where rows have no locks.
	forUpdate() string
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
}

// placeDialect is which database this is, and what is done about cursors and entries from
// another one.
type placeDialect interface {
	// place is an expression that names the database, with a text behind it.
	place(suffix string) string
	// incarnation is an expression that is another after each crash and each restart of the
	// server, whichever connection asks: a pooler's outlives both.
	incarnation() string
	// ahead is whether the cursor of a forwarder f cannot be of this database.
	ahead(s *Store) string
	// adopt makes entries that were restored from elsewhere this database's own, which has
	// that place. Those that a cursor from there has yet to pass are unsafe until adopted is
	// called, and no cursor from elsewhere is left.
	adopt(ctx context.Context, q querier, s *Store, place string) error
	adopted(ctx context.Context, q querier, s *Store, place string) error
	// originColumns are what the origin of the cursor of the forwarder f is scanned from, and
	// unsafe selects the rows e that it may not have passed in the database that it was of.
	originColumns(s *Store) string
	unsafe(o *origin) string
}

// cursorDialect is what a cursor is: how it begins and moves, and which entries it has passed.
type cursorDialect interface {
	// mark selects the text of a [Mark] for now; "" if there is none.
	mark() string
	// register inserts a forwarder, or a retired one anew, which starts now, or at a
	// mark that the server has passed.
	register(s *Store, name, place, from string) string
	// cursorColumns are what a cursor is scanned from.
	cursorColumns() string
	// advance sets the columns of a cursor.
	advance(c *cursor, to spot, last bool) string
	// skip sets the columns of a cursor to now.
	skip(s *Store) string
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
}

// tickDialect is what a tick has, in which order.
type tickDialect interface {
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
}

// memberDialect is how processes learn of each other, and of what has arrived.
type memberDialect interface {
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
	// registersForwarders reports whether processes register what their forwarders are.
	registersForwarders() bool
}
