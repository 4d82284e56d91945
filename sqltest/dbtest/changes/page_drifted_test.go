package changes_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestFieldsBetweenPlans: a column that a table had between two plans is in no shape, and its changes are found by its name.
func TestFieldsBetweenPlans(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, name text, card text, paid boolean, ssn text)")
		table := capture.Table{Name: "t", Mask: []string{"card"}, Exclude: []string{"ssn"}}
		w.capture(table)
		w.exec("INSERT INTO t VALUES (1, 'a')", "ALTER TABLE t RENAME name TO title", "UPDATE t SET title = 'b'", "ALTER TABLE t RENAME title TO name")
		w.exec("ALTER TABLE t ADD extra text", "UPDATE t SET extra = 'x'", "ALTER TABLE t DROP extra")
		w.exec("ALTER TABLE t RENAME paid TO was", "ALTER TABLE t ADD paid text", "UPDATE t SET paid = 'true'", "ALTER TABLE t DROP paid", "ALTER TABLE t RENAME was TO paid")
		w.capture(table)
		tables := []string{"t"}
		of := func(name, text string) []changes.FieldValue { return []changes.FieldValue{{Field: name, Text: text}} }
		for _, q := range []changes.Query{
			{Tables: tables, New: of("title", "b")},
			{Tables: tables, Old: of("title", "a")},
			{Tables: tables, Fields: []string{"title"}},
			{Tables: tables, Fields: []string{"extra"}},
			{Tables: tables, New: of("paid", "true")},
			{Tables: tables, Fields: []string{"title"}, Not: []changes.Query{{Fields: []string{"extra"}}}},
		} {
			if got := keys(w.page(q).Changes); got != "1" {
				w.Errorf("%+v finds %q", q, got)
			}
		}
		w.wantQueryError(changes.Query{Tables: tables, Fields: []string{"titel"}}, "field", `did you mean "title"?`)
		w.wantQueryError(changes.Query{Tables: tables, Old: of("card", "c")}, "old.card", "masked")
		w.wantQueryError(changes.Query{Tables: tables, Fields: []string{"ssn"}}, "field", "excluded")

		// Of more changes than a page looks at, not each is asked for its columns.
		w.exec("ALTER TABLE t ADD later text", "INSERT INTO t (id) SELECT generate_series(2, 2100)")
		if got := keys(w.page(changes.Query{Tables: tables, Fields: []string{"titel"}}).Changes); got != "" {
			w.Errorf("titel finds %q", got)
		}
		w.wantQueryError(changes.Query{Tables: tables, Fields: []string{"ssn"}}, "field", "excluded")
	}, dbtest.PostgresEngines()[0])
}
