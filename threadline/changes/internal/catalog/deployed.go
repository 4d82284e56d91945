package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// The names of triggers, or how they begin.
const (
	RowTrigger      = "threadline_row"
	TruncateTrigger = "threadline_truncate"
	BulkTrigger     = "threadline_bulk"
)

// BulkTriggers is how many triggers on statements there are.
const BulkTriggers = 4

// MovesTrigger is the name of triggers that keep nothing, but pair what the others have kept of rows that move to other partitions.
const MovesTrigger = "threadline_moves"

// Qualified is the table's name with its schema, in quotes.
func (f *Relation) Qualified() string {
	return pgschema.Ident(f.Schema) + "." + pgschema.Ident(f.Table)
}

// Deployed is what there is of a table's capture.
type Deployed struct {
	Body, Settings string
	Digest         string   // of the body, "" if there is none
	Grantees       []string // who may execute the function, beside its owner
	Owners         []string // who has to be able to: a partition that they add to a table of theirs gets its trigger
	Triggers       []Trigger
	Others         []Trigger // those on rows that are another capture's
	// Notes are those of the functions under the table's name, and on the table: where it was
	// renamed, these are two. The note of a function that has none is nil.
	Notes []*Note
	// Leaves are those of captures of partitions, and inherited those of tables that had its name before, or
	// had it as a partition.
	Leaves, inherited []*Note
}

// Trigger is a trigger that fires.
type Trigger struct {
	Name  string
	Table string // qualified, in quotes
	Owned bool   // the role that asks may drop it
}

// Fires reports whether no trigger of the capture is missing or disabled, so that no change is lost. A partition that has come since
// the last plan has none on TRUNCATE yet, and a foreign table never has.
func (d *Deployed) Fires(f *Relation) bool {
	tables := slices.Concat([]string{f.Qualified()}, f.Partitions)
	count := func(table, prefix string) (n int) {
		for _, t := range d.Triggers {
			if t.Table == table && strings.HasPrefix(t.Name, prefix) {
				n++
			}
		}
		return n
	}
	for _, table := range tables {
		planned := table == f.Qualified() || f.LastCapture != nil && slices.Contains(f.LastCapture.Partitions, table) && !slices.Contains(f.Foreign, table)
		if count(table, RowTrigger) == 0 || planned && count(table, TruncateTrigger) == 0 {
			return false
		}
	}
	bulk := count(f.Qualified(), BulkTrigger)
	return bulk == 0 || bulk == BulkTriggers
}

// On reports whether there is a trigger of a name on a table.
func (d *Deployed) On(name, table string) bool {
	return slices.ContainsFunc(d.Triggers, func(t Trigger) bool { return t.Name == name && t.Table == table })
}

// Deployed reads what there is of a table's capture.
func (s *Database) Deployed(ctx context.Context, q Querier, f *Relation) (*Deployed, error) {
	d := &Deployed{}
	var grantees string
	err := q.QueryRowContext(ctx, `SELECT pg_catalog.ltrim(p.prosrc, E'\n'), `+DigestSQL+`, coalesce((SELECT pg_catalog.string_agg(c, E'\n' ORDER BY c COLLATE "C") FROM pg_catalog.unnest(p.proconfig) c), ''),
			coalesce((SELECT pg_catalog.json_agg(DISTINCT CASE WHEN a.grantee = 0::pg_catalog.oid THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END)
				FROM pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a WHERE a.grantee <> p.proowner), '[]')::pg_catalog.text
		FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = $1 AND p.proname = $2`, s.Schema, f.Function()).Scan(&d.Body, &d.Digest, &d.Settings, &grantees)
	if err == nil {
		err = json.Unmarshal([]byte(grantees), &d.Grantees)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, Wrap("look for the capture of "+f.Qualified(), err)
	}
	if d.Owners, err = s.owners(ctx, q, f); err != nil {
		return nil, Wrap("look for the owners of "+f.Qualified(), err)
	}
	d.Notes, err = ReadAll(ctx, q, func(rows *sql.Rows) (*Note, error) {
		var body string
		failed := rows.Scan(&body)
		return noteOf(body), failed
	}, `SELECT pg_catalog.ltrim(p.prosrc, E'\n') FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
		WHERE n.nspname = $1 AND p.proname OPERATOR(pg_catalog.~~) 'capture\_%' AND (p.proname = $2 OR p.oid IN (SELECT g.tgfoid FROM pg_catalog.pg_trigger g WHERE g.tgrelid = $3::pg_catalog.int8::pg_catalog.oid))`, s.Schema, f.Function(), int64(f.OID))
	if err != nil {
		return nil, Wrap("look for the capture of "+f.Qualified(), err)
	}
	trigger := func(rows *sql.Rows) (t Trigger, err error) { return t, rows.Scan(&t.Name, &t.Table, &t.Owned) }
	query := `SELECT g.tgname::pg_catalog.text, ` + QualifiedName + `, pg_catalog.pg_has_role(c.relowner, 'USAGE')
		FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace WHERE pn.nspname = $1 AND `
	d.Triggers, err = ReadAll(ctx, q, trigger, query+"p.proname = $2 AND g.tgenabled IN ('O', 'A')", s.Schema, f.Function())
	if err == nil && f.Kind == "p" {
		d.Others, err = ReadAll(ctx, q, trigger, query+"p.proname <> $2 AND g.tgname OPERATOR(pg_catalog.~~) '"+RowTrigger+"%' AND g.tgparentid = 0::pg_catalog.oid", s.Schema, f.Function())
	}
	if err != nil {
		return nil, Wrap("look for the triggers of "+f.Qualified(), err)
	}
	return d, Wrap("look for what "+f.Qualified()+" inherits", s.inherit(ctx, q, f, d))
}

// DigestSQL is an expression for the digest of a capture function p.
const DigestSQL = "pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(p.prosrc, pg_catalog.getdatabaseencoding())), 'hex')"

// owners are the owners of a partitioned table and of those of its partitions that are partitioned, too, without those who may
// execute its function anyway. CREATE TABLE … PARTITION OF and ATTACH PARTITION make the trigger on rows with the rights of the role
// that executes them.
func (s *Database) owners(ctx context.Context, q Querier, f *Relation) ([]string, error) {
	if f.Kind != "p" {
		return nil, nil
	}
	return ReadAll(ctx, q, func(rows *sql.Rows) (name string, err error) { return name, rows.Scan(&name) },
		`SELECT DISTINCT pg_catalog.quote_ident(r.rolname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
		WHERE c.relkind = 'p' AND (c.oid = $1::pg_catalog.int8::pg_catalog.oid OR c.oid IN (SELECT t.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree($1::pg_catalog.int8::pg_catalog.oid) t))
			AND NOT r.rolsuper AND r.rolname <> coalesce((SELECT pg_catalog.pg_get_userbyid(p.proowner) FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
				WHERE n.nspname = $2 AND p.proname = $3), current_user) ORDER BY 1`, int64(f.OID), s.Schema, f.Function())
}

// Without returns what is in one list of names and not in the other.
func Without(list, other []string) (rest []string) {
	for _, one := range list {
		if !slices.Contains(other, one) {
			rest = append(rest, one)
		}
	}
	return rest
}
