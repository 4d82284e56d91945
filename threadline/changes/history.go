package changes

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/rowtext"
)

// History returns the changes of one row, the oldest first. key has the values of the key's
// columns. What PostgreSQL prints in another form finds a row that is there, and a time without a zone is one in UTC. The history has all that happened under the key, also to rows
// that were deleted before. If a row's key has become this one, it goes back to that row's
// INSERT under its former keys. TRUNCATEs of the table are part of each row's history, and so are
// changes of which the key is not known, because the table had lost its columns. A table that was
// renamed keeps its history; one that was made again under an old name has a separate one. Of one that was never captured the error is
// [ErrNotCaptured]. [Store.Breaks] says what may be missing.
func (s *Store) History(ctx context.Context, table string, key ...string) ([]Change, error) {
	if s, ok := s.sqlite(); ok {
		return s.history(ctx, table, key)
	}
	if err := s.catalog.Supported(); err != nil {
		return nil, err
	}
	f, err := s.lookPast(ctx, s.catalog.DB, table)
	if err != nil {
		return nil, err
	}
	if len(key) == 0 {
		return nil, fmt.Errorf("changes: History needs the key of a row of %s", table)
	}
	shapes, err := s.catalog.Shapes(ctx, s.catalog.DB, f.TableID())
	if err != nil {
		return nil, err
	}
	t := pastTable(f.TableID(), shapes)
	if t.named == nil {
		return nil, neverCaptured(table)
	}
	l := &lives{store: s, db: s.catalog.DB, tableID: f.TableID(), under: make(map[string][]*row), deferrable: f.Deferrable && slices.Equal(t.named.Key, f.Key)}
	if key, err = s.printed(ctx, l, table, key); err != nil {
		return nil, err
	}
	rows, err := l.all(ctx, rowtext.Format(key))
	if err != nil {
		return nil, err
	}
	history := make([]Change, len(rows))
	for i, r := range rows {
		if history[i], err = r.change(t); err != nil {
			return nil, catalog.Wrap("read the change at "+r.lsn, err)
		}
	}
	return history, s.attribute(ctx, history)
}

// lives follows the rows of a table through their keys. Keys are the texts of rows.
type lives struct {
	store   *Store
	db      catalog.Querier
	tableID int64
	under   map[string][]*row // the changes that have a key, or have had it before
	table   *undoTable        // on SQLite: the values of changes are read, too

	deferrable bool // two rows may have a key in the middle of a transaction
}

// all returns the changes of all rows that have had a key.
func (l *lives) all(ctx context.Context, key string) ([]*row, error) {
	each, err := l.each(ctx, key)
	return slices.Concat(each...), err
}

// each returns the same, those of each row by themselves. One that was inserted again is another. So is a change that may be of
// any row.
func (l *lives) each(ctx context.Context, key string) (each [][]*row, err error) {
	list, err := l.changes(ctx, key)
	if err != nil {
		return nil, err
	}
	goesOn := false
	for _, r := range list {
		keyed := r.key.Valid || r.formerKey.Valid
		var life []*row
		switch last := len(each) - 1; {
		case r.began(key):
			if life, err = l.before(ctx, r, r.formerKey.String); err != nil {
				return nil, err
			}
			each = except(each, life) // the row may have had the key before, and another in between
		case goesOn && keyed && r.op != "I":
			life, each = each[last], each[:last]
		}
		each = append(each, append(life, r))
		goesOn = keyed && !r.ended(key)
	}
	return each, nil
}

// except leaves some changes out.
func except(each [][]*row, some []*row) [][]*row {
	out := make(map[changeID]bool, len(some))
	for _, r := range some {
		out[r.id()] = true
	}
	for i := range each {
		each[i] = slices.DeleteFunc(each[i], func(r *row) bool { return out[r.id()] })
	}
	return slices.DeleteFunc(each, func(life []*row) bool { return len(life) == 0 })
}

