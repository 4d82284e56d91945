package changes_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestSQLiteHeldLookUp: a row that is written looks only for what was held for its own values, however many rows are held.
func TestSQLiteHeldLookUp(t *testing.T) {
	for _, table := range []string{
		"t (id INTEGER PRIMARY KEY, u UNIQUE, v)",
		"t (id PRIMARY KEY, u UNIQUE, v) WITHOUT ROWID",
		"t (id INTEGER PRIMARY KEY, u, v); CREATE UNIQUE INDEX i ON t (lower(u))",
		"t (id INTEGER PRIMARY KEY, u, v); CREATE UNIQUE INDEX i ON t (u) WHERE v > 0",
	} {
		t.Run(table, func(t *testing.T) {
			w := lite(t)
			w.exec("CREATE TABLE " + table)
			w.capture(capture.Table{Name: "t"})
			w.exec("INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 1)", "INSERT OR IGNORE INTO t VALUES (3, 'a', 1)")
			held := func() string {
				return w.text("SELECT count(*) FROM threadline_audit_changes WHERE held IS NOT NULL")
			}
			if n := held(); n != "1" {
				w.Fatalf("%s rows are held", n)
			}
			// As if it were gone: who looks at it takes it for replaced.
			w.exec("DELETE FROM threadline_audit_values WHERE change IN (SELECT seq FROM threadline_audit_changes WHERE held IS NOT NULL)",
				"UPDATE threadline_audit_changes SET held = 99 WHERE held IS NOT NULL")
			w.exec("INSERT INTO t VALUES (4, 'd', 1)", "UPDATE t SET v = 2 WHERE id = 2")
			if n := held(); n != "1" {
				w.Errorf("the rows of other values have looked at it: %s are held", n)
			}
		})
	}
}

// TestSQLiteHeldPlan: what is held is found by an index, by the row or by the values that it is held for, never by reading all
// that is held of a table.
func TestSQLiteHeldPlan(t *testing.T) {
	of := regexp.MustCompile(`\bheld(_for)?\b (=|IN)`)
	values := regexp.MustCompile(`\b(OLD|NEW)\.("[^"]*"|\w+)`)
	for _, table := range []string{"t (id INTEGER PRIMARY KEY, u UNIQUE, v)", "t (id PRIMARY KEY, u UNIQUE, v) WITHOUT ROWID"} {
		w := lite(t)
		w.exec("CREATE TABLE " + table)
		w.capture(capture.Table{Name: "t"})
		triggers := strings.Split(w.text("SELECT group_concat(sql, ';') FROM sqlite_master WHERE type = 'trigger'"), ";")
		plans := 0
		for _, step := range triggers {
			if _, first, ok := strings.Cut(step, "BEGIN\n"); ok {
				step = first
			}
			if step = strings.TrimSpace(step); !of.MatchString(step) {
				continue
			}
			rows, err := w.db.QueryContext(ctx, "EXPLAIN QUERY PLAN "+values.ReplaceAllString(step, "1"))
			w.must(err)
			for plans++; rows.Next(); {
				var id, parent, unused int
				var detail string
				w.must(rows.Scan(&id, &parent, &unused, &detail))
				if strings.HasPrefix(detail, "SCAN h") || strings.Contains(detail, "audit_changes") && !strings.Contains(detail, "held=?") && !strings.Contains(detail, "held_for=?") && !strings.Contains(detail, "(rowid=?)") {
					w.Errorf("%s: %s", step, detail)
				}
			}
			w.must(rows.Err())
			w.must(rows.Close())
		}
		if plans < 10 {
			w.Errorf("%d steps were found", plans)
		}
	}
}

// TestSQLiteHeldSecret: the values for which a row is held are not kept of a column that is masked or excluded.
func TestSQLiteHeldSecret(t *testing.T) {
	for _, table := range []string{
		"t (id INTEGER PRIMARY KEY, card UNIQUE, note UNIQUE, a UNIQUE)",
		"t (id INTEGER PRIMARY KEY, card, note, a); CREATE UNIQUE INDEX i ON t (lower(card)); CREATE UNIQUE INDEX j ON t (a) WHERE card <> 'x'; CREATE UNIQUE INDEX k ON t (note, a)",
		"t (id INTEGER PRIMARY KEY, card, note, a, g AS (card || 'x') STORED UNIQUE)",
	} {
		w := lite(t)
		w.exec("CREATE TABLE " + table)
		mask := []string{"card"}
		if strings.Contains(table, "STORED") {
			mask = append(mask, "g")
		}
		w.capture(capture.Table{Name: "t", Mask: mask, Exclude: []string{"note"}})
		w.exec("INSERT INTO t (id, card, note, a) VALUES (1, 'secret 1', 'secret 2', 'a')", "INSERT OR IGNORE INTO t (id, card, note, a) VALUES (2, 'secret 1', 'secret 2', 'a')")
		if n := w.text("SELECT count(*) FROM threadline_audit_changes WHERE held IS NOT NULL"); n != "1" {
			w.Fatalf("%s: %s rows are held", table, n)
		}
		if n := w.text("SELECT count(*) FROM threadline_audit_changes WHERE held_for LIKE '%secret%'"); n != "0" {
			w.Errorf("%s: a secret value is kept", table)
		}
		w.exec("REPLACE INTO t (id, card, note, a) VALUES (3, 'secret 1', 'secret 2', 'a')")
		if got := w.text("SELECT group_concat(op, '') FROM (SELECT op FROM threadline_audit_changes WHERE held IS NULL ORDER BY seq)"); got != "IDI" {
			w.Errorf("%s: the changes are %s", table, got)
		}
	}
}

