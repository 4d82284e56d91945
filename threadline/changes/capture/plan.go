package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// Plan is what [Installer.Apply] would do.
type Plan struct {
	// Steps are those of the tables for which something is to be done.
	Steps []Step
	// Warnings are about what is not captured, or could be lost.
	Warnings []string
}

// Step makes or replaces the capture of one table, in one transaction.
type Step struct {
	// Table is the qualified name.
	Table string
	// Why says how the capture that there is differs from the one that is wanted.
	Why string
	// SQL are the statements. Apply bounds how long they wait for locks, and so does the text of a plan.
	SQL []string

	patience string // a statement that bounds how long they wait for locks, "" on SQLite
}

// String returns the plan as SQL, with comments. Each transaction fails, and changes nothing, if it has to wait for a lock
// for longer than 100 milliseconds, because the app's statements queue behind what waits.
func (p *Plan) String() string {
	var b strings.Builder
	for _, w := range p.Warnings {
		b.WriteString(pgtext.Comment("Warning: " + w))
	}
	if len(p.Steps) == 0 {
		b.WriteString("-- Nothing is to be done.\n")
	}
	for _, s := range p.Steps {
		b.WriteString(pgtext.Comment(s.Table+": "+s.Why) + strings.Join(s.script(), ";\n") + ";\n")
	}
	return b.String()
}

// script is what Apply does, without its tries, for people.
func (step *Step) script() []string {
	start := []string{"BEGIN"}
	if step.patience != "" {
		start = append(start, "-- If this times out, the app has locked a table, and nothing is changed: run it again.\n"+step.patience)
	}
	return slices.Concat(start, step.SQL, []string{"COMMIT"})
}

// Plan compares the tables with what is captured. It changes nothing. The captures of tables that it is not given stay as they
// are.
func (s *Installer) Plan(ctx context.Context, tables ...Table) (*Plan, error) {
	if s, ok := s.sqlite(); ok {
		return s.plan(ctx, tables)
	}
	if err := s.catalog.Supported(); err != nil {
		return nil, err
	}
	p := &Plan{}
	seen := make(map[uint32]string)
	for _, t := range tables {
		f, err := s.find(ctx, s.catalog.DB, t)
		if err != nil {
			return nil, err
		}
		if before, ok := seen[f.OID]; ok {
			return nil, fmt.Errorf("capture: %s and %s are one table", before, t.Name)
		}
		seen[f.OID] = t.Name
		is, err := s.deployed(ctx, s.catalog.DB, f)
		if err != nil {
			return nil, err
		}
		if err := s.readStored(ctx, s.catalog.DB, f, is); err != nil {
			return nil, err
		}
		p.warn(f, is)
		if step := s.step(f, is); step != nil {
			p.Steps = append(p.Steps, *step)
		}
	}
	warnings, err := s.missingContexts(ctx, s.catalog.DB)
	p.Warnings = append(p.Warnings, warnings...)
	return p, err
}

// warn adds warnings of what the capture of a table loosens, or does not keep.
func (p *Plan) warn(f *target, is *deployed) {
	name := f.Qualified()
	if list := is.looser(f); list != nil {
		p.Warnings = append(p.Warnings, name+": this loosens what there is: "+strings.Join(list, ", "))
	}
	if f.Persistence == "u" {
		p.Warnings = append(p.Warnings, name+" is unlogged: a crash empties it, which no trigger sees")
	}
	if f.whyByRow != "" {
		p.Warnings = append(p.Warnings, name+" is captured row by row, although Bulk is set: "+f.whyByRow)
	}
	for _, t := range f.Foreign {
		p.Warnings = append(p.Warnings, name+" has the foreign table "+t+" as a partition: what is done to it in the database where it is is not captured, nor is a TRUNCATE of it alone")
	}
	if !f.Keyed() {
		p.Warnings = append(p.Warnings, name+" has no key: its rows are kept whole, and History cannot follow one")
	}
	for i := range f.Columns {
		c := &f.Columns[i]
		if of := f.hiddenOf(c.From); !c.Masked && len(of) > 0 {
			p.Warnings = append(p.Warnings, fmt.Sprintf("%s: column %q is computed from %s, of which the values are not kept, and its values are kept: mask it, too, unless they say nothing of the others", name, c.Name, strings.Join(of, ", ")))
		}
	}
}

// hiddenOf are those of the named columns of which no values are kept.
func (f *target) hiddenOf(names []string) (hidden []string) {
	for _, name := range names {
		if i := f.Position(name); i < 0 || f.Columns[i].Masked {
			hidden = append(hidden, name)
		}
	}
	return hidden
}

