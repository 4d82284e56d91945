package changes

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// Plan is what Apply would do.
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
	// Why says what differs from what there is.
	Why string
	// SQL are the statements. Apply has them wait little for locks, and so does the text of a plan.
	SQL []string

	patience string // what has them wait little, "" where nothing has to
}

// String returns the plan as SQL, with comments. Each transaction fails, and changes nothing, if it has to wait for a lock
// for longer than 100 milliseconds, because the app's statements queue behind what waits.
func (p *Plan) String() string {
	var b strings.Builder
	for _, w := range p.Warnings {
		fmt.Fprintf(&b, "-- Warning: %s\n", w)
	}
	if len(p.Steps) == 0 {
		b.WriteString("-- Nothing is to be done.\n")
	}
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "-- %s: %s\n%s;\n", s.Table, s.Why, strings.Join(s.script(), ";\n"))
	}
	return b.String()
}

// script is for people: what Apply does, without its tries.
func (step *Step) script() []string {
	start := []string{"BEGIN"}
	if step.patience != "" {
		start = append(start, "-- If this times out, the app has locked a table, and nothing is changed: run it again.\n"+step.patience)
	}
	return slices.Concat(start, step.SQL, []string{"COMMIT"})
}

const (
	rowTrigger      = "threadline_row"
	truncateTrigger = "threadline_truncate"
)

// Plan compares the tables with what is captured. It changes nothing. Of tables that it is not
// given, the capture stays.
func (s *Store) Plan(ctx context.Context, tables ...Table) (*Plan, error) {
	if s, ok := s.sqlite(); ok {
		return s.plan(ctx, tables)
	}
	if err := s.known(); err != nil {
		return nil, err
	}
	p := &Plan{}
	seen := make(map[uint32]string)
	for _, t := range tables {
		f, err := s.find(ctx, s.db, t)
		if err != nil {
			return nil, err
		}
		if before, ok := seen[f.OID]; ok {
			return nil, fmt.Errorf("changes: %s and %s are one table", before, t.Name)
		}
		seen[f.OID] = t.Name
		is, err := s.deployed(ctx, s.db, f)
		if err != nil {
			return nil, err
		}
		if err := s.noted(ctx, s.db, f, is); err != nil {
			return nil, err
		}
		p.warn(f, is)
		if step := s.step(f, is); step != nil {
			p.Steps = append(p.Steps, *step)
		}
	}
	warnings, err := s.missingContexts(ctx, s.db)
	p.Warnings = append(p.Warnings, warnings...)
	return p, err
}

func (p *Plan) warn(f *found, is *deployed) {
	name := f.qualified()
	if list := is.looser(f); list != nil {
		p.Warnings = append(p.Warnings, name+": this loosens what there is: "+strings.Join(list, ", "))
	}
	if f.persistence == "u" {
		p.Warnings = append(p.Warnings, name+" is unlogged: a crash empties it, which no trigger sees")
	}
	if !f.keyed() {
		p.Warnings = append(p.Warnings, name+" has no key: its rows are kept whole, and History cannot follow one")
	}
}

func (f *found) qualified() string { return pgschema.Ident(f.Schema) + "." + pgschema.Ident(f.Table) }

