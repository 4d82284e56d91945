package capture

import (
	"context"
	"fmt"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
)

// ownHistories returns an error if the schema has copies of another database's changes: a table here might have the ID of a table there.
func (s *Installer) ownHistories(ctx context.Context, q pgschema.Querier) error {
	is, err := s.catalog.Copied(ctx, q)
	if is {
		err = fmt.Errorf("capture: schema %s has copies of another database's row changes, so that no table here can be captured in it: use another Options.Schema", s.catalog.Schema)
	}
	return err
}
