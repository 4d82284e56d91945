package changes

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// undoer makes an undo.
type undoer struct {
	*snapshot
	undo   *Undo
	undone map[changeID]bool
}

// changeID is the primary key of audit_changes.
type changeID struct{ xid, lsn, captured string }

func (r *row) id() changeID { return changeID{r.xid, r.lsn, r.captured} }

// undoChange is a change with what it was kept under.
type undoChange struct {
	Change
	row   *row
	shape *catalog.Shape // nil if it has drifted
	at    int            // where it was captured, among those that are undone

	rowKey, formerRowKey []string // as the texts of rows have them
}

// before and after are the row's keys.
func (c *undoChange) before() []string {
	switch {
	case c.Op == Insert:
		return nil
	case c.formerRowKey != nil:
		return c.formerRowKey
	}
	return c.rowKey
}

func (c *undoChange) after() []string {
	if c.Op == Delete {
		return nil
	}
	return c.rowKey
}

// chain are changes of one row, in the order in which they were made.
type chain struct {
	table   *undoTable
	changes []*undoChange
	at      int // where its last change was captured
}

// undo reads with f what is to be undone, and makes the undo.
func (s *Store) undo(ctx context.Context, title string, f func(*undoer) ([]*chain, error)) (*Undo, error) {
	if err := s.catalog.Supported(); err != nil {
		return nil, err
	}
	u := &Undo{title: title, speaks: s.catalog.Dialect}
	err := s.inSnapshot(ctx, s.catalog.DB, func(sn *snapshot) error {
		return (&undoer{snapshot: sn, undo: u, undone: make(map[changeID]bool)}).make(ctx, f)
	})
	if err != nil {
		return nil, err
	}
	var later []Change
	for _, c := range u.Conflicts {
		later = append(later, c.Later...)
	}
	if err := s.attribute(ctx, later); err != nil {
		return nil, err
	}
	for i := range u.Conflicts {
		n := copy(u.Conflicts[i].Later, later)
		later = later[n:]
	}
	return u, nil
}

func (r *undoer) make(ctx context.Context, f func(*undoer) ([]*chain, error)) error {
	chains, err := f(r)
	if err != nil || len(r.undo.Refusals) > 0 {
		return err
	}
	return r.plan(ctx, chains)
}

// changes reads changes that are to be undone.
func (r *undoer) changes(ctx context.Context, rows []*row) ([]*undoChange, error) {
	for _, one := range rows {
		r.undone[one.id()] = true
	}
	return r.snapshot.changes(ctx, rows)
}

// changes reads changes.
func (r *snapshot) changes(ctx context.Context, rows []*row) ([]*undoChange, error) {
	list := make([]*undoChange, 0, len(rows))
	for _, one := range rows {
		t, err := r.table(ctx, one.tableID)
		if err != nil {
			return nil, err
		}
		c := &undoChange{row: one}
		if sh := t.shapes[one.shapeID.Int64]; sh != nil {
			c.shape = t.calledNow(sh)
		}
		whole := *one
		if !t.keyed() {
			whole.changed.Valid, whole.whole = false, true // the rest tells the row from others
		}
		if c.Change, err = whole.changeNow(t); err != nil {
			return nil, catalog.Wrap("read the change at "+one.lsn, err)
		}
		if c.rowKey, err = keyOf(one.key); err == nil {
			c.formerRowKey, err = keyOf(one.formerKey)
		}
		if err != nil {
			return nil, catalog.Wrap("read the change at "+one.lsn, err)
		}
		list = append(list, c)
	}
	return list, nil
}

