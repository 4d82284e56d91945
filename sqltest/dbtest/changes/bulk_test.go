package changes_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// keptOf are the changes of a table, as they are kept, without the versions of rows. The parts of a statement are by themselves.
func (w *world) keptOf(table string) string {
	w.Helper()
	return w.text(`SELECT coalesce(string_agg(concat_ws(' ', c.op, c.depth, coalesce(c.key, '-'), coalesce(c.former_key, '-'), coalesce(c.changed, '-'), coalesce(c.old_row, '-'), coalesce(c.new_row, '-'), coalesce(c.cut, '-')), E'\n' ORDER BY c.op, c.lsn), '')
		FROM threadline.audit_changes c JOIN threadline.audit_shapes s ON s.id = c.shape_id WHERE s.shape->>'table' = '` + table + `'`)
}

// whole is how many changes of the table t were captured by statement.
func (w *world) whole() string {
	w.Helper()
	return w.text(`SELECT count(*) FROM threadline.audit_changes c JOIN threadline.audit_shapes s ON s.id = c.shape_id WHERE s.shape->>'table' = 't' AND c.old_tid IS NULL AND c.new_tid IS NULL AND c.op <> 'T'`)
}

// oneDriver is enough for what the server does.
func oneDriver(t *testing.T, f func(w *world)) {
	t.Helper()
	with(t, f, dbtest.PostgresEngines()[0])
}

