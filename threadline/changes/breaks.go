package changes

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// BreakKind says what a [Break] is.
type BreakKind string

// The kinds of breaks.
const (
	// Began is the beginning of a table's history. Text says so if another table had its name.
	Began BreakKind = "began"
	// Renamed and Reshaped say that the table has another name, or other columns. What was written in between is
	// in the history, if there is no break of another kind.
	Renamed  BreakKind = "renamed"
	Reshaped BreakKind = "reshaped"
	// Drifted are changes that were made after DDL and before the next plan: they keep whole rows.
	Drifted BreakKind = "drifted"
	// Restored says that the table was restored into another database: what happened between the
	// backup and the restore is not in it.
	Restored BreakKind = "restored"
	// Partitioned says that partitions were attached or detached, with their rows.
	Partitioned BreakKind = "partitioned"
	// Uncaptured says that there were no triggers, or that they were disabled.
	Uncaptured BreakKind = "uncaptured"
	// Truncated is a TRUNCATE: its rows are not kept.
	Truncated BreakKind = "truncated"
	// Lost are changes that the trigger could not keep.
	Lost BreakKind = "lost"
	// Unhashed are changes that were kept without the hashes of their values, since the key could not be read.
	Unhashed BreakKind = "unhashed"
	// Purged are changes that were deleted here, because another database keeps them: see [KeptIn].
	Purged BreakKind = "purged"
)

// Break is where the chain of a table's changes is broken, or may be.
type Break struct {
	Kind BreakKind
	// From and To bound when it happened, by the clock of the server: after From, and at To at the latest. They are
	// equal if the time is known. For Drifted, Lost, Unhashed and Purged they are the times of the first and the last such change.
	From, To time.Time
	// Schema and Table are the table's after it.
	Schema, Table string
	// Text describes it, in one line.
	Text string
}

// aBreak is a break, with what decides whether values are known across it.
type aBreak struct {
	Break
	otherKey bool // of Reshaped: the columns of the key are others
}

// Breaks returns where the chain of a table's changes is broken, or may be, the oldest first. It
// begins with the beginning of the history. DDL is noticed by the next plan that is applied; changes in
// between that no longer fit are Drifted. Of a table that was never captured the error is [ErrNotCaptured].
func (s *Store) Breaks(ctx context.Context, table string) ([]Break, error) {
	if s, ok := s.sqlite(); ok {
		return s.breaks(ctx, table)
	}
	if err := s.catalog.Supported(); err != nil {
		return nil, err
	}
	var list []Break
	err := s.inSnapshot(ctx, s.catalog.DB, func(r *snapshot) error {
		t, err := r.look(ctx, table)
		if err != nil {
			return err
		}
		if t.named == nil {
			return neverCaptured(table)
		}
		breaks, err := r.breaks(ctx, t)
		list = plain(breaks)
		return err
	})
	return list, err
}

// plain are breaks for those who only read them.
func plain(breaks []aBreak) []Break {
	if breaks == nil {
		return nil
	}
	list := make([]Break, len(breaks))
	for i, b := range breaks {
		list[i] = b.Break
	}
	return list
}

