package reading

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/change"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// Break is a break, with what decides whether values are known across it.
type Break struct {
	change.Break
	otherKey bool // of Reshaped: the columns of the key are others
	onlyCame bool // of Partitioned: no partition went
}

// Breaks are those of a table.
func (r *Snapshot) Breaks(ctx context.Context, t *Table) ([]Break, error) {
	if s, ok := r.Reader.OnSQLite(); ok {
		list, err := s.Between(ctx, r.Tx, r.Lite[t.ID], t.Captures, t.others, t.Shapes)
		return list, catalog.Wrap("read the breaks of "+t.Label(), err)
	}
	readable, err := r.Reader.Catalog.CapturesReadable(ctx, r.Tx)
	if err != nil {
		return nil, catalog.Wrap("read the breaks of "+t.Label(), err)
	}
	if !readable {
		return nil, fmt.Errorf("changes: the breaks of %s are in %s: run capture.Installer.Migrate, or grant SELECT on it", t.Label(), r.Reader.At("audit_captures"))
	}
	changed, err := r.Reader.breaksInChanges(ctx, r.Tx, t)
	if err == nil {
		changed, err = r.addPurges(ctx, t, changed)
	}
	if err != nil {
		return nil, catalog.Wrap("read the breaks of "+t.Label(), err)
	}
	slices.SortStableFunc(changed, func(a, b change.Break) int { return cmp.Or(a.To.Compare(b.To), a.From.Compare(b.From)) })
	list := make([]Break, len(changed))
	for i, b := range changed {
		list[i].Break = b
	}
	var before *catalog.Capture
	at := 0 // whatever the clock says, captures are in this order
	for _, n := range t.Captures {
		breaks, failed := breaksBetween(before, n, t.others, t.Shapes)
		if failed != nil {
			return nil, catalog.Wrap("read the breaks of "+t.Label(), failed)
		}
		for _, b := range breaks {
			for at < len(list) && list[at].To.Before(b.To) {
				at++
			}
			list = slices.Insert(list, at, b)
			at++
		}
		before = n
	}
	later, err := r.sinceLastCapture(ctx, t)
	if err != nil {
		return nil, catalog.Wrap("read the breaks of "+t.Label(), err)
	}
	return append(list, later...), nil
}

// sinceLastCapture returns the breaks that the next capture will show: triggers are missing, or were disabled since the last one, or
// partitions have come with their rows. Until then the history must not say that nothing has changed. Partitions that have gone are
// LiveTable.Detached. In a restored database only triggers that are missing count: what else is unlike before says the next capture.
func (r *Snapshot) sinceLastCapture(ctx context.Context, t *Table) ([]Break, error) {
	if t.LiveTable == nil || len(t.Captures) == 0 {
		return nil, nil
	}
	last := t.Captures[len(t.Captures)-1]
	if last.ShapeID == nil {
		return nil, nil
	}
	f := &catalog.Relation{LastCapture: last, Place: t.Here}
	f.Schema, f.Table = t.Now.Schema, t.Now.Table
	f.SetTableID(t.ID)
	missed, err := !t.Capturing, error(nil)
	if !missed {
		missed, err = r.Reader.Catalog.Altered(ctx, r.Tx, f)
	}
	var come []string
	if last.Place == t.Here {
		come = catalog.Without(t.Partitions, last.Partitions)
	}
	if err != nil || !missed && come == nil {
		return nil, err
	}
	next := *last
	next.Resumed, next.Partitions = missed, slices.Concat(last.Partitions, come)
	if err = r.Tx.QueryRowContext(ctx, "SELECT "+pgtext.Time("pg_catalog.clock_timestamp()")).Scan(&next.NotedAt); err != nil {
		return nil, err
	}
	list, err := breaksBetween(last, &next, nil, t.Shapes)
	for i := range list {
		list[i].Schema, list[i].Table = t.Now.Schema, t.Now.Table
	}
	return list, err
}