// TestBulk: by statement the same is kept as by row.
func TestBulk(t *testing.T) {
	oneDriver(t, func(w *world) {
		w.db.SetMaxOpenConns(1)
		w.exec("SET DateStyle = 'SQL, DMY'", "SET bytea_output = 'escape'", "SET TimeZone = 'Asia/Tokyo'", "CREATE TYPE mood AS ENUM ('so', 'la, la')", "CREATE DOMAIN code AS text CHECK (value <> '')", "CREATE TYPE pair AS (a int, b mood)")
		byRow := capture.Table{Name: "by_row", Mask: []string{"secret"}, Hash: []string{"hashed"}, Exclude: []string{"hidden"}}
		bulk := byRow
		bulk.Name, bulk.Bulk = "whole", true
		tables := []string{"by_row", "whole"}
		for _, table := range tables {
			w.exec(`CREATE TABLE `+table+` (id int, gone int, part text COLLATE "C" DEFAULT 'x', a numeric, b text, c timestamptz, d jsonb, secret text, hidden text, hashed bytea, "T""' old at" float8, e mood[], f code, g pair, h interval, i int GENERATED ALWAYS AS (id * 2) STORED, PRIMARY KEY (part, id))`,
				"ALTER TABLE "+table+" DROP gone")
		}
		w.capture(byRow, bulk)
		queries := []string{
			`INSERT INTO {t} SELECT n, 'x', n, 'b', '2026-01-01', '{"b": 1, "a": 2}', 's', 'h', '\x00', 0.1, '{"la, la"}', 'f', '(1,so)', '1 day' FROM generate_series(1, 10) n`,
			`INSERT INTO {t} (id) VALUES (11), (12)`,
			`UPDATE {t} SET a = a + 0.0, secret = 'x' WHERE id < 4`,
			`UPDATE {t} SET hidden = 'x'`,
			`UPDATE {t} SET a = a`,
			`UPDATE {t} SET b = NULL WHERE false`,
			`UPDATE {t} SET b = NULL, h = '24 hours', "T""' old at" = '-0' WHERE id IN (1, 2, 11)`,
			`UPDATE {t} SET b = 'only some change' WHERE id IN (1, 2, 3) AND hidden IS NOT NULL`,
			`UPDATE {t} SET b = 'only some change', hashed = 'h'`,
			`UPDATE {t} SET id = id - 1, part = CASE WHEN id = 3 THEN '"(,' ELSE part END WHERE id < 4`,
			`UPDATE {t} SET e = '{so,NULL}', g = '(,)', f = 'g,' WHERE id = 5`,
			`INSERT INTO {t} (id, a) VALUES (5, 6), (20, 20), (21, 1) ON CONFLICT (id, part) DO UPDATE SET a = excluded.a, id = 30`,
			`INSERT INTO {t} (id, a) VALUES (5, 6), (20, 20) ON CONFLICT DO NOTHING`,
			`WITH d AS (DELETE FROM {t} WHERE id = 20 RETURNING id, a) INSERT INTO {t} (id, a) SELECT id, a + 1 FROM d`,
			`WITH i AS (INSERT INTO {t} (id, a) VALUES (50, 5)) UPDATE {t} SET b = 'cte' WHERE id = 21`,
			`COPY {t} (id, b) FROM PROGRAM 'printf "60,b\n61,\n"' (FORMAT csv)`,
			`PREPARE x AS UPDATE {t} SET a = $1 WHERE id = 60; EXECUTE x(5); EXECUTE x(5); EXECUTE x(6); DEALLOCATE x`,
			`BEGIN; SAVEPOINT s; UPDATE {t} SET b = 'lost'; ROLLBACK TO s; UPDATE {t} SET b = 'kept' WHERE id = 1; INSERT INTO {t} (id) VALUES (70); DELETE FROM {t} WHERE id = 70; COMMIT`,
			// Long values: short enough, cut, and those that have not changed.
			`INSERT INTO {t} (id, b) VALUES (80, (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 100) n)), (81, (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 3000) n)), (82, NULL), (83, 'short')`,
			`UPDATE {t} SET a = 8 WHERE id >= 80`,
			`UPDATE {t} SET b = b || 'x', hashed = 'y' WHERE id >= 80`,
			`UPDATE {t} SET b = NULL WHERE id = 81`,
			`UPDATE {t} SET hashed = (SELECT string_agg(md5(n::text), '')::bytea FROM generate_series(1, 3000) n), secret = repeat('s', 100000) WHERE id = 83`,
			`DO $$ BEGIN UPDATE {t} SET b = 'in a block' WHERE id < 10; DELETE FROM {t} WHERE id = 30; END $$`,
			`DELETE FROM {t}`,
			`SET work_mem = '64kB'; INSERT INTO {t} (id, b) SELECT n, md5(n::text) FROM generate_series(1, 3000) n`, // more than is joined in memory
			`UPDATE {t} SET b = b || 'x' WHERE id > 100`,
			`DELETE FROM {t}; RESET work_mem`,
		}
		if w.text("SELECT current_setting('server_version_num')::int >= 150000") == "true" {
			queries = append(queries, `INSERT INTO {t} (id, b) VALUES (1, 'a'), (2, 'b')`,
				`MERGE INTO {t} t USING (VALUES (1, 'a', 0), (2, 'b', 9), (3, 'c', 1)) s (id, code, a) ON t.b = s.code WHEN MATCHED AND s.a = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET a = s.a WHEN NOT MATCHED THEN INSERT (id, a) VALUES (s.a, s.a)`)
		}
		for _, query := range queries {
			w.exec("DELETE FROM threadline.audit_changes")
			for _, table := range tables {
				w.exec(strings.ReplaceAll(query, "{t}", table))
			}
			if is, want := w.keptOf("whole"), w.keptOf("by_row"); is != want {
				w.Errorf("%s:\n%s\n\nby row:\n%s", query, is, want)
			}
			if n := w.text("SELECT count(*) FROM threadline.audit_changes WHERE old_tid IS NULL AND new_tid IS NULL"); w.keptOf("by_row") != "" && n == "0" {
				w.Errorf("%s was captured by row", query)
			}
			if n := w.text("SELECT count(*) FROM (SELECT role, row_number() OVER (PARTITION BY xid ORDER BY lsn) AS n FROM threadline.audit_changes) c WHERE (n = 1) <> (role IS NOT NULL)"); n != "0" {
				w.Errorf("%s: who made it is with %s other changes", query, n)
			}
		}
		if gaps := w.text("SELECT string_agg(reason, ', ') FROM threadline.audit_gaps"); gaps != "" {
			w.Errorf("gaps: %s", gaps)
		}
	})
}

