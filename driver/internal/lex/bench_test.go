package lex

import (
	"strconv"
	"strings"
	"testing"
)

// selects are a short, a usual and a long SELECT.
func selects() []string {
	return []string{
		"SELECT 1",
		"SELECT id, name, email FROM users WHERE tenant_id = $1 AND id = $2 ORDER BY id LIMIT 10",
		"SELECT " + strings.Repeat("column_name, ", 80) + "id FROM users",
	}
}

func BenchmarkPlain(b *testing.B) {
	for _, q := range selects() {
		b.Run(strconv.Itoa(len(q)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !Plain(q) {
					b.Fatal("not plain")
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for _, c := range []struct{ name, query string }{
		{"insert", "INSERT INTO orders (id, customer_id, total) VALUES ($1, $2, $3) RETURNING id"},
		{"update", `UPDATE "orders" SET "total" = $1, "updated_at" = $2 WHERE "orders"."id" = $3`},
		{"begin", "BEGIN"},
		{"savepoint", "SAVEPOINT sp1"},
		{"script", strings.Repeat("INSERT INTO t VALUES (1, 'a', now()); ", 100)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(c.query)))
			var dst []Statement
			for b.Loop() {
				dst = Parse(Postgres, c.query, "id", dst[:0])
			}
		})
	}
}
