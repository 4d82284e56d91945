package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
	"github.com/go-aftercommit/aftercommit/threadline/internal/errtext"
)

var _ forward.Keeper = (*List)(nil)

// List is what a program wants to be captured, for [forward.Hub.Keep].
type List struct {
	Tables []Table
	// Options are those of the [Installer] that makes the captures. Nil means defaults.
	Options *Options
}

// Of returns the capture of tables in the app's own database, with default options.
func Of(tables ...Table) *List { return &List{Tables: tables} }

// Keep implements [forward.Keeper]. It makes the tables of changes and the captures that are missing, each capture in a
// separate transaction. It loosens nothing, since another version of the program may want what is there: what is masked
// or excluded stays so, and tables that are not in the list stay captured. It warns of both.
//
// If the role lacks rights, the error is a [forward.PermanentError], "insufficient_privilege", that says
// what to run. On SQLite Keep returns an error, and the Hub does not call it: there a List lets captures follow
// DDL, as a [hooks.Reshaper].
func (c *List) Keep(ctx context.Context, db *sql.DB) (done, warnings []string, failed error) {
	dialect := forward.Dialect(ctx)
	if dialect == "" {
		dialect = hooks.Postgres // the caller is no Hub
	}
	k := &keepRun{installer: NewInstaller(db, dialect, c.Options)}
	refused := k.installer.catalog.Supported()
	if dialect == hooks.SQLite {
		refused = errors.New("capture: Keep makes captures on PostgreSQL only: on SQLite make them with Installer.Plan and Installer.Apply")
	}
	defer k.installer.explain(&failed)
	if refused != nil {
		return nil, nil, forward.Permanent("unsupported_database", refused)
	}
	if err := k.prepare(ctx); err != nil {
		return nil, nil, err
	}
	var errs []error
	for _, t := range c.Tables {
		if err := k.keep(ctx, t); err != nil {
			errs = append(errs, err)
		}
	}
	if k.mayApply() {
		late, err := k.installer.makePartitions(ctx, true)
		k.warnings, errs = append(k.warnings, late...), append(errs, wrap("make partitions", err))
	}
	missing, err := k.installer.missingContexts(ctx, k.installer.catalog.DB)
	k.warnings, errs = append(k.warnings, missing...), append(errs, err)
	if errors.Join(errs...) == nil { // else a table of the list may be among the others
		errs = append(errs, k.warnOthers(ctx))
	}
	if k.denied != nil {
		errs = append(errs, forward.Permanent("insufficient_privilege", k.denied))
	}
	return k.done, k.warnings, errors.Join(errs...)
}

// keepRun is one call of Keep.
type keepRun struct {
	installer *Installer
	// role is the session's, and owner that of the history, "" while there is none.
	role, owner string

	captured       []uint32 // the OIDs of the list's tables
	done, warnings []string
	denied         *rightsError
}

// rightsError says which rights the role lacks, and what to run.
type rightsError struct {
	problems, statements []string
}

// Error gives the problems, each with the remedy.
func (e *rightsError) Error() string { return "capture: " + strings.Join(e.problems, "; ") }

// Statements returns the SQL to run.
func (e *rightsError) Statements() string { return strings.Join(e.statements, ";\n") + ";\n" }

func (k *keepRun) deny(problem string, statements ...string) {
	if k.denied == nil {
		k.denied = &rightsError{}
	}
	k.denied.problems = append(k.denied.problems, problem)
	k.denied.statements = append(k.denied.statements, statements...)
}

// prepare makes the tables of changes, unless another role owns them.
func (k *keepRun) prepare(ctx context.Context) error {
	err := k.installer.catalog.DB.QueryRowContext(ctx, "SELECT "+pgtext.HexAnywhere("current_user::pg_catalog.text")+", coalesce((SELECT "+pgtext.HexAnywhere("pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text")+
		" FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'audit_changes'), '')", k.installer.catalog.Schema).
		Scan(pgtext.Scanner(&k.role), pgtext.Scanner(&k.owner))
	if err != nil || !k.mayApply() && k.owner != "" {
		return wrap("look for the tables", err)
	}
	err = k.installer.makeTables(ctx)
	switch {
	case err == nil:
		k.owner = k.role
		var warnings []string
		warnings, err = k.installer.missingIndexes(ctx, k.installer.catalog.DB)
		k.warnings = append(k.warnings, warnings...)
		return err
	case pgschema.Denied(err), hooks.SQLState(err) == foreignObjects:
		k.deny(errtext.Of(err)+"; or run the statements in sql as the role that shall own the history", k.installer.script())
	default:
		return err
	}
	return nil
}