// wantCaptured: all is kept of the table t, so much of it by statement, without gaps.
func (w *world) wantCaptured(whole string) {
	w.Helper()
	if is := w.whole(); is != whole {
		w.Errorf("%s changes were captured by statement, want %s:\n%s", is, whole, w.keptOf("t"))
	}
	if is := w.text("SELECT coalesce(string_agg(op, ' ' ORDER BY lsn), '') FROM threadline.audit_gaps"); is != "" {
		w.Errorf("gaps %q: %s", is, w.text("SELECT string_agg(reason, '; ') FROM threadline.audit_gaps"))
	}
	w.wantReplayed("t")
}

// TestBulkByRow: what a trigger or a foreign key of another table does, and what comes by a parent or a subscription, is captured by row.
func TestBulkByRow(t *testing.T) {
	for name, test := range map[string]struct{ before, after []string }{
		"a trigger of another table": {
			before: []string{
				"CREATE TABLE other (id int)", "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET a = a + 1; UPDATE t SET a = a + 1; DELETE FROM t WHERE id = 2; RETURN NULL; END $$",
				"CREATE TRIGGER f AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION f()",
			},
			after: []string{"INSERT INTO other VALUES (1), (2)"},
		},
		"a foreign key that came later": {
			before: []string{"CREATE TABLE other (id int PRIMARY KEY)", "INSERT INTO other VALUES (1), (2), (3)"},
			after:  []string{"ALTER TABLE t ADD FOREIGN KEY (id) REFERENCES other ON DELETE CASCADE ON UPDATE CASCADE", "UPDATE other SET id = id + 10", "DELETE FROM other WHERE id < 13"},
		},
		"a partition":   {after: []string{"CREATE TABLE parent (id int PRIMARY KEY, a int) PARTITION BY RANGE (id)", "ALTER TABLE parent ATTACH PARTITION t FOR VALUES FROM (0) TO (100)", "UPDATE parent SET a = 7", "INSERT INTO parent VALUES (4, 4)", "DELETE FROM parent WHERE id = 1"}},
		"a child":       {after: []string{"CREATE TABLE parent (id int, a int)", "ALTER TABLE t INHERIT parent", "UPDATE parent SET a = 7", "DELETE FROM parent WHERE id = 1"}},
		"a subscriber":  {after: []string{"ALTER TABLE t ENABLE ALWAYS TRIGGER threadline_row_bulk", "SET session_replication_role = replica; UPDATE t SET a = 7; RESET session_replication_role"}},
		"changed names": {after: []string{"ALTER TABLE t RENAME a TO x", "ALTER TABLE t RENAME x TO a", "UPDATE t SET a = 7 WHERE false"}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			oneDriver(t, func(w *world) {
				w.db.SetMaxOpenConns(1)
				w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)")
				w.exec(test.before...)
				w.capture(capture.Table{Name: "t", Bulk: true})
				w.exec("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)")
				w.exec(test.after...)
				w.wantCaptured("3")
			})
		})
	}
}

// TestBulkDrift: after DDL whole rows are kept, with the columns that there are.
func TestBulkDrift(t *testing.T) {
	oneDriver(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, secret text)")
		table := capture.Table{Name: "t", Mask: []string{"secret"}, Bulk: true}
		w.capture(table)
		w.exec("INSERT INTO t VALUES (1, 1, 's')", "ALTER TABLE t ADD b int", "UPDATE t SET b = 2", "ALTER TABLE t RENAME secret TO c", "ALTER TABLE t RENAME a TO secret", "UPDATE t SET b = 3", "ALTER TABLE t DROP secret", "UPDATE t SET b = 4")
		w.wantStory(`
insert id: NULL → 1; a: NULL → 1; secret: NULL → (masked);
update (drifted) id: 1 → 1; a: 1 → 1; b: NULL → 2;
update (drifted) id: 1 → 1; b: 2 → 3;
update (drifted) id: 1 → 1; b: 3 → 4;`, "t", "1")
		table.Mask = []string{"c"}
		w.capture(table)
		w.exec("UPDATE t SET b = 5")
		if n := w.whole(); n != "2" {
			w.Errorf("%s changes were captured by statement", n)
		}
	})
}