// breaksBetween returns the breaks between two captures of a table; if before is nil, how its history began.
func breaksBetween(before, c *catalog.Capture, others []*catalog.Capture, shapes map[int64]*catalog.Shape) (list []Break, err error) {
	to, err := c.Time()
	if err != nil {
		return nil, err
	}
	from := to
	if before != nil {
		if from, err = before.Time(); err != nil {
			return nil, err
		}
		if from.After(to) { // the clock was set back
			from = to
		}
	}
	add := func(kind change.BreakKind, format string, args ...any) {
		list = append(list, Break{Break: change.Break{Kind: kind, From: from, To: to, Schema: c.Schema, Table: c.Table, Text: fmt.Sprintf(format, args...)}})
	}
	if before == nil {
		add(change.Began, "%s", howBegan(c, others))
		return list, nil
	}
	if before.Place != c.Place {
		add(change.Restored, "it was restored into another database")
	}
	if before.Schema != c.Schema || before.Table != c.Table {
		add(change.Renamed, "its name was %s.%s", before.Schema, before.Table)
	}
	switch {
	case c.ShapeID == nil:
		add(change.Uncaptured, "its capture was removed")
		list[len(list)-1].From = to
		return list, nil
	case before.ShapeID == nil:
		add(change.Uncaptured, "its capture was made again after it was removed")
	case c.Resumed:
		add(change.Uncaptured, "triggers were missing or disabled")
	}
	if now := shapes[*c.ShapeID]; now != nil && before.ShapeID != nil && shapes[*before.ShapeID] != nil {
		if what := reshaped(now, shapes[*before.ShapeID]); what != "" {
			add(change.Reshaped, "%s", what)
			list[len(list)-1].otherKey = !now.SameKey(shapes[*before.ShapeID])
		}
	}
	if gone, come := catalog.Without(before.Partitions, c.Partitions), catalog.Without(c.Partitions, before.Partitions); gone != nil || come != nil {
		var what []string
		if gone != nil {
			what = append(what, "detached or dropped: "+strings.Join(gone, ", "))
		}
		if come != nil {
			what = append(what, "attached or made: "+strings.Join(come, ", "))
		}
		add(change.Partitioned, "%s", strings.Join(what, "; "))
		list[len(list)-1].onlyCame = gone == nil
	}
	return list, nil
}

// howBegan says how a history begins.
func howBegan(c *catalog.Capture, others []*catalog.Capture) string {
	i := slices.IndexFunc(others, func(o *catalog.Capture) bool {
		return o.Schema == c.Schema && o.Table == c.Table && o.NotedAt < c.NotedAt
	})
	if i < 0 {
		return "its capture began"
	}
	return "its capture began: another table had this name before, with a history of its own"
}

// reshaped says what of s is unlike before, "" if nothing is that matters to a reader.
func reshaped(s, before *catalog.Shape) string {
	var what []string
	for _, c := range s.Columns {
		i := before.Find(s, c.Name)
		if i < 0 && slices.Contains(before.Exclude, c.Name) {
			what = append(what, fmt.Sprintf("column %q is no longer excluded", c.Name))
			continue
		} else if i < 0 {
			again := ""
			if before.Position(c.Name) >= 0 {
				again = " (another had its name before)"
			}
			what = append(what, fmt.Sprintf("column %q was added%s", c.Name, again))
			continue
		}
		was := &before.Columns[i]
		if was.Name != c.Name {
			what = append(what, fmt.Sprintf("column %q was called %q", c.Name, was.Name))
		}
		switch {
		case was.Type != c.Type:
			what = append(what, fmt.Sprintf("column %q was of type %s and is %s", c.Name, was.Type, c.Type))
		case c.Hashed != was.Hashed && c.Masked && was.Masked:
			what = append(what, fmt.Sprintf("column %q is masked by %s", c.Name, map[bool]string{true: "a hash", false: "a placeholder"}[c.Hashed]))
		case was.Masked && !c.Masked:
			what = append(what, fmt.Sprintf("column %q is no longer masked", c.Name))
		case !was.Masked && c.Masked:
			what = append(what, fmt.Sprintf("column %q is masked", c.Name))
		}
	}
	for _, c := range before.Columns {
		switch {
		case s.Find(before, c.Name) >= 0:
		case slices.Contains(s.Exclude, c.Name):
			what = append(what, fmt.Sprintf("column %q is excluded", c.Name))
		case s.SameTable(before) && s.Numbered() && before.Numbered() && s.Position(c.Name) >= 0: // and added, which was said
		default:
			what = append(what, fmt.Sprintf("column %q was dropped or renamed", c.Name))
		}
	}
	if !s.SameKey(before) {
		what = append(what, fmt.Sprintf("the key was (%s) and is (%s)", strings.Join(before.Key, ", "), strings.Join(s.Key, ", ")))
	}
	return strings.Join(what, ", ")
}

