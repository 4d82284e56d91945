package changes

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
	"github.com/go-aftercommit/aftercommit/threadline/internal/paging"
)

// Page is a part of the changes that match a query: the newest first, by the clock of each change, or the
// oldest first. Of a transaction they are in the order in which they were captured.
//
// A change is captured when it is made, and seen when its transaction has committed. So that a reader who goes on from
// page to page misses none that commits late, Query.OldestFirst returns changes only up to the start of the oldest open
// transaction that has captured one, and, in a query that asks for who, up to the first change whose events are not yet
// delivered ([Pending]). Nothing appears later among what was returned, unless the server's clock was set back.
//
// SQLite has one writer, so a change that is captured later is seen later. There OldestFirst begins with the changes that
// there were when the first page was read, by the clock, and goes on with those committed since, in the order in which
// they were captured: nothing is missed, whatever the clock does.
type Page struct {
	Changes []Change
	// Next is the cursor of the page after this one, "" at the end. A page that has one may be
	// short, or empty: see [MaxLooked] and [MaxBytes].
	Next string
	// Follow is the cursor for what is settled later. It is set with OldestFirst where Next is "", unless nothing can
	// come any more: after Query.To, or of one transaction.
	Follow string

	query     *Query     // for CursorAfter
	positions []position // of Changes
}

// Page returns the changes that match q, a page at a time. A query that makes no sense is a [*QueryError], and so is one
// for a table that was never captured ([ErrNotCaptured]), or a key that no row of the tables can have ([ErrKey], [ErrNoKey]). A table that was
// captured and dropped is found.
//
// A page of one row reads all changes of that row; other pages read those of at most [MaxLooked] changes for
// each table. On SQLite a page of what was committed after the first page looks at as many changes of all tables.
func (s *Store) Page(ctx context.Context, q Query) (Page, error) {
	if q.Limit > MaxLimit {
		return Page{}, refuse("limit", "%d is above %d: take several pages, or Store.Each", q.Limit, MaxLimit)
	}
	if q.Limit == 0 {
		q.Limit = DefaultLimit
	}
	return readPage(ctx, s.reader(), q)
}

// Each returns all changes that match q, or the first q.Limit of them. It reads pages of [MaxLimit] and has
// no connection while the loop's body runs. Its only error is the last thing that it yields.
func (s *Store) Each(ctx context.Context, q Query) iter.Seq2[Change, error] {
	return paging.Each(q.Limit, MaxLimit, q.Cursor, func(limit int, cursor string) ([]Change, string, error) {
		part := q
		part.Limit, part.Cursor = limit, cursor
		page, err := readPage(ctx, s.reader(), part)
		return page.Changes, page.Next, err
	})
}

func readPage(ctx context.Context, s *reading.Reader, q Query) (page Page, err error) {
	if err = errors.Join(s.Catalog.Supported(), s.Aliases.Validate()); err != nil {
		return Page{}, err
	}
	if err = q.validate(); err != nil {
		return Page{}, err
	}
	after, err := q.after()
	if err != nil {
		return Page{}, err
	}
	// On PostgreSQL each statement has a snapshot of its own, for the sake of the horizon.
	opts := &sql.TxOptions{ReadOnly: true}
	if s.Catalog.Dialect == hooks.Postgres {
		opts.Isolation = sql.LevelReadCommitted
	}
	tx, err := s.Catalog.BeginRead(ctx, s.Catalog.DB, opts)
	if err != nil {
		return Page{}, catalog.Wrap("read changes", err)
	}
	if s, ok := onSQLite(s); ok {
		err = s.Check(ctx, tx)
	}
	if err == nil {
		page, err = newPageReader(s, tx, &q, after).page(ctx)
	}
	var query *QueryError
	var refused *refusal
	switch err = errors.Join(err, tx.Rollback()); {
	case err == nil:
		return page, nil
	case errors.As(err, &refused):
		return Page{}, refused
	case errors.As(err, &query):
		return Page{}, query
	case catalog.NotMigrated(err) != nil:
		return Page{}, catalog.NotMigrated(err)
	}
	return Page{}, catalog.Wrap("read changes", err)
}

