package journal

import (
	"context"
	_ "embed" // for the schema
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/eventjson"
	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

var (
	//go:embed migrations/postgres_upgrade.sql
	postgresUpgrade string
	//go:embed migrations/postgres_5_tables.sql
	postgresTables string
	//go:embed migrations/postgres_5_functions.sql
	postgresFunctions string
	//go:embed migrations/postgres_5_view.sql
	postgresView string
	//go:embed migrations/postgres_5_version.sql
	postgresVersionRow string
	//go:embed migrations/postgres_5_copygrants.sql
	postgresCopyGrants string
	//go:embed migrations/postgres_6_swap.sql
	postgresSwap string
)

const (
	schemaHeader = `-- The journal of aftercommit, for PostgreSQL 13 or newer. It is one statement: all of it
-- happens or nothing. It may be run again: what exists stays, and older functions are
-- replaced. Run it as the role that shall own the journal.
`
	// Every connection reads the versions once.
	versionGrant = `	GRANT SELECT ON {schema}.schema_versions TO PUBLIC;
`
)

type postgres struct {
	schema string
	// ready is set once the tables are known to be there.
	ready atomic.Bool
	// upgraded says that this process has upgraded them, and before that the table of an earlier
	// version has its name.
	upgraded, before atomic.Bool
}

var _ store = (*postgres)(nil)

func newPostgres(schema string) *postgres { return &postgres{schema: schema} }

// defaultWait is the lock_timeout that the function write sets by itself.
const defaultWait = 5 * time.Second

func (p *postgres) write(ctx context.Context, f hooks.Flush, from eventjson.Source) (bool, error) {
	wait := f.Timeout
	if wait <= 0 {
		wait = defaultWait
	}
	query, err := text(func(b []byte) ([]byte, error) { return p.appendQuery(b, f, from, wait) })
	if err != nil {
		return false, err
	}
	if f.Final != nil {
		query = f.Final(query)
	}
	row, n, err := f.Conn.QueryRow(ctx, query)
	if err != nil {
		return false, p.writeError(err, len(f.Events), wait)
	}
	if f.Keep != nil {
		keepAdded(&f, row)
	}
	return f.Must || n > 0, nil // what it must write the function has written, or it would have failed
}

// added is what the server adds to a row, as text. No setting of the app's session, and no
// encoding, can make it fail, which would abort the app's transaction. A role's name that is not
// ASCII is left out: its bytes are those of the database in which it was made, and may be
// none of this one's encoding.
const added = `xid, ` +
	`pg_catalog.to_char(pg_catalog.timezone('UTC', tx_started_at), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), ` +
	`pg_catalog.to_char(pg_catalog.timezone('UTC', recorded_at), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), ` +
	`CASE WHEN role OPERATOR(pg_catalog.=) pg_catalog.to_ascii(role, 'LATIN1') THEN role END`

// keepAdded keeps the row that f has written, if its columns are all there and can be read.
func keepAdded(f *hooks.Flush, columns []string) {
	if len(columns) != 4 {
		return
	}
	var v lenient.Row
	r := Row{
		Key:        f.Key,
		Tx:         TxKey{ID: v.Int("xid", []byte(columns[0])), StartedAt: v.Time("tx_started_at", []byte(columns[1]))},
		RecordedAt: v.Time("recorded_at", []byte(columns[2])),
		Role:       columns[3],
		Events:     len(f.Events), Format: format,
	}
	if r.Role != "" && v.Unreadable() == "" {
		f.Keep(r)
	}
}

// appendQuery appends one statement without arguments, so that every driver sends it
// by simple protocol: one round trip, and no prepared statement.
func (p *postgres) appendQuery(b []byte, f hooks.Flush, from eventjson.Source, wait time.Duration) ([]byte, error) {
	b = append(b, `SELECT `...)
	if f.Keep != nil {
		b = append(b, added...)
	} else {
		b = append(b, '1')
	}
	b = append(b, ` FROM "`...)
	b = append(b, p.schema...)
	b = append(b, `".write('`...)
	b = append(b, f.Key.String()...)
	b = append(b, `'::pg_catalog.uuid, `...)
	b = strconv.AppendInt(b, int64(len(f.Events)), 10)
	b = append(b, `, '`...)
	b = strconv.AppendInt(b, format, 10)
	b = append(b, `'::pg_catalog.int2, `...)
	start := len(b)
	b, err := from.AppendArray(b, f.Events)
	if err != nil {
		return b, fmt.Errorf("journal: %w", err)
	}
	b = append(pgtext.Quote(b, start), `::pg_catalog.text, `...)
	start = len(b)
	if b = eventjson.AppendPersonal(b, f.Events); len(b) > start {
		b = pgtext.Quote(b, start)
	} else {
		b = append(b, `NULL`...)
	}
	b = append(b, `::pg_catalog.text, `...)
	b = append(b, mustOf(f)...)
	b = append(b, `, `...)
	b = strconv.AppendInt(b, max(1, wait.Milliseconds()), 10)
	return append(b, ')'), nil
}

// mustOf says whether the function must write. In a transaction that has become read-only the
// function decides, although the driver has seen it write.
func mustOf(f hooks.Flush) string {
	switch {
	case f.Must:
		return "true"
	case f.Wrote:
		return "pg_catalog.current_setting('transaction_read_only') OPERATOR(pg_catalog.=) 'off'"
	}
	return "false"
}

func (p *postgres) writeError(err error, events int, wait time.Duration) error {
	if hooks.SQLState(err) == "55P03" {
		return fmt.Errorf("journal: write %d events: another session has kept %s.journal locked for %v: %w",
			events, p.schema, wait, err)
	}
	if hooks.SQLState(err) == insufficientPrivilege {
		// Which role that is cannot be asked: the transaction has failed.
		grant := p.grants(pgschema.Roles{})
		return &SetupError{
			Problem: "the role in effect at the end of the transaction, after SET ROLE for instance, may not write to the journal",
			Remedy: "run as the owner of schema " + p.schema + ", with that role's name: " + grant +
				"; if it has these rights, run what journal.Upgrade returns as a superuser: parts of the journal may belong to another role than its owner",
			Err: err,
		}
	}
	return fmt.Errorf("journal: write %d events: %w", events, err)
}

func (p *postgres) table() string { return `"` + p.schema + `".journal` }

// columns are those that scanner reads, over the app's own connection, whatever its
// settings are. The documents are ASCII.
func (p *postgres) columns() string { return postgresColumns + ", format, document, personal" }

var postgresColumns = "0 AS seq, key, xid::pg_catalog.text, " + pgtext.Time("tx_started_at") + ", " + pgtext.Time("recorded_at") + ", " +
	pgtext.HexAnywhere("role") + ", events"

func (p *postgres) written(keys []uuid.UUID) string {
	return "SELECT " + postgresColumns + ", 0, NULL, NULL FROM \"" + p.schema + "\".written('" + idArray(keys) + "'::pg_catalog.uuid[])"
}

func (p *postgres) among(ids []uuid.UUID) string {
	return "= ANY ('" + idArray(ids) + "'::pg_catalog.uuid[])"
}

func (p *postgres) time(t time.Time) string { return "'" + formatTime(t) + "'::pg_catalog.timestamptz" }

func (p *postgres) sum(expression string) string { return "pg_catalog.sum(" + expression + ")" }

func (p *postgres) schemaSQL() string { return schemaHeader + p.script("").Install() }

func (p *postgres) upgradeSQL() string { return p.script(postgresUpgrade).Upgrade() }

func (p *postgres) swapSQL() string {
	s := p.script("")
	s.Body, s.Rights = postgresUpgrade+postgresSwap, ""
	return s.Upgrade()
}

func (p *postgres) script(first string) pgschema.Script {
	return pgschema.Script{
		Program: "aftercommit", Schema: p.schema, Table: "schema_versions", Lock: migrateLock,
		Body: first + postgresTables + "\n" + postgresFunctions + "\n" + postgresView + "\n" + postgresVersionRow, Grants: versionGrant, Rights: postgresCopyGrants,
		Earlier: []string{"record", "entries", "register", "settle"},
	}
}
