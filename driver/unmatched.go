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
const tablesQuery = `SELECT pg_catalog.encode(pg_catalog.convert_to(n.nspname::pg_catalog.text, one.encoding), 'escape'),
       pg_catalog.encode(pg_catalog.convert_to(c.relname::pg_catalog.text, one.encoding), 'escape')
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
  CROSS JOIN (SELECT CASE WHEN pg_catalog.getdatabaseencoding()::pg_catalog.text OPERATOR(pg_catalog.=) 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END AS encoding) one
 WHERE pg_catalog.lower(c.relname::pg_catalog.text) OPERATOR(pg_catalog.=) ANY (pg_catalog.string_to_array($1::pg_catalog.text, E'\x1f'))
   AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,f}'::pg_catalog."char"[])`

// checkRules warns, before the first captured write of a database, of rules that name a
// table which it does not have: a word that is misspelt captures nothing, and
// nothing else would say so. Before that it finds out whether the catalog can be
// asked at all, while an error harms no transaction.
func (c *conn) checkRules(ctx context.Context) {
	rules := c.db.reg.cfg.rules
	if rules == nil || c.mysql() || c.db.checked.Swap(true) {
		return
	}
	if c.postgres() {
		r, err := c.askPostgres(ctx, lex.Table{Schema: "pg_catalog", Name: "pg_class"})
		if hooks.SQLState(err) == stateUnsupported { // the query is: nothing is prepared yet
			c.muteCatalog(err)
		}
		if c.refusesCatalog(err) || c.db.mute.Load() {
			return
		}
		c.db.mute.Store(r == nil && err == nil) // a server that answers nothing is not PostgreSQL
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
		Err: fmt.Errorf("driver: driver.Tables or Except names %s, which does not exist: correct the name, or ignore this if the table is made later", strings.Join(missing, ", ")),
	})
}

// refusals are the SQLSTATEs of a server that has no such catalog, or does not let
// the app's role read it. Others of their classes say nothing about the catalog:
// 42P05 and 0A000 are about the statements that a session has prepared.
var refusals = []string{
	"42501", // insufficient_privilege
	"42601", // syntax_error
	"42703", // undefined_column
	"42704", // undefined_object
	"42883", // undefined_function
	"42P01", // undefined_table
	"3F000", // invalid_schema_name
}

// refusesCatalog reports whether err says that the catalog cannot be read. It is
// then not asked again.
func (c *conn) refusesCatalog(err error) bool {
	if !slices.Contains(refusals, hooks.SQLState(err)) {
		return false
	}
	c.muteCatalog(err)
	return true
}

func (c *conn) muteCatalog(err error) {
	if !c.db.mute.Swap(true) {
		c.db.notify(hooks.Notice{
			Kind: hooks.NoticeUnmatched, Count: 1, Reason: "no_catalog",
			Err: fmt.Errorf("driver: the catalog cannot be read, so rules are matched with names as statements spell them: grant the app's role SELECT on pg_catalog's tables: %w", err),
		})
	}
}

// tables returns those of the named tables that there are, and perhaps others.
func (c *conn) tables(ctx context.Context, named []tableName) (there []tableName, err error) {
	if c.postgres() {
		var names []string
		for _, n := range named {
			names = append(names, n.table)
		}
		err = c.read(ctx, tablesQuery, []string{strings.Join(names, "\x1f")}, func(row []string) {
			there = append(there, tableName{folded(unescaped(row[0])), folded(unescaped(row[1]))})
		})
		return there, err
	}
	schemas, err := c.schemas(ctx)
	for _, schema := range schemas {
		for _, n := range named {
			if err != nil {
				return nil, err
			}
			err = c.readMaster(ctx, schema, n.table, func(kind, name, _, _ string) {
				if kind != "trigger" {
					there = append(there, tableName{folded(schema), folded(name)})
				}
			})
		}
	}
	return there, err
}