// breaksInChanges returns the TRUNCATEs, drifts and gaps of a table.
func (s *Reader) breaksInChanges(ctx context.Context, q catalog.Querier, t *Table) ([]change.Break, error) {
	named := t.LastShape
	if t.LiveTable != nil {
		named = t.Now
	}
	return catalog.ReadAll(ctx, q, func(rows *sql.Rows) (b change.Break, err error) {
		var from, to, columns string
		var count int
		if err = rows.Scan(&b.Kind, &from, &to, &count, &columns, &b.Text); err != nil {
			return b, err
		}
		b.Schema, b.Table = named.Schema, named.Table
		if b.From, err = time.Parse(lenient.TimeForm, from); err != nil {
			return b, err
		}
		if b.To, err = time.Parse(lenient.TimeForm, to); err != nil {
			return b, err
		}
		switch b.Kind {
		case change.Drifted:
			b.Text, err = drifted(count, columns)
		case change.Lost:
			if reason, is := strings.CutPrefix(b.Text, catalog.Unordered+": "); is {
				b.Text = "the order of changes is not known: " + reason
				break
			}
			b.Text = fmt.Sprintf("changes that were not kept: %d: %s", count, b.Text)
		case change.Undelivered:
			b.Text = fmt.Sprintf("changes that could not be copied here: %d: %s", count, b.Text)
		case change.Unhashed:
			b.Text = fmt.Sprintf("changes that were kept without hashes: %d: %s", count, b.Text)
		}
		return b, err
	}, `SELECT b.kind, `+pgtext.Time("b.first")+`, `+pgtext.Time("b.last")+`, b.count, b.columns, b.what FROM (
		SELECT 'truncated' AS kind, c.captured_at AS first, c.captured_at AS last, 1 AS count, '' AS columns, 'all rows were removed by TRUNCATE, or those of a partition' AS what
			FROM `+s.At("audit_changes")+` c WHERE c.table_id = $1 AND c.op = 'T' AND (c.shape_id IS NULL OR c.op = 'T')
		UNION ALL SELECT 'drifted', pg_catalog.min(c.captured_at), pg_catalog.max(c.captured_at), pg_catalog.count(*), c.columns::pg_catalog.text, ''
			FROM `+s.At("audit_changes")+` c WHERE c.table_id = $1 AND c.shape_id IS NULL AND c.op <> 'T' AND (c.shape_id IS NULL OR c.op = 'T') GROUP BY c.columns::pg_catalog.text
		UNION ALL SELECT CASE WHEN g.op = '`+catalog.Unhashed+`' THEN 'unhashed' WHEN `+IsUndelivered+` THEN 'undelivered' ELSE 'lost' END, pg_catalog.min(g.captured_at), pg_catalog.max(g.captured_at), pg_catalog.count(DISTINCT g.lsn), '',
			CASE WHEN g.op = '`+catalog.Unhashed+`' THEN g.reason ELSE pg_catalog.concat(pg_catalog.replace(g.op, `+pgtext.Literal(catalog.Undelivered)+`, ''), ': ', g.reason) END
			FROM `+s.At("audit_gaps")+` g WHERE g.table_id IN ($1, `+strconv.Itoa(catalog.AnyTable)+`) AND `+s.Shows()+` GROUP BY g.xid, g.tx_started_at, g.op, g.reason) b`, t.ID)
}

