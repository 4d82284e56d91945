package threadline

import (
	"context"
	_ "embed" // the script
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/internal/lenient"
	"github.com/go-aftercommit/aftercommit/internal/pgschema"
	"github.com/go-aftercommit/aftercommit/internal/sqlitetext"
)

type sqlite struct{}

// names has a prefix in place of a schema.
func (sqlite) names(schema string) names {
	at := func(name string) string { return "main." + pgschema.Ident(schema+"_"+name) }
	return names{schema: schema, actions: at("audit_actions"), contexts: at("audit_contexts"), version: at("schema_version"), record: at("record")}
}

func (sqlite) tooLong(string) bool { return false }

var (
	//go:embed schema/sqlite_1.sql
	sqliteTables string
	//go:embed schema/sqlite_2.sql
	sqliteStep2 string
	//go:embed schema/sqlite_3.sql
	sqliteStep3 string
)

func (d sqlite) script(n names) string { return d.named(n, sqliteTables+sqliteStep2+sqliteStep3) }

func (sqlite) named(n names, script string) string {
	prefix := strings.TrimSuffix(pgschema.Ident(n.schema+"_"), `"`)
	return strings.ReplaceAll(script, `"threadline_`, prefix)
}

// migrate runs the script in a transaction on one connection, or within the
// one that it is in.
func (d sqlite) migrate(ctx context.Context, s *Store) (err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, conn.Close()) }()

	commit, rollback := "COMMIT", "ROLLBACK"
	_, err = conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	if says(err, "within a transaction") {
		commit = "RELEASE threadline_migrate"
		rollback = "ROLLBACK TO threadline_migrate; " + commit
		_, err = conn.ExecContext(ctx, "SAVEPOINT threadline_migrate")
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			// The connection goes back to the app's pool: out of the
			// transaction, whatever happened to ctx.
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), rollback)
		}
	}()
	// Between the first look and BEGIN another process may have migrated.
	now, err := s.look(ctx, conn)
	if err != nil {
		return err
	}
	if problem := s.judge(now); problem != nil || now.stale {
		if problem != nil && !problem.mendable {
			return problem
		}
		script := d.script(s.names)
		switch {
		case now.lacksKey(): // those of step 1
			script = d.named(s.names, sqliteStep2+sqliteStep3)
		case now.actions != nil: // those of step 2
			script = d.named(s.names, sqliteStep3)
		}
		if _, err = conn.ExecContext(ctx, script); err != nil {
			return err
		}
	}
	_, err = conn.ExecContext(ctx, commit)
	return err
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func (sqlite) lazy() bool { return true }

func (sqlite) inventory(n names) string {
	columns := func(table string) string {
		return "(SELECT group_concat(name) FROM pragma_table_xinfo(" + sqlitetext.Literal(n.schema+table) + ", 'main'))"
	}
	return "SELECT " + columns("_audit_actions") + ", " + columns("_audit_contexts") + ", " + columns("_schema_version") +
		", EXISTS (SELECT 1 FROM main.sqlite_master WHERE type = 'view' AND name = " + sqlitetext.Literal(n.schema+"_record") + "), true" +
		", NOT EXISTS (SELECT 1 FROM main.sqlite_master WHERE type = 'trigger' AND name = " + sqlitetext.Literal(n.schema+"_record_insert") + "), true, '', ''"
}

// ascii: metadata is stored as it comes.
func (sqlite) ascii() bool { return false }

func (d sqlite) add(ctx context.Context, s *Store, doc string) (held bool, err error) {
	insert := "INSERT INTO " + s.names.record + " (doc) VALUES (?)"
	// What makes all views of a database again, as PocketBase does when a field gets many values, makes none of their triggers.
	if _, err = s.db.ExecContext(ctx, insert, doc); says(err, "because it is a view") {
		if err = d.migrate(ctx, s); err == nil {
			_, err = s.db.ExecContext(ctx, insert, doc)
		}
	}
	return false, err
}

func (sqlite) columns(context.Context, *Store) (string, error) { return selected, nil }

func (sqlite) hex() bool { return false }

func (sqlite) filter(c condition, _ map[rune]bool) condition { return c }

// contains leaves out metadata that is no JSON: an error would hide every other action.
func (sqlite) contains() string {
	return "(instr(lower(coalesce(" + strings.ReplaceAll(searched, ", ", ", '') || char(31) || coalesce(") + ", '')), lower(?)) > 0" +
		" OR CASE WHEN json_valid(metadata) THEN EXISTS (SELECT 1 FROM json_tree(metadata) AS v" +
		" WHERE v.type IN ('text', 'integer', 'real') AND instr(lower(v.atom), lower(?)) > 0) END)"
}

func (sqlite) moment(t time.Time) any { return ceil(t).Format(lenient.TimeForm) }

// ofTx goes by the number alone, which is random: to the journal the transaction starts with its entry, and to
// row changes with the first of them.
func (sqlite) ofTx(tx journal.TxKey) condition { return condition{sql: "tx_id = ?", arg: []any{tx.ID}} }

func (sqlite) bind(query string) string { return query }
