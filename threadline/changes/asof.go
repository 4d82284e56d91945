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
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// Why there is no row as of a time. They come in an [AsOfError].
var (
	// ErrGone: the row was deleted before that, its key changed to another, or its table emptied, if it was there.
	ErrGone = errors.New("the row was gone by then")
	// ErrNotYet: the row was made later, or never.
	ErrNotYet = errors.New("there was no such row yet")
	// ErrBeforeCapture: the table's changes were not captured yet.
	ErrBeforeCapture = errors.New("the table's changes were not captured yet")
	// ErrBroken: the chain of the changes is broken between that time and those that would say what the row was.
	ErrBroken = errors.New("the history is broken there")
	// ErrHidden: no change tells what the row was, and row-level security may hide from this role what it is now.
	ErrHidden = errors.New("row-level security may hide the row from this role, and its changes do not tell all of it")
)

// errUnreadable is why a row cannot be asked for what its changes do not tell.
var errUnreadable = errors.New("this role may not read the table")

// AsOfError says why it is not known what a row was, or that there was none.
type AsOfError struct {
	Err error // one of the five
	// Change is that which shows it, nil if there is none; of ErrBroken that which cannot be read.
	Change *Change
	// Break is the break, or of ErrBeforeCapture the beginning.
	Break *Break
}

// Unwrap returns the kind.
func (e *AsOfError) Unwrap() error { return e.Err }

// Error says it for people.
func (e *AsOfError) Error() string {
	s := "changes: " + e.Err.Error()
	if e.Change != nil {
		s += ": " + e.Change.title()
	}
	if e.Break != nil {
		s += fmt.Sprintf(": %s at %s: %s", e.Break.Kind, e.Break.To.Format(time.RFC3339Nano), e.Break.Text)
	}
	return s
}

// Row is a row as it was.
type Row struct {
	Schema, Table string
	Key           []string
	// Values are in the order of the columns, without those that were excluded.
	Values []RowValue
	// Since is the change that made it what it was, nil if no change until then was captured.
	Since *Change
}

// RowValue is a column's value.
type RowValue struct {
	Name, Type string
	Value
	// Unknown says that no change tells it: the column came, went or got another type in between.
	Unknown bool
}

// String returns the value for people.
func (v RowValue) String() string {
	if v.Unknown {
		return "(unknown)"
	}
	return v.Value.String()
}

// RowAsOf returns the row that had a key at a time, as of the changes that were captured until then, by
// the server's clock. A change is captured when it is made, so it may have been committed later: by
// the length of its transaction. Values that no change has told by then are those that a later
// change replaced, or that the row has now. If there was no such row, or it is not known, the error is
// an [*AsOfError].
func (s *Store) RowAsOf(ctx context.Context, table string, at time.Time, key ...string) (*Row, error) {
	if len(key) == 0 {
		return nil, fmt.Errorf("changes: RowAsOf needs the key of a row of %s", table)
	}
	return s.asOf(ctx, func(r *snapshot) (*Row, error) {
		t, err := r.look(ctx, table)
		if err != nil {
			return nil, err
		}
		a, err := r.asOf(ctx, t.id, key)
		if err != nil {
			return nil, err
		}
		return a.rowAt(ctx, at)
	})
}

// RowAfter returns the row as a change has left it.
func (s *Store) RowAfter(ctx context.Context, c Change) (*Row, error) {
	if c.Key == nil {
		return nil, errors.New("changes: RowAfter needs a change of a row with a key")
	}
	return s.asOf(ctx, func(r *snapshot) (*Row, error) {
		one, err := r.find(ctx, &c)
		if err != nil {
			return nil, err
		}
		return r.rowAfter(ctx, one)
	})
}

// rowAfter returns the row as a change has left it.
func (r *snapshot) rowAfter(ctx context.Context, c *undoChange) (*Row, error) {
	a, err := r.asOf(ctx, c.row.tableID, c.Key)
	if err != nil {
		return nil, err
	}
	return a.row(ctx, c.CapturedAt, slices.IndexFunc(a.under, c.row.is))
}

