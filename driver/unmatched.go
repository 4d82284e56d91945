package driver

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// checkRules warns, before the first captured write of a database, of rules that name a
// table which it does not have: a word that is misspelt captures nothing, and
// nothing else would say so. Before that it finds out whether the catalog can be
// asked at all, while an error harms no transaction.
func (c *conn) checkRules(ctx context.Context) {
	rules := c.db.reg.cfg.rules
	if rules == nil || c.db.checked.Swap(true) || !c.db.dialect.answers(ctx, c) {
		return
	}
	named := append(slices.Clone(rules.only), rules.except...)
	if len(named) == 0 {
		return
	}
	there, err := c.db.dialect.tables(ctx, c, named)
	if err != nil {
		return
	}
	var missing []string
	for _, n := range named {
		if !slices.ContainsFunc(there, func(t tableName) bool { return matchAny(c.db.dialect, []tableName{n}, t) }) {
			missing = append(missing, n.String())
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
