package driver

import (
	"context"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// askSQLite looks a name up in the databases of the connection, in SQLite's
// order: temp, main, and what is attached. It returns nil if there is none of
// that name.
func (c *conn) askSQLite(ctx context.Context, t lex.Table, temporaryOnly bool) (*relation, error) {
	schemas := []string{"temp", "main"}
	switch {
	case t.Schema != "":
		schemas = []string{folded(t.Schema)}
	case !temporaryOnly:
		var err error
		if schemas, err = c.schemas(ctx); err != nil {
			return nil, err
		}
	}
	for _, schema := range schemas {
		if temporaryOnly && schema != "temp" {
			return nil, nil
		}
		r, err := c.findSQLite(ctx, schema, t.Name)
		if err != nil || r != nil {
			return r, err
		}
	}
	r := c.asWritten(t)
	r.missing = true
	return r, nil
}

// schemas returns the databases of the connection, in the order in which SQLite
// looks for a name.
func (c *conn) schemas(ctx context.Context) ([]string, error) {
	schemas := []string{"temp", "main"}
	err := c.read(ctx, "PRAGMA database_list", nil, func(row []string) {
		if len(row) > 1 && !slices.Contains(schemas, folded(row[1])) {
			schemas = append(schemas, row[1])
		}
	})
	return schemas, err
}

// findSQLite looks a name up in one database.
func (c *conn) findSQLite(ctx context.Context, schema, name string) (*relation, error) {
	var r *relation
	err := c.readMaster(ctx, schema, name, func(kind, name, sql string) {
		switch kind {
		case "table", "view":
			r = &relation{steps: []step{{
				Table: lex.Table{Schema: schema, Name: name}, view: kind == "view", temporary: schema == "temp",
				virtual: strings.HasPrefix(sql, "CREATE VIRTUAL"), // SQLite writes these two words itself
			}}}
			if kind == "view" {
				for _, word := range lex.Words(lex.SQLite, sql) {
					r.reads = append(r.reads, lex.Table{Name: word})
				}
			}
		}
	})
	if err != nil || r == nil {
		return nil, err
	}
	trigger := func(kind, _, sql string) {
		if kind != "trigger" {
			return
		}
		t := lex.ParseTrigger(sql)
		by := c.changesBy(t.Op)
		if t.Instead {
			r.steps[0].instead |= by
		}
		if t.Ignores {
			r.steps[0].doubt |= by
		}
	}
	err = c.readMaster(ctx, schema, name, trigger)
	if err == nil && schema != "temp" {
		err = c.readMaster(ctx, "temp", name, trigger) // a temporary one may be on any table
	}
	return r, err
}

// readMaster reads what a database says of a table or view, and of its triggers.
func (c *conn) readMaster(ctx context.Context, schema, name string, f func(kind, name, sql string)) error {
	master := `"` + strings.ReplaceAll(schema, `"`, `""`) + `".sqlite_master`
	if schema == "temp" {
		master = "sqlite_temp_master"
	}
	query := "SELECT type, name, sql FROM " + master + ` WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE
		OR type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE`
	return c.read(ctx, query, []string{name}, func(row []string) {
		if len(row) == 3 {
			f(row[0], row[1], row[2])
		}
	})
}
