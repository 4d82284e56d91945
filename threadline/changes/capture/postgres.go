package capture

import (
	_ "embed" // the scripts
	"strings"

	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// A step takes no lock on a table of changes, of gaps or of keys that was there before, unless it lets rows be written: a capture
// does not wait for it, but leaves a gap, or where audit_gaps is locked only warns. So it makes tables, and what is on new
// ones; a further index is one of laterIndexes.
var (
	//go:embed schema/postgres_1.sql
	tables string
	//go:embed schema/postgres_2.sql
	captures string
	//go:embed schema/postgres_3.sql
	keys string
	//go:embed schema/postgres_4.sql
	copies string
	//go:embed schema/postgres_5.sql
	purges string
	//go:embed schema/postgres_6.sql
	vacuum string
)

// storage are the storage parameters of the tables that triggers write to: see step 6.
const storage = "vacuum_truncate = false, toast.vacuum_truncate = false"

// script is the SQL that makes the tables of changes.
func (s *Installer) script() string {
	clause, first := s.divided()
	first = strings.NewReplacer("{partitioned}", clause, "{default}", first, "{indexes}", indexes()).Replace(tables)
	return pgschema.Script{
		Program: "changes", Schema: s.catalog.Schema, Table: "audit_changes", Body: first + captures + keys + copies + purges + strings.ReplaceAll(vacuum, "{storage}", storage),
		Lock: "pg_catalog.hashtextextended(" + pgtext.Literal("threadline changes "+s.catalog.Schema) + ", 7355608)",
	}.Install()
}
