package threadline

import (
	"context"
	_ "embed" // the script
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

type postgres struct{}

func (postgres) names(schema string) names {
	at := pgschema.Ident(schema) + "."
	return names{schema: schema, actions: at + "audit_actions", contexts: at + "audit_contexts", version: at + "schema_version", record: at + "record"}
}

func (postgres) tooLong(schema string) bool { return len(schema) > pgschema.LongestName }

// Check reads the version with whatever role the app has.
const versionGrant = "	GRANT SELECT ON {schema}.schema_version TO PUBLIC;\n"

var (
	//go:embed schema/postgres.sql
	postgresHeader string
	//go:embed schema/postgres_1.sql
	postgresTables string
	//go:embed schema/postgres_2.sql
	postgresFunctions string
)

func (postgres) script(n names) string {
	named := strings.NewReplacer(`"threadline"`, pgschema.Ident(n.schema), `'threadline'`, pgtext.Literal(n.schema))
	return named.Replace(postgresHeader) + pgschema.Script{
		Program: "threadline", Schema: n.schema, Table: "audit_actions", Body: named.Replace(postgresTables + "\n" + postgresFunctions), Grants: versionGrant,
		Lock: named.Replace("pg_catalog.hashtextextended('threadline', 7355608)"),
	}.Install()
}

func (d postgres) migrate(ctx context.Context, s *Store) error {
	_, err := s.db.ExecContext(ctx, d.script(s.names))
	return err
}

func (postgres) lazy() bool { return false }

// inventory asks catalogs that answer every role, also one that may not use the schema.
func (postgres) inventory(n names) string {
	columns := func(table string) string {
		return `(SELECT pg_catalog.string_agg(a.attname::pg_catalog.text, ',') FROM pg_catalog.pg_attribute a
			JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
			WHERE c.relnamespace = n.oid AND c.relname = '` + table + `' AND a.attnum > 0 AND NOT a.attisdropped)`
	}
	const fills = `EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid AND p.proname = 'add' AND pg_catalog.strpos(p.prosrc, 'audit_contexts') OPERATOR(pg_catalog.>) 0)`
	return `SELECT ` + columns("audit_actions") + `, ` + columns("audit_contexts") + `, ` + columns("schema_version") + `,
		EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid AND p.proname = 'record'), ` + fills + `,
		EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid AND p.proname = 'record' AND pg_catalog.pg_has_role(p.proowner, 'USAGE'))
			AND NOT ` + fills + `,
		coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), true),
		` + pgtext.HexAnywhere("current_user::pg_catalog.text") + `, coalesce(` + pgtext.HexAnywhere("pg_catalog.pg_get_userbyid(n.nspowner)::pg_catalog.text") + `, '')
		FROM (SELECT 1) AS one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = ` + pgtext.Literal(n.schema)
}

// ascii leaves it to the function to write what the server's encoding lacks: an error would
// abort a transaction around it, such as that of the relay.
func (postgres) ascii() bool { return true }

func (postgres) add(ctx context.Context, s *Store, doc string) (held bool, err error) {
	res, err := s.db.ExecContext(ctx, "SELECT 1 FROM "+s.names.record+"("+pgtext.Literal(doc)+"::pg_catalog.json) AS r (n) WHERE r.n OPERATOR(pg_catalog.<) 0")
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// columns selects texts as hex digits, which every client_encoding has: a session may
// change its own at any time, to one that lacks characters that the server has.
func (postgres) columns(ctx context.Context, s *Store) (string, error) {
	if known := s.read.Load(); known != nil {
		return *known, nil
	}
	var server string
	var keyed bool
	err := s.db.QueryRowContext(ctx, "SELECT pg_catalog.current_setting('server_encoding'), EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid"+
		" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = "+pgtext.Literal(s.names.schema)+" AND c.relname = 'audit_actions' AND a.attname = '"+keyColumn+"' AND NOT a.attisdropped)").Scan(&server, &keyed)
	if err != nil {
		return "", err
	}
	list := slices.Clone(selectedColumns)
	for i, c := range list {
		switch {
		case c == keyColumn && !keyed:
			list[i] = "NULL"
		case strings.HasSuffix(c, "_at"):
			list[i] = pgtext.Time(c)
		case isText(c):
			list[i] = pgtext.Hex(c+"::pg_catalog.text", server == pgtext.SQLASCII)
		}
	}
	columns := strings.Join(list, ", ")
	s.read.Store(&columns)
	return columns, nil
}

// isText reports whether a column has texts that need not be ASCII.
func isText(column string) bool {
	switch column {
	case "id", "captured", "seq", "tx_id", keyColumn:
		return false
	}
	return true
}

func (postgres) hex() bool { return true }

// filter sends texts outside ASCII as bytes.
func (postgres) filter(c condition, lacks map[rune]bool) condition {
	foreign := func(v any) bool { text, ok := v.(string); return ok && !pgtext.IsASCII(text) }
	if !slices.ContainsFunc(c.arg, foreign) {
		return c
	}
	var b strings.Builder
	args := slices.Clone(c.arg)
	rest := c.sql
	for i, arg := range c.arg {
		before, after, _ := strings.Cut(rest, "?")
		b.WriteString(before)
		if !foreign(arg) {
			b.WriteString("?")
		} else {
			text := arg.(string)
			if hasAny(text, lacks) {
				text = written(text, lacks)
			}
			b.WriteString("pg_catalog.convert_from(?, 'UTF8')")
			args[i] = []byte(text)
		}
		rest = after
	}
	return condition{sql: b.String() + rest, arg: args}
}

// contains looks at one text made of all columns. Some of them have the collation "C",
// which knows no case but that of ASCII.
func (postgres) contains() string {
	const has = `, pg_catalog.lower(?::pg_catalog.text COLLATE pg_catalog."default")) > 0`
	return `(pg_catalog.strpos(pg_catalog.lower(pg_catalog.concat_ws(E'\x1f', ` + searched + `) COLLATE pg_catalog."default")` + has +
		` OR EXISTS (SELECT FROM pg_catalog.jsonb_path_query(metadata, '$.**') AS v WHERE pg_catalog.jsonb_typeof(v) IN ('string', 'number')` +
		` AND pg_catalog.strpos(pg_catalog.lower(v #>> '{}')` + has + `))`
}

func (postgres) moment(t time.Time) any { return ceil(t) }

func (d postgres) ofTx(tx journal.TxKey) condition {
	return condition{sql: "tx_id = ? AND tx_started_at = ?", arg: []any{tx.ID, d.moment(tx.StartedAt)}}
}

func (postgres) bind(query string) string {
	var b strings.Builder
	for i := 1; ; i++ {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(i))
		query = after
	}
}
