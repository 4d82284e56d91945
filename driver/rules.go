package driver

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
)

// Rules say which tables are captured.
type Rules struct {
	all    bool
	only   []tableName
	except []tableName
	noDDL  bool
	err    error
}

type tableName struct{ schema, table string } // lower case; schema may be ""

func (n tableName) String() string {
	if n.schema == "" {
		return n.table
	}
	return n.schema + "." + n.table
}

// AllTables captures every table except those that do not belong into an audit
// trail: its own, River's, migration tools' version tables, temporary tables, and
// the catalogs of the database.
func AllTables() *Rules { return &Rules{all: true} }

// Tables captures the named tables only: "orders" in whatever schema, or
// "billing.orders", however the statement finds it: by search_path, through a
// view of it, by one of its partitions. Case does not matter.
func Tables(names ...string) *Rules {
	r := &Rules{}
	r.only = r.parse("Tables", names)
	return r
}

// Except leaves out tables that r would capture. It changes r, and returns it.
func (r *Rules) Except(names ...string) *Rules {
	r.except = append(r.except, r.parse("Except", names)...)
	return r
}

// NoDDL leaves out what changes the schema, for programs that run their migrations
// at each start, or audit them elsewhere. It changes r, and returns it.
func (r *Rules) NoDDL() *Rules {
	r.noDDL = true
	return r
}

// notInNames are characters that are a pattern, a quoted name or a list more
// likely than part of a name. A space within a name is one.
const notInNames = "*?%,;\"'`[]()"

func (r *Rules) parse(verb string, names []string) []tableName {
	tables := make([]tableName, 0, len(names))
	for _, n := range names {
		schema, table, qualified := strings.Cut(strings.ToLower(n), ".")
		if !qualified {
			schema, table = "", schema
		}
		switch {
		case table == "" || qualified && schema == "" || strings.Contains(table, "."):
			r.err = fmt.Errorf("%s(%q): name a table, or schema.table", verb, n)
			continue
		case strings.ContainsAny(n, notInNames) || strings.TrimSpace(schema) != schema || strings.TrimSpace(table) != table:
			r.err = fmt.Errorf("%s(%q): a name is taken as it is, without patterns, quotes, commas or spaces around it: give each table as table or schema.table, or use AllTables", verb, n)
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

// check is the error for rules that cannot be meant.
func (r *Rules) check() error {
	if r.err != nil || r.all {
		return r.err
	}
	for _, n := range r.only {
		if !slices.ContainsFunc(r.except, func(e tableName) bool { return e.table == n.table && (e.schema == "" || e.schema == n.schema) }) {
			return nil
		}
	}
	return fmt.Errorf("rules for %s capture nothing, because Except leaves out all that Tables names: remove one of the two", r)
}

// String says what is captured, in a few words for the log.
func (r *Rules) String() string {
	if r == nil {
		return "off: only what is recorded"
	}
	what := "all tables"
	if !r.all {
		what = listed(r.only)
	}
	if len(r.except) > 0 {
		what += " except " + listed(r.except)
	}
	if r.noDDL {
		what += ", without DDL"
	}
	return what
}

// listed names tables, and how many more there are beyond a few.
func listed(names []tableName) string {
	const most = 10
	var words []string
	for _, n := range names[:min(len(names), most)] {
		words = append(words, n.String())
	}
	if more := len(names) - most; more > 0 {
		words = append(words, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, ", ")
}

// naming is how a database names tables.
type naming interface {
	// isDefault reports whether names in that schema are written without it, isTemporary
	// whether its tables are temporary, and isOwn whether AllTables leaves a table out
	// as ours, or as the system's.
	isDefault(schema string) bool
	isTemporary(schema string) bool
	isOwn(n tableName) bool
	// placed is a table with the schema that it is in now, and home the one by which
	// rules may name it as well.
	placed(s *session, t lex.Table) lex.Table
	home(s *session, t lex.Table) lex.Table
}

// match looks a table up. A nil r matches nothing.
func (r *Rules) match(d naming, t lex.Table) verdict {
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

func matchAny(d naming, rules []tableName, n tableName) bool {
	return slices.ContainsFunc(rules, func(r tableName) bool {
		return r.table == n.table && (r.schema == "" || r.schema == n.schema || n.schema == "" && d.isDefault(r.schema))
	})
}

// folded is a name as rules compare it.
func folded(name string) string { return strings.ToLower(name) }
