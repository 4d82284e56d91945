package lex

import (
	"reflect"
	"testing"
)

func TestReadAndOpaque(t *testing.T) {
	noBlock := Statement{NoBlock: true}
	also := func(op Op, name string) Statement {
		return Statement{Kind: Write, Also: []Target{{Table: Table{Name: name}, Op: op}}}
	}
	tables := []Table{{Name: "t"}}
	for _, c := range []struct {
		query string
		on    []Dialect
		want  Statement
	}{
		{"SELECT 1", both, Statement{}},
		{"WITH a AS (SELECT 1) SELECT 1", both, Statement{}},
		{"VALUES (1)", both, Statement{}},
		{"WITH a AS (SELECT max(delete), min(insert), sum(update) FROM t) SELECT 1", both, Statement{}},
		{"ANALYZE", both, Statement{}},
		{"VACUUM", both, noBlock},
		{"VACUUM (ANALYZE) t", both[:1], noBlock},
		{"PRAGMA foreign_keys = on", both[1:], noBlock},
		{"ATTACH 'a' AS b", both[1:], Statement{NoBlock: true, Path: true}},
		{"DETACH b", both[1:], Statement{NoBlock: true, Path: true}},
		{"REINDEX", both[1:], Statement{}},
		{"REINDEX TABLE t", both[:1], Statement{}},
		{"REINDEX TABLE CONCURRENTLY t", both[:1], noBlock},
		{"REINDEX (CONCURRENTLY, VERBOSE) INDEX i", both[:1], noBlock},
		{"REINDEX (VERBOSE) INDEX i", both[:1], Statement{}},
		{"REINDEX DATABASE d", both[:1], noBlock},
		{"REINDEX SYSTEM d", both[:1], noBlock},
		{"REINDEX SCHEMA s", both[:1], noBlock},
		{"CLUSTER", both[:1], noBlock},
		{"CLUSTER VERBOSE", both[:1], noBlock},
		{"CLUSTER t", both[:1], Statement{}},
		{"DISCARD ALL", both[:1], Statement{NoBlock: true, Path: true, Unprepares: true}},
		{"DISCARD TEMP", both[:1], Statement{Path: true}},
		{"LISTEN a", both[:1], Statement{Lead: LeadPlain}},
		{"EXPLAIN QUERY PLAN DELETE FROM t", both[1:], Statement{}},
		{"EXPLAIN DELETE FROM t", both, Statement{}},
		{"EXPLAIN ANALYZE DELETE FROM t", both[:1], also(Delete, "t")},
		{"EXPLAIN ANALYZE EXECUTE a", both[:1], Statement{Kind: Opaque, Verb: "EXPLAIN"}},
		{"SELECT 1 INTO t", both[:1], Statement{Kind: Schema, Verb: "SELECT INTO", Tables: tables}},
		{"SELECT 1 INTO TEMP TABLE t", both[:1], Statement{Kind: Schema, Verb: "SELECT INTO", Tables: tables, Temporary: true}},
		{"CALL p()", both[:1], Statement{Kind: Opaque, Verb: "CALL", EndsUnseen: true}},
		{"DO 'x'", both[:1], Statement{Kind: Opaque, Verb: "DO", EndsUnseen: true}},
		{"EXECUTE a", both[:1], Statement{Kind: Opaque, Verb: "EXECUTE"}},
		{"MERGE INTO t USING o ON true WHEN MATCHED THEN DELETE", both[:1], Statement{Kind: Write, Op: Merge, Tables: tables}},
		{"COPY t FROM STDIN", both[:1], Statement{Kind: Write, Op: Insert, Tables: tables, Verb: "COPY"}},
		{"COPY t TO STDOUT", both[:1], Statement{}},
		{"WITH a AS (DELETE FROM t RETURNING 1) SELECT 1", both[:1], also(Delete, "t")},
		{"frobnicate t", both, Statement{Kind: Opaque, Verb: "FROBNICATE"}},
		{"SET a = 1", both[1:], Statement{Kind: Opaque, Verb: "SET"}},
	} {
		for _, d := range c.on {
			if got := one(t, d, c.query); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%v: %s\n got %+v\nwant %+v", d, c.query, got, c.want)
			}
		}
	}
}
