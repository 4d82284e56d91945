package journal

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

const readOnlyTransaction = "25006" // SQLSTATE, as on a standby

func (p *postgres) claim(ctx context.Context, db *sql.DB, keys []uuid.UUID) (Claim, error) {
	var answer string
	err := db.QueryRowContext(ctx, fmt.Sprintf(`SELECT "%s".claim('%s'::pg_catalog.uuid[], %d)`, p.schema, idArray(keys), claimWait.Milliseconds())).Scan(&answer)
	switch {
	case hooks.SQLState(err) == readOnlyTransaction:
		return ClaimOpen, nil
	case err != nil:
		return ClaimOpen, err
	case answer == "written":
		return ClaimWritten, nil
	case answer == "never":
		return ClaimNever, nil
	}
	return ClaimOpen, nil
}

// idArray returns ids as the text of an array.
func idArray(ids []uuid.UUID) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(id.String())
	}
	b.WriteByte('}')
	return b.String()
}
