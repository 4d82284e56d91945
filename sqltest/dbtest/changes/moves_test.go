package changes_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// partitioned is a table with partitions eu, us and as, the last of which has a partition as1 itself.
func (w *world) partitioned() {
	w.exec("CREATE TABLE p (id int, region text, a int, secret text, big text, PRIMARY KEY (id, region)) PARTITION BY LIST (region)", "CREATE TABLE eu PARTITION OF p FOR VALUES IN ('eu')",
		"CREATE TABLE us (a int, big text, dropped int, region text NOT NULL, id int NOT NULL, secret text)", "ALTER TABLE us DROP dropped", "ALTER TABLE p ATTACH PARTITION us FOR VALUES IN ('us')",
		"CREATE TABLE asia PARTITION OF p FOR VALUES IN ('as', 'as2') PARTITION BY LIST (region)", "CREATE TABLE as1 PARTITION OF asia FOR VALUES IN ('as')", "CREATE TABLE as2 PARTITION OF asia FOR VALUES IN ('as2')", "ALTER TABLE p ALTER big SET STORAGE EXTERNAL")
	w.capture(capture.Table{Name: "p", Mask: []string{"secret"}})
}

// ops are what was captured since the last call, in order, and no changes are left behind.
func (w *world) ops() string {
	w.Helper()
	defer w.exec("DELETE FROM threadline.audit_changes")
	return w.text("SELECT string_agg(concat(op, coalesce(former_key || '→', ''), key), ' ' ORDER BY lsn) FROM threadline.audit_changes")
}

// TestMoves: an UPDATE that moves rows to other partitions is kept as one, with the fields that it changed.
func TestMoves(t *testing.T) {
	each(t, func(w *world) {
		w.partitioned()
		// The row gets the place (0,1) in both partitions.
		w.exec("INSERT INTO p VALUES (7, 'eu', 1)", "BEGIN; UPDATE p SET a = 2; UPDATE p SET region = 'us'; UPDATE p SET a = 3; COMMIT")
		w.wantStory("insert id: NULL → 7; region: NULL → eu; a: NULL → 1; secret: NULL → (masked); big: NULL → NULL;\nupdate a: 1 → 2;\nupdate [7 eu] to [7 us] region: eu → us;\nupdate a: 2 → 3;", "p", "7", "us")

		w.exec("INSERT INTO p VALUES (1, 'eu', 1, 'x', 'b'), (2, 'eu', 1, 'x', repeat('b', 70000)), (3, 'us', 1, 'x', 'b')",
			"UPDATE p SET region = 'us', a = a + 1, secret = 'y' WHERE id <= 3", "UPDATE p SET region = 'as' WHERE id = 1", "UPDATE asia SET region = 'as2' WHERE id = 1", "UPDATE p SET a = 9 WHERE id = 1",
			"BEGIN; SAVEPOINT s; UPDATE p SET region = 'eu' WHERE id = 1; ROLLBACK TO s; UPDATE p SET a = 10 WHERE id = 1; UPDATE p SET region = 'us' WHERE id = 1; COMMIT")
		w.wantStory(`
insert id: NULL → 1; region: NULL → eu; a: NULL → 1; secret: NULL → (masked); big: NULL → b;
update [1 eu] to [1 us] region: eu → us; a: 1 → 2; secret: (masked) → (masked);
update [1 us] to [1 as] region: us → as;
update [1 as] to [1 as2] region: as → as2;
update a: 2 → 9;
update a: 9 → 10;
update [1 as2] to [1 us] region: as2 → us;`, "p", "1", "us")
		w.wantStory("insert id: NULL → 3; region: NULL → us; a: NULL → 1; secret: NULL → (masked); big: NULL → b;\nupdate a: 1 → 2; secret: (masked) → (masked);", "p", "3", "us")
		list, err := w.store.History(ctx, "p", "2", "us")
		w.must(err)
		if len(list) != 2 || len(list[1].Fields) != 3 {
			w.Errorf("a row with a long value moved as %.2000v", list)
		}
		w.exec("UPDATE p SET region = 'us', big = 'c' WHERE id = 2", "UPDATE p SET region = 'eu', big = repeat('d', 70000) WHERE id = 2")
		list, err = w.store.History(ctx, "p", "2", "eu")
		w.must(err)
		if last := list[len(list)-1]; len(list) != 4 || len(last.Fields) != 2 || last.Fields[1].Old.String() != "c" || last.Fields[1].Old.Shortened || !last.Fields[1].New.Shortened {
			w.Errorf("a row with a long value moved as %.2000v", list)
		}
	})
}

