package changes

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/internal/sqlitetext"
)

// uncaptured says of a name that no captured table ever had whether the app has such a table all the same, and whether actions have it as
// their target; "" if neither.
func (r *pageReader) uncaptured(ctx context.Context, name string) (there, target string, err error) {
	if name == "" {
		return "", "", nil
	}
	exists, err := r.exists(ctx, name)
	if err != nil {
		return "", "", err
	}
	if exists {
		there = ", although there is such a table"
	}
	is, err := r.isTarget(ctx, name)
	if is {
		target = fmt.Sprintf("; it is the target of actions: to find these, ask for the target %q (in a search target:%s)", name, name)
	}
	return there, target, err
}

// exists reports whether the app has a table of a name, with its schema or without.
func (r *pageReader) exists(ctx context.Context, name string) (is bool, err error) {
	if _, ok := onSQLite(r.reader); ok {
		err = r.tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE)", name).Scan(&is)
		return is, err
	}
	// Each part behind a dot may be the table's name, by which pg_class has an index.
	names, matches := []string{pgtext.Literal(name)}, "c.relname = "+pgtext.Literal(name)
	for i := range name {
		if name[i] == '.' {
			names = append(names, pgtext.Literal(name[i+1:]))
			matches += " OR n.nspname = " + pgtext.Literal(name[:i]) + " AND c.relname = " + pgtext.Literal(name[i+1:])
		}
	}
	where := " WHERE c.relname = ANY (ARRAY[" + strings.Join(names, ", ") + `]::pg_catalog.name[]) AND (` + matches + `) AND c.relkind = ANY ('{r,p,f}'::pg_catalog."char"[])`
	if r.query.Schema != "" {
		where += " AND n.nspname = " + pgtext.Literal(r.query.Schema)
	}
	err = r.tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"+where+")").Scan(&is)
	return is, err
}

// isTarget reports whether actions of the timeline, if it is here and may be read, have a target of a type.
func (r *pageReader) isTarget(ctx context.Context, name string) (is bool, err error) {
	readable := "SELECT coalesce((SELECT pg_catalog.has_table_privilege(c.oid, 'SELECT') FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = " +
		pgtext.Literal(r.reader.Catalog.Schema) + " AND c.relname = 'audit_actions'), false)"
	actions, literal := r.reader.At("audit_actions"), pgtext.Literal(name)
	if s, ok := onSQLite(r.reader); ok {
		readable = "SELECT EXISTS (SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = " + sqlitetext.Literal(s.Catalog.Schema+"_audit_actions") + ")"
		actions, literal = s.In("audit_actions"), sqlitetext.Literal(name)
	}
	if err = r.tx.QueryRowContext(ctx, readable).Scan(&is); err != nil || !is {
		return false, err
	}
	err = r.tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+actions+" a WHERE a.target_type = "+literal+")").Scan(&is)
	return is, err
}