// until returns what happened to a row, back to its INSERT, until r, which has left it with a key.
func (l *lives) until(ctx context.Context, r *row, key string) (life []*row, err error) {
	switch {
	case r.began(key):
		life, err = l.before(ctx, r, r.formerKey.String)
	case r.op != "I":
		life, err = l.before(ctx, r, key)
	}
	return append(life, r), err
}

// before returns what happened to a row before r, back to its INSERT. It had the key before r.
func (l *lives) before(ctx context.Context, r *row, key string) (life []*row, err error) {
	for r != nil {
		list, err := l.changes(ctx, key)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(list, r.is) // it is there, since r has the key, or has changed it
		r = nil
		for i--; i >= 0 && !list[i].ended(key); i-- {
			life = append(life, list[i])
			if list[i].began(key) {
				r = list[i]
			}
			if list[i].op == "I" || r != nil {
				break
			}
		}
		if r != nil {
			key = r.formerKey.String
		}
	}
	slices.Reverse(life)
	return life, nil
}

// began reports whether the change has given its row the key.
func (r *row) began(key string) bool {
	return r.formerKey.Valid && r.key.String == key && r.formerKey.String != key
}

// ended reports whether the change has taken the key from its row, or the row away.
func (r *row) ended(key string) bool {
	return r.op == "D" || r.op == "T" || r.formerKey.Valid && r.formerKey.String == key && r.key.String != key
}

// is reports whether both are the same change.
func (r *row) is(o *row) bool { return r.xid == o.xid && r.lsn == o.lsn && r.captured == o.captured }

// changes returns those that have a key, have changed it, or have none.
func (l *lives) changes(ctx context.Context, key string) (list []*row, err error) {
	if known, ok := l.under[key]; ok {
		return known, nil
	}
	if s, ok := l.store.sqlite(); ok {
		if list, err = s.changesOf(ctx, l.db, l.tableID, key); err == nil && l.table != nil {
			err = s.readWhole(ctx, l.db, l.table, list)
		}
	} else if list, err = catalog.ReadAll(ctx, l.db, scanRow, l.store.changesOfKey(), l.tableID, key); err == nil {
		err = l.store.inClusters(ctx, l.db, list)
	}
	if err != nil {
		return nil, catalog.Wrap("read the history", err)
	}
	list = byVersion(byCluster(list))
	if _, lite := l.store.sqlite(); !lite {
		list = byHolder(list, key, l.deferrable)
	}
	l.under[key] = list
	return list, nil
}

// changesOfKey is the query for the changes of a table that have a key, have changed it, or have
// none. Each of the three parts uses its own index.
func (s *Store) changesOfKey() string {
	table := s.at("audit_changes")
	one := func(column string) string {
		return "SELECT * FROM " + table + " c WHERE " + withKey(column, "$2", "$1")
	}
	return s.selectChanges("c.system", "("+one("key")+" UNION ALL "+one("former_key")+" UNION ALL SELECT * FROM "+table+" WHERE key IS NULL AND table_id = $1) c ORDER BY c.lsn")
}

// selectChanges is a query, for scanRow, for the changes c of a FROM clause; first it selects other
// columns. system is an expression of the cluster in which they were.
func (s *Store) selectChanges(system, from string, others ...string) string {
	return "SELECT " + strings.Join(append(others, ""), ", ") + `c.table_id, pg_catalog.concat(c.xid), ` + pgtext.Time("c.tx_started_at") + `, ` + pgtext.Time("c.captured_at") + `,
		c.lsn::pg_catalog.text, c.old_tid::pg_catalog.text, c.new_tid::pg_catalog.text, c.shape_id, c.depth, c.op::pg_catalog.text,
		c.key, c.former_key, c.changed, c.old_row, c.new_row, c.cut, c.columns::pg_catalog.text,
		` + system + `
		FROM ` + from
}

