package driver

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// Rules say which tables are captured.
type Rules struct {
	all    bool
	only   []tableName
	except []tableName
	err    error
}

type tableName struct{ schema, table string } // lower case; schema may be ""

// AllTables captures every table but those that are no business of an audit
// trail: its own, River's, migration tools' version tables, temporary tables and
// the database's catalogs.
func AllTables() *Rules { return &Rules{all: true} }

// Tables captures the named tables only: "orders" in whatever schema, or
// "billing.orders", however the statement finds it: by search_path, through a
// view of it, by one of its partitions. Case does not matter.
func Tables(names ...string) *Rules {
	r := &Rules{}
	r.only = r.parse("Tables", names)
	return r
}

// Except leaves out tables that r would capture.
func (r *Rules) Except(names ...string) *Rules {
	r.except = append(r.except, r.parse("Except", names)...)
	return r
}

func (r *Rules) parse(verb string, names []string) []tableName {
	tables := make([]tableName, 0, len(names))
	for _, n := range names {
		schema, table, qualified := strings.Cut(strings.ToLower(n), ".")
		if !qualified {
			schema, table = "", schema
		}
		if table == "" || (qualified && schema == "") {
			r.err = fmt.Errorf("%s(%q): name a table, or schema.table", verb, n)
			continue
		}
		tables = append(tables, tableName{schema, table})
	}
	if len(names) == 0 {
		r.err = fmt.Errorf("%s() without a table: name at least one", verb)
	}
	return tables
}

// verdict is what rules say of a table.
type verdict int8

const (
	ruleIgnores verdict = iota
	ruleExcepts         // it is left out, also as a part or a view of something
	ruleCaptures
)

// match looks a table up. A nil r matches nothing.
func (r *Rules) match(d hooks.Dialect, t lex.Table) verdict {
	if r == nil {
		return ruleIgnores
	}
	n := tableName{folded(t.Schema), folded(t.Name)}
	switch {
	case matchAny(d, r.except, n), r.all && leftOut(d, n):
		return ruleExcepts
	case r.all || matchAny(d, r.only, n):
		return ruleCaptures
	}
	return ruleIgnores
}

func matchAny(d hooks.Dialect, rules []tableName, n tableName) bool {
	return slices.ContainsFunc(rules, func(r tableName) bool {
		return r.table == n.table && (r.schema == "" || r.schema == n.schema || n.schema == "" && isDefault(d, r.schema))
	})
}

// folded is a name as rules compare it.
func folded(name string) string { return strings.ToLower(name) }
