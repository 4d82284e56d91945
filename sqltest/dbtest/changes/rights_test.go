package changes_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// as executes as another role.
func (w *world) as(role string, queries ...string) error {
	w.Helper()
	tx, err := w.db.BeginTx(ctx, nil)
	w.must(err)
	defer tx.Rollback()
	for _, q := range append([]string{"SET LOCAL ROLE " + role}, queries...) {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// TestRights: a role that may write to a table can neither read nor change its history, nor write one.
func TestRights(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text)")
		w.capture(capture.Table{Name: "t"})
		function := w.text("SELECT proname FROM pg_proc WHERE pronamespace = 'threadline'::regnamespace AND prorettype = 'trigger'::regtype")
		w.exec("DROP ROLE IF EXISTS changes_app", "CREATE ROLE changes_app", "GRANT ALL ON t TO changes_app", "GRANT USAGE ON SCHEMA threadline TO changes_app", "GRANT CREATE ON SCHEMA public TO changes_app")
		defer w.exec("DROP OWNED BY changes_app CASCADE", "DROP ROLE changes_app")
		w.must(w.as("changes_app", "INSERT INTO t VALUES (1, 'x')", "UPDATE t SET a = 'y'"))
		if got := w.text("SELECT string_agg(concat(op, role), ' ' ORDER BY lsn) FROM threadline.audit_changes"); got != "Ichanges_app U" {
			w.Errorf("captured: %s", got)
		}
		for _, q := range []string{
			"SELECT FROM threadline.audit_changes", "DELETE FROM threadline.audit_changes", "UPDATE threadline.audit_changes SET op = 'D'", "TRUNCATE threadline.audit_changes",
			"INSERT INTO threadline.audit_gaps (table_id, op, reason) VALUES (1, 'x', 'x')", "SELECT FROM threadline.audit_shapes",
			"CREATE TABLE mine (id int, a text); CREATE TRIGGER forge AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION threadline." + function + "()",
			"ALTER TABLE t DISABLE TRIGGER ALL",
		} {
			if err := w.as("changes_app", q); err == nil || !strings.Contains(err.Error(), "denied") && !strings.Contains(err.Error(), "must be owner") {
				w.Errorf("%s: %v", q, err)
			}
		}
	})
}

// TestOtherTables: even the owner's trigger on another table writes no change.
func TestOtherTables(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE t (id int PRIMARY KEY, a text)")
		w.capture(capture.Table{Name: "t"})
		function := w.text("SELECT proname FROM pg_proc WHERE pronamespace = 'threadline'::regnamespace AND prorettype = 'trigger'::regtype")
		w.exec("CREATE TABLE u (id int PRIMARY KEY, a text)", "CREATE TRIGGER forge AFTER INSERT ON u FOR EACH ROW EXECUTE FUNCTION threadline."+function+"()", "INSERT INTO u VALUES (1, 'forged')")
		if got := w.changes() + w.text("SELECT count(*) FROM threadline.audit_gaps"); got != "01" {
			w.Errorf("changes and gaps: %s", got)
		}
	})
}

// TestOthersCode: functions that a type's owner has made for casts, comparison and operators do
// not run with the rights of the trail's owner.
func TestOthersCode(t *testing.T) {
	for name, bulk := range map[string]bool{"by_row": false, "by_statement": true} {
		t.Run(name, func(t *testing.T) { each(t, func(w *world) { w.othersCode(bulk) }) })
	}
}