// reasons say why a table's capture has to be made or replaced, so that its function has this body; there are none if it is as it
// should be. missing are the triggers that are to be made.
func (f *target) reasons(is *deployed, body string, missing []trigger) (why []string) {
	switch {
	case is.Body == "":
		why = append(why, "it is not captured yet")
	case is.Body != body || is.Settings != f.settingsText():
		why = append(why, "it, or what is to be captured of it, has changed")
	}
	if !is.shape && len(why) == 0 { // if the capture has changed, so has its shape
		why = append(why, "its shape is not in audit_shapes")
	}
	if list := catalog.Without(is.Grantees, is.Owners); len(list) > 0 {
		why = append(why, strings.Join(list, ", ")+" may execute its function, and so attach it to tables")
	}
	if list := catalog.Without(is.Owners, is.Grantees); is.Body != "" && len(list) > 0 {
		why = append(why, strings.Join(list, ", ")+" may not execute its function, and so cannot add partitions")
	}
	if is.Body != "" && f.otherRowTrigger(is) == "" && len(missing) > 0 {
		why = append(why, "triggers are missing or disabled")
	} else if is.altered {
		why = append(why, "triggers were disabled for a time, or made anew")
	}
	if stale := f.stale(); stale != "" && (is.Body != "" || f.LastCapture != nil) && !slices.Contains(why, stale) {
		why = append(why, stale)
	}
	if is.noKey {
		why = append(why, "there is no key for its hashes")
	}
	return why
}

// step returns what is to be done for a table, nil if nothing is.
func (s *Installer) step(f *target, is *deployed) *Step {
	body, missing := f.note().Line()+s.body(f), s.triggers(f, is)
	why := f.reasons(is, body, missing)
	if len(why) == 0 {
		return nil
	}
	resumed := f.LastCapture != nil && (slices.ContainsFunc(s.triggers(s.before(f, is), is), f.wasThere) || is.altered)
	step := &Step{Table: f.Qualified(), Why: strings.Join(why, ", "), SQL: []string{s.turnSQL(), s.unchangedSQL(f, is)}, patience: setPatience}
	function := s.at(f.Function()) + "()"
	step.SQL = append(step.SQL,
		fmt.Sprintf("INSERT INTO %s (id, table_id, shape) VALUES (%d, %d, %s::pg_catalog.json) ON CONFLICT DO NOTHING", s.at("audit_shapes"), f.Digest(), f.TableID(), pgtext.Literal(f.Text())),
		"CREATE OR REPLACE FUNCTION "+function+" RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER\n"+f.settingsSQL()+"AS "+pgtext.DollarQuoted("capture", body),
		"REVOKE ALL ON FUNCTION "+function+" FROM "+strings.Join(append(catalog.Without(is.Grantees, is.Owners), "PUBLIC"), ", "))
	if ungranted := catalog.Without(is.Owners, is.Grantees); len(ungranted) > 0 {
		step.SQL = append(step.SQL, "GRANT EXECUTE ON FUNCTION "+function+" TO "+strings.Join(ungranted, ", "))
	}
	if f.hashes() {
		step.SQL = append(step.SQL, s.makeKey())
	}
	for _, t := range f.strays(is) {
		step.SQL = append(step.SQL, "DROP TRIGGER "+pgschema.Ident(t.name)+" ON "+t.table)
	}
	for _, t := range missing {
		if wasBulk := strings.Contains(is.Body, s.bulkSetting(f)); f.Kind == "r" && t.name == f.rowTrigger() && (f.bulk || wasBulk) { // is.Triggers lacks one that is disabled
			step.SQL = append(step.SQL, "DROP TRIGGER IF EXISTS "+map[bool]string{false: bulkRow, true: catalog.RowTrigger}[f.bulk]+" ON "+t.table)
		}
		step.SQL = append(step.SQL, "DROP TRIGGER IF EXISTS "+t.name+" ON "+t.table, "CREATE TRIGGER "+t.name+" "+t.when+" EXECUTE FUNCTION "+function)
	}
	step.SQL = append(step.SQL, s.insertCaptureSQL(f, resumed))
	return step
}