// transaction returns the changes of a transaction.
func (r *undoer) transaction(ctx context.Context, xid int64, startedAt time.Time) ([]*chain, error) {
	if err := r.pin(ctx); err != nil {
		return nil, err
	}
	if s, ok := r.store.sqlite(); ok {
		rows, err := s.ofTransaction(ctx, r, xid)
		if err != nil {
			return nil, err
		}
		return r.ofTransaction(ctx, rows, xid, startedAt)
	}
	id, started := strconv.FormatInt(xid, 10), startedAt.UTC().Format(time.RFC3339Nano)
	where := " WHERE " + ofTransaction("$1::pg_catalog.text::pg_catalog.xid8", "$2::pg_catalog.text::pg_catalog.timestamptz")
	rows, more, err := readSome(ctx, r.tx, MostUndone, MostBytes, r.store.selectChanges("c.system", r.store.at("audit_changes")+" c"+where+" ORDER BY c.xid, c.lsn LIMIT "+strconv.Itoa(MostUndone+1)), id, started)
	if err != nil {
		return nil, catalog.Wrap("read the transaction", err)
	}
	if more {
		return nil, ErrTooMany
	}
	gaps, err := r.gaps(ctx, where, id, started)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 && !gaps {
		return nil, fmt.Errorf("%w: transaction %d that began at %s", ErrNoChange, xid, started)
	}
	inOneCluster(rows)
	return r.ofTransaction(ctx, rows, xid, startedAt)
}

// ofTransaction returns the changes in rows, which are those of a transaction.
func (r *undoer) ofTransaction(ctx context.Context, rows []*row, xid int64, startedAt time.Time) ([]*chain, error) {
	list, err := r.changes(ctx, rows)
	if err != nil {
		return nil, err
	}
	if len(list) > 0 { // on SQLite a transaction may be asked for by its number alone
		startedAt = list[0].TxStartedAt
	}
	r.undo.Cause = causeOf(xid, startedAt)
	return r.chains(list), nil
}

// causeOf names a transaction.
func causeOf(xid int64, startedAt time.Time) string {
	return strconv.FormatInt(xid, 10) + "@" + startedAt.UTC().Format(time.RFC3339Nano)
}

// gaps refuses what was not captured.
func (r *undoer) gaps(ctx context.Context, where string, args ...any) (bool, error) {
	if r.store.catalog.Dialect == hooks.SQLite {
		return false, nil // its triggers keep a change, or the statement fails
	}
	list, err := r.store.gaps(ctx, r.tx, where+" ORDER BY c.lsn LIMIT 20", args...)
	if err != nil {
		return false, err
	}
	for _, g := range list {
		t, err := r.table(ctx, g.table)
		if err != nil {
			return false, err
		}
		r.undo.Refusals = append(r.undo.Refusals, Refusal{Table: t.label(), Reason: "the history has a gap: the " + g.op + " was not captured: " + g.reason})
	}
	return len(list) > 0, nil
}

// chains links the changes of each row, which come in the order in which they were captured, by the
// versions of rows that they have replaced and made.
func (r *undoer) chains(list []*undoChange) []*chain {
	after := func(c *undoChange) string {
		if c.row.key.Valid {
			return c.row.key.String
		}
		return c.row.new.String + c.native(func(f *Field) Value { return f.New })
	}
	before := func(c *undoChange) string {
		switch {
		case c.row.formerKey.Valid:
			return c.row.formerKey.String
		case c.row.key.Valid:
			return c.row.key.String
		}
		return c.row.old.String + c.native(func(f *Field) Value { return f.Old })
	}
	rows, of := make([]*row, len(list)), make(map[*row]*undoChange, len(list))
	for i, c := range list {
		c.at = i
		rows[i], of[c.row] = c.row, c
	}
	next := make(map[*undoChange]*undoChange)
	follows := make(map[*undoChange]bool)
	for r, m := range makers(rows, func(r *row) string { return before(of[r]) }, func(r *row) string { return after(of[r]) }) {
		next[of[m]], follows[of[r]] = of[r], true
	}
	// An update that changes nothing makes a version, and is not kept: what comes after it follows the last
	// change that has left its key. Rows without a key that are the same may be taken for each other.
	type left struct {
		table int64
		row   string
	}
	last := make(map[left][]*undoChange)
	for _, c := range list {
		if t := r.tables[c.row.tableID]; c.replaces() && !follows[c] && t.liveTable != nil && (!t.keyed() || t.distinct(t.key)) {
			ends := last[left{c.row.tableID, before(c)}]
			i := len(ends) - 1
			for i >= 0 && (next[ends[i]] != nil || reaches(next, c, ends[i])) {
				i--
			}
			if i >= 0 {
				next[ends[i]], follows[c] = c, true
			}
		}
		if c.makes() {
			of := left{c.row.tableID, after(c)}
			last[of] = append(last[of], c)
		}
	}
	var chains []*chain
	for _, c := range list {
		if follows[c] {
			continue
		}
		one := &chain{table: r.tables[c.row.tableID]}
		for ; c != nil; c = next[c] {
			one.changes = append(one.changes, c)
			one.at = max(one.at, c.at)
		}
		chains = append(chains, one)
	}
	return chains
}

