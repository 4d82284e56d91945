package changes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
)

// past is what is told of a row at a moment.
type past struct {
	*asOf
	shape *shape           // how the table was at the moment, as far as that is known: by this the row is shown
	told  map[string]Value // by the columns of shape
	since *Change          // the last change before the moment
	from  time.Time        // when the first change was that has told something
	to    time.Time        // and the last
	whole bool             // there was a moment before of which all was told
}

// compose returns the row between two of its changes: by the last that has told a value before, else by
// the first that has replaced it after, else as it is now.
func (a *asOf) compose(ctx context.Context, at time.Time, before, after []*row) (*Row, error) {
	p := &past{asOf: a, shape: a.shapeAt(at, before), told: make(map[string]Value), from: at, to: at}
	if err := p.goBack(before); err != nil {
		return nil, err
	}
	if b := a.broken(p.from, at); b != nil {
		return nil, &AsOfError{Err: ErrBroken, Break: b}
	}
	if !p.whole || !p.complete() {
		enough := maps.Clone(p.told)
		err := p.goOn(ctx, after)
		if b := a.broken(at, p.to); b != nil && (err == nil || errors.Is(err, ErrNotYet)) {
			err = &AsOfError{Err: ErrBroken, Break: b}
		}
		switch {
		case err == nil:
		case p.whole && (errors.Is(err, ErrBroken) || errors.Is(err, ErrHidden)):
			p.told = enough // and some columns are unknown
		default:
			return nil, err
		}
	}
	return p.row(), nil
}

// shapeAt is how the table was noted last before a moment, nil if a change before it is newer or nothing is noted.
func (a *asOf) shapeAt(at time.Time, before []*row) *shape {
	var last *shape
	moment := at.UTC().Format(lenient.TimeForm)
	if len(before) > 0 {
		moment = max(moment, before[len(before)-1].captured)
	}
	for _, n := range a.table.notes {
		switch {
		case n.ShapeID == nil || n.NotedAt > moment:
		case len(before) > 0 && n.NotedAt <= before[len(before)-1].captured:
			last = nil
		default:
			last = a.table.shapes[*n.ShapeID]
		}
	}
	return last
}

// tell tells a value of a column of a shape.
func (p *past) tell(of *shape, name string, v Value) {
	i := p.shape.find(of, name)
	if i < 0 || p.shape.Columns[i].Type != of.Columns[of.position(name)].Type {
		return
	}
	if column := p.shape.Columns[i].Name; !p.has(column) {
		p.told[column] = v
	}
}

func (p *past) has(column string) bool { _, is := p.told[column]; return is }

func (p *past) complete() bool {
	return p.shape == nil || !slices.ContainsFunc(p.shape.Columns, func(c column) bool { return !p.has(c.Name) })
}

// read reads a change, and what it was kept under.
func (p *past) read(r *row) (c Change, sh *shape, err error) {
	if sh, err = p.table.shapeOf(r); err != nil {
		return c, nil, err
	}
	if p.shape == nil && len(sh.Columns) > 0 {
		p.shape = sh
	}
	c, err = r.change(p.table)
	return c, sh, err
}

// goBack tells what changes have left, the last one first, to that which tells the whole row.
func (p *past) goBack(before []*row) error {
	for i := len(before) - 1; i >= 0 && !p.whole; i-- {
		r := before[i]
		c, sh, err := p.read(r)
		if err != nil {
			return err
		}
		if p.since == nil {
			p.since = &c
		}
		if !r.key.Valid {
			return &AsOfError{Err: ErrBroken, Change: &c}
		}
		p.from, p.whole = c.CapturedAt, c.Op == Insert || c.Drifted
		for _, f := range c.Fields {
			p.tell(sh, f.Name, f.New)
		}
	}
	return nil
}

// goOn tells what later changes have replaced, and at last what there is now.
func (p *past) goOn(ctx context.Context, after []*row) error {
	for _, r := range after {
		c, sh, err := p.read(r)
		if err != nil {
			return err
		}
		p.to = c.CapturedAt
		if c.Op == Insert || c.Op == Truncate || !r.key.Valid {
			return &AsOfError{Err: ErrBroken, Change: &c}
		}
		for _, f := range c.Fields {
			p.tell(sh, f.Name, f.Old)
		}
		if c.Op == Delete || c.Drifted {
			return nil
		}
	}
	p.to = time.Now().Add(24 * time.Hour) // whatever the clocks say
	return p.tellLive(ctx, after)
}