// drifted says how a table was, of which changes were kept as whole rows.
func drifted(count int, columns string) (string, error) {
	var list []catalog.Column
	if columns != "" {
		if err := json.Unmarshal([]byte(columns), &list); err != nil {
			return "", err
		}
	}
	names := make([]string, len(list))
	for i, c := range list {
		names[i] = c.Name + " " + c.Type
	}
	return fmt.Sprintf("changes of whole rows: %d: the table had (%s)", count, strings.Join(names, ", ")), nil
}

// FirstBroken returns the first of the breaks between two moments, across which values are not known, nil if there is none.
func FirstBroken(breaks []Break, from, to time.Time) *change.Break {
	return firstBroken(breaks, from, to, false)
}

// FirstBrokenOfRow is FirstBroken for a row that was there at the first moment, and that no change says is gone. Partitions that were
// attached since cannot have brought another row with its key.
func FirstBrokenOfRow(breaks []Break, from, to time.Time) *change.Break {
	return firstBroken(breaks, from, to, true)
}

func firstBroken(breaks []Break, from, to time.Time, there bool) *change.Break {
	for i := range breaks {
		b := &breaks[i]
		if there && b.onlyCame {
			continue
		}
		unknown := b.Kind.MayMiss() || b.Kind == change.Reshaped && b.otherKey
		if unknown && b.To.After(from) && b.From.Before(to) {
			return &b.Break
		}
	}
	return nil
}

// addPurges adds a break for each purge that has deleted changes of a table. Tables of an earlier version have no list of purges.
func (r *Snapshot) addPurges(ctx context.Context, t *Table, list []change.Break) ([]change.Break, error) {
	table := r.Reader.At("audit_purges")
	var any, readable bool
	err := r.Tx.QueryRowContext(ctx, "SELECT pg_catalog.count(*) > 0, coalesce(pg_catalog.bool_and(pg_catalog.has_table_privilege(c.oid, 'SELECT')), false) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"+
		" WHERE n.nspname = "+pgtext.Literal(r.Reader.Catalog.Schema)+" AND c.relname = 'audit_purges' AND pg_catalog.pg_relation_size(c.oid) > 0").Scan(&any, &readable)
	switch {
	case err != nil || !any:
		return list, err
	case !readable:
		return nil, fmt.Errorf("what was deleted is in %s: grant SELECT on it", table)
	}
	named := t.LastShape
	if t.LiveTable != nil {
		named = t.Now
	}
	purges, err := catalog.ReadAll(ctx, r.Tx, func(rows *sql.Rows) (b change.Break, err error) {
		var first, last, archive string
		var n int64
		if err = rows.Scan(&first, &last, &n, pgtext.Scanner(&archive)); err != nil {
			return b, err
		}
		b = change.Break{Kind: change.Purged, Schema: named.Schema, Table: named.Table, Text: fmt.Sprintf("changes that were deleted here: %d: they are in %s", n, archive)}
		if b.From, err = time.Parse(lenient.TimeForm, first); err == nil {
			b.To, err = time.Parse(lenient.TimeForm, last)
		}
		return b, err
	}, "SELECT "+pgtext.Time("p.first_at")+", "+pgtext.Time("p.last_at")+", p.changes, "+pgtext.HexAnywhere("p.keeper")+" FROM "+table+" p WHERE p.table_id = "+strconv.FormatInt(t.ID, 10))
	return append(list, purges...), err
}
