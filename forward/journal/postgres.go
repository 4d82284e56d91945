package journal

import (
	"context"
	"database/sql"
	_ "embed" // for the schema
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

var (
	//go:embed postgres.sql
	postgresTables string
	//go:embed postgres_functions.sql
	postgresFunctions string
)

const (
	schemaHeader = `-- The journal of aftercommit, for PostgreSQL 13 or newer. It is one statement: all of it
-- happens or nothing. It may be run again: what exists stays, and older functions are
-- replaced. Run it as the role that shall own the journal.
`
	// Every connection reads the versions once.
	postgresGrants = `	GRANT SELECT ON {schema}.schema_versions TO PUBLIC;
`
)

type postgres struct {
	schema string
	// ready is set once the tables are known to be there.
	ready atomic.Bool
	// raw is set for servers whose encoding is SQL_ASCII: they can store other
	// bytes, but cannot decode JSON's \u escapes to them.
	raw atomic.Bool
	// known is set once raw is.
	known atomic.Bool
}

var _ store = (*postgres)(nil)

func newPostgres(schema string) *postgres { return &postgres{schema: schema} }

// defaultWait is the lock_timeout that the function record sets by itself.
const defaultWait = 5 * time.Second

func (p *postgres) write(ctx context.Context, f hooks.Flush) (bool, error) {
	doc, err := document(f.Events, p.raw.Load())
	if err != nil {
		return false, err
	}
	wait := f.Timeout
	if wait <= 0 {
		wait = defaultWait
	}
	query, err := p.recordQuery(doc, f.Token, f.Own, wait)
	if err != nil {
		return false, err
	}
	if f.Final != nil {
		query = f.Final(query)
	}
	res, err := f.Conn.ExecContext(ctx, query)
	switch {
	case err != nil:
		return false, p.writeError(err, len(f.Events), wait)
	case f.Final != nil:
		return true, nil // record writes what is its own, or fails
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("journal: write %d events: %w", len(f.Events), err)
	}
	return n > 0, nil
}

// recordQuery is one statement without arguments, so that every driver sends it
// by simple protocol: one round trip, and no prepared statement.
func (p *postgres) recordQuery(doc []byte, token int64, own bool, wait time.Duration) (string, error) {
	b := make([]byte, 0, len(doc)+len(doc)/4+128)
	b = append(b, `SELECT 1 FROM "`...)
	b = append(b, p.schema...)
	b = append(b, `".record(`...)
	b, err := pgtext.AppendJSON(b, doc, !p.raw.Load())
	if err != nil {
		return "", fmt.Errorf("journal: %w", err)
	}
	// Quoted: without quotes the least int64 would be of type numeric.
	b = append(b, `::pg_catalog.json, '`...)
	b = strconv.AppendInt(b, token, 10)
	b = append(b, `'::pg_catalog.int8, `...)
	b = strconv.AppendBool(b, own)
	b = append(b, `, `...)
	b = strconv.AppendInt(b, max(1, wait.Milliseconds()), 10)
	return string(append(b, ')')), nil
}

func (p *postgres) writeError(err error, events int, wait time.Duration) error {
	if hooks.SQLState(err) == "55P03" {
		return fmt.Errorf("journal: write %d events: another session has kept %s.audit_events locked for %v: %w",
			events, p.schema, wait, err)
	}
	if hooks.SQLState(err) == insufficientPrivilege {
		// Which role that is cannot be asked: the transaction has failed.
		grant := p.grants(pgschema.Roles{})
		return &SetupError{
			Problem: "the role that the transaction has at its end, by SET ROLE for instance, may not write to the journal",
			Remedy: "run as the owner of schema " + p.schema + ", with that role's name: " + grant +
				"; if it has these rights, run what journal.Upgrade returns as a superuser: parts of the journal may belong to another role than its owner",
			Err: err,
		}
	}
	return fmt.Errorf("journal: write %d events: %w", events, err)
}

// ended tries to take, exclusively, the locks that record holds shared: PostgreSQL
// releases those after the transaction's rows have become visible, or never will.
func (p *postgres) ended(ctx context.Context, db *sql.DB, tokens []int64) (bool, error) {
	var over bool
	var query strings.Builder
	query.WriteString(`SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN false ELSE true`)
	for _, token := range tokens {
		query.WriteString(` AND pg_catalog.pg_try_advisory_xact_lock('` + strconv.FormatInt(token, 10) + `'::pg_catalog.int8)`)
	}
	query.WriteString(` END`)
	if err := db.QueryRowContext(ctx, query.String()).Scan(&over); err != nil {
		return false, fmt.Errorf("journal: has the transaction ended: %w", err)
	}
	return over, nil
}

// beforeRead asks for the server's encoding, where Connect has not.
func (p *postgres) beforeRead(ctx context.Context, q Querier) (err error) {
	if p.known.Load() {
		return nil
	}
	rows, err := q.QueryContext(ctx, `SELECT pg_catalog.current_setting('server_encoding')`)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var server string
		if err := rows.Scan(&server); err != nil {
			return err
		}
		p.setEncoding(server)
	}
	return rows.Err()
}

func (p *postgres) setEncoding(server string) {
	p.raw.Store(server == pgtext.SQLASCII)
	p.known.Store(true)
}

func (p *postgres) hex() bool { return true }

// columns are those that scanner reads, over the app's own connection, whatever its
// settings are.
func (p *postgres) columns() string {
	var b strings.Builder
	b.WriteString(`seq, xid::pg_catalog.text, ` + pgtext.Time("tx_started_at") + `, ` + pgtext.Time("recorded_at") + `,
	id, ` + pgtext.Time("occurred_at") + `, captured`)
	for _, column := range textColumns {
		if column == "metadata" {
			column += "::pg_catalog.text"
		}
		b.WriteString(", " + pgtext.Hex("coalesce("+column+", '')", p.raw.Load()))
	}
	return b.String()
}

func (p *postgres) byID(ids []uuid.UUID) string {
	return "SELECT " + p.columns() + ` FROM "` + p.schema + `".entries('{` + joinIDs(ids, "", ",") + `}'::pg_catalog.uuid[]) ORDER BY seq`
}

func (p *postgres) schemaSQL() string {
	return schemaHeader + p.script(postgresTables+"\n"+postgresFunctions).Install()
}

func (p *postgres) upgradeSQL() string { return p.script(postgresFunctions).Upgrade() }

func (p *postgres) script(body string) pgschema.Script {
	return pgschema.Script{Program: "aftercommit", Schema: p.schema, Table: "audit_events", Lock: migrateLock, Body: body, Grants: postgresGrants}
}

func (p *postgres) all() string {
	return "SELECT " + p.columns() + ` FROM "` + p.schema + `".audit_events`
}

func (p *postgres) list(q Query, limit int) string {
	return p.all() + p.where(q) +
		" ORDER BY seq LIMIT " + strconv.Itoa(limit)
}

func (p *postgres) count(q Query) string {
	return `SELECT pg_catalog.count(*) FROM "` + p.schema + `".audit_events` + p.where(q)
}

func (p *postgres) where(q Query) string {
	return q.where(func(t time.Time) string { return "'" + formatTime(t) + "'::pg_catalog.timestamptz" })
}

// joinIDs joins ids, each between quotes.
func joinIDs(ids []uuid.UUID, quote, sep string) string {
	var b strings.Builder
	for i, id := range ids {
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(quote + id.String() + quote)
	}
	return b.String()
}