// row is what was told.
func (p *past) row() *Row {
	out := &Row{Schema: p.table.named.Schema, Table: p.table.named.Table, Key: p.table.plain(p.key), Since: p.since}
	if p.shape == nil {
		return out
	}
	if p.shape.Table != "" { // and it has not drifted
		out.Schema, out.Table = p.shape.Schema, p.shape.Table
	}
	for _, c := range p.shape.Columns {
		v := RowValue{Name: c.Name, Type: c.Type, Value: p.told[c.Name], Unknown: !p.has(c.Name)}
		if c.Masked && v.Unknown {
			v.Value, v.Unknown = Value{Masked: true}, false
		}
		out.Values = append(out.Values, v)
	}
	return out
}

// tellLive tells the values that the row has now, by its last key.
func (p *past) tellLive(ctx context.Context, after []*row) error {
	key := p.key
	if len(after) > 0 {
		var err error
		if key, err = keyOf(after[len(after)-1].key); err != nil {
			return err
		}
	}
	live, err := p.live(ctx, key)
	switch now := time.Now(); {
	case err != nil:
		return err
	case p.table.liveTable == nil, !p.table.capturing:
		return &AsOfError{Err: ErrBroken, Break: &Break{Kind: Uncaptured, From: now, To: now, Schema: p.table.named.Schema, Table: p.table.named.Table, Text: "no trigger captures the table now"}}
	case !p.keyHolds(key):
		return &AsOfError{Err: ErrBroken, Break: p.table.otherKey()}
	case live == nil && p.table.Secured:
		return &AsOfError{Err: ErrHidden}
	case live == nil && len(p.under) == 0:
		return &AsOfError{Err: ErrNotYet}
	case live == nil:
		return &AsOfError{Err: ErrBroken, Break: &Break{Kind: Lost, To: time.Now(), Text: "the row is not there any more, and no change says so"}}
	}
	if p.shape == nil {
		p.shape = p.shapeNow()
	}
	for _, c := range p.shape.Columns {
		i := p.table.now.find(p.shape, c.Name)
		if i < 0 {
			continue
		}
		column := &p.table.Columns[i] // in the same order
		v, is := live[column.Name]
		switch {
		case p.has(c.Name) || !column.is(c.Type):
		case p.table.hides(column.Name):
			p.told[c.Name] = Value{Masked: true}
		case is:
			p.told[c.Name] = v
		}
	}
	return nil
}

// otherKey is the break of a table whose changes do not all have the key that it has now.
func (t *undoTable) otherKey() *Break {
	now := time.Now()
	return &Break{Kind: Reshaped, From: now, To: now, Schema: t.named.Schema, Table: t.named.Table, Text: "the table has had other columns as its key"}
}

// shapeNow is how the table is now, as far as its shapes know its columns. Those that were ever masked or excluded are masked.
func (a *asOf) shapeNow() *shape {
	now := *a.table.now
	now.Columns = nil
	for i := range a.table.Columns {
		live := &a.table.Columns[i]
		var known *column
		for _, sh := range a.table.shapes {
			if n := sh.find(a.table.now, live.Name); n >= 0 {
				if c := &sh.Columns[n]; known == nil || live.is(c.Type) {
					known = c
				}
			}
		}
		if known != nil {
			now.Columns = append(now.Columns, column{Name: live.Name, Type: known.Type, Number: a.table.now.Columns[i].Number, Masked: a.table.hides(live.Name)})
		}
	}
	return &now
}

// keyHolds reports whether the table has the columns of the key now.
func (a *asOf) keyHolds(key []string) bool {
	return len(a.table.key) == len(key) && !slices.ContainsFunc(a.table.key, func(k string) bool { return a.table.column(k) == nil })
}

// live returns the values of the row that has a key now, nil if there is none.
func (a *asOf) live(ctx context.Context, key []string) (map[string]Value, error) {
	if a.table.liveTable == nil || !a.keyHolds(key) {
		return nil, nil
	}
	if !a.table.Readable { // and the transaction must not fail by asking
		return nil, fmt.Errorf("changes: what a row was is not in its changes: %w: grant SELECT on %s", errUnreadable, a.table.Name)
	}
	st := &step{table: a.table, exists: true, after: key}
	err := a.rows(ctx, []*step{st})
	return st.live, err
}