// byCluster puts changes, which come in the order of the WAL, into that of the clusters in which the
// database was: one that was restored counts anew. Between clusters only the clock says
// what came first.
func byCluster(list []*row) []*row {
	began := make(map[int64]string)
	var known []*row
	for _, r := range list {
		if !r.system.Valid {
			continue
		}
		known = append(known, r)
		if first, ok := began[r.system.Int64]; !ok || r.captured < first {
			began[r.system.Int64] = r.captured
		}
	}
	if len(began) < 2 {
		return list
	}
	// A session may have hidden where it was, and the first change of a transaction may be deleted: then it was where the last one
	// before it was.
	slices.SortStableFunc(known, func(a, b *row) int { return strings.Compare(a.captured, b.captured) })
	where := func(r *row) string {
		if !r.system.Valid {
			behind, _ := slices.BinarySearchFunc(known, r, func(k, r *row) int { return cmp.Or(strings.Compare(k.captured, r.captured), -1) })
			r = known[max(behind-1, 0)]
		}
		return began[r.system.Int64]
	}
	slices.SortStableFunc(list, func(a, b *row) int { return strings.Compare(where(a), where(b)) })
	return list
}

// row is a row of audit_changes.
type row struct {
	tableID                                         int64
	xid, started, captured, lsn, op                 string
	shapeID, system                                 sql.NullInt64
	depth                                           int
	oldTID, newTID                                  sql.NullString // of the row's versions
	key, formerKey, changed, old, new, cut, columns sql.NullString

	seq    int64                // on SQLite
	whole  bool                 // there: its fields are to be all that are kept
	held   bool                 // there: it is no change
	native map[int]sqliteValues // there, by the column's number in the shape, from 1
}

// system is the cluster in which the transaction of a change c was, which its first change has.
func (s *Store) system() string {
	return "(SELECT f.system FROM (SELECT c.xid AS id, c.tx_started_at AS started) t, LATERAL (SELECT c.system FROM " + s.at("audit_changes") + " c WHERE " + ofTransaction("t.id", "t.started") + " ORDER BY c.xid, c.lsn LIMIT 1) f)"
}

// inClusters sets in which clusters changes were, asking once for each transaction: it may have changed a row often.
func (s *Store) inClusters(ctx context.Context, q catalog.Querier, list []*row) error {
	type place struct {
		transaction
		system sql.NullInt64
	}
	systems := make(map[transaction]sql.NullInt64)
	for _, r := range list {
		systems[r.transaction()] = r.system
	}
	for chunk := range slices.Chunk(slices.Collect(maps.Keys(systems)), atOnce) {
		var xids, starts []string
		for _, t := range chunk {
			xids, starts = append(xids, t.xid), append(starts, t.started)
		}
		places, err := catalog.ReadAll(ctx, q, func(rows *sql.Rows) (p place, err error) { return p, rows.Scan(&p.xid, &p.started, &p.system) },
			`SELECT k.xid::pg_catalog.text, `+pgtext.Time("k.started")+`, (SELECT c.system FROM `+s.at("audit_changes")+` c WHERE `+ofTransaction("k.xid", "k.started")+` ORDER BY c.xid, c.lsn LIMIT 1)
			FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text::pg_catalog.xid8[]), pg_catalog.unnest($2::pg_catalog.text::pg_catalog.timestamptz[])) k (xid, started)`,
			"{"+strings.Join(xids, ",")+"}", `{"`+strings.Join(starts, `","`)+`"}`)
		if err != nil {
			return err
		}
		for _, p := range places {
			systems[p.transaction] = p.system
		}
	}
	for _, r := range list {
		r.system = systems[r.transaction()]
	}
	return nil
}

// scanRow scans what selectChanges selects.
func scanRow(rows *sql.Rows) (*row, error) { return scanRowAnd(rows) }

func scanRowAnd(rows *sql.Rows, others ...any) (*row, error) {
	r := &row{}
	return r, rows.Scan(append(others, &r.tableID, &r.xid, &r.started, &r.captured, &r.lsn, &r.oldTID, &r.newTID, &r.shapeID, &r.depth, &r.op, &r.key, &r.formerKey, &r.changed, &r.old, &r.new, &r.cut, &r.columns, &r.system)...)
}