// TestBulkCachedPlan: a session that has captured statements before captures what follows DDL as it is then.
func TestBulkCachedPlan(t *testing.T) {
	oneDriver(t, func(w *world) {
		w.db.SetMaxOpenConns(1)
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, b text)")
		table := capture.Table{Name: "t", Bulk: true}
		w.capture(table)
		w.exec("INSERT INTO t VALUES (1, 1, 'b')", "UPDATE t SET a = 2", "UPDATE t SET b = 'c'",
			"ALTER TABLE t ALTER a TYPE text", "UPDATE t SET a = 'x'", "ALTER TABLE t DROP b", "ALTER TABLE t ADD b text", "UPDATE t SET b = 'd'", "UPDATE t SET b = 'e'")
		w.capture(table)
		w.exec("UPDATE t SET a = 'y', b = 'f'", "ALTER TABLE t ALTER a TYPE varchar(20)", "UPDATE t SET a = 'z'")
		w.wantStory(`
insert id: NULL → 1; a: NULL → 1; b: NULL → b;
update a: 1 → 2;
update b: b → c;
update a: 2 → x;
update b: NULL → d;
update b: d → e;
update a: x → y; b: e → f;
update a: y → z;`, "t", "1")
		if n := w.whole(); n != "4" {
			w.Errorf("%s changes were captured by statement", n)
		}
	})
}

// TestBulkInside: a statement that changes the table inside of another one that does is captured by row, and a gap says that the order is
// not known. So it is with a WITH that was not read to its end before the rest had ended.
func TestBulkInside(t *testing.T) {
	oneDriver(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)",
			"CREATE FUNCTION f(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET a = n WHERE id = 3; INSERT INTO t VALUES (n + 100, n) ON CONFLICT (id) DO UPDATE SET a = 0; RETURN n; END $$",
			"CREATE FUNCTION fails(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET a = n / 0 WHERE id = 3; RETURN 1; EXCEPTION WHEN division_by_zero THEN RETURN 0; END $$")
		w.capture(capture.Table{Name: "t", Bulk: true})
		w.exec("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)")
		w.wantCaptured("3")
		w.exec("SELECT f(5)", "UPDATE t SET a = fails(a) WHERE id = 1") // what was rolled back leaves nothing behind
		w.wantCaptured("6")
		w.exec("UPDATE t SET a = f(a + 10) WHERE id = 1", "UPDATE t SET a = 9")
		if got := w.text("SELECT coalesce(string_agg(op, ' ' ORDER BY lsn), '') FROM threadline.audit_gaps"); got != "order" {
			w.Errorf("gaps %q", got)
		}
		w.exec("DELETE FROM threadline.audit_gaps", "WITH d AS (DELETE FROM t WHERE id < 3 RETURNING *) INSERT INTO t SELECT id, a + 1 FROM d LIMIT 1")
		if got := w.text("SELECT coalesce(string_agg(op, ' ' ORDER BY lsn), '') FROM threadline.audit_gaps"); got != "order" {
			w.Errorf("gaps %q", got)
		}
		breaks, err := w.store.Breaks(ctx, "t")
		w.must(err)
		if last := breaks[len(breaks)-1]; last.Kind != changes.Lost || !strings.Contains(last.Text, "the order of changes is not known") {
			w.Errorf("%v", breaks)
		}
	})
}

