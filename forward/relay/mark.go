package relay

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/go-aftercommit/aftercommit/internal/nildb"
)

// Mark is a moment of a database, from which a forwarder may be registered later.
// The zero value is the moment of the registration.
type Mark struct{ place, at string }

// Mark returns that of now. It writes nothing and needs no tables, so a standby has
// it too. On SQLite it is the zero value.
func (s *Store) Mark(ctx context.Context, db *sql.DB) (m Mark, err error) {
	db = nildb.Replace(db)
	at := s.d.mark()
	if at == "" {
		return Mark{}, nil
	}
	if m.place, err = s.place(ctx, db); err == nil {
		err = db.QueryRowContext(ctx, "SELECT "+at).Scan(&m.at)
	}
	if err != nil {
		return Mark{}, fmt.Errorf("relay: mark the moment: %w", err)
	}
	return m, nil
}
