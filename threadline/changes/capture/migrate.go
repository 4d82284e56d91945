package capture

import (
	"context"
	"errors"
	"strings"
)

// Migrate makes the tables of changes, as the role that is to own them, and the partitions for the time ahead. Run it again
// after an upgrade: it makes what is missing. It makes indexes of existing tables CONCURRENTLY: that waits for open
// transactions, and no capture waits for it. If this role owns the timeline, it also makes those of audit_contexts. If it
// cannot make a partition, it makes the others, and the error says why.
func (s *Installer) Migrate(ctx context.Context) (failed error) {
	defer s.explain(&failed)
	if s, ok := s.sqlite(); ok {
		return s.migrate(ctx)
	}
	if err := s.makeTables(ctx); err != nil {
		return err
	}
	if err := s.makeIndexes(ctx); err != nil {
		return wrap("migrate", err)
	}
	warnings, err := s.makePartitions(ctx, false)
	if err == nil && len(warnings) > 0 {
		err = errors.New(strings.Join(warnings, "; "))
	}
	return wrap("migrate", err)
}

func (s *Installer) makeTables(ctx context.Context) error {
	if err := s.catalog.Supported(); err != nil {
		return err
	}
	_, err := s.catalog.DB.ExecContext(ctx, s.script())
	return wrap("migrate", err)
}
