package legacy_test

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// minifluxKeys are the tables of which row changes are kept, with their keys and what is masked.
var minifluxKeys = map[string]struct{ key, masked string }{
	"users": {key: "id", masked: "password"}, "api_keys": {key: "id", masked: "token"},
	"categories": {key: "id"}, "feeds": {key: "id"}, "entries": {key: "id"}, "enclosures": {key: "id"}, "icons": {key: "id"},
	"feed_icons": {key: "feed_id,icon_id"},
}

// awaitCapture waits until the triggers are there, which the app makes beside its work.
func (m *miniflux) awaitCapture(t *testing.T) {
	t.Helper()
	var tables []capture.Table
	for name, of := range minifluxKeys {
		table := capture.Table{Name: name}
		if of.masked != "" {
			table.Mask = []string{of.masked}
		}
		tables = append(tables, table)
	}
	installer := capture.NewInstaller(m.db, hooks.Postgres, nil)
	await(t, "the capture of all tables", func(ctx context.Context) bool {
		// There is no plan before the tables of changes are there.
		plan, err := installer.Plan(ctx, tables...)
		return err == nil && len(plan.Steps) == 0
	})
}

// rowsAgree compares the row changes with the rows: with those that the witness has counted,
// transaction by transaction, and with what is in the tables.
func (m *miniflux) rowsAgree(t *testing.T) {
	t.Helper()
	kept := m.kept(t)
	witnessed := seen(t, m.db, true)
	for c, n := range seen(t, m.db, false) {
		witnessed[c] += n
	}
	for c := range kept {
		if witnessed[c] == 0 {
			witnessed[c] = 0
		}
	}
	for c, n := range witnessed {
		if _, is := minifluxKeys[c.table]; !is {
			continue
		}
		// An update that changes nothing is not kept.
		if kept[c] > n || kept[c] < n && c.op != "updated" {
			t.Errorf("transaction %d: %s.%s: %d row changes are kept, %d were made", c.tx, c.table, c.op, kept[c], n)
		}
	}
	rows := 0
	for table := range minifluxKeys {
		rows += m.leadToRows(t, table)
	}
	t.Logf("%d transactions have kept what they changed, which leads to %d rows", len(kept), rows)
}

// kept returns what is kept of all transactions, and checks who has made them.
func (m *miniflux) kept(t *testing.T) map[change]int {
	t.Helper()
	store, found := changes.NewStore(m.db, hooks.Postgres, nil), map[change]int{}
	verbs := map[changes.Op]string{changes.Insert: "inserted", changes.Update: "updated", changes.Delete: "deleted"}
	for tx := range each(t, m.db, "SELECT DISTINCT xid, to_char(tx_started_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM threadline.audit_changes") {
		xid, err := strconv.ParseInt(*tx[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		started, err := time.Parse(time.RFC3339Nano, *tx[1])
		if err != nil {
			t.Fatal(err)
		}
		is, err := store.Transaction(t.Context(), xid, started, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range is.Changes {
			found[change{xid, c.Table, verbs[c.Op]}]++
			if c.By.State != changes.Recorded {
				t.Errorf("transaction %d: %s of %s %v is by %s, but the app has made it", xid, c.Op, c.Table, c.Key, c.By)
			}
			for _, f := range c.Fields {
				if masked := f.Name == minifluxKeys[c.Table].masked; f.New.Masked != (masked && c.Op != changes.Delete) {
					t.Errorf("%s.%s: %s", c.Table, f.Name, f.New)
				}
			}
		}
	}
	return found
}

// leadToRows checks that the changes of each row of a table lead to what is in it.
func (m *miniflux) leadToRows(t *testing.T, table string) int {
	t.Helper()
	of := minifluxKeys[table]
	var columns, printed []string
	for name := range each(t, m.db, "SELECT attname FROM pg_attribute WHERE attrelid = '"+table+"'::regclass AND attnum > 0 AND NOT attisdropped") {
		columns, printed = append(columns, *name[0]), append(printed, "CASE WHEN "+*name[0]+" IS NOT NULL THEN format('%s', "+*name[0]+") END")
	}
	store, n := changes.NewStore(m.db, hooks.Postgres, nil), 0
	for values := range each(t, m.db, "SELECT "+strings.Join(printed, ", ")+" FROM "+table) {
		n++
		row := make(map[string]*string)
		for i, name := range columns {
			row[name] = values[i]
		}
		var key []string
		for name := range strings.SplitSeq(of.key, ",") {
			key = append(key, *row[name])
		}
		history, err := store.History(t.Context(), table, key...)
		if err != nil {
			t.Fatal(err)
		}
		if len(history) == 0 || history[0].Op != changes.Insert {
			continue // it is from before the capture
		}
		left := make(map[string]*string)
		for _, c := range history {
			for _, f := range c.Fields {
				left[f.Name] = f.New.Text
			}
		}
		delete(row, of.masked)
		delete(left, of.masked)
		if !maps.EqualFunc(row, left, func(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }) {
			t.Errorf("%s %v: the changes lead to %s, the row is %s", table, key, inWords(left), inWords(row))
		}
	}
	return n
}

func inWords(row map[string]*string) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(row)) {
		value := "NULL"
		if row[name] != nil {
			value = fmt.Sprintf("%q", *row[name])
		}
		list = append(list, name+" "+value)
	}
	return strings.Join(list, ", ")
}

// each ranges over the rows of a query, as PostgreSQL prints them under the settings of row changes.
func each(t *testing.T, db *sql.DB, query string) iter.Seq[[]*string] {
	t.Helper()
	return func(yield func([]*string) bool) {
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err = conn.ExecContext(t.Context(), "SET TimeZone = 'UTC'"); err != nil {
			t.Fatal(err)
		}
		rows, err := conn.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values, into := make([]*string, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err = rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			if !yield(values) {
				return
			}
		}
		if err = rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
}
