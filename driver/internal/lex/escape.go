package lex

import (
	"reflect"
	"strings"
)

// Ambiguous reports whether a query of PostgreSQL, of which Parse says stmts,
// would say something else with standard_conforming_strings off, and what: the
// setting decides where a plain string with a backslash ends.
func Ambiguous(query, keyColumn string, stmts []Statement) (other []Statement, ambiguous bool) {
	if strings.IndexByte(query, '\\') < 0 || strings.IndexByte(query, '\'') < 0 {
		return nil, false
	}
	other = Parse(Escapes, query, keyColumn, nil)
	return other, !alike(other, stmts)
}

func alike(a, b []Statement) bool {
	return len(a) == len(b) && (len(a) == 0 || reflect.DeepEqual(a, b))
}