// step returns what is to be done for a table, nil if nothing is.
func (s *Store) step(f *found, is *deployed) *Step {
	body := f.note().line() + s.body(f)
	var why []string
	switch {
	case is.body == "":
		why = append(why, "it is not captured yet")
	case is.body != body || is.settings != f.settingsText():
		why = append(why, "it, or what is to be captured of it, has changed")
	}
	if !is.shape && len(why) == 0 { // another one comes with a change
		why = append(why, "its shape is not noted")
	}
	if list := without(is.grantees, is.owners); len(list) > 0 {
		why = append(why, strings.Join(list, ", ")+" may execute its function, and so attach it to tables")
	}
	ungranted := without(is.owners, is.grantees)
	if is.body != "" && len(ungranted) > 0 {
		why = append(why, strings.Join(ungranted, ", ")+" may not execute its function, and so cannot add partitions")
	}
	missing := f.triggers(is)
	resumed := f.noted != nil && slices.ContainsFunc(missing, f.wasThere)
	if is.body != "" && len(missing) > 0 {
		why = append(why, "triggers are missing or disabled")
	}
	if stale := f.stale(); stale != "" && (is.body != "" || f.noted != nil) && !slices.Contains(why, stale) {
		why = append(why, stale)
	}
	if is.noKey {
		why = append(why, "there is no key for its hashes")
	}
	if len(why) == 0 {
		return nil
	}
	step := &Step{Table: f.qualified(), Why: strings.Join(why, ", "), SQL: []string{s.turnSQL(), s.unchangedSQL(f, is)}, patience: setPatience}
	function := s.at(f.function()) + "()"
	step.SQL = append(step.SQL,
		fmt.Sprintf("INSERT INTO %s (id, table_id, shape) VALUES (%d, %d, %s::pg_catalog.json) ON CONFLICT DO NOTHING", s.at("audit_shapes"), f.id(), f.tableID(), pgtext.Literal(f.text())),
		"CREATE OR REPLACE FUNCTION "+function+" RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER\n"+f.settingsSQL()+"AS "+quoted("capture", body),
		"REVOKE ALL ON FUNCTION "+function+" FROM "+strings.Join(append(without(is.grantees, is.owners), "PUBLIC"), ", "))
	if len(ungranted) > 0 {
		step.SQL = append(step.SQL, "GRANT EXECUTE ON FUNCTION "+function+" TO "+strings.Join(ungranted, ", "))
	}
	if f.hashes() {
		step.SQL = append(step.SQL, s.makeKey())
	}
	for _, t := range f.strays(is) {
		step.SQL = append(step.SQL, "DROP TRIGGER "+t.name+" ON "+t.table)
	}
	for _, t := range missing {
		step.SQL = append(step.SQL, "DROP TRIGGER IF EXISTS "+t.name+" ON "+t.table, "CREATE TRIGGER "+t.name+" AFTER "+t.when+" EXECUTE FUNCTION "+function)
	}
	step.SQL = append(step.SQL, s.noteSQL(f, resumed))
	return step
}

// quoted returns s in dollar quotes with a name.
func quoted(name, s string) string {
	tag := "$" + name + "$"
	for i := 0; strings.Contains(s, tag); i++ {
		tag = fmt.Sprintf("$%s%d$", name, i)
	}
	return tag + "\n" + s + tag
}

