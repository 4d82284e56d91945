package changes_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestSQLiteRefused: what cannot be captured is refused, with the reason.
func TestSQLiteRefused(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE orders (id INTEGER PRIMARY KEY, a UNIQUE, b NOT NULL, c AS (b || 'x'))", "CREATE VIEW v AS SELECT 1", "CREATE TABLE aftercommit_journal (id INTEGER PRIMARY KEY)", "CREATE TEMP TABLE temporary (a)",
		"CREATE TABLE shadowed (_rowid_, rowid, oid)", "CREATE TABLE wide (p, q, PRIMARY KEY (p, q)) WITHOUT ROWID", "ATTACH ':memory:' AS other", "CREATE TABLE other.t (a)", "CREATE VIRTUAL TABLE places USING rtree (id, low, high)")
	for _, r := range []struct {
		table capture.Table
		want  string
	}{
		{capture.Table{Name: "none"}, "there is no table none in the main database"},
		{capture.Table{Name: "order"}, "there is no table order in the main database: did you mean orders?"},
		{capture.Table{Name: "aftercommit_journal"}, "not a table of the app's"},
		{capture.Table{Name: "v"}, "v is a view"},
		{capture.Table{Name: "temporary"}, "there is no table"},
		{capture.Table{Name: "other.t"}, "only tables of the main database"},
		{capture.Table{Name: "places"}, "virtual table"},
		{capture.Table{Name: "places_node"}, "virtual table"},
		{capture.Table{Name: "sqlite_sequence"}, "not a table of the app's"},
		{capture.Table{Name: "threadline_audit_values"}, "not a table of the app's"},
		{capture.Table{Name: "aftercommit_transaction"}, "not a table of the app's"},
		{capture.Table{Name: "shadowed"}, "rename one"},
		{capture.Table{Name: "two words"}, "quote a name"},
		{capture.Table{Name: "orders", Mask: []string{"A"}}, `there is no column "A": did you mean "a"?`},
		{capture.Table{Name: "orders", Mask: []string{"id"}}, "rows could not be told apart"},
		{capture.Table{Name: "orders", Hash: []string{"a"}}, "SQLite has no hash function"},
		{capture.Table{Name: "orders", Key: []string{"a"}}, "may be NULL"},
		{capture.Table{Name: "orders", Key: []string{"b"}}, "no unique index"},
		{capture.Table{Name: "orders", Key: []string{"c"}}, "make it STORED"},
		{capture.Table{Name: "wide", Exclude: []string{"q"}}, "rows could not be told apart"},
	} {
		if _, err := w.installer().Plan(ctx, r.table); err == nil || !strings.Contains(err.Error(), r.want) {
			w.Errorf("%+v: %v, want %q", r.table, err, r.want)
		}
	}
	if _, err := w.installer().Plan(ctx, capture.Table{Name: "orders"}, capture.Table{Name: "main.ORDERS"}); err == nil || !strings.Contains(err.Error(), "are one table") {
		w.Errorf("one table was planned twice: %v", err)
	}
	wide := dbtest.Open(t, "sqlite", dbtest.SQLite.DSN(t))
	wide.SetMaxOpenConns(1)
	_, err := wide.ExecContext(ctx, "PRAGMA encoding = 'UTF-16'; CREATE TABLE t (a)")
	w.must(err)
	installer := capture.NewInstaller(wide, hooks.SQLite, nil)
	w.must(installer.Migrate(ctx))
	if _, err := installer.Plan(ctx, capture.Table{Name: "t"}); err == nil || !strings.Contains(err.Error(), "UTF-8 only") {
		w.Errorf("a database in UTF-16: %v", err)
	}
}

