package undo

import (
	"fmt"
)

// The script is for the sqlite3 shell, which ends at the first error, and with it the transaction. As it has no blocks, a
// CHECK fails in place of them.
const (
	liteBegin = ".bail on\nBEGIN IMMEDIATE;\nPRAGMA defer_foreign_keys = ON;\n" +
		"CREATE TEMP TABLE undo_check (statement INTEGER, affected INTEGER, wanted INTEGER, CONSTRAINT \"the rows are no longer as they were left\" CHECK (affected = wanted));\n"
	liteCommit = "DROP TABLE temp.undo_check;\nCOMMIT;\n"
)

// liteScript is script for SQLite.
func (s *Statement) liteScript(number int) string {
	return s.SQL + ";\n" + fmt.Sprintf("INSERT INTO temp.undo_check VALUES (%d, changes(), %d);\n", number, s.Rows)
}