// mayApply reports whether the role owns the history. The capture functions run with the rights of the role that makes them, which must
// be the owner's.
func (k *keepRun) mayApply() bool { return k.owner == k.role }

// keep makes or replaces the capture of a table, unless it is as it should be.
func (k *keepRun) keep(ctx context.Context, t Table) (failed error) {
	defer k.installer.explain(&failed)
	w, err := k.assess(ctx, k.installer.catalog.DB, t)
	if err != nil {
		return err
	}
	k.captured = append(k.captured, w.OID)
	k.warnings = append(k.warnings, w.warnings...)
	switch {
	case w.step == nil:
		return nil
	case !k.mayApply():
		return k.leaveToOwner(ctx, w)
	}
	err = k.installer.patiently(ctx, keepTries, func(tx *sql.Tx) error {
		if err = k.installer.takeTurn(ctx, tx); err != nil {
			return err
		}
		// Another process may have been here in between.
		w, err = k.assess(ctx, tx, t)
		if err != nil || w.step == nil {
			return err
		}
		return w.step.execute(ctx, tx)
	})
	switch {
	case pgschema.Denied(err):
		return k.leaveToOwner(ctx, w)
	case err == nil && w.step != nil:
		done := "row changes of " + w.Qualified() + " are captured from now on"
		if w.captured {
			done = fmt.Sprintf("the capture of %s was replaced (%s)", w.Qualified(), w.step.Why)
		}
		k.done = append(k.done, done)
	}
	return wrap("capture "+t.Name, err)
}

// foreignObjects is the SQLSTATE of what Migrate refuses, such as a schema of another role.
const foreignObjects = "AC001"

// keepTries is how often a table that the app has locked is tried in one call of Keep.
const keepTries = 5

// work is what is to be done for a table.
type work struct {
	*target
	captured bool  // the table has a capture already
	step     *Step // nil if nothing is to be done
	warnings []string
}

// assess finds out what is to be done for a table without loosening anything.
func (k *keepRun) assess(ctx context.Context, q catalog.Querier, t Table) (*work, error) {
	f, err := k.installer.look(ctx, q, t.Name)
	if err != nil {
		return nil, err
	}
	if err = k.installer.checkKind(f, t.Name); err != nil {
		return nil, err
	}
	is, err := k.installer.deployed(ctx, q, f)
	if err != nil {
		return nil, err
	}
	f.gone = is.gone(f)
	warning, err := f.wantKept(is.stricter(f, t), f.want(ctx, q))
	if err != nil {
		return nil, err
	}
	if err = k.installer.decideBulk(ctx, q, f, t); err != nil {
		return nil, err
	}
	if k.owner != "" {
		if err := k.installer.readStored(ctx, q, f, is); err != nil {
			return nil, err
		}
	}
	w := &work{target: f, captured: is.Body != ""}
	if why := is.whyLeft(); why != "" {
		w.warnings = append(w.warnings, f.Qualified()+": "+why)
		return w, nil
	}
	w.warnings = is.notLoosened(f, t)
	w.warnings = append(w.warnings, f.warnings(is, warning).named(f)...)
	w.step = k.installer.step(f, is)
	return w, nil
}

// whyLeft says why Keep leaves a capture as it is, "" if it does not.
func (d *deployed) whyLeft() string {
	notes := slices.Concat(d.Notes, d.Leaves)
	switch {
	case slices.Contains(notes, nil):
		return "it is captured, and it is not known what was masked and excluded: the capture is left as it is; run Installer.Plan and Installer.Apply to replace it"
	case slices.ContainsFunc(notes, func(n *catalog.Note) bool { return n.Generation > generation }):
		return "it is captured by a newer version of this package: the capture is left as it is, whatever this program wants to be masked and excluded"
	}
	return ""
}