// TestSQLitePlan: Migrate and Plan find nothing to do the second time, and Remove leaves nothing on the table.
func TestSQLitePlan(t *testing.T) {
	w := lite(t)
	w.must(w.installer().Migrate(ctx))
	w.exec("CREATE TABLE orders (id INTEGER PRIMARY KEY, a UNIQUE)")
	p := w.capture(capture.Table{Name: "ORDERS"})
	if len(p.Steps) != 1 || p.Steps[0].Why != "it is not captured yet" || p.Steps[0].Table != `"main"."orders"` {
		w.Errorf("the plan is %+v", p)
	}
	w.exec("INSERT INTO orders VALUES (1, 'x')", "INSERT OR IGNORE INTO orders VALUES (2, 'x')") // holds a row
	w.must(w.installer().Remove(ctx, "orders"))
	w.exec("UPDATE orders SET a = 'y'", "DELETE FROM orders")
	w.wantStory("insert id: NULL → 1; a: NULL → x;", "orders", "1")
	if n := w.text("SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'orders'"); n != "0" {
		w.Errorf("%s triggers are left", n)
	}
	if n := w.text("SELECT count(*) FROM threadline_audit_changes WHERE held IS NOT NULL"); n != "0" {
		w.Errorf("%s rows are held", n)
	}
	if next := w.capture(capture.Table{Name: "orders", Mask: []string{"a"}}); len(next.Warnings) != 0 || next.Steps[0].Why != "its capture was removed" {
		w.Errorf("the plan is %s", next)
	}
	if next := w.capture(capture.Table{Name: "orders"}); len(next.Warnings) != 1 || !strings.Contains(next.Warnings[0], `this loosens what there is: "a" was masked and is to be kept`) {
		w.Errorf("the plan is %s", next)
	}
	w.exec("CREATE TRIGGER later AFTER INSERT ON orders BEGIN SELECT 1; END")
	if next := w.capture(capture.Table{Name: "orders"}); len(next.Steps) != 1 || !strings.Contains(next.Steps[0].Why, "would fire first") {
		w.Errorf("the plan is %s", next)
	}
	w.exec("DROP TRIGGER " + w.text("SELECT name FROM sqlite_master WHERE name LIKE 'threadline_capture%update'"))
	if next := w.capture(capture.Table{Name: "orders"}); len(next.Steps) != 1 || next.Steps[0].Why != "triggers are missing" {
		w.Errorf("the plan is %s", next)
	}
	if n := w.text("SELECT resumed FROM threadline_audit_captures ORDER BY number DESC LIMIT 1"); n != "1" {
		w.Error("it is not noted that triggers were missing")
	}
	// A failed step leaves all as it was.
	p, err := w.installer().Plan(ctx, capture.Table{Name: "orders", Exclude: []string{"a"}})
	w.must(err)
	w.exec("ALTER TABLE orders RENAME a TO b")
	if err := w.installer().Apply(ctx, p); err != nil && w.text("SELECT count(*) FROM sqlite_master WHERE name LIKE 'threadline_capture%'") != "7" {
		w.Errorf("after %v the capture is gone", err)
	}
}

// TestSQLiteHidden: nothing of a masked or an excluded column is kept, also of a row that was replaced.
func TestSQLiteHidden(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE people (id INTEGER PRIMARY KEY, a, card UNIQUE, note)")
	w.capture(capture.Table{Name: "people", Mask: []string{"card"}, Exclude: []string{"note"}})
	w.exec("INSERT INTO people VALUES (1, 'a', 'secret 1', 'secret 2')", "UPDATE people SET card = 'secret 3'", "UPDATE people SET note = 'secret 4'",
		"INSERT OR REPLACE INTO people VALUES (2, 'b', 'secret 3', 'secret 5')", "INSERT OR IGNORE INTO people VALUES (3, 'b', 'secret 3', 'secret 5')")
	w.wantStory("insert id: NULL → 1; a: NULL → a; card: NULL → (masked);\nupdate card: (masked) → (masked);\ndelete id: 1 → NULL; a: a → NULL; card: (masked) → NULL;", "people", "1")
	w.wantStory("insert id: NULL → 2; a: NULL → b; card: NULL → (masked);", "people", "2") // and is held, as if it were deleted
	if n := w.text("SELECT count(*) FROM threadline_audit_values WHERE old LIKE '%secret%' OR new LIKE '%secret%'"); n != "0" {
		w.Errorf("%s secret values are kept", n)
	}
}