// pageReader reads one page.
type pageReader struct {
	reader *reading.Reader
	tx     *sql.Tx
	query  *Query
	who    bool // some filter asks for who
	tables map[int64]capturedNames
	past   pastTables

	at      *position           // the last change that was looked at, or where the page begins; nil: the newest
	settled *time.Time          // with OldestFirst: what was captured before is settled; nil: no bound
	begins  bool                // the page has no cursor
	last    uint64              // on SQLite: the last change that there is
	keys    map[int64]meantKeys // of each table
	looked  int
	bytes   int
	kept    []*candidate
	stop    bool // the page ends before a change whose events are on their way
	byWho   *byWho
}

func newPageReader(s *reading.Reader, tx *sql.Tx, q *Query, at *position) *pageReader {
	begins := at == nil
	if begins && q.OldestFirst {
		at = &position{}
	}
	who := q.asksWho() || slices.ContainsFunc(q.Not, func(n Query) bool { return n.asksWho() })
	return &pageReader{reader: s, tx: tx, query: q, who: who, at: at, begins: begins, past: make(pastTables)}
}

func (r *pageReader) page(ctx context.Context) (Page, error) {
	// Before the tables are read: of one whose capture begins meanwhile nothing is settled.
	if r.query.OldestFirst && r.query.XID == 0 {
		if err := r.settle(ctx); err != nil {
			return Page{}, err
		}
	}
	if err := r.readTables(ctx); err != nil {
		return Page{}, err
	}
	if err := r.readKeys(ctx); err != nil {
		return Page{}, err
	}
	if err := r.findByWho(ctx); err != nil {
		return Page{}, err
	}
	more := len(r.tables) > 0
	for more && !r.full() {
		var err error
		if more, err = r.batch(ctx); err != nil {
			return Page{}, err
		}
		more = more || !r.stop && r.goOn()
	}
	page := Page{query: r.query}
	switch limit := r.query.Limit; {
	case len(r.kept) > limit:
		r.kept = r.kept[:limit]
		page.Next = r.query.cursor(r.kept[limit-1].at)
	case more:
		page.Next = r.query.cursor(*r.at)
	default:
		page.Follow = r.follow()
	}
	if !r.who {
		if err := r.attribute(ctx, r.kept); err != nil {
			return Page{}, err
		}
	}
	for _, c := range r.kept {
		page.Changes, page.positions = append(page.Changes, c.Change), append(page.positions, c.at)
	}
	return page, nil
}

// settle finds out which changes are settled, for a page with the oldest first.
func (r *pageReader) settle(ctx context.Context) error {
	if s, ok := onSQLite(r.reader); ok {
		return s.settlePage(ctx, r)
	}
	copied, err := r.reader.Catalog.Copied(ctx, r.tx)
	if err != nil {
		return err
	}
	if copied {
		return refuse("oldest_first", "these changes are copies, and what was captured earlier than some may come later: leave it out, or ask the app's database")
	}
	horizon, err := readHorizon(ctx, r.reader, r.tx)
	r.settled = &horizon
	return err
}

// follow is the cursor behind all that was looked at, "" if nothing can come there.
func (r *pageReader) follow() string {
	to := r.query.To
	switch {
	case r.settled == nil, !r.stop && !to.IsZero() && !r.settled.Before(to):
		return ""
	case r.stop:
		return r.query.cursor(*r.at)
	case r.reader.Catalog.Dialect == hooks.SQLite:
		return r.query.cursor(position{lsn: r.last, commits: true})
	case r.at.captured.Before(*r.settled):
		return r.query.cursor(position{captured: *r.settled})
	}
	return r.query.cursor(*r.at)
}

// full reports whether the page ends here, whatever else there is.
func (r *pageReader) full() bool {
	return len(r.kept) > r.query.Limit || r.looked >= MaxLooked || r.bytes > MaxBytes || r.stop || r.byWho.full()
}

