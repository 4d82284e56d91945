package capture

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// Kind is what a [Relation] is. Only tables and partitioned tables can be captured.
type Kind string

// The kinds of what a database shows as a table.
const (
	Plain            Kind = "table"
	Partitioned      Kind = "partitioned table"
	View             Kind = "view"
	MaterializedView Kind = "materialized view"
	Foreign          Kind = "foreign table"
	Virtual          Kind = "virtual table"
)

// Relation is a table or a view of the app's, with its capture. A partition belongs to its table, and is not listed.
type Relation struct {
	// Name is the qualified name, in quotes.
	Name string
	Kind Kind
	// Unlogged says that a crash empties the table, which no trigger sees.
	Unlogged bool
	// Extension is the extension that the table belongs to, if any.
	Extension string
	// Columns are those of a table that can be captured, and PrimaryKey those of its primary key.
	Columns, PrimaryKey []string
	// Capture is nil if the table is not captured.
	Capture *Captured
}

// Captured is the capture of a table as it is in the database.
type Captured struct {
	// Table is what the capture was made from, as far as the database shows: its mask, hash and exclude lists, and a key that was declared.
	Table Table
	// Columns are those that the table has, and Key those that identify a row, none if it has no key.
	Columns, Key []string
	// Since is when the capture was last made or replaced, the zero time if that is not known.
	Since time.Time
	// Drift says why the capture is not as it should be, "" if it is: [Installer.Apply] of a plan for Table makes it so.
	Drift string
	// StrayTriggers are triggers, "name ON table", that are not part of the capture, although they call its function or have the name
	// of one of its triggers.
	StrayTriggers []string
	// Warnings are those of the plan for Table, without its name.
	Warnings []string
}