// TestBulkJoin: the plan of a statement of one row, which is cached, has no nested loop.
func TestBulkJoin(t *testing.T) {
	oneDriver(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE plan (line text)")
		w.capture(capture.Table{Name: "t", Bulk: true})
		w.exec(`CREATE FUNCTION explain() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE query text; line text; BEGIN
				FOR query IN SELECT regexp_replace(m[1], 'CASE WHEN [^;]{0,90} THEN (system|role|application|client) END', 'NULL', 'g') FROM pg_proc p, regexp_matches(p.prosrc, '\t(INSERT INTO [^;]* FULL JOIN [^;]*);', 'g') m WHERE p.proname LIKE 'capture\_%' LOOP
					FOR line IN EXECUTE 'EXPLAIN ' || query LOOP INSERT INTO plan VALUES (line); END LOOP;
				END LOOP;
				RETURN NULL; END $$`,
			"INSERT INTO t VALUES (1, 1)", "CREATE TRIGGER zz AFTER UPDATE ON t REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION explain()", "UPDATE t SET a = 2")
		plan := w.text("SELECT string_agg(line, E'\n') FROM plan")
		if strings.Count(plan, "Full Join") != 2 || strings.Contains(plan, "Nested Loop") {
			w.Errorf("the plans are\n%s", plan)
		}
	})
}

// TestBulkPlan: a plan says why statements are not captured, and a table goes from the one to the other without a break.
func TestBulkPlan(t *testing.T) {
	oneDriver(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int)", "CREATE TABLE other (id int PRIMARY KEY)", "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
		bulk := capture.Table{Name: "t", Bulk: true}
		whole := func(want bool) {
			w.Helper()
			w.exec("DELETE FROM threadline.audit_changes", "INSERT INTO t VALUES (1, 1)", "UPDATE t SET a = 2", "DELETE FROM t")
			if n := w.whole(); (n == "3") != want || w.changes() != "3" {
				w.Errorf("%s of %s changes were captured by statement: %v", n, w.changes(), want)
			}
		}
		w.capture(capture.Table{Name: "t"})
		whole(false)
		w.capture(bulk)
		whole(true)
		w.capture(capture.Table{Name: "t"})
		whole(false)
		w.capture(bulk)
		whole(true)
		for _, c := range []struct{ do, undo, why string }{
			{"CREATE TRIGGER x BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION nothing()", "DROP TRIGGER x ON t", "it has the trigger x"},
			{"ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES other ON DELETE SET NULL", "ALTER TABLE t DROP CONSTRAINT k", "it has the foreign key k, which changes rows by itself"},
			{"ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES t ON UPDATE CASCADE", "ALTER TABLE t DROP CONSTRAINT k", "it has the foreign key k, which changes rows by itself"},
			{"ALTER TABLE other ADD CONSTRAINT k FOREIGN KEY (id) REFERENCES t ON DELETE CASCADE", "ALTER TABLE other DROP CONSTRAINT k", "it has the foreign key k to it, which changes rows by itself"},
			{"CREATE TABLE child () INHERITS (t)", "DROP TABLE child", "it inherits, or is inherited from"},
			{"ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (id) DEFERRABLE", "ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (id)", "its primary key is deferrable"},
		} {
			w.exec(c.do)
			_, warnings, err := capture.Of(bulk).Keep(ctx, w.db)
			w.must(err)
			if want := `"public"."t": it is captured row by row, although Bulk is set: ` + c.why; len(warnings) == 0 || warnings[0] != want {
				w.Errorf("%s: warnings %q", c.do, warnings)
			}
			if p := w.capture(bulk); len(p.Steps) > 0 {
				w.Errorf("%s: Keep has left %s", c.do, p)
			}
			w.exec(c.undo)
			w.capture(bulk)
			whole(true)
		}
		w.exec("INSERT INTO other VALUES (1), (2)", "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES other") // which only checks
		w.capture(bulk)
		whole(true)
		breaks, err := w.store.Breaks(ctx, "t")
		w.must(err)
		for _, b := range breaks[1:] {
			if b.Kind != changes.Reshaped && b.Kind != changes.Drifted {
				w.Errorf("%s %s", b.Kind, b.Text)
			}
		}
		w.exec("ALTER TABLE t DISABLE TRIGGER threadline_bulk_update")
		w.capture(bulk)
		breaks, err = w.store.Breaks(ctx, "t")
		w.must(err)
		if last := breaks[len(breaks)-1]; last.Kind != changes.Uncaptured {
			w.Errorf("a disabled trigger: %v", last)
		}
	})
}

