package hooks

import (
	"context"
	"database/sql"
)

// Reshaper is a [Handler] that keeps something in an SQLite database which depends on how tables
// are, such as triggers that name their columns. The driver calls it where there is the table
// aftercommit_transaction, in the transaction of a statement that changes the schema. An
// error is reported, and the app's statement goes on.
type Reshaper interface {
	// BeforeSchema is called before an ALTER TABLE that may drop a column of a table; table is its name
	// without a schema.
	BeforeSchema(ctx context.Context, conn *sql.DB, table string) error
	// AfterSchema is called after each statement, also if it has failed.
	AfterSchema(ctx context.Context, conn *sql.DB) error
}