// notLoosened are warnings of what in t would loosen the capture, and is not done.
func (d *deployed) notLoosened(f *target, t Table) (warnings []string) {
	if key := d.declaredKey(f); key != nil && t.Key == nil {
		warnings = append(warnings, fmt.Sprintf("the key of %s stays %s, although this program's list has none: a newer version may want that; "+
			"to change it, name another one, such as the columns of the primary key", f.Qualified(), keyText(key)))
	}
	for i := range f.All {
		c := &f.All[i]
		wanted := catalog.KeepsValues
		switch {
		case slices.Contains(t.Exclude, c.Name):
			wanted = catalog.KeepsNothing
		case slices.Contains(t.Mask, c.Name):
			wanted = catalog.KeepsThat
		case slices.Contains(t.Hash, c.Name):
			wanted = catalog.KeepsHashes
		}
		if is := d.Kept(f.Relation, c); is > wanted {
			warnings = append(warnings, fmt.Sprintf("the column %q of %s stays %s, although this program's list has it %s: a newer version may want that; "+
				"to loosen it, run Installer.Plan and Installer.Apply once no program has the stricter list", c.Name, f.Qualified(), is, wanted))
		}
	}
	return warnings
}

// leaveToOwner adds to the error what another role has to run.
func (k *keepRun) leaveToOwner(ctx context.Context, w *work) error {
	statements := w.step.script()
	if k.owner == "" { // which prepare has a problem with
		k.denied.statements = append(k.denied.statements, statements...)
		return nil
	}
	lacks, err := catalog.ReadAll(ctx, k.installer.catalog.DB, func(rows *sql.Rows) (l lack, err error) { return l, rows.Scan(&l.table, pgtext.Scanner(&l.owner)) },
		`SELECT `+catalog.QualifiedName+`, `+pgtext.HexAnywhere("pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text")+`
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE (c.oid = $1::pg_catalog.int8::pg_catalog.oid OR c.oid IN (SELECT p.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree($1::pg_catalog.int8::pg_catalog.oid) p))
			AND NOT pg_catalog.has_table_privilege($2::pg_catalog.name, c.oid, 'TRIGGER') ORDER BY 1`, int64(w.OID), k.owner)
	if err != nil {
		return wrap("look for rights on "+w.Qualified(), err)
	}
	for _, l := range lacks {
		grant := "GRANT TRIGGER ON " + l.table + " TO " + pgschema.Ident(k.owner)
		k.deny(fmt.Sprintf("role %s may make no trigger on %s: run this as role %s, which owns it: %s", pgschema.Ident(k.owner), l.table, pgschema.Ident(l.owner), grant), grant)
	}
	switch {
	case !k.mayApply():
		k.deny(fmt.Sprintf("role %s may not capture %s (%s): run the statements in sql as the role that owns the history, %s, or have Hub.Keep called by a process that calls Hub.Relay as that role",
			pgschema.Ident(k.role), w.Qualified(), w.step.Why, pgschema.Ident(k.owner)), statements...)
	case len(lacks) == 0: // a trigger that is disabled can be replaced by the table's owner only
		drop := &Step{patience: setPatience}
		for _, name := range append([]string{w.rowTrigger(), catalog.TruncateTrigger}, w.bulkNames()...) {
			drop.SQL = append(drop.SQL, "DROP TRIGGER IF EXISTS "+name+" ON "+w.Qualified())
		}
		k.deny(fmt.Sprintf("role %s may not replace the triggers of %s (%s): drop them as the role that owns it", pgschema.Ident(k.role), w.Qualified(), w.step.Why),
			drop.script()...)
	}
	return nil
}

// lack is a table on which a role may make no trigger.
type lack struct{ table, owner string }

// warnOthers warns of tables that are captured and not in the list.
func (k *keepRun) warnOthers(ctx context.Context) error {
	others, err := catalog.ReadAll(ctx, k.installer.catalog.DB, func(rows *sql.Rows) (name string, err error) {
		var oid int64
		err = rows.Scan(&name, &oid)
		if slices.Contains(k.captured, uint32(oid)) {
			name = ""
		}
		return name, err
	}, `SELECT `+catalog.QualifiedName+`, c.oid::pg_catalog.int8
		FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
		WHERE pn.nspname = $1 AND g.tgname OPERATOR(pg_catalog.~~) '`+catalog.RowTrigger+`%' AND g.tgparentid = 0::pg_catalog.oid ORDER BY 1`, k.installer.catalog.Schema)
	for _, name := range others {
		if name != "" {
			k.warnings = append(k.warnings, name+" is captured, and is not in this program's list: it stays captured, since a newer version may want that; Installer.Remove ends it")
		}
	}
	return wrap("look for other captures", err)
}
