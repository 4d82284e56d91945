package river

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// right is what a role needs on one of River's tables, or on its sequence.
type right struct {
	sequence bool
	on       string
	names    []string
}

const (
	toInsert = "insert jobs"
	toWork   = "work jobs"
)

var (
	// River inserts ON CONFLICT DO NOTHING, which takes SELECT.
	insertRights = []right{
		{on: "river_job", names: []string{"INSERT", "SELECT"}},
		{on: "river_job_id_seq", names: []string{"USAGE"}, sequence: true},
		{on: "river_migration", names: []string{"SELECT"}},
	}
	workRights = []right{
		{on: "river_job", names: []string{"SELECT", "UPDATE", "DELETE"}},
		{on: "river_leader", names: []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
		{on: "river_queue", names: []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
		{on: "river_migration", names: []string{"SELECT"}},
	}
)

// checkRights says what this role lacks.
func checkRights(ctx context.Context, db *sql.DB, schema string, rights []right, purpose string) error {
	var all []string
	for _, r := range rights {
		kind := "table"
		if r.sequence {
			kind = "sequence"
		}
		for _, name := range r.names {
			all = append(all, "coalesce(pg_catalog.has_"+kind+"_privilege(pg_catalog.to_regclass("+pgtext.Literal(qualified(schema, r.on))+"), '"+name+"'), false)")
		}
	}
	var may bool
	if err := db.QueryRowContext(ctx, "SELECT "+strings.Join(all, " AND ")).Scan(&may); err != nil {
		return fmt.Errorf("river: look for the right to %s: %w", purpose, err)
	}
	if !may {
		return lacking(ctx, db, schema, rights, purpose)
	}
	return nil
}

// lacking is the error for a role that lacks rights.
func lacking(ctx context.Context, db *sql.DB, schema string, rights []right, purpose string) error {
	var grants []string
	if schema != "" {
		grants = append(grants, "GRANT USAGE ON SCHEMA "+pgschema.Ident(schema)+" TO {role}")
	}
	for _, r := range rights {
		kind := ""
		if r.sequence {
			kind = "SEQUENCE "
		}
		grants = append(grants, "GRANT "+strings.Join(r.names, ", ")+" ON "+kind+qualified(schema, r.on)+" TO {role}")
	}
	roles := pgschema.Ask(ctx, db, schema)
	return fmt.Errorf("river: %s may not %s: run as the owner of River's tables: %s; jobs may be worked elsewhere, by another role: set Options.Relay to RelayElsewhere here, and call Hub.Work there",
		roles.Who(), purpose, roles.Grant(strings.Join(grants, "; ")))
}
