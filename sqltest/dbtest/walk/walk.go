// Package walk finds the names in SQL that others can take over.
//
// What others define in a schema of the search_path can take the place of
// PostgreSQL's own: pg_catalog is searched first, but a function or operator whose
// arguments match better wins. So in all SQL of ours
//
//   - functions and the types of casts are qualified,
//   - relations are qualified, or names of WITH,
//   - operators are qualified, or compare and calculate (plain) with operands for
//     which pg_catalog has exactly that operator. The ambush of package roles, which has each
//     of them for all pairs of other types, shows that they do.
//
// What is grammar and no call, as coalesce is, needs no schema. Nor does what takes the operators of the
// operand's default operator class: greatest and least, ORDER BY, DISTINCT, GROUP BY, PARTITION BY, UNION,
// INTERSECT and EXCEPT. But nullif, IN, IS DISTINCT FROM, USING, NATURAL JOIN and the others that lookups
// names look for an operator by its bare name, as = does.
//
// The bodies of our functions run with a search_path of pg_catalog and pg_temp: their relations must be
// qualified or PostgreSQL's. Or they have no search_path, and run with that of whoever calls them, in which
// another schema may even come before pg_catalog. Then all operators must be qualified, and the types of
// variables too, and nothing may look for an operator that it does not name.
package walk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	pgquery "github.com/wasilibs/go-pgquery"
)

var plain = []string{"=", "<>", "<", "<=", ">", ">=", "+", "-", "/"}

const fixedPath = "pg_catalog, pg_temp"

// walker collects what one statement refers to by unqualified names.
type walker struct {
	ctes    []string
	fixed   bool   // the function or the script has set the search_path
	callers bool   // it is the body of a function that runs with its caller's search_path
	stmt    string // the text of the statement
	found   []string
}

type object = map[string]any

// Unqualified returns the unqualified names in a query string.
func Unqualified(query string) ([]string, error) { return (&walker{}).walk(query) }

// Statements returns the statements of a query string.
func Statements(query string) (all []string, err error) {
	root, err := parse(query)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	for _, s := range list(dig(root, "stmts")) {
		all = append(all, strings.TrimSpace(statement(query, s)))
	}
	return all, nil
}

func statement(query string, node any) string {
	query = query[number(dig(node, "stmt_location")):]
	if n := number(dig(node, "stmt_len")); n > 0 {
		query = query[:n]
	}
	return query
}

func (w *walker) walk(query string) ([]string, error) {
	root, err := parse(query)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	w.each(root, func(kind string, n object) {
		if kind == "CommonTableExpr" {
			w.ctes = append(w.ctes, text(n["ctename"]))
		}
	})
	for _, s := range list(dig(root, "stmts")) {
		w.stmt = statement(query, s)
		if set, ok := dig(s, "stmt", "VariableSetStmt").(object); ok && text(set["name"]) == "search_path" {
			w.fixed = strings.Join(constants(set["args"]), ", ") == fixedPath
		}
		w.each(s, w.visit)
	}
	slices.Sort(w.found)
	return slices.Compact(w.found), nil
}

func parse(query string) (any, error) {
	doc, err := pgquery.ParseToJSON(query)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(doc)))
	dec.UseNumber()
	var root any
	return root, dec.Decode(&root)
}

// each calls f with each node of the tree and its kind, which is that of the
// field where the parser leaves it out.
func (w *walker) each(v any, f func(kind string, n object)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			w.each(e, f)
		}
	case object:
		for _, name := range sorted(v) {
			if n, ok := v[name].(object); ok {
				f(name, n)
			}
			w.each(v[name], f)
		}
	}
}

func sorted(m object) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (w *walker) visit(kind string, n object) {
	switch kind {
	case "RangeVar", "relation":
		w.relation(n)
	case "FuncCall":
		w.function(n)
	case "TypeCast":
		w.cast(n)
	case "A_Expr":
		w.operator(n)
	case "CaseExpr":
		w.caseOf(n)
	case "SubLink":
		w.subquery(n)
	case "JoinExpr":
		w.join(n)
	case "SortBy":
		w.named(strs(n["useOp"]), "ORDER BY USING")
	case "CreateFunctionStmt":
		w.create(n)
	case "DoStmt":
		w.plpgsql("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $walk$" + option(n["args"], "as") + "$walk$")
	}
}

func (w *walker) relation(n object) {
	name := text(n["relname"])
	if name == "" || text(n["schemaname"]) != "" || slices.Contains(w.ctes, name) {
		return
	}
	if !w.fixed || !strings.HasPrefix(name, "pg_") {
		w.found = append(w.found, "relation "+name)
	}
}

func (w *walker) function(n object) {
	if names := strs(n["funcname"]); len(names) == 1 && !w.fixed {
		w.found = append(w.found, "function "+names[0])
	}
}

func (w *walker) cast(n object) {
	t, _ := n["typeName"].(object)
	if names := strs(t["names"]); len(names) == 1 && !w.fixed {
		w.found = append(w.found, "type "+names[0])
	}
}

// lookups are what looks for an operator by the search_path and has no place for its schema.
var lookups = map[string]string{
	"AEXPR_NULLIF": "nullif", "AEXPR_IN": "IN", "AEXPR_DISTINCT": "IS DISTINCT FROM", "AEXPR_NOT_DISTINCT": "IS NOT DISTINCT FROM",
	"AEXPR_BETWEEN": "BETWEEN", "AEXPR_NOT_BETWEEN": "NOT BETWEEN", "AEXPR_BETWEEN_SYM": "BETWEEN SYMMETRIC", "AEXPR_NOT_BETWEEN_SYM": "NOT BETWEEN SYMMETRIC",
}

