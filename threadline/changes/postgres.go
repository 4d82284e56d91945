package changes

import (
	_ "embed" // the scripts

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

var (
	//go:embed schema/postgres_1.sql
	tables string
	//go:embed schema/postgres_2.sql
	captures string
	//go:embed schema/postgres_3.sql
	keys string
)

// script makes the tables of changes.
func (s *Store) script() string {
	return pgschema.Script{
		Program: "changes", Schema: s.schema, Table: "audit_changes", Body: tables + captures + keys,
		Lock: "pg_catalog.hashtextextended(" + pgtext.Literal("threadline changes "+s.schema) + ", 7355608)",
	}.Install()
}