// TestNoMoves: a DELETE and an INSERT of the app's stay two, whatever they look like, and so does a move
// of which anything is in doubt.
func TestNoMoves(t *testing.T) {
	each(t, func(w *world) {
		w.partitioned()
		w.exec("INSERT INTO p VALUES (1, 'eu'), (2, 'eu')")
		w.ops()
		for _, c := range []struct{ statement, want string }{
			{"WITH d AS (DELETE FROM p RETURNING *) INSERT INTO p SELECT id, 'us', a FROM d", "D(1,eu) I(1,us) D(2,eu) I(2,us)"},
			{"BEGIN; DELETE FROM p WHERE id = 1; INSERT INTO p VALUES (1, 'eu'); UPDATE p SET a = 5 WHERE id = 2; COMMIT", "D(1,us) I(1,eu) U(2,us)"},
			{
				"BEGIN; DELETE FROM p WHERE id = 1; INSERT INTO p VALUES (1, 'us'); DELETE FROM p WHERE id = 1; INSERT INTO p VALUES (1, 'eu'); UPDATE p SET region = 'us' WHERE id = 1; COMMIT",
				"D(1,eu) I(1,us) D(1,us) I(1,eu) U(1,eu)→(1,us)",
			},
			{"WITH d AS (DELETE FROM p WHERE id = 1 RETURNING *), u AS (UPDATE p SET region = 'eu' WHERE id = 2) INSERT INTO p SELECT id, 'eu', a FROM d", "D(1,us) I(1,eu) U(2,us)→(2,eu)"},
			{"INSERT INTO p VALUES (1, 'eu') ON CONFLICT (id, region) DO UPDATE SET a = 7", "U(1,eu)"},
			{"BEGIN ISOLATION LEVEL SERIALIZABLE; UPDATE p SET region = 'us' WHERE id = 1; COMMIT", "D(1,eu) I(1,us)"},
		} {
			w.exec(c.statement)
			if got := w.ops(); got != c.want {
				w.Errorf("%s is kept as %s, want %s", c.statement, got, c.want)
			}
		}

		// A trigger of the app's keeps a row from its new partition: it is gone.
		w.exec("CREATE FUNCTION suppress() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = 1 THEN RETURN NULL; END IF; RETURN NEW; END $$",
			"CREATE TRIGGER suppress BEFORE INSERT ON as1 FOR EACH ROW EXECUTE FUNCTION suppress()", "UPDATE p SET region = 'as'")
		if got := w.ops(); got != "D(2,eu) I(2,as) D(1,us)" && got != "D(1,us) D(2,eu) I(2,as)" {
			w.Errorf("with a suppressed INSERT: %s", got)
		}

		// Other triggers of the app's change the row again, and move others.
		w.exec("DROP TRIGGER suppress ON as1", "INSERT INTO p VALUES (5, 'eu', 0), (6, 'eu', 0)",
			"CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = 5 AND NEW.region = 'us' THEN UPDATE p SET a = 1 WHERE id = 5; UPDATE p SET region = 'us' WHERE id = 6; END IF; RETURN NULL; END $$",
			"CREATE TRIGGER a_first AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION again()")
		w.ops()
		w.exec("UPDATE p SET region = 'us' WHERE id = 5")
		w.wantStory("update [5 eu] to [5 us] region: eu → us;\nupdate a: 0 → 1;", "p", "5", "us")
		w.wantStory("update [6 eu] to [6 us] region: eu → us;", "p", "6", "us")
		w.exec("DROP TRIGGER a_first ON p")
		w.ops()

		// While changes are lost, or kept as whole rows, one of the app's might be taken for the UPDATE's.
		w.exec("BEGIN; DELETE FROM p WHERE id = 5; INSERT INTO p VALUES (5, 'eu'); DELETE FROM p WHERE id = 5; INSERT INTO p VALUES (5, 'us'); ALTER TABLE p ADD z int; UPDATE p SET region = 'eu' WHERE id = 5; COMMIT")
		if got := w.ops(); got != "D(5,us) I(5,eu) D(5,eu) I(5,us) D(5,us) I(5,eu)" {
			w.Errorf("while it has drifted: %s", got)
		}
		if n := w.text("SELECT count(*) FROM threadline.audit_gaps"); n != "0" {
			w.Errorf("%s gaps", n)
		}
	})
}

// TestLargeMove: rows that a statement moves are kept as two changes each, where they are so many that to join them would take
// the server's memory.
func TestLargeMove(t *testing.T) {
	if !long() {
		t.Skip("set AFTERCOMMIT_LONG=1 to run it")
	}
	with(t, func(w *world) {
		w.exec("CREATE TABLE p (id int, part int, PRIMARY KEY (id, part)) PARTITION BY LIST (part)",
			"CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)", "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)",
			"INSERT INTO p SELECT n, 1 FROM generate_series(1, 100001) n")
		w.capture(capture.Table{Name: "p"})
		kept := "SELECT string_agg(concat(op, n), ' ' ORDER BY op) FROM (SELECT op, count(*) AS n FROM threadline.audit_changes GROUP BY op) x"
		w.exec("UPDATE p SET part = 2 WHERE id <= 100000")
		if got := w.text(kept); got != "U100000" {
			w.Errorf("100,000 moved rows are kept as %s", got)
		}
		w.exec("DELETE FROM threadline.audit_changes", "UPDATE p SET part = 3 - part")
		if got := w.text(kept); got != "D100001 I100001" {
			w.Errorf("100,001 moved rows are kept as %s", got)
		}
	}, dbtest.PGX)
}
