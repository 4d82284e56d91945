package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// index is an index of a table that an earlier version did not make.
type index struct{ table, name, on string }

// laterIndexes are those of audit_changes. On a new table, step 1 of the schema makes them.
var laterIndexes = []index{
	{"audit_changes", "audit_changes_key", "(" + catalog.KeyPlace("key", "table_id") + ", lsn) WHERE key IS NOT NULL"},
	{"audit_changes", "audit_changes_former_key", "(" + catalog.KeyPlace("former_key", "table_id") + ", lsn) WHERE former_key IS NOT NULL"},
	{"audit_changes", "audit_changes_captured", "(table_id, captured_at)"},
	{"audit_changes", "audit_changes_breaks", `(table_id, lsn) WHERE shape_id IS NULL OR op OPERATOR(pg_catalog.=) 'T'::pg_catalog."char"`}, // what breaks the chain of changes
	{"audit_changes", catalog.LateIndex, "(captured_at, lsn, xid) WHERE " + catalog.Late("captured_at", "tx_started_at")},
}

// indexes are the statements of step 1 that make laterIndexes.
func indexes() string {
	var b strings.Builder
	for _, i := range laterIndexes {
		b.WriteString("\t\tCREATE INDEX " + i.name + " ON {schema}." + i.table + " " + i.on + ";\n")
	}
	return b.String()
}

func (s *Installer) createSQL(i index) string {
	return "CREATE INDEX CONCURRENTLY " + i.name + " ON " + s.at(i.table) + " " + i.on
}

// indexState says whether there is an index.
type indexState struct {
	there, valid bool
	building     bool // a session builds an index of the table, or vacuums it
}

func (s *Installer) indexState(ctx context.Context, q catalog.Querier, i index) (st indexState, err error) {
	err = q.QueryRowContext(ctx, `SELECT x.indisvalid, EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database
			WHERE d.datname = pg_catalog.current_database() AND l.relation = x.indrelid AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted)
		FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2`, s.catalog.Schema, i.name).Scan(&st.valid, &st.building)
	if errors.Is(err, sql.ErrNoRows) {
		return indexState{}, nil
	}
	st.there = true
	return st, err
}

// makeIndexes makes the indexes that are missing without holding up a capture. On a table in partitions none can be made
// so: missingIndexes says what to run.
func (s *Installer) makeIndexes(ctx context.Context) error {
	divided, err := s.isDivided(ctx, s.catalog.DB)
	if err != nil {
		return err
	}
	for _, i := range laterIndexes {
		if divided {
			break
		}
		if err := s.makeIndex(ctx, i); err != nil {
			return err
		}
	}
	return s.indexContexts(ctx)
}

// makeIndex makes an index if it is missing. One that is not valid was left by a session that was stopped, and is made again.
func (s *Installer) makeIndex(ctx context.Context, i index) error {
	st, err := s.indexState(ctx, s.catalog.DB, i)
	switch {
	case err != nil, st.valid:
		return err
	case st.building:
		return fmt.Errorf("another session makes the index %s, or vacuums the table: run this again when it is done", s.at(i.name))
	}
	if st.there {
		if _, err = s.catalog.DB.ExecContext(ctx, "DROP INDEX CONCURRENTLY "+s.at(i.name)); err != nil {
			return err
		}
	}
	_, err = s.catalog.DB.ExecContext(ctx, s.createSQL(i))
	return err
}

// isDivided reports whether the table of changes has partitions.
func (s *Installer) isDivided(ctx context.Context, q catalog.Querier) (is bool, err error) {
	err = q.QueryRowContext(ctx, "SELECT c.relkind = '"+partitionedKind+"' FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'audit_changes'", s.catalog.Schema).Scan(&is)
	return is, err
}

// missingIndexes are warnings of missing indexes. Only Migrate makes them, since that waits for open transactions.
func (s *Installer) missingIndexes(ctx context.Context, q catalog.Querier) (warnings []string, err error) {
	divided, err := s.isDivided(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, i := range laterIndexes {
		var st indexState
		if st, err = s.indexState(ctx, q, i); err != nil {
			return nil, err
		}
		remedy := s.createSQL(i)
		if st.there {
			remedy = "DROP INDEX CONCURRENTLY " + s.at(i.name) + "; " + remedy
		}
		switch {
		case divided && !st.there:
			warnings = append(warnings, fmt.Sprintf("%s lacks the index %s, without which questions to it are slow: as it has partitions, run as its owner while nothing writes to captured tables: %s", s.at(i.table), i.name,
				strings.Replace(remedy, " CONCURRENTLY", "", 1)))
		case !st.valid && !st.building:
			warnings = append(warnings, fmt.Sprintf("%s lacks the index %s, without which questions to it are slow: call capture.Installer.Migrate as its owner, or run, outside a transaction: %s", s.at(i.table), i.name, remedy))
		}
	}
	without, err := s.missingContextIndexes(ctx, q)
	return append(warnings, without...), err
}