// asOf calls f with one state of the database.
func (s *Store) asOf(ctx context.Context, f func(*snapshot) (*Row, error)) (row *Row, err error) {
	if err = s.known(); err != nil {
		return nil, err
	}
	err = s.inSnapshot(ctx, s.db, func(r *snapshot) (err error) {
		row, err = f(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	if row.Since != nil {
		one := []Change{*row.Since}
		if err = s.attribute(ctx, one); err != nil {
			return nil, err
		}
		row.Since = &one[0]
	}
	return row, nil
}

// asOf reads what is known of a key.
type asOf struct {
	*snapshot
	table  *undoTable
	lives  *lives
	key    []string
	under  []*row // the changes of rows with the key, and of the whole table
	breaks []Break
}

func (r *snapshot) asOf(ctx context.Context, id int64, key []string) (*asOf, error) {
	if err := r.pin(ctx); err != nil {
		return nil, err
	}
	t, l, err := r.keyed(ctx, id, key)
	if err != nil {
		return nil, err
	}
	breaks, err := r.breaks(ctx, t)
	if err != nil {
		return nil, err
	}
	under, err := l.changes(ctx, rowText(key))
	if err != nil {
		return nil, err
	}
	return &asOf{snapshot: r, table: t, lives: l, key: key, under: under, breaks: breaks}, nil
}

// row returns the row after the last of its changes until a moment, -1 if there is none.
func (a *asOf) row(ctx context.Context, at time.Time, last int) (*Row, error) {
	key := rowText(a.key)
	var before, after []*row
	var err error
	switch {
	case last < 0:
		if err = a.unchanged(at); err != nil {
			return nil, err
		}
		after = a.under
		if i := slices.IndexFunc(after, func(r *row) bool { return r.op == "U" && r.ended(key) }); i >= 0 {
			var rest []*row // under another key
			rest, err = a.lives.follow(ctx, after[i])
			after = slices.Concat(after[:i+1], rest)
		}
	default:
		r := a.under[last]
		if err = a.alive(at, r); err != nil {
			return nil, err
		}
		if before, err = a.lives.all(ctx, key); err != nil {
			return nil, err
		}
		before = before[:slices.IndexFunc(before, r.is)+1]
		after, err = a.lives.follow(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	return a.compose(ctx, at, before, after)
}

// alive returns an error unless the row is there at a moment, after a change of it.
func (a *asOf) alive(at time.Time, r *row) error {
	c, err := r.change(a.table)
	switch {
	case err != nil:
		return err
	case r.op == "T" && a.table.liveTable != nil && a.table.partitioned: // it does not say of which partition
		return &AsOfError{Err: ErrBroken, Change: &c}
	case r.op == "T", r.op == "D" && r.key.Valid, r.op == "U" && r.ended(rowText(a.key)):
		if b := a.broken(c.CapturedAt, at); b != nil {
			return &AsOfError{Err: ErrBroken, Break: b}
		}
		return &AsOfError{Err: ErrGone, Change: &c}
	case !r.key.Valid:
		return &AsOfError{Err: ErrBroken, Change: &c}
	}
	return nil
}

// unchanged returns an error unless the row was there before all its changes, if it has any.
func (a *asOf) unchanged(at time.Time) error {
	if began := a.began(); began != nil && at.Before(began.To) {
		return &AsOfError{Err: ErrBeforeCapture, Break: began}
	}
	if len(a.under) == 0 {
		return nil
	}
	first := a.under[0]
	c, err := first.change(a.table)
	switch {
	case err != nil:
		return err
	case first.began(rowText(a.key)), first.op == "I" && first.key.Valid:
		if b := a.broken(at, c.CapturedAt); b != nil {
			return &AsOfError{Err: ErrBroken, Break: b}
		}
		return &AsOfError{Err: ErrNotYet, Change: &c}
	case !first.key.Valid:
		return &AsOfError{Err: ErrBroken, Change: &c}
	}
	return nil
}

func (a *asOf) began() *Break {
	for i := range a.breaks {
		if a.breaks[i].Kind == Began {
			return &a.breaks[i]
		}
	}
	return nil
}

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
	key := rowText(p.key)
	for i := len(before) - 1; i >= 0 && !p.whole; i-- {
		r := before[i]
		if r.key.Valid && r.key.String != key {
			return nil // another row, which had the key earlier
		} else if r.formerKey.Valid {
			key = r.formerKey.String
		}
		c, sh, err := p.read(r)
		if err != nil {
			return err
		}
		if p.since == nil {
			p.since = &c
		}
		if c.Op == Delete || c.Op == Truncate {
			return nil // what was inserted since is not known
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
	out := &Row{Schema: p.table.named.Schema, Table: p.table.named.Table, Key: p.key, Since: p.since}
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
			p.told[c.Name] = Value{Text: v}
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
func (a *asOf) live(ctx context.Context, key []string) (map[string]*string, error) {
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

// broken returns a break between two moments.
func (a *asOf) broken(from, to time.Time) *Break {
	for i := range a.breaks {
		b := &a.breaks[i]
		switch b.Kind {
		case Reshaped:
			if !b.otherKey {
				continue
			}
			fallthrough
		case Lost, Uncaptured, Restored, Partitioned:
			if b.To.After(from) && b.From.Before(to) {
				return b
			}
		}
	}
	return nil
}

// String returns the row for people: "public.orders (42): status: paid; amount: 1.00".
func (r *Row) String() string {
	parts := make([]string, len(r.Values))
	for i, v := range r.Values {
		parts[i] = v.Name + ": " + v.String()
	}
	return nameOf(pgschema.Ident(r.Schema)+"."+pgschema.Ident(r.Table), r.Key) + ": " + strings.Join(parts, "; ")
}