// TestSQLiteValues: a value comes back as it was, with its storage class, and a long one as its length.
func TestSQLiteValues(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
	w.capture(capture.Table{Name: "t"})
	for i, c := range []struct {
		value         any
		text, storage string
		cut           bool
	}{
		{nil, "NULL", "", false},
		{int64(math.MinInt64), "-9223372036854775808", "integer", false},
		{1.0, "1.0", "real", false},
		{0.1, "0.1", "real", false},
		{math.Inf(-1), "-9e999", "real", false},
		{5e-324, "5e-324", "real", false},
		{1e23, "1e+23", "real", false},
		{"1", "1", "text", false},
		{"a\x00\xff", "a\x00\xff", "text", false},
		{[]byte{0, 0xff}, "X'00FF'", "blob", false},
		{[]byte{}, "X''", "blob", false},
		{strings.Repeat("é", 32<<10), strings.Repeat("é", 32<<10), "text", false},
		{strings.Repeat("é", 32<<10) + "x", "(65537)", "", true},
		{make([]byte, 1<<20), "(1048576)", "", true},
	} {
		_, err := w.db.ExecContext(ctx, "INSERT INTO t VALUES (?, ?)", i, c.value)
		w.must(err)
		history, err := w.store.History(ctx, "t", fmt.Sprint(i))
		w.must(err)
		if got := history[0].Fields[1].New; got.String() != c.text || got.Storage != c.storage || got.Shortened != c.cut {
			w.Errorf("%.40v of %T is %.40s, %s, %t", c.value, c.value, got, got.Storage, got.Shortened)
		}
		if d := history[0].Diff().Fields[1].New; d.Storage != c.storage || (d.Length > 0) != c.cut {
			w.Errorf("%.40v of %T is %+v", c.value, c.value, d)
		}
	}
}

// TestSQLiteSame: an UPDATE is kept if it changes a value's bytes or its storage class, whatever the column's collation is.
func TestSQLiteSame(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v COLLATE NOCASE, r REAL COLLATE RTRIM, x)", "INSERT INTO t VALUES (1, 'a', 'b', 'kept')")
	w.capture(capture.Table{Name: "t", Exclude: []string{"x"}})
	w.exec("UPDATE t SET v = v, r = r", "UPDATE t SET x = 'changed'")
	for _, v := range []string{"'A'", "1", "1", "1.0", "'1'", "'1.0'", "X'31'", "NULL", "NULL", "''", "X''"} {
		w.exec("UPDATE t SET v = " + v)
	}
	w.exec("UPDATE t SET r = 'b '", "UPDATE t SET r = 5", "UPDATE t SET r = 5.0")
	w.wantStory(`update v: a → A;
update v: A → 1;
update v: 1 → 1.0;
update v: 1.0 → 1;
update v: 1 → 1.0;
update v: 1.0 → X'31';
update v: X'31' → NULL;
update v: NULL → ;
update v:  → X'';
update r: b → b ;
update r: b  → 5.0;`, "t", "1")
}

