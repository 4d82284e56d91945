package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// Plan is what [Installer.Apply] would do.
type Plan struct {
	// Steps are those of the tables for which something is to be done.
	Steps []Step
	// Warnings say what is not captured, what could be lost, and what stays masked, excluded or keyed although the tables do not ask for it.
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
func (s *Installer) Plan(ctx context.Context, tables ...Table) (_ *Plan, failed error) {
	defer s.explain(&failed)
	if s, ok := s.sqlite(); ok {
		return s.plan(ctx, tables)
	}
	if err := s.catalog.Supported(); err != nil {
		return nil, err
	}
	p := &Plan{}
	seen := make(map[uint32]string)
	for _, t := range tables {
		f, is, warning, err := s.find(ctx, s.catalog.DB, t)
		if err != nil {
			return nil, err
		}
		if before, ok := seen[f.OID]; ok {
			return nil, fmt.Errorf("capture: %s and %s are one table", before, t.Name)
		}
		seen[f.OID] = t.Name
		if err := s.readStored(ctx, s.catalog.DB, f, is); err != nil {
			return nil, err
		}
		p.Warnings = append(p.Warnings, f.warnings(is, warning).named(f)...)
		if step := s.step(f, is); step != nil {
			p.Steps = append(p.Steps, *step)
			p.Warnings = append(p.Warnings, f.warnKey().named(f)...)
		}
	}
	warnings, err := s.missingContexts(ctx, s.catalog.DB)
	p.Warnings = append(p.Warnings, warnings...)
	return p, err
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

// before is f with the triggers that there were at the last plan.
func (s *Installer) before(f *target, is *deployed) *target {
	before := *f
	before.bulk = f.Kind == "r" && strings.Contains(is.Body, s.bulkSetting(f))
	return &before
}

// readStored finds out whether audit_changes has partitions, audit_shapes the shape, audit_keys the key of hashes, and whether triggers were
// altered since the last capture. For a role that may not look, all is as it should be.
func (s *Installer) readStored(ctx context.Context, q catalog.Querier, f *target, d *deployed) (err error) {
	if f.divided, err = s.isDivided(ctx, q); err != nil && !errors.Is(err, sql.ErrNoRows) { // without the table, what follows says so
		return wrap("look for the tables of changes", err)
	}
	err = q.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM "+s.at("audit_shapes")+" WHERE id = $1)", f.Digest()).Scan(&d.shape)
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
