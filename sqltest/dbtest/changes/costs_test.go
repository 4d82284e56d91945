package changes_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestPartitionsAreLookedUpOnce: what a change of a partition costs does not grow by lookups in the catalog.
func TestPartitionsAreLookedUpOnce(t *testing.T) {
	with(t, func(w *world) {
		w.db.SetMaxOpenConns(1)
		w.exec("CREATE TABLE p (id int, part int, a int, PRIMARY KEY (id, part)) PARTITION BY LIST (part)", "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)", "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)")
		w.capture(capture.Table{Name: "p"})
		lookups := func() int {
			n, err := strconv.Atoi(w.text("SELECT sum(idx_scan + seq_scan) FROM pg_stat_xact_sys_tables WHERE relname IN ('pg_attribute', 'pg_class', 'pg_namespace')"))
			w.must(err)
			return n
		}
		for _, statement := range []string{
			"INSERT INTO p SELECT n, 1 + n % 2, 0 FROM generate_series($, $ + 999) n", "UPDATE p SET a = a + 1 WHERE id BETWEEN $ AND $ + 999", "DELETE FROM p WHERE id BETWEEN $ AND $ + 999",
		} {
			of := func(first string) string { return strings.ReplaceAll(statement, "$", first) }
			w.exec("INSERT INTO p SELECT n, 1 + n % 2, 0 FROM generate_series(1000, 3999) n WHERE "+strconv.FormatBool(!strings.HasPrefix(statement, "INSERT")), "BEGIN", of("1000"))
			before := lookups()
			w.exec(of("2000"))
			if n := lookups() - before; n > 100 { // some are those of the statement
				w.Errorf("%s looks up %d times what is in the catalog", statement, n)
			}
			w.exec("ROLLBACK", "BEGIN")
			before = lookups()
			w.exec(of("3000"))
			if n := lookups() - before; n > 100 {
				w.Errorf("%s, the first of its transaction, looks up %d times what is in the catalog", statement, n)
			}
			w.exec("ROLLBACK", "TRUNCATE p")
		}
		if n := w.text("SELECT count(*) FROM threadline.audit_gaps"); n != "0" {
			w.Errorf("%s gaps", n)
		}
	}, dbtest.PGX)
}

