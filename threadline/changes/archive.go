package changes

import (
	"context"
	"database/sql"
	"time"

	"github.com/go-aftercommit/aftercommit/internal/pgtext"
	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/catalog"
)

// Copied is a database whose row changes were copied here.
type Copied struct {
	// Place tells databases apart, as in audit_captures: the server and the database in it. A restored database has another one.
	Place string `json:"place"`
	// At is when changes were last copied from there. What was captured there since then is not here.
	At time.Time `json:"at"`
}

// CopiedFrom returns the databases of which this one is an archive, that whose changes came last first. There are none where row changes are
// captured, or where no change has come yet.
func (s *Store) CopiedFrom(ctx context.Context) ([]Copied, error) {
	c := s.reader().Catalog
	copied, err := c.Copied(ctx, c.DB)
	if err != nil || !copied {
		return nil, err
	}
	list, err := catalog.ReadAll(ctx, c.DB, func(rows *sql.Rows) (o Copied, err error) {
		err = rows.Scan(pgtext.Scanner(&o.Place), &o.At)
		o.At = o.At.UTC()
		return o, err
	}, "SELECT "+pgtext.HexAnywhere("k.place")+", k.copied_at FROM "+c.At("audit_copies")+" k ORDER BY k.copied_at DESC")
	return list, catalog.Wrap("read of which database the row changes are", err)
}
