package changes

import (
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes/internal/reading"
)

// copiedElsewhere is the break of a table that is in another database.
func copiedElsewhere(t *reading.Table) *Break {
	now := time.Now()
	return &Break{Kind: Uncaptured, From: now, To: now, Schema: t.LastShape.Schema, Table: t.LastShape.Table, Text: "the changes are copies, and what no change has is in the app's database alone"}
}