// replaces and makes report whether the change has replaced a version of its row, and made one.
func (c *undoChange) replaces() bool {
	return c.Op == Update || c.Op == Delete
}

func (c *undoChange) makes() bool {
	return c.Op == Update || c.Op == Insert
}

// native is the text of a whole row on SQLite, before or after the change.
func (c *undoChange) native(side func(*Field) Value) string {
	if c.row.native == nil {
		return ""
	}
	list := make([]string, len(c.Fields))
	for i := range c.Fields {
		if v := side(&c.Fields[i]); v.Text != nil {
			list[i] = v.Storage + " " + *v.Text
		}
	}
	return rowtext.Format(list)
}

// reaches reports whether one change comes, some time, after another.
func reaches(next map[*undoChange]*undoChange, from, to *undoChange) bool {
	for ; from != nil; from = next[from] {
		if from == to {
			return true
		}
	}
	return false
}

// find returns the row of audit_changes of a change.
func (r *snapshot) find(ctx context.Context, c *Change) (*undoChange, error) {
	rows, err := r.mayBe(ctx, c)
	if err != nil {
		return nil, catalog.Wrap("read the change", err)
	}
	var found []*row
	for _, one := range rows {
		var key []string
		if key, err = one.keyOf(one.key); err != nil {
			return nil, catalog.Wrap("read the change at "+one.lsn, err)
		}
		t, tableErr := r.table(ctx, one.tableID)
		if tableErr != nil {
			return nil, tableErr
		}
		if ops[one.op] == c.Op && slices.Equal(key, c.Key) && (c.Table == "" || t.had(c.Schema, c.Table)) {
			found = append(found, one)
		}
	}
	if len(found) > 1 && r.store.catalog.Dialect == hooks.SQLite { // whose clock is coarse
		found = slices.DeleteFunc(found, func(one *row) bool {
			other, failed := one.change(r.tables[one.tableID])
			return failed != nil || !reflect.DeepEqual(other.FormerKey, c.FormerKey) || !reflect.DeepEqual(other.Fields, c.Fields)
		})
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%w: %s in transaction %d at %s", ErrNoChange, c.Op, c.XID, c.CapturedAt.UTC().Format(time.RFC3339Nano))
	case 1:
	default:
		return nil, errors.New("changes: the history has several changes of the transaction that were captured at the same time: undo the transaction")
	}
	list, err := r.changes(ctx, found)
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// mayBe returns the rows of audit_changes of a time. Each table has an index on that. The primary key would lead through
// all changes of the transaction, and so the condition on that leaves the server no choice.
func (r *snapshot) mayBe(ctx context.Context, c *Change) ([]*row, error) {
	if s, ok := r.store.sqlite(); ok {
		return s.mayBe(ctx, r, c)
	}
	const of = "CASE WHEN c.xid = $1::pg_catalog.text::pg_catalog.xid8 AND c.tx_started_at = $2::pg_catalog.text::pg_catalog.timestamptz THEN true END"
	return catalog.ReadAll(ctx, r.tx, scanRow, r.store.selectChanges(r.store.system(), "(SELECT DISTINCT h.table_id FROM "+r.store.at("audit_shapes")+" h) t CROSS JOIN LATERAL (SELECT * FROM "+
		r.store.at("audit_changes")+" c WHERE c.table_id = t.table_id AND c.captured_at = $3::pg_catalog.text::pg_catalog.timestamptz AND "+of+" OFFSET 0) c ORDER BY c.lsn"),
		strconv.FormatInt(c.XID, 10), c.TxStartedAt.UTC().Format(time.RFC3339Nano), c.CapturedAt.UTC().Format(time.RFC3339Nano))
}

// one returns a single change.
func (r *undoer) one(ctx context.Context, c *Change) ([]*chain, error) {
	if err := r.pin(ctx); err != nil {
		return nil, err
	}
	change, err := r.find(ctx, c)
	if err != nil {
		return nil, err
	}
	r.undone[change.row.id()] = true
	r.undo.Cause = causeOf(c.XID, c.TxStartedAt)
	return []*chain{{table: r.tables[change.row.tableID], changes: []*undoChange{change}}}, nil
}

// follow returns what happened to a row after a change, also under other keys, and to those that had its
// last key after it and have no other now.
func (l *lives) follow(ctx context.Context, r *row) (list []*row, err error) {
	for r != nil {
		key := r.key.String
		all, err := l.changes(ctx, key)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, r.is) + 1
		gone, other := false, 0 // where in list the changes of the row begin that has the key then
		for r = nil; i < len(all) && r == nil; i++ {
			one := all[i]
			if one.op == "I" || one.began(key) {
				other = len(list)
			}
			list = append(list, one)
			switch left := one.op == "U" && one.ended(key); {
			case left && gone:
				list = list[:other]
			case left:
				r = one // and goes on under another key
			case one.ended(key):
				gone, other = true, len(list)
			}
		}
	}
	return list, nil
}