// TestSQLiteReplaced: a row that REPLACE removes is a DELETE, before what has replaced it, by whichever index it was in
// the way. A row that stays is none.
func TestSQLiteReplaced(t *testing.T) {
	for _, c := range []struct{ name, table, insert, replace, want string }{
		{"number", "t (id INTEGER PRIMARY KEY, a)", "(1, 'a'), (2, 'b')", "REPLACE INTO t VALUES (1, 'c')", "D 1, I 1"},
		{"number of a row without a key", "t (id, a)", "(1, 'a'), (2, 'b')", "REPLACE INTO t (rowid, id) VALUES (1, 3)", "D 1, I 3"},
		{"without a number", "t (id PRIMARY KEY, a) WITHOUT ROWID", "(1, 'a'), (2, 'b')", "REPLACE INTO t VALUES (1, 'c')", "D 1, I 1"},
		{"several", "t (id INTEGER PRIMARY KEY, a UNIQUE)", "(1, 'a'), (2, 'b'), (3, 'c')", "REPLACE INTO t VALUES (1, 'b')", "D 1, D 2, I 1"},
		{"one by two indexes", "t (id INTEGER PRIMARY KEY, a UNIQUE)", "(1, 'a'), (2, 'b')", "REPLACE INTO t VALUES (1, 'a')", "D 1, I 1"},
		{"several without a number", "t (id PRIMARY KEY, a UNIQUE) WITHOUT ROWID", "(1, 'a'), (2, 'b'), (3, 'c')", "REPLACE INTO t VALUES (1, 'b')", "D 1, D 2, I 1"},
		{"collation", "t (id INTEGER PRIMARY KEY, a COLLATE NOCASE UNIQUE)", "(1, 'a')", "REPLACE INTO t VALUES (2, 'A')", "D 1, I 2"},
		{"collation of the index", "t (id INTEGER PRIMARY KEY, a); CREATE UNIQUE INDEX i ON t (a COLLATE NOCASE)", "(1, 'a')", "REPLACE INTO t VALUES (2, 'A')", "D 1, I 2"},
		{"composite", "t (id INTEGER PRIMARY KEY, a, b, UNIQUE (a, b))", "(1, 'a', 'b'), (2, 'a', 'c')", "REPLACE INTO t VALUES (3, 'a', 'b')", "D 1, I 3"},
		{"partial", "t (id INTEGER PRIMARY KEY, a); CREATE UNIQUE INDEX i ON t (a) WHERE id > 1", "(1, 'a'), (2, 'a')", "REPLACE INTO t VALUES (3, 'a')", "D 2, I 3"},
		{"partial, and not of the new row", "t (id INTEGER PRIMARY KEY, a); CREATE UNIQUE INDEX i ON t (a) WHERE id > 1", "(3, 'a')", "REPLACE INTO t VALUES (1, 'a')", "I 1"},
		{"expression", "t (id INTEGER PRIMARY KEY, a); CREATE UNIQUE INDEX i ON t (abs(a))", "(1, 5)", "REPLACE INTO t VALUES (2, -5)", "D 1, I 2"},
		{"partial and an expression", "t (id INTEGER PRIMARY KEY, doc); CREATE UNIQUE INDEX i ON t (json_extract(doc, '$.id')) WHERE json_valid(doc)", `(1, 'text'), (2, '{"id": 5}'), (3, 'other')`, `INSERT INTO t VALUES (4, 'text'); UPDATE t SET doc = 'more' WHERE id = 1; REPLACE INTO t VALUES (6, '{"id": 5}')`, "I 4, U 1, D 2, I 6"},
		{"generated", "t (id INTEGER PRIMARY KEY, a, g AS (abs(a))); CREATE UNIQUE INDEX i ON t (g)", "(1, 5)", "REPLACE INTO t (id, a) VALUES (2, -5)", "D 1, I 2"},
		{"declared", "t (id INTEGER PRIMARY KEY, a UNIQUE ON CONFLICT REPLACE)", "(1, 'a')", "INSERT INTO t VALUES (2, 'a')", "D 1, I 2"},
		{"update", "t (id INTEGER PRIMARY KEY, a UNIQUE)", "(1, 'a'), (2, 'b')", "UPDATE OR REPLACE t SET a = 'b' WHERE id = 1", "D 2, U 1"},
		{"update of the key", "t (id INTEGER PRIMARY KEY, a)", "(1, 'a'), (2, 'b')", "UPDATE OR REPLACE t SET id = 2 WHERE id = 1", "D 2, U 2"},
		{"update of the key without a number", "t (id PRIMARY KEY, a) WITHOUT ROWID", "(1, 'a'), (2, 'b')", "UPDATE OR REPLACE t SET id = 2 WHERE id = 1", "D 2, U 2"},
		{"update of the number", "t (id INTEGER PRIMARY KEY, a)", "(1, 'a'), (2, 'b')", "UPDATE OR REPLACE t SET RowID = 2 WHERE id = 1", "D 2, U 2"},
		{"update of the number by another name", "t (id INTEGER PRIMARY KEY, a)", "(1, 'a'), (2, 'b')", `UPDATE OR REPLACE t SET (a, "OID") = ('c', 2) WHERE id = 1`, "D 2, U 2"},
		{"update of the number of a row without a key", "t (id, a)", "(1, 'a'), (2, 'b')", "UPDATE OR REPLACE t SET _rowid_ = 2, a = 'c' WHERE _rowid_ = 1", "D 2, U 1"},
		{"update of what a stored column is computed of", "t (id INTEGER PRIMARY KEY, a, g AS (abs(a)) STORED UNIQUE)", "(1, 5), (2, 6)", "UPDATE OR REPLACE t SET a = -6 WHERE id = 1", "D 2, U 1"},
		{"update of what a virtual column is computed of", "t (id INTEGER PRIMARY KEY, a, g AS (abs(a)) UNIQUE)", "(1, 5), (2, 6)", "UPDATE OR REPLACE t SET a = -6 WHERE id = 1", "D 2, U 1"},
		{"update of what is in an expression", "t (id INTEGER PRIMARY KEY, a); CREATE UNIQUE INDEX i ON t (abs(a))", "(1, 5), (2, 6)", "UPDATE OR REPLACE t SET a = -6 WHERE id = 1", "D 2, U 1"},
		{"update of what is in a condition", "t (id INTEGER PRIMARY KEY, a, b); CREATE UNIQUE INDEX i ON t (a) WHERE b > 1", "(1, 'a', 1), (2, 'a', 2)", "UPDATE OR REPLACE t SET b = 2 WHERE id = 1", "D 2, U 1"},
		{"update by a trigger", "t (id INTEGER PRIMARY KEY, a UNIQUE, b); CREATE TRIGGER app AFTER UPDATE OF b ON t BEGIN UPDATE OR REPLACE t SET a = 'b' WHERE id = NEW.id; END", "(1, 'a', 1), (2, 'b', 2)", "UPDATE t SET b = 2 WHERE id = 1", "U 1, D 2, U 1"},
		{"equal by collation", "t (k TEXT COLLATE NOCASE PRIMARY KEY, a) WITHOUT ROWID", "('A', 1), ('b', 2)", "REPLACE INTO t VALUES ('a', 3)", "D A, I a"},
		{"equal of another type", "t (k PRIMARY KEY, a) WITHOUT ROWID", "(1, 1)", "REPLACE INTO t VALUES (1.0, 3)", "D 1, I 1.0"},
		{"zeros", "t (k PRIMARY KEY, a) WITHOUT ROWID", "(0.0, 1)", "REPLACE INTO t VALUES (-0.0, 3)", "D 0.0, I 0.0"},
		{"update to what is equal", "t (k TEXT COLLATE NOCASE PRIMARY KEY, a) WITHOUT ROWID", "('A', 1), ('b', 2)", "UPDATE OR REPLACE t SET k = 'a' WHERE k = 'b'", "D A, U a"},
		{"update of its own to what is equal", "t (k TEXT COLLATE NOCASE PRIMARY KEY, a) WITHOUT ROWID", "('A', 1), ('b', 2)", "UPDATE OR REPLACE t SET k = 'a' WHERE k = 'A'", "U a"},
		{"key of another collation", "t (k TEXT COLLATE NOCASE, a, PRIMARY KEY (k COLLATE BINARY)) WITHOUT ROWID", "('A', 1), ('a', 2)", "UPDATE OR REPLACE t SET k = 'a' WHERE k = 'A' COLLATE BINARY", "D a, U a"},
		{"ignored", "t (id INTEGER PRIMARY KEY, a UNIQUE)", "(1, 'a')", "INSERT OR IGNORE INTO t VALUES (1, 'b'), (2, 'a')", ""},
		{"ignored, then deleted, then inserted", "t (id INTEGER PRIMARY KEY, a UNIQUE)", "(1, 'a')", "INSERT OR IGNORE INTO t VALUES (2, 'a'); DELETE FROM t; INSERT INTO t VALUES (3, 'a')", "D 1, I 3"},
		{"ignored, then updated, then replaced", "t (id INTEGER PRIMARY KEY, a UNIQUE, b)", "(1, 'a', 1)", "INSERT OR IGNORE INTO t VALUES (2, 'a', 2); UPDATE t SET b = 3; REPLACE INTO t VALUES (1, 'a', 4)", "U 1, D 1, I 1"},
		{"upsert", "t (id INTEGER PRIMARY KEY, a UNIQUE)", "(1, 'a')", "INSERT INTO t VALUES (2, 'a') ON CONFLICT (a) DO UPDATE SET a = 'b'", "U 1"},
		{"explicit -1", "t (id INTEGER PRIMARY KEY, a)", "(-1, 'a')", "REPLACE INTO t (a) VALUES ('b')", "I 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := lite(t)
			w.exec("CREATE TABLE " + c.table)
			w.capture(capture.Table{Name: "t"})
			w.exec("INSERT INTO t VALUES " + c.insert)
			n := w.text("SELECT max(seq) FROM threadline_audit_changes")
			w.exec(c.replace)
			got := w.text("SELECT coalesce(group_concat(x, ', '), '') FROM (SELECT c.op || ' ' || coalesce(v.new, v.old, (SELECT replace(substr(c.key, 4), '\")', ''))) AS x FROM threadline_audit_changes c LEFT JOIN threadline_audit_values v ON v.change = c.seq AND v.field = 1 WHERE c.held IS NULL AND c.seq > " + n + " ORDER BY c.seq)")
			if got = strings.ReplaceAll(got, `")`, ""); got != c.want {
				w.Errorf("%s is kept as %q, want %q", c.replace, got, c.want)
			}
		})
	}
}