// TestSQLiteHeldWho: a row that was held in one transaction and replaced in another was deleted by the other, also if what has
// replaced it takes a default.
func TestSQLiteHeldWho(t *testing.T) {
	for _, table := range []string{"t (id INTEGER PRIMARY KEY, u NOT NULL ON CONFLICT REPLACE DEFAULT 'x' UNIQUE)", "t (id PRIMARY KEY, u TEXT DEFAULT 'x' NOT NULL UNIQUE) WITHOUT ROWID"} {
		w := lite(t)
		w.exec("CREATE TABLE " + table)
		w.capture(capture.Table{Name: "t"})
		app, _ := liteApp(w)
		as := func(id, query string) {
			_, err := app.ExecContext(hooks.WithActor(ctx, hooks.Actor{Type: hooks.User, ID: id}), query)
			w.must(err)
		}
		as("alice", "INSERT INTO t VALUES (1, 'x')")
		as("bob", "INSERT OR IGNORE INTO t VALUES (2, 'x')")
		as("carol", "REPLACE INTO t VALUES (3, NULL)")
		if got := w.actors("t", "1"); got != "user:alice, user:carol" {
			w.Errorf("%s: the row was changed by %s", table, got)
		}
		// The first is missed: the default is no constant. The next row of the number finds it gone.
		w.exec("DROP TABLE t", "CREATE TABLE t (id INTEGER PRIMARY KEY, u DEFAULT ('x' || 'y') NOT NULL UNIQUE)")
		w.capture(capture.Table{Name: "t"})
		as("alice", "INSERT INTO t VALUES (5, 'xy')")
		as("bob", "INSERT OR IGNORE INTO t VALUES (6, 'xy')")
		as("carol", "REPLACE INTO t VALUES (7, NULL)")
		as("dave", "INSERT INTO t VALUES (5, 'z')")
		if got := w.actors("t", "5"); strings.Contains(got, "bob") {
			w.Errorf("the row was changed by %s", got)
		}
		// Bob's transaction has no event, so that nothing would say that a change of it is his.
		if n := w.text("SELECT count(*) FROM threadline_audit_changes d WHERE d.op = 'D' AND d.held IS NULL AND NOT EXISTS (SELECT 1 FROM threadline_audit_changes i WHERE i.op = 'I' AND i.held IS NULL AND i.tx_id = d.tx_id)"); n != "0" {
			w.Errorf("%s rows were deleted by a transaction that has replaced none", n)
		}
	}
}

// TestSQLiteHeldFollowed: a row that was held in one transaction, and replaced in another, is a change of the other: a follower that
// has passed its place gets it, with its values.
func TestSQLiteHeldFollowed(t *testing.T) {
	const columns = "u DEFAULT ('x' || 'y') NOT NULL UNIQUE, v DEFAULT ('v' || 'w') NOT NULL UNIQUE, a)" // which REPLACE does not see, as they are no constants
	for name, table := range map[string]string{"rowid": "(id INTEGER PRIMARY KEY, " + columns, "without": "(id PRIMARY KEY, " + columns + " WITHOUT ROWID"} {
		for _, through := range []string{"the driver", "no driver"} {
			t.Run(name+", through "+through, func(t *testing.T) {
				w := lite(t)
				w.exec("CREATE TABLE t " + table)
				w.capture(capture.Table{Name: "t"})
				write := w.exec
				if through == "the driver" {
					app, _ := liteApp(w)
					write = func(queries ...string) {
						for _, q := range queries {
							_, err := app.ExecContext(ctx, q)
							w.must(err)
						}
					}
				}
				q := changes.Query{OldestFirst: true}
				read := func(want string) {
					t.Helper()
					var got []string
					page := w.page(q)
					for _, c := range page.Changes {
						text := string(c.Op)
						for _, f := range c.Fields {
							text += " " + f.Old.String()
						}
						got = append(got, strings.TrimSuffix(text, " NULL NULL NULL NULL")+" "+c.Key[0])
					}
					if text := strings.Join(got, ", "); text != want {
						t.Errorf("a follower gets %s, want %s", text, want)
					}
					q.Cursor = page.Follow
				}
				write("INSERT INTO t VALUES (5, 'xy', 1, 'old'), (6, 2, 'vw', 'older'), (7, 3, 3, 'stays')")
				write("INSERT OR IGNORE INTO t VALUES (8, 'xy', 4, 1)", "INSERT OR IGNORE INTO t VALUES (8, 4, 'vw', 1)", "INSERT OR IGNORE INTO t VALUES (7, 4, 4, 1)") // 5, 6 and 7 are held
				read("insert 5, insert 6, insert 7")
				write("REPLACE INTO t VALUES (8, NULL, NULL, 'new')")
				read("delete 5 xy 1 old 5, delete 6 2 vw older 6, insert 8")
				write("DELETE FROM t WHERE id = 7", "INSERT INTO t VALUES (7, 7, 7, 'again')")
				read("delete 7 3 3 stays 7, insert 7")
				if n := w.text("SELECT count(*) FROM threadline_audit_values v WHERE NOT EXISTS (SELECT 1 FROM threadline_audit_changes c WHERE c.seq = v.change)"); n != "0" {
					t.Errorf("%s values are of no change", n)
				}
			})
		}
	}
}