// Survey looks at all tables of the database, on PostgreSQL in all schemas, and at their captures. It changes nothing. Left out are the
// server's tables, those of the history, the journal and the timeline, and temporary ones.
func (s *Installer) Survey(ctx context.Context) ([]Relation, error) {
	if s, ok := s.sqlite(); ok {
		return s.survey(ctx)
	}
	if err := s.catalog.Supported(); err != nil {
		return nil, err
	}
	if err := s.ownHistories(ctx, s.catalog.DB); err != nil {
		return nil, err
	}
	list, err := s.surveyed(ctx)
	if err != nil {
		return nil, wrap("look for tables", err)
	}
	for i := range list {
		if list[i].Capture == nil {
			continue
		}
		if list[i].Capture, err = s.captured(ctx, s.catalog.DB, list[i].Name); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Qualify returns the qualified name, in quotes, of the table that a name means, as [Relation] has it.
func (s *Installer) Qualify(ctx context.Context, name string) (string, error) {
	if s, ok := s.sqlite(); ok {
		return s.SQLite.Qualify(ctx, s.catalog.DB, name)
	}
	return s.catalog.Qualify(ctx, s.catalog.DB, name)
}

var kinds = map[string]Kind{"r": Plain, "p": Partitioned, "v": View, "m": MaterializedView, "f": Foreign}

// surveyed lists the tables. Those that may have a capture have an empty one.
func (s *Installer) surveyed(ctx context.Context) (list []Relation, err error) {
	all, err := catalog.ReadAll(ctx, s.catalog.DB, func(rows *sql.Rows) (t Relation, err error) {
		var kind, schema, name, columns, key string
		var triggered bool
		if err = rows.Scan(&t.Name, &schema, &name, &kind, &t.Unlogged, &t.Extension, &triggered, &columns, &key); err != nil {
			return t, err
		}
		t.Kind = kinds[kind]
		if t.Kind == Plain || t.Kind == Partitioned {
			if err = errors.Join(json.Unmarshal([]byte(columns), &t.Columns), json.Unmarshal([]byte(key), &t.PrimaryKey)); err != nil {
				return t, err
			}
		}
		if triggered {
			t.Capture = &Captured{}
		}
		if s.isOwn(schema, name) {
			t.Name = ""
		}
		return t, nil
	}, `SELECT `+catalog.QualifiedName+`, n.nspname::pg_catalog.text, c.relname::pg_catalog.text, c.relkind::pg_catalog.text, c.relpersistence = 'u',
			coalesce((SELECT e.extname::pg_catalog.text FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
				WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AND d.objid = c.oid AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass::pg_catalog.oid AND d.deptype = 'e' LIMIT 1), ''),
			EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace JOIN pg_catalog.pg_trigger g ON g.tgfoid = p.oid
				WHERE pn.nspname = $1 AND g.tgrelid = c.oid AND p.proname OPERATOR(pg_catalog.~~) 'capture\_%'),
			coalesce((SELECT pg_catalog.json_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]')::pg_catalog.text,
			coalesce((SELECT pg_catalog.json_agg(a.attname ORDER BY k.n) FROM pg_catalog.pg_index i, pg_catalog.unnest(i.indkey) WITH ORDINALITY k (number, n), pg_catalog.pg_attribute a
				WHERE i.indrelid = c.oid AND i.indisprimary AND k.n <= i.indnkeyatts AND a.attrelid = c.oid AND a.attnum = k.number), '[]')::pg_catalog.text
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = ANY ('{r,p,v,m,f}'::pg_catalog."char"[]) AND NOT c.relispartition AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND NOT n.nspname OPERATOR(pg_catalog.~~) 'pg\_%'
		ORDER BY n.nspname, c.relname`, s.catalog.Schema)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(t Relation) bool { return t.Name == "" })
	gone, err := s.untriggered(ctx)
	for i := range all {
		if all[i].Capture == nil && slices.Contains(gone, all[i].Name) {
			all[i].Capture = &Captured{}
		}
	}
	return all, err
}

// untriggered returns the tables that audit_captures has as captured: their triggers may have been dropped.
func (s *Installer) untriggered(ctx context.Context) ([]string, error) {
	if readable, err := s.catalog.CapturesReadable(ctx, s.catalog.DB); err != nil || !readable {
		return nil, err
	}
	return catalog.ReadAll(ctx, s.catalog.DB, func(rows *sql.Rows) (name string, err error) { return name, rows.Scan(&name) },
		`SELECT DISTINCT `+catalog.QualifiedName+` FROM `+s.at("audit_captures")+` a, pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.oid = a.table_oid::pg_catalog.oid AND a.place = `+s.catalog.Place()+` OR n.nspname = a.schema_name AND c.relname = a.table_name`)
}

// captured compares the capture of a table with what it was made from, nil if it has none.
func (s *Installer) captured(ctx context.Context, q catalog.Querier, name string) (*Captured, error) {
	f, err := s.look(ctx, q, name)
	if err != nil {
		return nil, err
	}
	is, err := s.deployed(ctx, q, f)
	if err != nil {
		return nil, err
	}
	if len(is.Triggers) == 0 && (f.LastCapture == nil || f.LastCapture.ShapeID == nil) {
		return nil, nil //nolint:nilnil // it is not captured
	}
	f.gone = is.gone(f)
	c := &Captured{Table: is.stricter(f, Table{Name: name, Bulk: s.before(f, is).bulk})} // also if its triggers are disabled
	if why := is.whyLeft(); why != "" {
		c.Warnings = append(c.Warnings, why)
	}
	warning, err := f.wantKept(c.Table, f.want(ctx, q))
	if err != nil {
		return nil, err
	}
	if warning != "" { // a plan that names it would be refused
		c.Table.Key = nil
	}
	if err = s.decideBulk(ctx, q, f, c.Table); err != nil {
		return nil, err
	}
	if err = s.readStored(ctx, q, f, is); err != nil {
		return nil, err
	}
	c.Warnings = append(c.Warnings, f.warnings(is, warning)...)
	if step := s.step(f, is); step != nil {
		c.Drift = step.Why
	}
	if f.LastCapture != nil {
		c.Since, err = f.LastCapture.Time()
	}
	c.describe(f)
	if err == nil {
		c.StrayTriggers, err = s.strayTriggers(ctx, q, f, is)
	}
	return c, wrap("read the capture of "+name, err)
}

// strayTriggers returns the triggers that a plan would drop, and triggers with functions of others that are named like those of a capture.
func (s *Installer) strayTriggers(ctx context.Context, q catalog.Querier, f *target, is *deployed) (list []string, err error) {
	for _, t := range f.strays(is) {
		list = append(list, pgschema.Ident(t.name)+" ON "+t.table)
	}
	named, err := catalog.ReadAll(ctx, q, func(rows *sql.Rows) (name string, err error) { return name, rows.Scan(&name) },
		`SELECT pg_catalog.concat(pg_catalog.quote_ident(g.tgname), ' ON ', `+catalog.QualifiedName+`) FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid
		JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
		WHERE c.oid = $1::pg_catalog.int8::pg_catalog.oid AND NOT g.tgisinternal AND g.tgname OPERATOR(pg_catalog.~~) 'threadline\_%' AND pn.nspname <> $2 ORDER BY g.tgname`, int64(f.OID), s.catalog.Schema)
	return append(list, named...), err
}

// describe sets the columns and the key that the table has.
func (c *Captured) describe(f *target) {
	for i := range f.All {
		c.Columns = append(c.Columns, f.All[i].Name)
	}
	if f.Keyed() {
		c.Key = slices.Clone(f.Key)
	}
}

func (s sqlite) survey(ctx context.Context) ([]Relation, error) {
	q := s.catalog.DB
	list, err := catalog.ReadAll(ctx, q, func(rows *sql.Rows) (t Relation, err error) {
		var name, kind string
		if err = rows.Scan(&name, &kind); err != nil || s.IsOwn(name) {
			return Relation{}, err
		}
		return Relation{Name: pgschema.Ident(name), Kind: map[string]Kind{"table": Plain, "view": View, "virtual": Virtual}[kind]}, nil
	}, `SELECT t.name, t.type FROM pragma_table_list t WHERE t.schema = 'main' AND t.type <> 'shadow' ORDER BY t.name`)
	if err != nil {
		return nil, wrap("look for tables", err)
	}
	list = slices.DeleteFunc(list, func(t Relation) bool { return t.Name == "" })
	unmade := s.Check(ctx, q) != nil // nothing is captured here
	for i := range list {
		if list[i].Kind != Plain {
			continue
		}
		if err = s.readColumns(ctx, q, &list[i]); err != nil {
			return nil, err
		}
		if unmade {
			continue
		}
		if list[i].Capture, err = s.captured(ctx, q, list[i].Name); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// readColumns reads the columns of a table. VIRTUAL ones are not captured.
func (s sqlite) readColumns(ctx context.Context, q catalog.Querier, one *Relation) error {
	name, _, err := catalog.CutSQLiteName(one.Name)
	if err != nil {
		return err
	}
	t := &catalog.SQLiteTable{}
	t.Table = name
	if err = s.ReadColumns(ctx, q, t); err != nil && t.All == nil {
		return wrap("read the columns of "+one.Name, err)
	}
	for i := range t.All {
		one.Columns = append(one.Columns, t.All[i].Name)
	}
	one.PrimaryKey = t.PrimaryKey
	return nil
}

// captured compares the capture of a table with what it was made from, nil if it has none.
func (s sqlite) captured(ctx context.Context, q catalog.Querier, name string) (*Captured, error) {
	t, is, err := s.asBefore(ctx, q, name)
	if err != nil || t == nil || !t.LastCapture.Shape.Valid {
		return nil, err
	}
	isGone := func(column string) bool { return !t.Has(column) }
	c := &Captured{Table: Table{Name: name, Mask: slices.DeleteFunc(slices.Clone(t.hidden.Mask), isGone), Exclude: slices.DeleteFunc(slices.Clone(t.hidden.Exclude), isGone)}}
	warning := ""
	if slices.Equal(t.Key, t.hidden.Key) {
		c.Table.Key = t.hidden.Key // as a plan names it
	} else if t.hidden.Key != nil {
		warning = t.target().otherKey("its key " + keyText(t.hidden.Key) + " cannot be used")
	}
	c.Warnings = t.target().warnings(is, warning)
	if step := s.step(t, is, t.Grown()); step != nil {
		c.Drift = step.Why
	}
	c.describe(t.target())
	c.Since, err = time.Parse(lenient.TimeForm, t.LastCapture.NotedAt)
	return c, wrap("read the capture of "+name, err)
}
