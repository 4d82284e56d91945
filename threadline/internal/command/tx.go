package command

import (
	"strconv"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// Tx writes a transaction as an argument: its ID, and its start with six digits of a second.
func Tx(tx journal.TxKey) string {
	return strconv.FormatInt(tx.ID, 10) + "@" + tx.StartedAt.UTC().Format("2006-01-02T15:04:05.000000Z")
}