// lives splits changes that are to be undone into those of each row, which are in one of the lists. That one begins with the
// key with which another has ended does not make them one row: they may have exchanged their keys. first says that
// there are none before them.
func (r *undoer) lives(t *undoTable, lists [][]*undoChange, first bool) ([]*chain, error) {
	all := slices.Concat(lists...)
	if len(all) > MostUndone {
		return nil, ErrTooMany
	}
	for i, c := range all {
		c.at = i
	}
	var chains []*chain
	for _, list := range lists {
		var last *undoChange
		for _, c := range list {
			goesOn := last != nil && last.Op != Delete && last.Op != Truncate && c.Op != Insert && c.Op != Truncate && slices.Equal(last.after(), c.before())
			if last = c; !goesOn {
				chains = append(chains, &chain{table: t})
			}
			one := chains[len(chains)-1]
			one.changes, one.at = append(one.changes, c), c.at
		}
	}
	if len(all) > 0 {
		r.undo.Cause = causeOf(all[0].XID, all[0].TxStartedAt)
	}
	if first && len(all) > 0 && all[0].Op != Insert {
		r.undo.Warnings = append(r.undo.Warnings, fmt.Sprintf("%s: its history begins at %s with its %s: the undo leads to what was there before that", nameOf(t.label(), t.plain(all[0].before())), all[0].CapturedAt.Format(time.RFC3339Nano), all[0].Op))
	}
	return chains, nil
}

// since returns what happened to a row after a moment.
func (r *undoer) since(ctx context.Context, table string, key []string, to time.Time) ([]*chain, error) {
	named, err := r.look(ctx, table)
	if err != nil {
		return nil, err
	}
	if err = r.pin(ctx); err != nil {
		return nil, err
	}
	if err = r.gapsSince(ctx, named, to); err != nil {
		return nil, err
	}
	t, l, key, err := r.keyed(ctx, named.id, key)
	if err != nil {
		return nil, err
	}
	text, each, err := r.under(ctx, l, key)
	if err != nil {
		return nil, err
	}
	if len(each) == 0 {
		return nil, fmt.Errorf("%w: of %s", ErrNoChange, nameOf(t.label(), key))
	}
	left := func(life []*row) bool { last := life[len(life)-1]; return last.op == "U" && last.ended(text) }
	last := each[len(each)-1]
	each = slices.DeleteFunc(each[:len(each)-1], left) // these are rows of other keys now
	if left(last) {
		more, err := l.follow(ctx, last[len(last)-1])
		if err != nil {
			return nil, catalog.Wrap("read the history", err)
		}
		last = append(last, more...)
	}
	each = append(each, last)
	after := afterMoment(each, text, to)
	first := len(after[0]) == len(each[0])
	var lists [][]*undoChange
	for _, later := range after {
		list, err := r.changes(ctx, later)
		if err != nil {
			return nil, err
		}
		lists = append(lists, list)
	}
	return r.lives(t, lists, first)
}

