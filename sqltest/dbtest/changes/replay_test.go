package changes_test

import (
	"maps"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// wantReplayed compares tables with what all their changes lead to, from the first on.
func (w *world) wantReplayed(tables ...string) {
	w.Helper()
	for _, table := range tables {
		rows := make(map[string]map[string]string)
		for c, err := range w.store.Each(ctx, changes.Query{Tables: []string{table}, OldestFirst: true}) {
			w.must(err)
			key, former := strings.Join(c.Key, "\x00"), strings.Join(c.Key, "\x00")
			if c.FormerKey != nil {
				former = strings.Join(c.FormerKey, "\x00")
			}
			row := rows[former]
			if (row == nil) != (c.Op == changes.Insert) {
				w.Fatalf("%s %q: the row before the %s of transaction %d is %v", table, c.Key, c.Op, c.XID, row)
			}
			if row == nil {
				row = make(map[string]string)
			}
			delete(rows, former)
			for _, f := range c.Fields {
				if was := row[f.Name]; c.Op != changes.Insert && was != f.Old.String() {
					w.Errorf("%s %q: %s was %q, and the %s of transaction %d begins with %q", table, c.Key, f.Name, was, c.Op, c.XID, f.Old)
				}
				row[f.Name] = f.New.String()
			}
			if c.Op != changes.Delete {
				rows[key] = row
			}
		}
		var got []string
		for _, row := range rows {
			line := ""
			for _, name := range slices.Sorted(maps.Keys(row)) {
				line += "|" + row[name]
			}
			got = append(got, line)
		}
		slices.Sort(got)
		if want := w.printed(table); !slices.Equal(got, want) {
			w.Errorf("the changes of %s lead to\n%s\nand the table has\n%s", table, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// printed are the rows of a table in the form of wantReplayed, as values are kept.
func (w *world) printed(table string) (lines []string) {
	w.Helper()
	conn, err := w.db.Conn(ctx)
	w.must(err)
	defer conn.Close()
	var columns string
	w.must(conn.QueryRowContext(ctx, `SELECT string_agg(format('''|'', CASE WHEN t.%1$I IS NULL THEN ''NULL'' ELSE concat(t.%1$I) END', attname), ', ' ORDER BY attname COLLATE "C")
		FROM pg_attribute WHERE attrelid = '`+table+`'::regclass AND attnum > 0 AND NOT attisdropped`).Scan(&columns))
	_, err = conn.ExecContext(ctx, "SET TimeZone = 'UTC'; SET extra_float_digits = 1")
	w.must(err)
	rows, err := conn.QueryContext(ctx, "SELECT concat("+columns+") FROM "+table+" t")
	w.must(err)
	defer rows.Close()
	for rows.Next() {
		var line string
		w.must(rows.Scan(&line))
		lines = append(lines, line)
	}
	w.must(rows.Err())
	slices.Sort(lines)
	return lines
}