// TestBulkWorkload: what several sessions do at the same time, in statements, functions and triggers, replayed from the changes alone,
// ends in what is in the table.
func TestBulkWorkload(t *testing.T) {
	oneDriver(t, func(w *world) {
		n := dbtest.Seed(w)
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, b text, c numeric, d bytea)", "CREATE TABLE other (id int)",
			"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET a = a + 1 WHERE id = NEW.id; UPDATE t SET b = b || 'x' WHERE id >= NEW.id; RETURN NULL; END $$",
			"CREATE TRIGGER f AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION f()")
		table := capture.Table{Name: "t", Bulk: true}
		w.capture(table)
		for round := range 3 {
			var group sync.WaitGroup
			for session := range 4 {
				r := rand.New(rand.NewPCG(n, uint64(round*10+session)))
				group.Go(func() {
					for range 20 {
						w.transaction(r, func(r *rand.Rand) string { return "SET LOCAL deadlock_timeout = '10ms'; " + bulkStatement(r) })
					}
				})
			}
			group.Wait()
			if w.Failed() {
				return
			}
			w.checkReplay("t", "id")
			if round == 0 {
				w.exec("ALTER TABLE t ADD e int")
			} else {
				w.capture(table)
			}
		}
		if n := w.text("SELECT count(*) FROM threadline.audit_gaps"); n != "0" {
			w.Errorf("%s gaps: %s", n, w.text("SELECT string_agg(DISTINCT reason, '; ') FROM threadline.audit_gaps"))
		}
		if w.whole() == "0" || w.whole() == w.changes() {
			w.Errorf("%s of %s changes were captured by statement", w.whole(), w.changes())
		}
	})
}

func bulkStatement(r *rand.Rand) string {
	id := 1 + r.IntN(30)
	value := []string{"NULL", "'x'", "repeat('long ', 1000)", "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 90) n)"}[r.IntN(4)]
	switch r.IntN(10) {
	case 0, 1:
		return fmt.Sprintf("INSERT INTO t (id, a, b, c) SELECT n, %d, %s, 1.0 FROM generate_series(%d, %d) n ON CONFLICT (id) DO UPDATE SET a = excluded.a, c = (t.c || '0')::numeric", r.IntN(3), value, id, id+r.IntN(9))
	case 2:
		return fmt.Sprintf("UPDATE t SET b = %s, c = c + 0.00 WHERE id > %d", value, id)
	case 3:
		return fmt.Sprintf("UPDATE t SET a = CASE WHEN id %% 2 = 0 THEN a ELSE %d END, d = '\x00' WHERE id < %d", r.IntN(3), id)
	case 4:
		return fmt.Sprintf("UPDATE t SET id = id + 100 * %d - 50 WHERE id > %d", r.IntN(2), id)
	case 5:
		return fmt.Sprintf("DELETE FROM t WHERE id BETWEEN %d AND %d", id, id+r.IntN(4))
	case 6:
		return fmt.Sprintf("INSERT INTO other VALUES (%d), (%d)", id, id+1)
	case 7:
		return fmt.Sprintf("DO 'BEGIN UPDATE t SET a = a + 1 WHERE id = %d; DELETE FROM t WHERE id = %d; END'", id, id+1)
	case 8:
		return fmt.Sprintf("WITH d AS (DELETE FROM t WHERE id > %d RETURNING *) INSERT INTO t (id, a) SELECT id, a + 1 FROM d", id+10)
	default:
		return fmt.Sprintf("UPDATE t SET b = b WHERE id > %d", id)
	}
}