func (w *world) othersCode(bulk bool) {
	w.exec("DROP ROLE IF EXISTS changes_evil", "CREATE ROLE changes_evil", "GRANT CREATE ON SCHEMA public TO changes_evil")
	defer w.exec("DROP OWNED BY changes_evil CASCADE", "DROP ROLE changes_evil")
	w.must(w.as("changes_evil", "CREATE TYPE mood AS ENUM ('ok', 'bad')", "CREATE TYPE duo AS (a int, b text)",
		"CREATE FUNCTION steal() RETURNS void LANGUAGE plpgsql AS $$ BEGIN IF current_user <> 'changes_evil' THEN DELETE FROM threadline.audit_changes; END IF; END $$",
		"CREATE FUNCTION to_t(mood) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM public.steal(); RETURN 'stolen'; END $$",
		"CREATE FUNCTION to_j(mood) RETURNS json LANGUAGE plpgsql AS $$ BEGIN PERFORM public.steal(); RETURN '1'; END $$",
		"CREATE FUNCTION duo_t(duo) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM public.steal(); RETURN 'stolen'; END $$",
		"CREATE FUNCTION same(mood, mood) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM public.steal(); RETURN true; END $$",
		"CREATE FUNCTION same(duo, duo) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM public.steal(); RETURN true; END $$",
		"CREATE CAST (mood AS text) WITH FUNCTION to_t(mood) AS IMPLICIT", "CREATE CAST (mood AS json) WITH FUNCTION to_j(mood) AS IMPLICIT", "CREATE CAST (duo AS text) WITH FUNCTION duo_t(duo) AS IMPLICIT",
		"CREATE OPERATOR = (LEFTARG = mood, RIGHTARG = mood, FUNCTION = same)", "CREATE OPERATOR <> (LEFTARG = mood, RIGHTARG = mood, FUNCTION = same)",
		"CREATE OPERATOR *<> (LEFTARG = duo, RIGHTARG = duo, FUNCTION = same)", "CREATE OPERATOR *= (LEFTARG = duo, RIGHTARG = duo, FUNCTION = same)",
		"CREATE TABLE moods (id int PRIMARY KEY, m mood, d duo, l mood[])"))
	w.capture(capture.Table{Name: "moods", Bulk: bulk})
	w.must(w.as("changes_evil", "INSERT INTO moods VALUES (1, 'ok', ROW(1, 'x'), '{ok}')", "UPDATE moods SET m = 'bad', d = ROW(2, (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 200) n)), l = '{}'",
		"ALTER TABLE moods ADD n int", "UPDATE moods SET m = 'ok'", "DELETE FROM moods"))
	if got := w.changes() + w.text("SELECT count(*) FROM threadline.audit_gaps"); got != "40" {
		w.Errorf("changes and gaps: %s: %s", got, w.text("SELECT string_agg(reason, ' ') FROM threadline.audit_gaps"))
	}
}

// TestTemporaryTypes: a role's own types, whose checks would run with the owner's rights, are not used
// whatever they are called.
func TestTemporaryTypes(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE p (id int, r text, a int, PRIMARY KEY (id, r)) PARTITION BY LIST (r)", "CREATE TABLE eu PARTITION OF p FOR VALUES IN ('eu')", "CREATE TABLE us PARTITION OF p FOR VALUES IN ('us')")
		w.exec("CREATE TABLE t (id int PRIMARY KEY, card text)", "CREATE TABLE u (id int PRIMARY KEY, card text)")
		w.capture(capture.Table{Name: "p"}, capture.Table{Name: "t", Hash: []string{"card"}}, capture.Table{Name: "u", Hash: []string{"card"}, Bulk: true})
		conn, err := w.db.Conn(ctx)
		w.must(err)
		defer conn.Close()
		for _, typ := range []string{"text", "json", "inet", "bytea", "bool", "int8", "record"} {
			q := "CREATE DOMAIN pg_temp." + typ + " AS pg_catalog." + typ + " CHECK (false)"
			if typ == "record" {
				q = "CREATE TYPE pg_temp.record AS (a pg_catalog.int4)"
			}
			_, err = conn.ExecContext(ctx, q)
			w.must(err)
		}
		for _, q := range []string{
			"INSERT INTO t VALUES (1, 'x')", "UPDATE t SET card = 'y'", "DELETE FROM t",
			"INSERT INTO p VALUES (1, 'eu', 1)", "UPDATE p SET r = 'us', a = 2", "DELETE FROM p",
		} {
			_, err = conn.ExecContext(ctx, q)
			w.must(err)
		}
		if got := w.text("SELECT string_agg(op::text, '' ORDER BY lsn) || ' ' || (SELECT count(*) FROM threadline.audit_gaps) FROM threadline.audit_changes"); got != "IUDIUD 0" {
			t.Errorf("kept are %s", got)
		}
	})
}

// TestReplacedIsNoMove: a row that is deleted and inserted again was not moved, though it is updated then.
func TestReplacedIsNoMove(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE p (id int, r text, a int, big text, PRIMARY KEY (id, r)) PARTITION BY LIST (r)", "CREATE TABLE eu PARTITION OF p FOR VALUES IN ('eu')",
			"INSERT INTO p VALUES (1, 'eu', 1, 'b')")
		w.capture(capture.Table{Name: "p"})
		w.exec("BEGIN; DELETE FROM p WHERE id = 1; INSERT INTO p VALUES (1, 'eu', 9, 'z'); UPDATE p SET a = 10 WHERE id = 1; COMMIT")
		w.wantStory(`delete id: 1 → NULL; r: eu → NULL; a: 1 → NULL; big: b → NULL;
insert id: NULL → 1; r: NULL → eu; a: NULL → 9; big: NULL → z;
update a: 9 → 10;`, "p", "1", "eu")
	})
}