func (f *target) settingNames() (names []string) {
	for _, c := range f.Columns {
		if !c.Masked || c.Hashed {
			names = append(names, c.Settings...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (f *target) settingsSQL() string {
	var b strings.Builder
	for _, n := range f.settingNames() {
		fmt.Fprintf(&b, "SET %s = %s\n", n, catalog.Settings[n])
	}
	return b.String()
}

// settingsText is settingsSQL as pg_proc.proconfig has it.
func (f *target) settingsText() string {
	var list []string
	for _, n := range f.settingNames() {
		list = append(list, n+"="+strings.Trim(catalog.Settings[n], "'"))
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}

type trigger struct{ name, table, when string }

func (d *deployed) has(t trigger) bool { return d.On(t.name, t.table) }

// onAll reports whether tables have a trigger each.
func (d *deployed) onAll(name string, tables []string) bool {
	return !slices.ContainsFunc(tables, func(table string) bool { return !d.On(name, table) })
}

// triggers are those that are to be made. PostgreSQL puts a trigger on the rows of a partitioned table on its partitions, too, but
// not one on TRUNCATE, which foreign tables cannot have.
func (s *Installer) triggers(f *target, is *deployed) (missing []trigger) {
	tables := slices.Concat([]string{f.Qualified()}, f.Partitions)
	row := trigger{f.rowTrigger(), f.Qualified(), "AFTER INSERT OR UPDATE OR DELETE ON " + f.Qualified() + " FOR EACH ROW"}
	if f.bulk {
		row.when += " WHEN (" + s.byRowSQL(f) + ")"
	}
	if !is.onAll(row.name, tables) { // that of a partition may be disabled by itself
		missing = append(missing, row)
	}
	for _, t := range tables {
		if slices.Contains(f.Foreign, t) {
			continue
		}
		if truncate := (trigger{catalog.TruncateTrigger, t, "AFTER TRUNCATE ON " + t + " FOR EACH STATEMENT"}); !is.has(truncate) {
			missing = append(missing, truncate)
		}
	}
	return slices.Concat(missing, f.movesTriggers(is), f.bulkTriggers(is))
}

// before is f with the triggers that there were at the last plan.
func (s *Installer) before(f *target, is *deployed) *target {
	before := *f
	before.bulk = f.Kind == "r" && strings.Contains(is.Body, s.bulkSetting(f))
	return &before
}

// rowTrigger is the name of the trigger on rows. A partitioned table's is named by its ID: it is also on the partitions, and ATTACH
// fails if a table has another trigger of that name.
func (f *target) rowTrigger() string {
	if f.Kind == "p" {
		return fmt.Sprintf("%s_%016x", catalog.RowTrigger, f.TableID())
	}
	if f.bulk { // its trigger has a WHEN: under another name, the difference shows
		return bulkRow
	}
	return catalog.RowTrigger
}

// otherRowTrigger is the trigger on rows that the table still has from before Table.Bulk was set, or no longer set, "" if there is none.
func (f *target) otherRowTrigger(is *deployed) string {
	for _, name := range []string{catalog.RowTrigger, bulkRow} {
		if f.Kind == "r" && name != f.rowTrigger() && is.has(trigger{name: name, table: f.Qualified()}) {
			return name
		}
	}
	return ""
}

// wasThere reports whether a trigger that is missing was there at the last capture.
func (f *target) wasThere(t trigger) bool {
	return t.name != catalog.MovesTrigger && f.WasCaptured(t.table)
}

// strays are triggers that are to be dropped: those of partitions that were captured by themselves before, those of Table.Bulk once it is
// not set or refused, those on statements that are left on tables which were partitions, and those on the table itself that were renamed.
func (f *target) strays(is *deployed) (list []trigger) {
	for _, t := range is.Others {
		if slices.Contains(f.Partitions, t.Table) {
			list = append(list, trigger{name: t.Name, table: t.Table})
		}
	}
	for _, name := range []string{bulkBefore, bulkInsert, bulkUpdate, bulkDelete} {
		if t := (trigger{name: name, table: f.Qualified()}); !f.bulk && is.has(t) {
			list = append(list, t)
		}
	}
	own := []string{f.rowTrigger(), catalog.RowTrigger, bulkRow, catalog.TruncateTrigger, catalog.MovesTrigger, bulkBefore, bulkInsert, bulkUpdate, bulkDelete}
	for _, t := range is.Triggers {
		renamed := t.Table == f.Qualified() && !slices.Contains(own, t.Name)
		// Who may execute the function can have made others, on tables of theirs.
		left := t.Owned && t.Table != f.Qualified() && !slices.Contains(f.Partitions, t.Table) && (t.Name == catalog.TruncateTrigger || t.Name == catalog.MovesTrigger)
		if renamed || left {
			list = append(list, trigger{name: t.Name, table: t.Table})
		}
	}
	return list
}

// readStored finds out whether audit_shapes has the shape, audit_keys the key of hashes, and whether triggers were altered since the last
// capture. For a role that may not look, all is as it should be.
func (s *Installer) readStored(ctx context.Context, q catalog.Querier, f *target, d *deployed) error {
	err := q.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM "+s.at("audit_shapes")+" WHERE id = $1)", f.Digest()).Scan(&d.shape)
	switch {
	case catalog.NotMigrated(err) != nil:
		return catalog.NotMigrated(err)
	case hooks.SQLState(err) == insufficientPrivilege:
		d.shape = true
		return nil
	}
	if err == nil {
		d.noKey, err = s.keyMissing(ctx, q, f)
	}
	if err == nil {
		d.altered, err = s.catalog.Altered(ctx, q, f.Relation)
	}
	return wrap("look for the capture of "+f.Qualified(), err)
}

const (
	insufficientPrivilege = "42501"
	lockTimeout           = "55P03"
)

// applyWait is how long a step waits for a lock at a time, since the app's statements wait behind it. mostTries bounds how often
// it is tried.
const (
	applyWait = "100ms"
	mostTries = 20
)

const setPatience = "SET LOCAL lock_timeout = '" + applyWait + "'"

// Apply executes a plan, in one transaction for each table. It waits for a table that the app has locked, and for another
// process that changes captures, for 100 milliseconds at a time, with pauses, because the app's statements queue behind
// what waits. What was applied before an error stays; Plan then says what is left. If a capture has changed since it
// was planned, that is an error: plan anew.
func (s *Installer) Apply(ctx context.Context, p *Plan) error {
	for i := range p.Steps {
		if err := s.apply(ctx, &p.Steps[i]); isStale(err) {
			return fmt.Errorf("capture: the capture of %s%s", p.Steps[i].Table, stale)
		} else if err != nil {
			return wrap("capture "+p.Steps[i].Table, ownerOnly(err))
		}
	}
	return nil
}

// ownerOnly adds to an error, if it is that this role lacks a right, which role can change captures.
func ownerOnly(err error) error {
	if hooks.SQLState(err) == insufficientPrivilege {
		return fmt.Errorf("%w: captures are changed by the role that owns the history, and has TRIGGER on the table", err)
	}
	return err
}

func (s *Installer) apply(ctx context.Context, step *Step) error {
	if s, ok := s.sqlite(); ok {
		return s.apply(ctx, step)
	}
	err := s.patiently(ctx, mostTries, func(tx *sql.Tx) error {
		if err := s.awaitTurn(ctx, tx); err != nil {
			return err
		}
		return step.execute(ctx, tx)
	})
	if errors.Is(err, errOther) {
		if who := s.holder(ctx); who != "" {
			return fmt.Errorf("%w: %s", err, who)
		}
	}
	return err
}

func (step *Step) execute(ctx context.Context, tx *sql.Tx) error {
	for _, query := range step.SQL {
		if _, err := tx.ExecContext(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// patiently runs do in a transaction that waits for a lock no longer than applyWait, and tries again after a timeout. The transaction
// is read committed whatever the default is, so it sees what is there once it has its turn.
func (s *Installer) patiently(ctx context.Context, tries int, do func(tx *sql.Tx) error) error {
	for try := 1; ; try++ {
		err := s.catalog.InTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted}, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, setPatience); err != nil {
				return err
			}
			return do(tx)
		})
		if hooks.SQLState(err) != lockTimeout || try == tries {
			return err
		}
		if !pause(ctx) {
			return err
		}
	}
}

// pause waits before another try, and returns false if ctx ends first.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(50*time.Millisecond + rand.N(200*time.Millisecond)):
		return true
	}
}

// Remove ends the capture of a table. What was captured stays.
func (s *Installer) Remove(ctx context.Context, table string) error {
	if s, ok := s.sqlite(); ok {
		return s.remove(ctx, table)
	}
	if err := s.catalog.Supported(); err != nil {
		return err
	}
	if err := s.ownHistories(ctx, s.catalog.DB); err != nil {
		return err
	}
	f, err := s.look(ctx, s.catalog.DB, table)
	if err != nil {
		return err
	}
	step := &Step{Table: f.Qualified(), SQL: []string{s.turnSQL(), "DROP FUNCTION IF EXISTS " + s.at(f.Function()) + "() CASCADE"}}
	if f.LastCapture != nil && f.LastCapture.ShapeID != nil {
		step.SQL = append(step.SQL, s.endCaptureSQL(f))
	}
	return wrap("remove the capture of "+table, ownerOnly(s.apply(ctx, step)))
}
