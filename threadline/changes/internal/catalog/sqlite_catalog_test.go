package catalog

import (
	"slices"
	"testing"
)

func TestParseIndex(t *testing.T) {
	for text, want := range map[string]struct {
		terms []string
		where string
	}{
		`CREATE UNIQUE INDEX i ON t (a)`:                                      {[]string{"a"}, ""},
		`CREATE UNIQUE INDEX "i(" ON "t," (lower(a) DESC, b ASC)`:             {[]string{"lower(a)", "b"}, ""},
		`CREATE UNIQUE INDEX i ON t (a || ',)' COLLATE NOCASE desc, "d asc")`: {[]string{"a || ',)' COLLATE NOCASE", `"d asc"`}, ""},
		"CREATE UNIQUE INDEX i ON t(a)WHERE b IN ('where', ')') -- end":       {[]string{"a"}, "b IN ('where', ')')"},
		"CREATE UNIQUE INDEX i /* ( */ ON t(a) /* x */ where [b ]] > 1":       {[]string{"a"}, "[b ]] > 1"},
		"CREATE UNIQUE INDEX i ON t(coalesce(a, 'it''s'), (b))":               {[]string{"coalesce(a, 'it''s')", "(b)"}, ""},
		"CREATE UNIQUE INDEX i ON t(max(a, basc))":                            {[]string{"max(a, basc)"}, ""},
	} {
		terms, where, ok := parseIndex(text)
		if !ok || !slices.Equal(terms, want.terms) || where != want.where {
			t.Errorf("%s has %q, %q, %t", text, terms, where, ok)
		}
	}
	for _, text := range []string{"", "CREATE UNIQUE INDEX i ON t", "CREATE UNIQUE INDEX i ON t (a", "CREATE UNIQUE INDEX i ON t (a) b"} {
		if _, _, ok := parseIndex(text); ok {
			t.Errorf("%q is an index", text)
		}
	}
}

func TestParseSQLiteName(t *testing.T) {
	for text, want := range map[string][2]string{
		"orders": {"", "orders"}, "main.orders": {"main", "orders"}, `"a.b"`: {"", "a.b"}, `main."a""b"`: {"main", `a"b`},
		"[a b].`c``d`": {"a b", "c`d"}, "é": {"", "é"},
	} {
		schema, name, err := ParseSQLiteName(text)
		if err != nil || schema != want[0] || name != want[1] {
			t.Errorf("%s is %q, %q, %v", text, schema, name, err)
		}
	}
	for _, text := range []string{"", ".", "a.", "a b", `"a`, "a.b.c", `a"b"`} {
		if _, _, err := ParseSQLiteName(text); err == nil {
			t.Errorf("%q is a name", text)
		}
	}
}
