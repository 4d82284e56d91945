package changes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// past is what is known of a row at a moment.
type past struct {
	*asOf
	shape *catalog.Shape   // the columns with which the row is returned: those of the moment, as far as they are known
	known map[string]Value // by the columns of shape
	since *Change          // the last change before the moment
	from  time.Time        // when the first of the changes was captured that known has values of
	to    time.Time        // and when the last of them
	whole bool             // the first of them has the whole row
}

// compose returns the row between two of its changes. Each value is the one that the last change before has left, or else the
// one that the first change after has replaced, or else what the row has now.
func (a *asOf) compose(ctx context.Context, at time.Time, before, after []*reading.Row) (*Row, error) {
	p := &past{asOf: a, shape: a.shapeAt(at, before), known: make(map[string]Value), from: at, to: at}
	if err := p.addEarlier(before); err != nil {
		return nil, err
	}
	if b := reading.FirstBrokenOfRow(a.breaks, p.from, at); b != nil {
		return nil, &AsOfError{Err: ErrBroken, Break: b}
	}
	if !p.whole || !p.complete() {
		enough := maps.Clone(p.known)
		err := p.addLater(ctx, after)
		if b := reading.FirstBroken(a.breaks, at, p.to); b != nil && (err == nil || errors.Is(err, ErrNotYet)) {
			err = &AsOfError{Err: ErrBroken, Break: b}
		}
		switch {
		case err == nil:
		case p.whole && (errors.Is(err, ErrBroken) || errors.Is(err, ErrHidden)):
			p.known = enough // and some columns are unknown
		default:
			return nil, err
		}
	}
	return p.row(), nil
}

// shapeAt returns the shape of the table's last capture before a moment. It is nil if there was none, or if one of the changes
// before is newer than that.
func (a *asOf) shapeAt(at time.Time, before []*reading.Row) *catalog.Shape {
	var last *catalog.Shape
	moment := at.UTC().Format(lenient.TimeForm)
	if len(before) > 0 {
		moment = max(moment, before[len(before)-1].Captured)
	}
	for _, n := range a.table.Captures {
		switch {
		case n.ShapeID == nil || n.NotedAt > moment:
		case len(before) > 0 && n.NotedAt <= before[len(before)-1].Captured:
			last = nil
		default:
			last = a.table.Shapes[*n.ShapeID]
		}
	}
	return last
}

// set sets the value that a column of a shape had, unless it is known, or the column had another type.
func (p *past) set(of *catalog.Shape, name string, v Value) {
	i := p.shape.Find(of, name)
	if i < 0 || p.shape.Columns[i].Type != of.Columns[of.Position(name)].Type {
		return
	}
	if column := p.shape.Columns[i].Name; !p.has(column) {
		p.known[column] = v
	}
}

func (p *past) has(column string) bool { _, is := p.known[column]; return is }

func (p *past) complete() bool {
	return p.shape == nil || !slices.ContainsFunc(p.shape.Columns, func(c catalog.Column) bool { return !p.has(c.Name) })
}

// read reads a change, and the shape that it was kept under.
func (p *past) read(r *reading.Row) (c Change, sh *catalog.Shape, err error) {
	if sh, err = p.table.ShapeOf(r); err != nil {
		return c, nil, err
	}
	if p.shape == nil && len(sh.Columns) > 0 {
		p.shape = sh
	}
	c, err = r.Change(p.table)
	return c, sh, err
}

// addEarlier sets the values that changes before the moment have left, the last change first, back to the change that has the whole row.
func (p *past) addEarlier(before []*reading.Row) error {
	for i := len(before) - 1; i >= 0 && !p.whole; i-- {
		r := before[i]
		c, sh, err := p.read(r)
		if err != nil {
			return err
		}
		if p.since == nil {
			p.since = &c
		}
		if !r.Key.Valid {
			return &AsOfError{Err: ErrBroken, Change: &c}
		}
		p.from, p.whole = c.CapturedAt, c.Op == Insert || c.Drifted
		for _, f := range c.Fields {
			p.set(sh, f.Name, f.New)
		}
	}
	return nil
}

// addLater sets the values that later changes have replaced, and then those that the row has now.
func (p *past) addLater(ctx context.Context, after []*reading.Row) error {
	for _, r := range after {
		c, sh, err := p.read(r)
		if err != nil {
			return err
		}
		p.to = c.CapturedAt
		if c.Op == Insert || c.Op == Truncate || !r.Key.Valid {
			return &AsOfError{Err: ErrBroken, Change: &c}
		}
		for _, f := range c.Fields {
			p.set(sh, f.Name, f.Old)
		}
		if c.Op == Delete || c.Drifted {
			return nil
		}
	}
	p.to = time.Now().Add(24 * time.Hour) // whatever the clocks say
	return p.addLive(ctx, after)
}