// TestPartitionsChangedWithin: what a transaction does with a captured table is noticed, though it has changed the table's partitions
// before. The columns of lo are in the order of the parent's, those of hi are not.
func TestPartitionsChangedWithin(t *testing.T) {
	for name, c := range map[string]struct{ ddl, update, want string }{
		"nothing":            {want: "a: x → y; secret: (masked) → (masked);"},
		"column added":       {ddl: "ALTER TABLE p ADD c int DEFAULT 7", want: "(drifted); id: $ → $; a: x → y; c: 7 → 7;"},
		"column dropped":     {ddl: "ALTER TABLE p DROP note", want: "(drifted); id: $ → $; a: x → y;"},
		"dropped and added":  {ddl: "ALTER TABLE p DROP a; ALTER TABLE p ADD a text", want: "(drifted); id: $ → $;"},
		"secret renamed":     {ddl: "ALTER TABLE p RENAME secret TO s", update: "UPDATE p SET a = 'y', s = 'hidden 2'", want: "(drifted); id: $ → $; a: x → y;"},
		"names exchanged":    {ddl: "ALTER TABLE p RENAME secret TO s; ALTER TABLE p RENAME a TO secret; ALTER TABLE p RENAME s TO a", update: "UPDATE p SET secret = 'y', a = 'hidden 2'", want: "(drifted); id: $ → $;"},
		"detached meanwhile": {ddl: "COMMIT; ALTER TABLE p DETACH PARTITION lo; ALTER TABLE p RENAME secret TO s; ALTER TABLE p RENAME a TO secret; ALTER TABLE p RENAME s TO a; ALTER TABLE p ATTACH PARTITION lo FOR VALUES FROM (0) TO (10); BEGIN", update: "UPDATE p SET secret = 'y', a = 'hidden 2'", want: "(drifted); id: $ → $;"},
		"new partition":      {ddl: "ALTER TABLE p DETACH PARTITION lo; ALTER TABLE p ATTACH PARTITION lo FOR VALUES FROM (0) TO (10)", want: "a: x → y; secret: (masked) → (masked);"},
		"rolled back":        {ddl: "SAVEPOINT s; ALTER TABLE p ADD c int; UPDATE p SET note = 1; ROLLBACK TO s", want: "a: x → y; secret: (masked) → (masked);"},
		"setting of the app": {ddl: "SELECT set_config(concat('threadline.', x), ' ' || 'lo'::regclass::oid || ' ' || 'hi'::regclass::oid || ' ', true) FROM (SELECT substring(prosrc, 'tx_[0-9a-z]*_[0-9a-f]*_fit') FROM pg_proc WHERE prosrc LIKE '%/_fit%' ESCAPE '/' LIMIT 1) s (x); ALTER TABLE p ADD c int DEFAULT 7", want: "(drifted); id: $ → $; a: x → y; c: 7 → 7;"},
	} {
		t.Run(name, func(t *testing.T) {
			with(t, func(w *world) {
				w.db.SetMaxOpenConns(1)
				w.exec("CREATE TABLE p (id int PRIMARY KEY, secret text, a text, note int) PARTITION BY RANGE (id)", "CREATE TABLE lo PARTITION OF p FOR VALUES FROM (0) TO (10)",
					"CREATE TABLE hi (id int NOT NULL, a text, secret text, note int)", "ALTER TABLE p ATTACH PARTITION hi FOR VALUES FROM (10) TO (20)")
				w.capture(capture.Table{Name: "p", Mask: []string{"secret"}})
				if c.update == "" {
					c.update = "UPDATE p SET a = 'y', secret = 'hidden 2'"
				}
				w.exec("BEGIN", "INSERT INTO p VALUES (1, 'hidden 1', 'x'), (2, 'hidden 1', 'x'), (11, 'hidden 1', 'x'), (12, 'hidden 1', 'x')", "UPDATE p SET note = 1 WHERE id IN (2, 12)", "UPDATE p SET note = NULL")
				if c.ddl != "" {
					w.exec(c.ddl)
				}
				w.exec(c.update, "COMMIT")
				if n := w.text("SELECT string_agg(reason, ' ') FROM threadline.audit_gaps"); n != "" {
					w.Errorf("gaps: %s", n)
				}
				for _, id := range []string{"1", "2", "11", "12"} {
					story := strings.Split(w.story("p", id), "\n")
					last := story[len(story)-1]
					for _, part := range strings.Split(strings.ReplaceAll(c.want, "$", id), "; ") {
						if !strings.Contains(last, part) {
							w.Errorf("the last change of %s is %q, want %q", id, last, c.want)
							break
						}
					}
				}
				if all := w.text("SELECT string_agg(c::text, ' ') FROM threadline.audit_changes c"); strings.Contains(all, "hidden") {
					w.Errorf("the secret is in %s", all)
				}
			}, dbtest.PQ)
		})
	}
}

// TestUnknownTargetsAreCheap: to find out that a name is that of no table, and which table it may lead to, the server reads some
// rows of its catalog, and not all.
func TestUnknownTargetsAreCheap(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY)", "CREATE VIEW shown AS SELECT * FROM t",
			"DO $$ BEGIN FOR n IN 1..500 LOOP EXECUTE format('CREATE VIEW v%s AS SELECT 1 AS a', n); END LOOP; END $$")
		w.capture(capture.Table{Name: "t"})
		read := func() int {
			w.db.SetMaxIdleConns(0)
			w.awaitAlone()
			n, err := strconv.Atoi(w.text("SELECT seq_tup_read FROM pg_stat_sys_tables WHERE relname = 'pg_class'"))
			w.must(err)
			return n
		}
		for name, want := range map[string]string{"invoice": "no table \"invoice\" was ever captured", "shown": `its changes are those of "public.t"`} {
			before := read()
			db := dbtest.Open(w.T, "postgres", w.dsn)
			_, err := changes.NewStore(db, hooks.Postgres, nil).Page(ctx, changes.Query{Tables: []string{name}})
			w.must(db.Close())
			if err == nil || !strings.Contains(err.Error(), want) {
				w.Errorf("%s: %v", name, err)
			}
			if n := read() - before; n >= 500 {
				w.Errorf("%s: %d rows of pg_class are read one after the other", name, n)
			}
		}
	}, dbtest.PQ)
}