// afterMoment returns what comes, of each of the rows that have had a key, after its last change that was captured by a moment. The clock
// may have been set back: it finds the place, and then the order of the changes counts. Before a row that had the key by then come the
// rows that had it earlier, with all their changes.
func afterMoment(each [][]*row, key string, to time.Time) [][]*row {
	captured := to.UTC().Format(lenient.TimeForm)
	after := make([][]*row, len(each))
	for i := len(each) - 1; i >= 0; i-- {
		life := each[i]
		got, by := 0, -1 // where it got the key, and its last change by then
		for j, r := range life {
			if r.began(key) {
				got = j
			}
			if r.captured <= captured {
				by = j
			}
		}
		if after[i] = life[by+1:]; by >= got {
			break
		}
	}
	return after
}

// gapsSince refuses what was not captured of a table since a moment.
func (r *undoer) gapsSince(ctx context.Context, t *undoTable, to time.Time) error {
	if r.store.catalog.Dialect != hooks.SQLite {
		_, err := r.gaps(ctx, " WHERE c.table_id = $1 AND c.captured_at > $2::pg_catalog.text::pg_catalog.timestamptz", t.id, to.UTC().Format(time.RFC3339Nano))
		return err
	}
	breaks, err := r.breaks(ctx, t)
	if err != nil {
		return err
	}
	if b := broken(breaks, to, time.Now().Add(24*time.Hour)); b != nil {
		r.refuse(t, nil, nil, "the history has a gap: "+b.Text)
	}
	return nil
}

// under returns the changes of the rows that have had a key, those of each by themselves, and its text.
func (r *undoer) under(ctx context.Context, l *lives, key []string) (text string, each [][]*row, err error) {
	if s, ok := r.store.sqlite(); ok {
		return s.under(ctx, r.tx, l, key)
	}
	text = rowtext.Format(key)
	each, err = l.each(ctx, text)
	return text, each, catalog.Wrap("read the history", err)
}

// sinceChange returns what happened to a row after one of its changes.
func (r *undoer) sinceChange(ctx context.Context, c *Change) ([]*chain, error) {
	if err := r.pin(ctx); err != nil {
		return nil, err
	}
	change, err := r.find(ctx, c)
	if err != nil {
		return nil, err
	}
	if change.Key == nil {
		return nil, errors.New("changes: the key of the row is not known")
	}
	if err = r.gapsSince(ctx, r.tables[change.row.tableID], change.CapturedAt); err != nil {
		return nil, err
	}
	t, l, _, err := r.keyed(ctx, change.row.tableID, change.rowKey)
	if err != nil {
		return nil, err
	}
	rows, err := l.follow(ctx, change.row)
	if err != nil {
		return nil, catalog.Wrap("read the history", err)
	}
	list, err := r.changes(ctx, rows)
	if err != nil {
		return nil, err
	}
	return r.lives(t, [][]*undoChange{list}, false)
}

// castTo is a value of a type.
func castTo(text *string, typ string) string {
	if text == nil {
		return "NULL::" + typ
	}
	return pgtext.Literal(*text) + "::" + typ
}

// literal is a value of the column.
func (c *liveColumn) literal(v Value) string {
	if c.native {
		return sqliteLiteral(v)
	}
	return castTo(v.Text, c.Type)
}