// TestSQLiteVirtual: a column that is not stored is not captured, so that a row is captured also where it cannot be computed.
func TestSQLiteVirtual(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, doc, n AS (json_extract(doc, '$.n')), s AS (length(doc)) STORED)", "CREATE UNIQUE INDEX i ON t (n) WHERE json_valid(doc)")
	w.capture(capture.Table{Name: "t", Mask: []string{"n"}})
	w.exec(`INSERT INTO t (id, doc) VALUES (1, '{"n": 1}')`)
	w.wantStory(`insert id: NULL → 1; doc: NULL → {"n": 1}; s: NULL → 8;`, "t", "1")
	w.exec("DROP TABLE t", "DELETE FROM threadline_audit_changes", "CREATE TABLE t (id INTEGER PRIMARY KEY, doc)", "INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z')", "ALTER TABLE t ADD COLUMN n AS (json_extract(doc, '$.n'))")
	w.capture(capture.Table{Name: "t"})
	w.exec(`UPDATE t SET doc = '{"n": 1}' WHERE id = 2`, "DELETE FROM t WHERE id = 3", `REPLACE INTO t (id, doc) VALUES (1, '{}')`)
	w.wantStory(`update doc: y → {"n": 1};`, "t", "2")
	w.wantStory("delete id: 3 → NULL; doc: z → NULL;", "t", "3")
	w.wantStory("delete id: 1 → NULL; doc: x → NULL;\ninsert id: NULL → 1; doc: NULL → {};", "t", "1")
}