func (w *walker) operator(n object) { w.named(strs(n["name"]), lookups[text(n["kind"])]) }

// named is an operator with the names that it is written with, if it is, and the construct that it is of, if it has one.
func (w *walker) named(names []string, of string) {
	if len(names) != 1 || w.fixed || slices.Contains(plain, names[0]) && !w.callers {
		return
	}
	found := "operator " + names[0]
	if of != "" && of != names[0] {
		found += " of " + of
	}
	w.found = append(w.found, found)
}

// caseOf finds comparisons of a CASE with an operand, which has no operator to qualify.
// A string takes the type of what it is compared with.
func (w *walker) caseOf(n object) {
	for _, when := range list(n["args"]) {
		if n["arg"] != nil && !w.fixed && (w.callers || dig(when, "CaseWhen", "expr", "A_Const", "sval") == nil) {
			w.found = append(w.found, "operator = of CASE")
		}
	}
}

// subquery finds operators before a subquery: an IN has none to qualify.
func (w *walker) subquery(n object) {
	switch names := strs(n["operName"]); {
	case len(names) > 0:
		w.named(names, "")
	case text(n["subLinkType"]) == "ANY_SUBLINK":
		w.named([]string{"="}, "IN")
	}
}

// join finds joins that compare columns of the same name.
func (w *walker) join(n object) {
	switch natural, _ := n["isNatural"].(bool); {
	case natural:
		w.named([]string{"="}, "NATURAL JOIN")
	case len(list(n["usingClause"])) > 0:
		w.named([]string{"="}, "USING")
	}
}

// create looks into the body of a function.
func (w *walker) create(n object) {
	path := ""
	for _, o := range list(n["options"]) {
		if set, ok := dig(o, "DefElem", "arg", "VariableSetStmt").(object); ok && text(set["name"]) == "search_path" {
			path = strings.Join(constants(set["args"]), ", ")
		}
	}
	name := strings.Join(strs(n["funcname"]), ".")
	if path != fixedPath && path != "" {
		w.found = append(w.found, fmt.Sprintf("function %s with search_path %q", name, path))
		return
	}
	in := &walker{fixed: path == fixedPath, callers: path == ""}
	body := option(n["options"], "as")
	if option(n["options"], "language") == "sql" {
		in.body(body)
	} else {
		in.plpgsql(w.stmt)
	}
	w.found = append(w.found, in.found...)
}

var (
	plpgsqlQuery = regexp.MustCompile(`"query":("(?:[^"\\]|\\.)*")`)
	plpgsqlType  = regexp.MustCompile(`"typname":("(?:[^"\\]|\\.)*")`)
	dynamic      = regexp.MustCompile(`"PLpgSQL_stmt_dynexecute":\{[^{]*"query":\{"PLpgSQL_expr":\{"query":("(?:[^"\\]|\\.)*")`)
)

// plpgsql looks into each statement of a body, and into what it executes, if that is one string.
func (w *walker) plpgsql(create string) {
	doc, err := pgquery.ParsePlPgSqlToJSON(create)
	if err != nil {
		w.found = append(w.found, "body: "+err.Error())
		return
	}
	for _, query := range matches(plpgsqlQuery, doc) {
		w.body(query)
	}
	for _, query := range matches(dynamic, doc) {
		root, err := parse("SELECT " + query)
		if err != nil {
			w.found = append(w.found, "body: "+err.Error())
			return
		}
		w.each(root, func(kind string, n object) {
			if kind == "ResTarget" && dig(n, "val", "A_Const") != nil {
				w.body(text(dig(n, "val", "A_Const", "sval", "sval")))
			}
		})
	}
	for _, name := range matches(plpgsqlType, doc) {
		if w.callers && !strings.HasSuffix(name, "%TYPE") {
			w.body("NULL::" + name)
		}
	}
}

// matches returns the strings of a JSON document that a pattern finds.
func matches(pattern *regexp.Regexp, doc string) (all []string) {
	for _, m := range pattern.FindAllStringSubmatch(doc, -1) {
		var s string
		if json.Unmarshal([]byte(m[1]), &s) == nil {
			all = append(all, s)
		}
	}
	return all
}

func (w *walker) body(query string) {
	in := &walker{fixed: w.fixed, callers: w.callers}
	found, err := in.walk(query)
	if err != nil { // an expression, or an assignment, of plpgsql
		_, value, assigns := strings.Cut(query, ":=")
		if !assigns {
			value = query
		}
		found, err = in.walk("SELECT " + value)
	}
	if err != nil {
		w.found = append(w.found, "body: "+err.Error())
	}
	w.found = append(w.found, found...)
}

func option(options any, name string) string {
	for _, o := range list(options) {
		def, _ := dig(o, "DefElem").(object)
		if text(def["defname"]) != name {
			continue
		}
		if s := text(dig(def["arg"], "String", "sval")); s != "" {
			return s
		}
		return strings.Join(strs(dig(def["arg"], "List", "items")), "")
	}
	return ""
}

func constants(args any) (values []string) {
	for _, a := range list(args) {
		values = append(values, text(dig(a, "A_Const", "sval", "sval")))
	}
	return values
}

// strs returns the strings of a list of String nodes.
func strs(v any) (s []string) {
	for _, e := range list(v) {
		s = append(s, text(dig(e, "String", "sval")))
	}
	return s
}

func dig(v any, names ...string) any {
	for _, name := range names {
		m, _ := v.(object)
		v = m[name]
	}
	return v
}

func list(v any) []any { l, _ := v.([]any); return l }

func text(v any) string { s, _ := v.(string); return s }

func number(v any) int64 {
	n, _ := v.(json.Number)
	i, _ := n.Int64()
	return i
}