// change returns the change under the names that the table and its columns had then.
func (r *row) change(t *undoTable) (c Change, err error) {
	sh, err := t.shapeOf(r)
	if err != nil {
		return c, err
	}
	return r.changeIn(t, sh)
}

// changeNow returns the change under the names that the table's columns have now.
func (r *row) changeNow(t *undoTable) (c Change, err error) {
	sh, err := t.shapeOf(r)
	if err != nil {
		return c, err
	}
	return r.changeIn(t, t.calledNow(sh))
}

func (r *row) changeIn(t *undoTable, sh *catalog.Shape) (c Change, err error) {
	if c.XID, err = strconv.ParseInt(r.xid, 10, 64); err != nil {
		return c, err
	}
	if c.TxStartedAt, err = time.Parse(lenient.TimeForm, r.started); err != nil {
		return c, err
	}
	if c.CapturedAt, err = time.Parse(lenient.TimeForm, r.captured); err != nil {
		return c, err
	}
	c.Op, c.Nested, c.Seq = ops[r.op], r.depth > 1, r.seq
	c.Drifted = t.shapes[r.shapeID.Int64] == nil && r.op != "T"
	if c.Schema, c.Table = sh.Schema, sh.Table; c.Table == "" && t.named != nil {
		c.Schema, c.Table = t.named.Schema, t.named.Table
	}
	if c.Key, err = r.keyOf(r.key); err != nil {
		return c, err
	}
	if c.FormerKey, err = r.keyOf(r.formerKey); err != nil {
		return c, err
	}
	c.KeyColumns = sh.Key
	c.Fields, err = r.fields(sh)
	return c, err
}

// keyOf are the values of a key of the row.
func (r *row) keyOf(text sql.NullString) ([]string, error) {
	if text.String == fromNull {
		return nil, nil
	}
	key, err := keyOf(text)
	for i := 0; err == nil && r.native != nil && i < len(key); i++ {
		var v Value
		if v, err = parseSQLiteKey(key[i]); err == nil {
			key[i] = *v.Text
		}
	}
	return key, err
}

func keyOf(text sql.NullString) ([]string, error) {
	if !text.Valid {
		return nil, nil
	}
	values, err := rowtext.Parse(text.String)
	if err != nil {
		return nil, err
	}
	key := make([]string, len(values))
	for i, v := range values {
		if v != nil {
			key[i] = *v
		}
	}
	return key, nil
}

func (r *row) fields(sh *catalog.Shape) ([]Field, error) {
	switch {
	case r.native != nil:
		return r.nativeFields(sh), nil
	case r.op == "T":
		return nil, nil
	}
	old, err := r.values(r.old, len(sh.Columns))
	if err != nil {
		return nil, err
	}
	now, err := r.values(r.new, len(sh.Columns))
	if err != nil {
		return nil, err
	}
	changed, cut := strings.Fields(r.changed.String), strings.Fields(r.cut.String)
	var fields []Field
	for i, c := range sh.Columns {
		n := strconv.Itoa(i + 1)
		if r.changed.Valid && !slices.Contains(changed, n) {
			continue
		}
		f := Field{Name: c.Name, Type: c.Type}
		if r.old.Valid {
			f.Old = Value{Text: old[i], Masked: c.Masked, Cut: slices.Contains(cut, "o"+n)}
		}
		if r.new.Valid {
			f.New = Value{Text: now[i], Masked: c.Masked, Cut: slices.Contains(cut, "n"+n)}
		}
		fields = append(fields, f)
	}
	return fields, nil
}

func (r *row) values(text sql.NullString, want int) ([]*string, error) {
	if !text.Valid {
		return nil, nil
	}
	values, err := rowtext.Parse(text.String)
	if err == nil && len(values) != want {
		err = fmt.Errorf("%d values for %d columns", len(values), want)
	}
	return values, err
}
