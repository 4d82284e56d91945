package changes_test

import (
	"errors"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/search"
)

// TestTablesThatWereNeverCaptured: a name that no captured table ever had is no empty page. One that a table
// had before it was renamed or dropped is found.
func TestTablesThatWereNeverCaptured(t *testing.T) {
	with(t, func(w *world) {
		of := func(names ...string) changes.Query { return changes.Query{Tables: names} }
		w.wantQueryError(of("orders"), "table", `no table "orders" was ever captured, nor any other: to capture it, name it in capture.Of`)
		w.exec("CREATE TABLE orders (id int PRIMARY KEY)", `CREATE SCHEMA "Shop"`, `CREATE TABLE "Shop"."Order Lines" (id int PRIMARY KEY)`, "CREATE TABLE dropped (id int PRIMARY KEY)",
			"CREATE TABLE before (id int PRIMARY KEY)", "CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id)", "CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (9)",
			"CREATE TABLE forgotten (id int PRIMARY KEY)", "CREATE VIEW shown AS SELECT id FROM orders")
		w.capture(capture.Table{Name: "orders"}, capture.Table{Name: `"Shop"."Order Lines"`}, capture.Table{Name: "dropped"}, capture.Table{Name: "before"}, capture.Table{Name: "parted"})
		for _, table := range []string{"orders", `"Shop"."Order Lines"`, "dropped", "before", "parted", "forgotten"} {
			w.exec("INSERT INTO " + table + " VALUES (1)")
		}
		w.exec("DROP TABLE dropped", "ALTER TABLE before RENAME TO after")
		w.capture(capture.Table{Name: "after"})
		for name, says := range map[string]string{
			"ordres":                `no table "ordres" was ever captured: did you mean "orders"? Otherwise, to capture it`,
			"Orders":                `did you mean "orders"?`,
			"order lines":           `did you mean "Order Lines"?`,
			"Shop.Order Line":       `did you mean "Shop.Order Lines"?`,
			"public.Order Lines":    `no table "public.Order Lines" was ever captured`,
			"Shop.orders":           `no table "Shop.orders" was ever captured`,
			"forgotten":             `no table "forgotten" was ever captured, although there is such a table: to capture it, name it in capture.Of`,
			"public.forgotten":      `although there is such a table: to capture it`,
			"nothing":               `but "Shop.Order Lines", "public.after", "public.before", "public.dropped", "public.orders" and 1 more: to capture it`,
			"part":                  `no table "part" was ever captured by itself: its changes are those of "public.parted"`,
			"public.part":           `by itself: its changes are those of "public.parted"`,
			"shown":                 `its changes are those of "public.orders"`,
			`"orders"`:              `did you mean "orders"?`,
			"it's; DROP TABLE x --": "was ever captured",
		} {
			w.wantQueryError(of(name), "table", says)
			w.wantQueryError(of("orders", name), "table", says)
			if _, err := w.store.Page(ctx, of(name)); !errors.Is(err, changes.ErrNotCaptured) {
				w.Errorf("%s: %v", name, err)
			}
		}
		w.wantQueryError(changes.Query{Schema: "shop"}, "table", `no table of schema "shop" was ever captured`)
		w.wantQueryError(changes.Query{Schema: "Shop", Tables: []string{"orders"}}, "table", `no table "orders" of schema "Shop" was ever captured, but "Shop.Order Lines", "public.after"`)
		for _, name := range []string{"orders", "public.orders", "Order Lines", "Shop.Order Lines", "dropped", "public.dropped", "before", "after", "parted"} {
			if got := keys(w.page(of(name)).Changes); got != "1" {
				w.Errorf("%s: %q", name, got)
			}
		}
		if got := keys(w.page(changes.Query{Schema: "Shop"}).Changes); got != "1" {
			w.Errorf("of a schema: %q", got)
		}
		// What there is not is not left out.
		if got := keys(w.page(changes.Query{Not: []changes.Query{of("ordres")}}).Changes); got != "1 1 1 1 1" {
			w.Errorf("without a table that there is not: %q", got)
		}
		w.store = changes.NewStore(w.db, hooks.Postgres, &changes.Options{Aliases: map[string][]string{"order": {"orders", "bestellung"}}})
		if got := keys(w.page(of("bestellung")).Changes); got != "1" {
			w.Errorf("by an alias: %q", got)
		}

		const text = "op:insert field:id -table:nothing table:ordres"
		terms, err := search.Parse(text)
		w.must(err)
		q, err := terms.Changes(w.page(changes.Query{}).Changes[0].CapturedAt)
		w.must(err)
		_, err = w.store.Page(ctx, q)
		var wrong *search.Error
		if err = terms.Explain(err); !errors.As(err, &wrong) || !errors.Is(err, changes.ErrNotCaptured) {
			w.Fatal(err)
		}
		if want := text + "\n                                  ^^^^^^^^^^^^"; wrong.Point(text) != want {
			w.Errorf("it points at\n%s\nwant\n%s", wrong.Point(text), want)
		}
	}, dbtest.PostgresEngines()[0])
}