// row returns what is known.
func (p *past) row() *Row {
	out := &Row{Schema: p.table.LastShape.Schema, Table: p.table.LastShape.Table, Key: p.table.Plain(p.key), Since: p.since}
	if p.shape == nil {
		return out
	}
	if p.shape.Table != "" { // and it has not drifted
		out.Schema, out.Table = p.shape.Schema, p.shape.Table
	}
	for _, c := range p.shape.Columns {
		v := RowValue{Name: c.Name, Type: c.Type, Value: p.known[c.Name], Unknown: !p.has(c.Name)}
		if c.Masked && v.Unknown {
			v.Value, v.Unknown = Value{Masked: true}, false
		}
		out.Values = append(out.Values, v)
	}
	return out
}

// addLive sets the values that the row has now, under its last key.
func (p *past) addLive(ctx context.Context, after []*reading.Row) error {
	key := p.key
	if len(after) > 0 {
		var err error
		if key, err = reading.KeyOf(after[len(after)-1].Key); err != nil {
			return err
		}
	}
	live, err := p.live(ctx, key)
	switch now := time.Now(); {
	case err != nil:
		return err
	case p.table.Copied:
		return &AsOfError{Err: ErrBroken, Break: copiedElsewhere(p.table)}
	case p.table.LiveTable == nil, !p.table.Capturing:
		return &AsOfError{Err: ErrBroken, Break: &Break{Kind: Uncaptured, From: now, To: now, Schema: p.table.LastShape.Schema, Table: p.table.LastShape.Table, Text: "a trigger of its capture is missing or disabled now"}}
	case !p.keyHolds(key):
		return &AsOfError{Err: ErrBroken, Break: hadOtherKey(p.table)}
	case live == nil && p.table.Secured:
		return &AsOfError{Err: ErrHidden}
	case live == nil && len(p.table.Detached) > 0:
		return &AsOfError{Err: ErrBroken, Break: hasDetached(p.table)}
	case live == nil && len(p.under) == 0:
		if b := p.purged(now); b != nil { // it may have been there, and what says so is deleted
			return &AsOfError{Err: ErrBroken, Break: b}
		}
		return &AsOfError{Err: ErrNotYet}
	case live == nil:
		return &AsOfError{Err: ErrBroken, Break: &Break{Kind: Lost, To: time.Now(), Text: "the row is not there any more, and no change says so"}}
	}
	if p.shape == nil {
		p.shape = p.shapeNow()
	}
	for _, c := range p.shape.Columns {
		i := p.table.Now.Find(p.shape, c.Name)
		if i < 0 {
			continue
		}
		column := &p.table.Columns[i] // in the same order
		v, is := live[column.Name]
		switch {
		case p.has(c.Name) || !column.Is(c.Type):
		case p.table.Hides(column.Name):
			p.known[c.Name] = Value{Masked: true}
		case is:
			p.known[c.Name] = v
		}
	}
	return nil
}

// hadOtherKey returns the break of a table whose changes do not all have the key that it has now.
func hadOtherKey(t *reading.Table) *Break {
	from, to := t.Rekeyed()
	return &Break{Kind: Reshaped, From: from, To: to, Schema: t.LastShape.Schema, Table: t.LastShape.Table, Text: "the table has had other columns as its key"}
}

// hasDetached returns the break of a table that has lost partitions since its last capture.
func hasDetached(t *reading.Table) *Break {
	now := time.Now()
	return &Break{Kind: Partitioned, From: now, To: now, Schema: t.LastShape.Schema, Table: t.LastShape.Table, Text: "detached, dropped or renamed since the last plan: " + strings.Join(t.Detached, ", ")}
}

// shapeNow returns the shape of the table as it is now, with those of its columns that were ever captured. A column that was ever
// masked or excluded is masked.
func (a *asOf) shapeNow() *catalog.Shape {
	now := *a.table.Now
	now.Columns = nil
	for i := range a.table.Columns {
		live := &a.table.Columns[i]
		var known *catalog.Column
		for _, sh := range a.table.Shapes {
			if n := sh.Find(a.table.Now, live.Name); n >= 0 {
				if c := &sh.Columns[n]; known == nil || live.Is(c.Type) {
					known = c
				}
			}
		}
		if known != nil {
			now.Columns = append(now.Columns, catalog.Column{Name: live.Name, Type: known.Type, Number: a.table.Now.Columns[i].Number, Masked: a.table.Hides(live.Name)})
		}
	}
	return &now
}

// keyHolds reports whether the table has the columns of the key now.
func (a *asOf) keyHolds(key []string) bool {
	return len(a.table.Key) == len(key) && !slices.ContainsFunc(a.table.Key, func(k string) bool { return a.table.Column(k) == nil })
}

// live returns the values of the row that has a key now, nil if there is none.
func (a *asOf) live(ctx context.Context, key []string) (map[string]Value, error) {
	if a.table.LiveTable == nil || !a.keyHolds(key) {
		return nil, nil
	}
	if !a.table.Readable { // to ask would fail the transaction
		return nil, fmt.Errorf("changes: what a row was is not in its changes: %w: grant SELECT on %s", errUnreadable, a.table.Name)
	}
	live, err := a.LiveRows(ctx, a.table, [][]string{key})
	if err != nil {
		return nil, err
	}
	return live[0], nil
}
