package driver

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// tablesQuery lists which of the names in $1, divided by U+001F, tables and views
// have on PostgreSQL.
const tablesQuery = `SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
 WHERE pg_catalog.lower(c.relname::pg_catalog.text) OPERATOR(pg_catalog.=) ANY (pg_catalog.string_to_array($1::pg_catalog.text, E'\x1f'))
   AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,f}'::pg_catalog."char"[])`

// checkRules warns, at the first connection of a database, of rules that name a
// table which it does not have: a word that is misspelt captures nothing, and
// nothing else would say so. Where the catalog cannot be read, it says nothing.
func (c *conn) checkRules(ctx context.Context) {
	rules := c.db.reg.cfg.rules
	if rules == nil || c.db.checked.Swap(true) {
		return
	}
	named := append(slices.Clone(rules.only), rules.except...)
	if len(named) == 0 {
		return
	}
	there, err := c.tables(ctx, named)
	if err != nil {
		return
	}
	var missing []string
	for _, n := range named {
		if !slices.ContainsFunc(there, func(t tableName) bool { return matchAny(c.db.dialect, []tableName{n}, t) }) {
			missing = append(missing, nameOf("", lex.Table{Schema: n.schema, Name: n.table}))
		}
	}
	if len(missing) == 0 {
		return
	}
	c.db.notify(hooks.Notice{
		Kind: hooks.NoticeUnmatched, Count: len(missing), Reason: "no_table",
		Err: fmt.Errorf("driver: no table is called %s, which driver.Tables or Except names: correct the name, or ignore this if the table is made later", strings.Join(missing, ", ")),
	})
}

// tables returns those of the named tables that there are, and perhaps others.
func (c *conn) tables(ctx context.Context, named []tableName) (there []tableName, err error) {
	if c.postgres() {
		var names []string
		for _, n := range named {
			names = append(names, n.table)
		}
		err = c.read(ctx, tablesQuery, []string{strings.Join(names, "\x1f")}, func(row []string) {
			there = append(there, tableName{folded(row[0]), folded(row[1])})
		})
		return there, err
	}
	schemas, err := c.schemas(ctx)
	for _, schema := range schemas {
		for _, n := range named {
			if err != nil {
				return nil, err
			}
			err = c.readMaster(ctx, schema, n.table, func(kind, name, _ string) {
				if kind != "trigger" {
					there = append(there, tableName{folded(schema), folded(name)})
				}
			})
		}
	}
	return there, err
}