// TestSQLiteCounters: the app's last_insert_rowid() and changes() are those of its statement.
func TestSQLiteCounters(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, u UNIQUE)")
	counters := func() (list []string) {
		for _, q := range []string{"INSERT INTO t VALUES (7, 1), (8, 2)", "UPDATE t SET u = u", "UPDATE t SET u = u + 10", "REPLACE INTO t VALUES (9, 12)", "INSERT OR IGNORE INTO t VALUES (10, 12)", "DELETE FROM t"} {
			w.exec(q)
			list = append(list, w.text("SELECT last_insert_rowid() || ' ' || changes()"))
		}
		return list
	}
	bare := fmt.Sprint(counters())
	w.capture(capture.Table{Name: "t"})
	w.exec("INSERT INTO t VALUES (1, 1)", "DELETE FROM t")
	if got := fmt.Sprint(counters()); got != bare {
		w.Errorf("they are %s, and without capture %s", got, bare)
	}
}

// TestSQLiteKeys: a row is followed by its keys, of any type, in tables of all kinds and names.
func TestSQLiteKeys(t *testing.T) {
	w := lite(t)
	w.exec(`CREATE TABLE "Bestell""ung ü" ("k 1", k2, a, PRIMARY KEY ("k 1", k2)) WITHOUT ROWID`, "CREATE TABLE keyless (a)", "CREATE TABLE loose (id TEXT PRIMARY KEY, a)")
	w.capture(capture.Table{Name: `"Bestell""ung ü"`}, capture.Table{Name: "keyless"}, capture.Table{Name: "loose"})
	w.exec(`INSERT INTO "Bestell""ung ü" VALUES (1.5, X'ff', 1)`, `UPDATE "Bestell""ung ü" SET "k 1" = '"(,\', k2 = 2`, `UPDATE "Bestell""ung ü" SET a = 2`)
	w.wantStory("insert k 1: NULL → 1.5; k2: NULL → X'FF'; a: NULL → 1;\nupdate [1.5 X'FF'] to [\"(,\\ 2] k 1: 1.5 → \"(,\\; k2: X'FF' → 2;\nupdate a: 1 → 2;", `"Bestell""ung ü"`, `"(,\`, "2")
	w.exec("INSERT INTO loose VALUES (NULL, 1), ('x', 2)", "UPDATE loose SET a = a + 1")
	w.wantStory("insert id: NULL → x; a: NULL → 2;\nupdate a: 2 → 3;", "loose", "x")
	if _, err := w.store.History(ctx, "loose"); err == nil {
		w.Error("there is a history without a key")
	}
}

// TestSQLiteRenamed: a table that was renamed goes on, and another that gets its name begins; one that was copied
// into another of its name goes on, and it is noted that there were no triggers.
func TestSQLiteRenamed(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE a (id INTEGER PRIMARY KEY, v)")
	w.capture(capture.Table{Name: "a"})
	w.exec("INSERT INTO a VALUES (1, 'a')", "ALTER TABLE a RENAME TO b", "UPDATE b SET v = 'b'", "ALTER TABLE b RENAME v TO w", "UPDATE b SET w = 'c'", "CREATE TABLE a (id INTEGER PRIMARY KEY, v)")
	w.capture(capture.Table{Name: "a"}, capture.Table{Name: "b"})
	w.exec("INSERT INTO a VALUES (1, 'other')", "UPDATE b SET w = 'd'")
	w.wantStory("insert id: NULL → 1; v: NULL → other;", "a", "1")
	const want = "insert id: NULL → 1; v: NULL → a;\nupdate v: a → b;\nupdate v: b → c;\nupdate w: c → d;"
	w.wantStory(want, "b", "1")
	w.exec("CREATE TABLE copy (id INTEGER PRIMARY KEY, w)", "INSERT INTO copy SELECT * FROM b", "DROP TABLE b", "ALTER TABLE copy RENAME TO b")
	if p := w.capture(capture.Table{Name: "b"}); p.Steps[0].Why != "triggers are missing" {
		w.Errorf("the plan is %s", p)
	}
	w.exec("UPDATE b SET w = 'e'")
	w.wantStory(want+"\nupdate w: d → e;", "b", "1")
}

// TestSQLiteBreaks: DDL by other programs, and where triggers were missing, is in the breaks; DDL that the driver has
// followed has missed nothing.
func TestSQLiteBreaks(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE a (id INTEGER PRIMARY KEY, v)")
	w.capture(capture.Table{Name: "a"})
	app, _ := liteApp(w)
	_, err := app.ExecContext(ctx, "ALTER TABLE a ADD COLUMN followed")
	w.must(err)
	_, err = app.ExecContext(ctx, "ALTER TABLE a DROP COLUMN v")
	w.must(err)
	w.exec("ALTER TABLE a ADD COLUMN missed", "ALTER TABLE a RENAME TO b")
	w.capture(capture.Table{Name: "b"})
	w.exec("CREATE TABLE copy (id INTEGER PRIMARY KEY, followed, missed)", "INSERT INTO copy SELECT * FROM b", "DROP TABLE b", "ALTER TABLE copy RENAME TO b")
	w.capture(capture.Table{Name: "b"})
	w.must(w.installer().Remove(ctx, "b"))
	w.capture(capture.Table{Name: "b"})
	breaks, err := w.store.Breaks(ctx, "b")
	w.must(err)
	var kinds []string
	for _, b := range breaks {
		kinds = append(kinds, string(b.Kind))
		if b.From.After(b.To) || b.To.IsZero() || b.Text == "" {
			w.Errorf("a break is %+v", b)
		}
	}
	const want = "began reshaped reshaped renamed uncaptured reshaped uncaptured uncaptured uncaptured"
	if got := strings.Join(kinds, " "); got != want {
		w.Errorf("the breaks are %s, want %s:\n%+v", got, want, breaks)
	}
}

// TestSQLiteBreaksNow: what the next plan will put right is in the breaks already.
func TestSQLiteBreaksNow(t *testing.T) {
	w := lite(t)
	kinds := func() (list []string) {
		breaks, err := w.store.Breaks(ctx, "a")
		w.must(err)
		for _, b := range breaks {
			list = append(list, string(b.Kind))
			if b.From.After(b.To) || b.To.IsZero() || b.Text == "" || b.Table != "a" {
				w.Errorf("a break is %+v", b)
			}
		}
		return list
	}
	w.exec("CREATE TABLE a (id INTEGER PRIMARY KEY, v)")
	w.capture(capture.Table{Name: "a"})
	want := []string{"began"}
	for _, c := range []struct{ ddl, now, then string }{
		{"DROP TRIGGER " + w.text("SELECT name FROM sqlite_master WHERE name LIKE 'threadline_capture%moves'"), "uncaptured", "uncaptured"},
		{"ALTER TABLE a ADD COLUMN w", "uncaptured", "uncaptured reshaped"},
		{"CREATE UNIQUE INDEX i ON a (v)", "uncaptured", "uncaptured"},
		{"CREATE INDEX j ON a (v)", "", ""},
		{"CREATE TABLE copy (id INTEGER PRIMARY KEY, v, w); INSERT INTO copy SELECT * FROM a; DROP TABLE a; ALTER TABLE copy RENAME TO a", "uncaptured", "uncaptured"},
	} {
		w.exec(c.ddl)
		if got, now := kinds(), append(slices.Clone(want), strings.Fields(c.now)...); !slices.Equal(got, now) {
			w.Errorf("after %s the breaks are %s, want %s", c.ddl, got, now)
		}
		w.capture(capture.Table{Name: "a"})
		want = append(want, strings.Fields(c.then)...)
		if got := kinds(); !slices.Equal(got, want) {
			w.Errorf("after %s and a plan the breaks are %s, want %s", c.ddl, got, want)
		}
	}
	w.must(w.installer().Remove(ctx, "a"))
	want = append(want, "uncaptured")
	if got := kinds(); !slices.Equal(got, want) {
		w.Errorf("after Remove the breaks are %s, want %s", got, want)
	}
}
