package lexcheck

import (
	"encoding/json"
	"strings"
)

// key is the column that all statements of the corpus are asked about.
const key = "id"

// insertKey is the key's value in the one row of an INSERT.
func insertKey(n tree) string {
	sel := n.at("selectStmt", "SelectStmt")
	rows := sel.at("valuesLists").list()
	if len(rows) != 1 || n.at("override").text() == "OVERRIDING_USER_VALUE" {
		return ""
	}
	if sel.at("limitCount").there() || sel.at("sortClause").there() {
		return ""
	}
	values := rows[0].at("List", "items").list()
	for i, c := range n.at("cols").list() {
		if c.at("ResTarget", "name").text() == key && !c.at("ResTarget", "indirection").there() && i < len(values) {
			return plain(values[i])
		}
	}
	return ""
}

// whereKey is the key's value in the first condition that must hold and is an
// equation with it.
func whereKey(n tree) string {
	names := []string{n.at("relation", "relname").text()}
	if alias := n.at("relation", "alias", "aliasname").text(); alias != "" {
		names = []string{alias}
	}
	joined := !n.at("fromClause").empty() || !n.at("usingClause").empty()
	for _, c := range conditions(n.at("whereClause")) {
		e := c.at("A_Expr")
		if e.at("kind").text() != "AEXPR_OP" || operator(e) != "=" {
			continue
		}
		if !isKey(e.at("lexpr", "ColumnRef", "fields").list(), names, joined) {
			continue
		}
		if v := plain(e.at("rexpr")); v != "" {
			return v
		}
	}
	return ""
}

func operator(e tree) string {
	parts := e.at("name").list()
	if len(parts) != 1 {
		return ""
	}
	return parts[0].at("String", "sval").text()
}

// conditions are those that must all hold.
func conditions(where tree) []tree {
	if where.at("BoolExpr", "boolop").text() != "AND_EXPR" {
		return []tree{where}
	}
	var all []tree
	for _, a := range where.at("BoolExpr", "args").list() {
		all = append(all, conditions(a)...)
	}
	return all
}

func isKey(fields []tree, tables []string, joined bool) bool {
	if len(fields) == 0 || fields[len(fields)-1].at("String", "sval").text() != key {
		return false
	}
	if len(fields) == 1 {
		return !joined
	}
	return fields[len(fields)-2].at("String", "sval").text() == tables[0]
}

// plain is a parameter as $1, a literal as =value, and "" for anything else.
func plain(v tree) string {
	if c := v.at("TypeCast"); c.there() {
		if !keeps(c.at("typeName")) {
			return ""
		}
		return plain(c.at("arg"))
	}
	if v.at("ParamRef").there() {
		n, _ := v.at("ParamRef", "number").v.(json.Number)
		return "$" + n.String()
	}
	c := v.at("A_Const")
	switch {
	case c.at("sval").there():
		return "=" + c.at("sval", "sval").text()
	case c.at("ival").there():
		n, _ := c.at("ival", "ival").v.(json.Number)
		if n == "" {
			n = "0"
		}
		return "=" + n.String()
	case c.at("fval").there():
		if s := c.at("fval", "fval").text(); strings.Trim(s, "-0123456789") == "" {
			return "=" + s
		}
	}
	return ""
}

// keeps reports whether a cast to this type leaves every value as it is, or
// refuses it.
func keeps(t tree) bool {
	names := t.at("names").list()
	if len(names) == 2 && names[0].at("String", "sval").text() == "pg_catalog" {
		names = names[1:]
	}
	if len(names) != 1 || !t.at("typmods").empty() || !t.at("arrayBounds").empty() {
		return false
	}
	switch names[0].at("String", "sval").text() {
	case "int2", "int4", "int8", "text", "varchar", "uuid":
		return true
	}
	return false
}
