package changes_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// liteExchanges are what another program does to columns, which are recognised by their names on SQLite, and whether that is a break.
var liteExchanges = map[string]struct {
	alter    []string
	isBroken bool
}{
	"two":                   {[]string{"RENAME a TO x", "RENAME b TO a", "RENAME x TO b"}, true},
	"three":                 {[]string{"RENAME a TO x", "RENAME b TO a", "RENAME c TO b", "RENAME x TO c"}, true},
	"with the key":          {[]string{"RENAME id TO x", "RENAME a TO id", "RENAME x TO a"}, true},
	"with an excluded":      {[]string{"RENAME a TO x", "RENAME e TO a", "RENAME x TO e"}, true},
	"and back":              {[]string{"RENAME a TO x", "RENAME b TO a", "RENAME x TO b", "RENAME a TO x", "RENAME b TO a", "RENAME x TO b"}, false},
	"none, and one dropped": {[]string{"DROP e"}, false},
}

// TestSQLiteColumnsExchanged: columns that have exchanged their names are not taken for one another, whatever notices it.
func TestSQLiteColumnsExchanged(t *testing.T) {
	for name, c := range liteExchanges {
		for _, by := range []string{"plan", "DDL"} {
			t.Run(name+", "+by, func(t *testing.T) {
				w := lite(t)
				w.exec("CREATE TABLE o (id INTEGER PRIMARY KEY, a, e, b, c)", "INSERT INTO o VALUES (1, 1, 1, 1, 1)")
				w.capture(capture.Table{Name: "o", Exclude: []string{"e"}})
				w.exec("UPDATE o SET a = 2, b = 2, c = 2")
				for _, a := range c.alter {
					w.exec("ALTER TABLE o " + a)
				}
				w.exec("UPDATE o SET a = 3, b = 4, c = 5")
				then := w.liteClock()
				check := func(when string) {
					w.Helper()
					list, err := w.store.Breaks(ctx, "o")
					w.must(err)
					if is := slices.ContainsFunc(list, func(b changes.Break) bool { return b.Kind == changes.Uncaptured }); is != c.isBroken {
						t.Errorf("%s the breaks are %v", when, list)
					}
					row, err := w.store.RowAsOf(ctx, "o", then, "1")
					if is := errors.Is(err, changes.ErrBroken); is != c.isBroken || !is && (err != nil || !strings.HasSuffix(row.String(), "a: 3; b: 4; c: 5")) {
						t.Errorf("%s the row was %s (%v)", when, row, err)
					}
				}
				check("before the " + by)
				if by == "plan" {
					w.capture(capture.Table{Name: "o", Key: strings.Fields(w.text("SELECT name FROM pragma_table_info('o') WHERE pk = 1"))})
				} else {
					app, _ := liteApp(w)
					_, err := app.ExecContext(ctx, "CREATE TABLE other (id)")
					w.must(err)
				}
				check("after the " + by)
			})
		}
	}
}

// TestSQLiteUndoExchanged: an undo does not write what a column had to the one that has its name now.
func TestSQLiteUndoExchanged(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE o (id INTEGER PRIMARY KEY, a, b)", "INSERT INTO o VALUES (1, 'x', 'y')")
	w.capture(capture.Table{Name: "o"})
	w.exec("UPDATE o SET a = 'y'")
	for _, n := range []string{"a TO x", "b TO a", "x TO b"} {
		w.exec("ALTER TABLE o RENAME COLUMN " + n)
	}
	for _, when := range []string{"now", "after a plan"} {
		history, err := w.store.History(ctx, "o", "1")
		w.must(err)
		u, err := undo.Change(ctx, w.store, history[0])
		w.must(err)
		if len(u.Refusals) != 1 || u.Refusals[0].Reason != "dropped or renamed since" {
			t.Errorf("%s what the old column had is written to the new one:\n%s", when, u)
		}
		w.capture(capture.Table{Name: "o"})
	}
}

// TestSQLiteHiddenExchanged: what is masked or excluded stays so under the name of another column, whatever the app's next DDL is.
func TestSQLiteHiddenExchanged(t *testing.T) {
	for name, alter := range map[string][]string{
		"masked":                     {"RENAME card TO x", "RENAME a TO card", "RENAME x TO a"},
		"excluded":                   {"RENAME token TO x", "RENAME a TO token", "RENAME x TO a"},
		"masked with excluded":       {"RENAME token TO x", "RENAME card TO token", "RENAME x TO card"},
		"masked, and made again":     {"RENAME card TO x", "ADD COLUMN card"},
		"excluded, and made again":   {"RENAME token TO x", "ADD COLUMN token"},
		"away, after a drop":         {"DROP COLUMN free", "RENAME card TO x", "RENAME a TO card", "RENAME x TO a"},
		"under the name of an empty": {"DROP COLUMN free", "RENAME card TO free"},
	} {
		t.Run(name, func(t *testing.T) {
			w := lite(t)
			w.exec("CREATE TABLE o (id INTEGER PRIMARY KEY, card, free, a, token)", "INSERT INTO o VALUES (1, 'secret', 1, 'a', 'secret')")
			w.capture(capture.Table{Name: "o", Mask: []string{"card"}, Exclude: []string{"free", "token"}})
			for _, a := range alter {
				w.exec("ALTER TABLE o " + a)
			}
			app, logs := liteApp(w)
			for _, q := range []string{"CREATE TABLE other (id)", "DELETE FROM o"} {
				_, err := app.ExecContext(ctx, q)
				w.must(err)
			}
			if n := w.text("SELECT count(*) FROM threadline_audit_values WHERE old = 'secret'"); n != "0" {
				t.Errorf("%s secrets are kept:\n%s", n, w.story("o", "1"))
			}
			if logs.Len() > 0 {
				t.Error(logs.All())
			}
		})
	}
}