// breaks are those of a table.
func (r *snapshot) breaks(ctx context.Context, t *undoTable) ([]aBreak, error) {
	if s, ok := r.store.sqlite(); ok {
		list, err := s.between(ctx, r.tx, r.lite[t.id], t.notes, t.others, t.shapes)
		return list, catalog.Wrap("read the breaks of "+t.label(), err)
	}
	readable, err := r.store.catalog.NotesReadable(ctx, r.tx)
	if err != nil {
		return nil, catalog.Wrap("read the breaks of "+t.label(), err)
	}
	if !readable {
		return nil, fmt.Errorf("changes: the breaks of %s are in %s: run capture.Installer.Migrate, or grant SELECT on it", t.label(), r.store.at("audit_captures"))
	}
	changed, err := r.store.breaksInChanges(ctx, r.tx, t)
	if err == nil {
		changed, err = r.addPurges(ctx, t, changed)
	}
	if err != nil {
		return nil, catalog.Wrap("read the breaks of "+t.label(), err)
	}
	slices.SortStableFunc(changed, func(a, b Break) int { return cmp.Or(a.To.Compare(b.To), a.From.Compare(b.From)) })
	list := make([]aBreak, len(changed))
	for i, b := range changed {
		list[i].Break = b
	}
	var before *catalog.Capture
	at := 0 // whatever the clock says, notes are in this order
	for _, n := range t.notes {
		breaks, err := breaksBetween(before, n, t.others, t.shapes)
		if err != nil {
			return nil, catalog.Wrap("read the breaks of "+t.label(), err)
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
	return list, nil
}

// breaksBetween returns the breaks between two notes of a table, at the first of them how it began.
func breaksBetween(before, c *catalog.Capture, others []*catalog.Capture, shapes map[int64]*catalog.Shape) (list []aBreak, err error) {
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
	add := func(kind BreakKind, format string, args ...any) {
		list = append(list, aBreak{Break: Break{Kind: kind, From: from, To: to, Schema: c.Schema, Table: c.Table, Text: fmt.Sprintf(format, args...)}})
	}
	if before == nil {
		add(Began, "%s", howBegan(c, others))
		return list, nil
	}
	if before.Place != c.Place {
		add(Restored, "it was restored into another database")
	}
	if before.Schema != c.Schema || before.Table != c.Table {
		add(Renamed, "its name was %s.%s", before.Schema, before.Table)
	}
	switch {
	case c.ShapeID == nil:
		add(Uncaptured, "its capture was removed")
		list[len(list)-1].From = to
		return list, nil
	case before.ShapeID == nil:
		add(Uncaptured, "its capture was made again after it was removed")
	case c.Resumed:
		add(Uncaptured, "triggers were missing or disabled")
	}
	if now := shapes[*c.ShapeID]; now != nil && before.ShapeID != nil && shapes[*before.ShapeID] != nil {
		if what := reshaped(now, shapes[*before.ShapeID]); what != "" {
			add(Reshaped, "%s", what)
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
		add(Partitioned, "%s", strings.Join(what, "; "))
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
func (s *Store) breaksInChanges(ctx context.Context, q catalog.Querier, t *undoTable) ([]Break, error) {
	named := t.named
	if t.liveTable != nil {
		named = t.now
	}
	return catalog.ReadAll(ctx, q, func(rows *sql.Rows) (b Break, err error) {
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
		case Drifted:
			b.Text, err = drifted(count, columns)
		case Lost:
			if reason, is := strings.CutPrefix(b.Text, catalog.Unordered+": "); is {
				b.Text = "the order of changes is not known: " + reason
				break
			}
			b.Text = fmt.Sprintf("changes that were not kept: %d: %s", count, b.Text)
		case Unhashed:
			b.Text = fmt.Sprintf("changes that were kept without hashes: %d: %s", count, b.Text)
		}
		return b, err
	}, `SELECT b.kind, `+pgtext.Time("b.first")+`, `+pgtext.Time("b.last")+`, b.count, b.columns, b.what FROM (
		SELECT 'truncated' AS kind, c.captured_at AS first, c.captured_at AS last, 1 AS count, '' AS columns, 'all rows were removed by TRUNCATE, or those of a partition' AS what
			FROM `+s.at("audit_changes")+` c WHERE c.table_id = $1 AND c.op = 'T' AND (c.shape_id IS NULL OR c.op = 'T')
		UNION ALL SELECT 'drifted', pg_catalog.min(c.captured_at), pg_catalog.max(c.captured_at), pg_catalog.count(*), c.columns::pg_catalog.text, ''
			FROM `+s.at("audit_changes")+` c WHERE c.table_id = $1 AND c.shape_id IS NULL AND c.op <> 'T' AND (c.shape_id IS NULL OR c.op = 'T') GROUP BY c.columns::pg_catalog.text
		UNION ALL SELECT CASE WHEN g.op = '`+catalog.Unhashed+`' THEN 'unhashed' ELSE 'lost' END, pg_catalog.min(g.captured_at), pg_catalog.max(g.captured_at), pg_catalog.count(*), '',
			CASE WHEN g.op = '`+catalog.Unhashed+`' THEN g.reason ELSE pg_catalog.concat(g.op, ': ', g.reason) END
			FROM `+s.at("audit_gaps")+` g WHERE g.table_id = $1 GROUP BY g.xid, g.tx_started_at, g.op, g.reason) b`, t.id)
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

// broken returns the first of the breaks between two moments, across which values are not known, nil if there is none.
func broken(breaks []aBreak, from, to time.Time) *Break {
	for i := range breaks {
		b := &breaks[i]
		switch b.Kind {
		case Reshaped:
			if !b.otherKey {
				continue
			}
			fallthrough
		case Lost, Uncaptured, Restored, Partitioned, Purged:
			if b.To.After(from) && b.From.Before(to) {
				return &b.Break
			}
		}
	}
	return nil
}