// looksFirst is how many changes a page looks at first, if filters have to look at them: often they are enough.
const looksFirst = 250

// batch looks at the next changes, and reports whether there are more.
func (r *pageReader) batch(ctx context.Context) (more bool, err error) {
	size := r.query.Limit + 1 // one more says whether there is a page after this one
	switch looks := r.query.looks() || r.at != nil && r.at.commits; {
	case looks && r.looked > 0:
		size = MaxLooked - r.looked
	case looks:
		size = max(size, looksFirst)
	}
	if r.looked > 0 { // the driver may read all that is asked for
		size = min(size, max(1, (MaxBytes-r.bytes)*r.looked/max(1, r.bytes)))
	}
	rows, more, err := r.read(ctx, size)
	if err != nil || len(rows) == 0 && !more {
		return false, err
	}
	r.looked += len(rows)
	var found []*candidate
	for _, one := range rows {
		r.bytes += one.Bytes()
		c, err := r.candidate(ctx, one)
		if err != nil {
			return false, catalog.Wrap("read the change at "+one.LSN, err)
		}
		if !c.skip && r.query.matchesPlain(c, r.reader.Aliases) {
			found = append(found, c)
		}
	}
	if r.byWho.finds() && r.byWho.past != nil {
		r.at = r.byWho.past
	}
	if r.who {
		if err := r.attribute(ctx, found); err != nil {
			return false, err
		}
	}
	for _, c := range found {
		if r.who && r.query.OldestFirst && c.By.State == Pending {
			r.at, r.stop = &c.before, true
			return false, nil
		}
		if r.who && !r.query.matchesWho(c, r.reader.Aliases) {
			continue
		}
		r.kept = append(r.kept, c)
	}
	return more, nil
}

// read reads the next rows: as many as size, or fewer if they are long.
func (r *pageReader) read(ctx context.Context, size int) (list []*reading.Row, more bool, err error) {
	if s, ok := onSQLite(r.reader); ok {
		return s.readPage(ctx, r, size)
	}
	if r.byWho.finds() {
		return r.readByWho(ctx, size)
	}
	text, args := r.sql(size + 1)
	return reading.ReadSome(ctx, r.tx, size, MaxBytes, text, args...)
}

// candidate is the change of the next row that is looked at.
func (r *pageReader) candidate(ctx context.Context, one *reading.Row) (c *candidate, err error) {
	t, err := r.past.of(ctx, r.reader, r.tx, one.TableID)
	if err != nil {
		return nil, err
	}
	c = &candidate{names: r.tables[one.TableID], numbered: one.Native != nil, row: one, keys: r.keys[one.TableID]}
	if r.at != nil {
		c.before = *r.at
	}
	if c.at, err = positionOf(one, r.at); err != nil {
		return nil, err
	}
	r.at = &c.at
	if c.skip = r.skips(one); c.skip {
		return c, nil
	}
	c.Change, err = one.Change(t)
	return c, err
}

// readTables finds the tables that the query means, with all their names.
func (r *pageReader) readTables(ctx context.Context) error {
	list, err := tableNames(ctx, r.reader, r.tx)
	if err != nil {
		return err
	}
	r.tables = make(map[int64]capturedNames)
	for _, n := range list {
		r.tables[n.table] = append(r.tables[n.table], n.name)
	}
	if err := r.refuseTables(ctx, r.tables); err != nil {
		return err
	}
	for id, names := range r.tables {
		if !names.is(r.query, r.reader.Aliases) {
			delete(r.tables, id)
		}
	}
	return r.refuseFields(ctx)
}

// attribute sets who made the changes.
func (r *pageReader) attribute(ctx context.Context, list []*candidate) error {
	all := make([]*Change, len(list))
	for i, c := range list {
		all[i] = &c.Change
	}
	return r.reader.AttributeBy(ctx, r.tx, all)
}
