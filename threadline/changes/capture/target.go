package capture

import (
	"context"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// target is a table to capture, with what is wanted of it.
type target struct {
	*catalog.Relation
	declared []string // Table.Key
	gone     []goneColumn
	bulk     bool   // statements are captured: see Table.Bulk
	whyByRow string // why rows are, although Table.Bulk is set
	divided  bool   // audit_changes has partitions
}

// sqliteTarget is one on SQLite.
type sqliteTarget struct {
	*catalog.SQLiteTable
	hidden catalog.SQLiteHidden // for the next capture
}

// target is the table without what only SQLite has.
func (t *sqliteTarget) target() *target {
	return &target{Relation: &t.Relation, declared: t.hidden.Key}
}

// deployed is what there is of a table's capture.
type deployed struct {
	*catalog.Deployed
	shape bool // audit_shapes has the wanted shape
	noKey bool // hashes are wanted, and audit_keys has no key

	altered bool // triggers were enabled, disabled or made anew since the last capture
}

// look looks a table up, and finds out which one it is.
func (s *Installer) look(ctx context.Context, q pgschema.Querier, name string) (*target, error) {
	r, err := s.catalog.Look(ctx, q, name)
	return &target{Relation: r}, err
}

func (s sqlite) look(ctx context.Context, q catalog.Querier, name string) (*sqliteTarget, error) {
	t, err := s.Look(ctx, q, name)
	return &sqliteTarget{SQLiteTable: t}, err
}

// deployed looks for a table's capture.
func (s *Installer) deployed(ctx context.Context, q catalog.Querier, f *target) (*deployed, error) {
	d, err := s.catalog.Deployed(ctx, q, f.Relation)
	return &deployed{Deployed: d}, err
}
