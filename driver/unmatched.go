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
func (k *catalog) checkRules(ctx context.Context) {
	rules := k.rules
	if rules == nil || k.access.checked.Swap(true) || !k.dialect.answers(ctx, k) {
		return
	}
	named := append(slices.Clone(rules.only), rules.except...)
	if len(named) == 0 {
		return
	}
	there, err := k.dialect.tables(ctx, k, named)
	if err != nil {
		return
	}
	var missing []string
	for _, n := range named {
		if !slices.ContainsFunc(there, func(t tableName) bool { return matchAny(k.dialect, []tableName{n}, t) }) {
			missing = append(missing, n.String())
		}
	}
	if len(missing) == 0 {
		return
	}
	k.notify(hooks.Notice{
		Kind: hooks.NoticeUnmatched, Count: len(missing), Reason: "no_table",
		Err: fmt.Errorf("driver: driver.Tables or Except names %s, which does not exist: correct the name, or ignore this if the table is made later", strings.Join(missing, ", ")),
	})
}

// refuses reports whether err says that the catalog cannot be read. It is
// then not asked again.
func (k *catalog) refuses(err error) bool {
	if !slices.Contains(refusals, hooks.SQLState(err)) {
		return false
	}
	k.silence(err)
	return true
}

// silence stops all queries to the catalog, and reports why.
func (k *catalog) silence(err error) {
	if !k.access.mute.Swap(true) {
		k.notify(hooks.Notice{
			Kind: hooks.NoticeUnmatched, Count: 1, Reason: "no_catalog",
			Err: fmt.Errorf("driver: the catalog cannot be read, so rules are matched with names as statements spell them: grant the app's role SELECT on pg_catalog's tables: %w", err),
		})
	}
}