func (f *found) settingNames() (names []string) {
	for _, c := range f.Columns {
		if !c.Masked || c.Hashed {
			names = append(names, c.settings...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (f *found) settingsSQL() string {
	var b strings.Builder
	for _, n := range f.settingNames() {
		fmt.Fprintf(&b, "SET %s = %s\n", n, settings[n])
	}
	return b.String()
}

// settingsText is settingsSQL as pg_proc.proconfig has it.
func (f *found) settingsText() string {
	var list []string
	for _, n := range f.settingNames() {
		list = append(list, n+"="+strings.Trim(settings[n], "'"))
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}

type trigger struct{ name, table, when string }

// triggers are those that are to be made. That on rows of a partitioned table is also on its
// partitions; that on TRUNCATE is not.
func (f *found) triggers(is *deployed) (missing []trigger) {
	for _, t := range slices.Concat([]string{f.qualified()}, f.partitions) {
		if row := f.rowTrigger(); t == f.qualified() && !slices.Contains(is.triggers, row+" "+t) {
			missing = append(missing, trigger{row, t, "INSERT OR UPDATE OR DELETE ON " + t + " FOR EACH ROW"})
		}
		if !slices.Contains(is.triggers, truncateTrigger+" "+t) {
			missing = append(missing, trigger{truncateTrigger, t, "TRUNCATE ON " + t + " FOR EACH STATEMENT"})
		}
	}
	return append(missing, f.movesTriggers(is)...)
}

// rowTrigger is the name of the trigger on rows. That of a partitioned table is also on its partitions, and
// ATTACH fails if a table has another trigger of that name.
func (f *found) rowTrigger() string {
	if f.kind == "p" {
		return fmt.Sprintf("%s_%016x", rowTrigger, f.tableID())
	}
	return rowTrigger
}

// wasThere reports whether a trigger that is missing was there at the last note.
func (f *found) wasThere(t trigger) bool {
	if t.name == movesTrigger { // which keeps nothing
		return false
	}
	return t.table == f.qualified() || slices.Contains(f.noted.Partitions, t.table)
}

// strays are triggers that are to go: on the rows of partitions that were captured by themselves before,
// and on statements on tables that were partitions.
func (f *found) strays(is *deployed) (list []trigger) {
	for _, t := range is.others {
		if name, table, _ := strings.Cut(t, " "); slices.Contains(f.partitions, table) {
			list = append(list, trigger{name: name, table: table})
		}
	}
	for _, t := range is.triggers {
		if name, table, _ := strings.Cut(t, " "); name != f.rowTrigger() && table != f.qualified() && !slices.Contains(f.partitions, table) {
			list = append(list, trigger{name: name, table: table})
		}
	}
	return list
}

// deployed is what there is of a table's capture.
type deployed struct {
	body, settings string
	digest         string   // of the body, "" if there is none
	grantees       []string // who may execute the function, beside its owner
	owners         []string // who has to, because a partition that they add to a table of theirs gets its trigger
	shape          bool     // is noted
	noKey          bool     // for hashes
	triggers       []string // those that fire: the name and the table's, with a space between
	others         []string // those on rows that are another capture's, in the same form
	// notes are those of the functions under the table's name, and on the table: where it was
	// renamed, these are two. One that says nothing is nil.
	notes []*note
	// leaves are those of captures of partitions, and inherited those of tables that had its name before, or
	// had it as a partition.
	leaves, inherited []*note
}

func (s *Store) deployed(ctx context.Context, q querier, f *found) (*deployed, error) {
	d := &deployed{}
	var grantees string
	err := q.QueryRowContext(ctx, `SELECT pg_catalog.ltrim(p.prosrc, E'\n'), `+digestSQL+`, coalesce((SELECT pg_catalog.string_agg(c, E'\n' ORDER BY c COLLATE "C") FROM pg_catalog.unnest(p.proconfig) c), ''),
			coalesce((SELECT pg_catalog.json_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END)
				FROM pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a WHERE a.grantee <> p.proowner), '[]')::pg_catalog.text
		FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = $1 AND p.proname = $2`, s.schema, f.function()).Scan(&d.body, &d.digest, &d.settings, &grantees)
	if err == nil {
		err = json.Unmarshal([]byte(grantees), &d.grantees)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, wrap("look for the capture of "+f.qualified(), err)
	}
	if d.owners, err = s.owners(ctx, q, f); err != nil {
		return nil, wrap("look for the owners of "+f.qualified(), err)
	}
	d.notes, err = readAll(ctx, q, func(rows *sql.Rows) (*note, error) {
		var body string
		failed := rows.Scan(&body)
		return noteOf(body), failed
	}, `SELECT pg_catalog.ltrim(p.prosrc, E'\n') FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname = $1 AND p.proname LIKE 'capture\_%' AND (p.proname = $2 OR p.oid IN (SELECT g.tgfoid FROM pg_catalog.pg_trigger g WHERE g.tgrelid = $3::pg_catalog.int8::pg_catalog.oid))`, s.schema, f.function(), int64(f.OID))
	if err != nil {
		return nil, wrap("look for the capture of "+f.qualified(), err)
	}
	name := func(rows *sql.Rows) (name string, err error) { return name, rows.Scan(&name) }
	query := `SELECT pg_catalog.concat(g.tgname, ' ', ` + qualifiedName + `)
		FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace WHERE pn.nspname = $1 AND `
	d.triggers, err = readAll(ctx, q, name, query+"p.proname = $2 AND g.tgenabled IN ('O', 'A')", s.schema, f.function())
	if err == nil && f.kind == "p" {
		d.others, err = readAll(ctx, q, name, query+"p.proname <> $2 AND g.tgname LIKE '"+rowTrigger+"%' AND g.tgparentid = 0", s.schema, f.function())
	}
	if err != nil {
		return nil, wrap("look for the triggers of "+f.qualified(), err)
	}
	return d, wrap("look for what "+f.qualified()+" inherits", s.inherit(ctx, q, f, d))
}

// owners are the roles to whom a partitioned table and those of its partitions belong that are partitioned, too, unless they may
// execute its function anyhow. CREATE TABLE … PARTITION OF and ATTACH PARTITION make the trigger on rows as the one who executes them.
func (s *Store) owners(ctx context.Context, q querier, f *found) ([]string, error) {
	if f.kind != "p" {
		return nil, nil
	}
	return readAll(ctx, q, func(rows *sql.Rows) (name string, err error) { return name, rows.Scan(&name) },
		`SELECT DISTINCT pg_catalog.quote_ident(r.rolname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
		WHERE c.relkind = 'p' AND (c.oid = $1::pg_catalog.int8::pg_catalog.oid OR c.oid IN (SELECT t.relid FROM pg_catalog.pg_partition_tree($1::pg_catalog.int8::pg_catalog.oid) t))
			AND NOT r.rolsuper AND r.rolname <> coalesce((SELECT pg_catalog.pg_get_userbyid(p.proowner) FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
				WHERE n.nspname = $2 AND p.proname = $3), current_user) ORDER BY 1`, int64(f.OID), s.schema, f.function())
}

// noted finds out whether the shape is noted. For a role that may not look, it is.
func (s *Store) noted(ctx context.Context, q querier, f *found, d *deployed) error {
	err := q.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM "+s.at("audit_shapes")+" WHERE id = $1)", f.id()).Scan(&d.shape)
	switch hooks.SQLState(err) {
	case undefinedTable, undefinedSchema:
		return fmt.Errorf("changes: the tables are not there: run Store.Migrate first: %w", err)
	case insufficientPrivilege:
		d.shape = true
		return nil
	}
	if err == nil {
		d.noKey, err = s.keyMissing(ctx, q, f)
	}
	return wrap("look for the capture of "+f.qualified(), err)
}

const (
	insufficientPrivilege = "42501"

	undefinedTable  = "42P01"
	undefinedSchema = "3F000"

	lockTimeout = "55P03"
)

// applyWait is how long a step waits for a lock at a time: so long do the app's statements
// wait behind it. mostTries bounds how often it is tried.
const (
	applyWait = "100ms"
	mostTries = 20
)

const setPatience = "SET LOCAL lock_timeout = '" + applyWait + "'"

// Apply executes a plan, in one transaction for each table. A table that the app has locked is
// waited for 100 milliseconds at a time, with pauses, because the app's statements queue
// behind what waits, and so is another process that changes captures. What was applied before an error
// stays; Plan then says what is left. A capture that was changed since it was planned is an error: plan anew.
func (s *Store) Apply(ctx context.Context, p *Plan) error {
	for i := range p.Steps {
		if err := s.apply(ctx, &p.Steps[i]); err != nil {
			return wrap("capture "+p.Steps[i].Table, err)
		}
	}
	return nil
}

func (s *Store) apply(ctx context.Context, step *Step) error {
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

// patiently runs do in a transaction that waits little for locks, up to so many times. What the transaction reads
// once it has its turn is what there is then, whatever the default isolation is.
func (s *Store) patiently(ctx context.Context, tries int, do func(tx *sql.Tx) error) error {
	for try := 1; ; try++ {
		err := s.inTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted}, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, setPatience); err != nil {
				return err
			}
			return do(tx)
		})
		if hooks.SQLState(err) != lockTimeout || try == tries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50*time.Millisecond + rand.N(200*time.Millisecond)):
		}
	}
}

// Remove ends the capture of a table. What was captured stays.
func (s *Store) Remove(ctx context.Context, table string) error {
	if s, ok := s.sqlite(); ok {
		return s.remove(ctx, table)
	}
	if err := s.known(); err != nil {
		return err
	}
	if err := s.ownHistories(ctx, s.db); err != nil {
		return err
	}
	f, err := s.look(ctx, s.db, table)
	if err != nil {
		return err
	}
	step := &Step{Table: f.qualified(), SQL: []string{s.turnSQL(), "DROP FUNCTION IF EXISTS " + s.at(f.function()) + "() CASCADE"}}
	if f.noted != nil && f.noted.ShapeID != nil {
		step.SQL = append(step.SQL, s.endSQL(f))
	}
	return wrap("remove the capture of "+table, s.apply(ctx, step))
}
