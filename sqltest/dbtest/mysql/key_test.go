package mysql_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

const someUUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"

// TestKeyColumns: a row is named by what is surely its key, and by nothing where
// several rows may have that, or one has it in several spellings.
func TestKeyColumns(t *testing.T) {
	const upper = "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"
	insert7, update7, insertUUID := "INSERT INTO k (id) VALUES (7)", "UPDATE k SET v = 1 WHERE id = 7", "INSERT INTO k (id) VALUES ('"+someUUID+"')"
	for name, c := range map[string]struct {
		columns string
		queries []string
		want    string
	}{
		"int":          {"id int PRIMARY KEY", []string{insert7, update7, "DELETE FROM k WHERE id = '7'"}, "k.inserted #7, k.updated #7, k.deleted #7"},
		"in its row":   {"id int PRIMARY KEY", []string{"INSERT INTO k (id) VALUES ('007')", "UPDATE k SET v = 1 WHERE id = '+7'"}, "k.inserted #7, k.updated #7"},
		"another case": {"ID int PRIMARY KEY", []string{insert7, update7}, "k.inserted #7, k.updated #7"},
		"unsigned":     {"id bigint unsigned UNIQUE", []string{insert7, update7}, "k.inserted #7, k.updated #7"},
		"made":         {"id int AUTO_INCREMENT PRIMARY KEY", []string{"INSERT INTO k (id) VALUES (0)", "INSERT INTO k (id) VALUES (NULL)", "INSERT INTO k (id) VALUES ('00')"}, "k.inserted, k.inserted, k.inserted"},
		"unique": {
			"id int, tenant int, PRIMARY KEY (tenant), UNIQUE KEY (id)",
			[]string{"INSERT INTO k (id, tenant) VALUES (7, 1)", update7},
			"k.inserted #7, k.updated #7",
		},
		"composite": {
			"id int, tenant int, PRIMARY KEY (tenant, id)",
			[]string{"INSERT INTO k (id, tenant) VALUES (7, 1)", update7, "DELETE FROM k WHERE id = 7"},
			"k.inserted, k.updated, k.deleted",
		},
		"no key":        {"id int", []string{insert7, update7}, "k.inserted, k.updated"},
		"no unique key": {"id int, KEY (id)", []string{insert7, update7}, "k.inserted, k.updated"},
		"part of a key": {"id varchar(36), UNIQUE KEY (id(4))", []string{insertUUID}, "k.inserted"},
		"text":          {"id varchar(36) PRIMARY KEY", []string{"INSERT INTO k (id) VALUES ('7')", "INSERT INTO k (id) VALUES ('07')", update7, "DELETE FROM k WHERE id = '7'"}, "k.inserted, k.inserted, k.updated, k.deleted"},
		"text of UUIDs": {
			"id char(36) PRIMARY KEY",
			[]string{insertUUID, "UPDATE k SET v = 1 WHERE id = '" + someUUID + "'", "DELETE FROM k WHERE id = '" + upper + "'"},
			"k.inserted #U, k.updated #U, k.deleted",
		},
		"exact text of UUIDs": {
			"id char(36) CHARACTER SET latin1 COLLATE latin1_bin PRIMARY KEY",
			[]string{insertUUID, "INSERT INTO k (id) VALUES ('" + upper + "')"},
			"k.inserted #U, k.inserted",
		},
		"uuid":     {"id uuid PRIMARY KEY", []string{insertUUID, "UPDATE k SET v = 1 WHERE id = '" + upper + "'", "DELETE FROM k WHERE id = '" + strings.ReplaceAll(someUUID, "-", "") + "'"}, "k.inserted #U, k.updated #U, k.deleted #U"},
		"year":     {"id year PRIMARY KEY", []string{insert7, update7}, "k.inserted, k.updated"},
		"date":     {"id date PRIMARY KEY", []string{"INSERT INTO k (id) VALUES (20240102)"}, "k.inserted"},
		"enum":     {"id enum('a', '7', 'c') PRIMARY KEY", []string{"INSERT INTO k (id) VALUES (2)"}, "k.inserted"},
		"float":    {"id float PRIMARY KEY", []string{"INSERT INTO k (id) VALUES (16777217)"}, "k.inserted"},
		"decimal":  {"id decimal(20) PRIMARY KEY", []string{insert7}, "k.inserted"},
		"bytes":    {"id binary(36) PRIMARY KEY", []string{insertUUID}, "k.inserted"},
		"no id":    {"n int PRIMARY KEY", []string{"INSERT INTO k (n) VALUES (7)"}, "k.inserted"},
		"returned": {"id int, tenant int, PRIMARY KEY (tenant, id)", []string{"INSERT INTO k (id, tenant) VALUES (7, 1) RETURNING id"}, "k.inserted"},
		"generated": {
			"n int, id int GENERATED ALWAYS AS (n + 1) STORED UNIQUE",
			[]string{"INSERT INTO k (n) VALUES (8)", "INSERT INTO k (n) VALUES (11)", "DELETE FROM k WHERE id = 12", "UPDATE k SET n = 11 WHERE id = 9", "DELETE FROM k WHERE id = 12"},
			"k.inserted, k.inserted, k.deleted #12, k.updated #9, k.deleted #12",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, inside := range []bool{false, true} {
				w := newWorld(t)
				w.exec(w.bare, "CREATE TABLE k ("+c.columns+", v int)")
				got := w.ids(inside, c.queries...)
				if want := strings.ReplaceAll(c.want, "#U", "#"+someUUID); got != want {
					if c.want = folded(want); !inside || got != c.want {
						t.Errorf("inside a transaction %v: %q, want %q", inside, got, want)
					}
				}
			}
		})
	}
}

// folded is a story in which a transaction's events of one kind about no named row
// are one event, as far as these tests have such.
func folded(story string) string {
	var kept []string
	for _, line := range strings.Split(story, ", ") {
		if len(kept) == 0 || kept[len(kept)-1] != line {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, ", ")
}

// ids executes queries, all in one transaction or each in its own, and returns what
// was forwarded of them.
func (w *world) ids(inside bool, queries ...string) string {
	w.Helper()
	if inside {
		tx := w.begin()
		w.query(tx, queries...)
		w.commit(tx)
	} else {
		w.query(w.db, queries...)
	}
	var lines []string
	for _, e := range w.recorder.Entries() {
		line := e.Action
		if e.Target.ID != "" {
			line += " #" + e.Target.ID
		}
		lines = append(lines, line)
	}
	w.recorder.Reset()
	return strings.Join(lines, ", ")
}

// query executes queries as an app does that reads their rows, if there are any.
func (w *world) query(h interface {
	execer
	queryer
}, queries ...string,
) {
	w.Helper()
	for _, q := range queries {
		if !strings.Contains(q, "RETURNING") {
			w.exec(h, q)
			continue
		}
		rows, err := h.QueryContext(context.Background(), q)
		if err != nil {
			w.Fatal(err)
		}
		for rows.Next() {
		}
		if err := rows.Err(); err != nil {
			w.Fatal(err)
		}
		_ = rows.Close()
	}
}

// TestKeyTriggers: a trigger may change a row's key before it is stored.
func TestKeyTriggers(t *testing.T) {
	w := newWorld(t)
	w.exec(w.bare, "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.id = NEW.id + 100")
	for _, inside := range []bool{false, true} {
		if got := w.ids(inside, "INSERT INTO t (id) VALUES (7)", "REPLACE INTO t (id) VALUES (7)", "DELETE FROM t WHERE id = 107"); got != "t.inserted, t.upserted, t.deleted #107" {
			t.Errorf("inside %v: %s", inside, got)
		}
	}
	w.exec(w.db, "DROP TRIGGER tr", "CREATE TRIGGER tr AFTER INSERT ON t FOR EACH ROW SET @x = NEW.id")
	w.recorder.Reset()
	if got := w.ids(true, "INSERT INTO t (id) VALUES (7)"); got != "t.inserted #7" {
		t.Error(got)
	}
	w.exec(w.db, "CREATE TRIGGER up BEFORE UPDATE ON t FOR EACH ROW SET NEW.id = 12")
	w.exec(w.bare, "INSERT INTO t (id) VALUES (9), (12)")
	w.recorder.Reset()
	if got := w.ids(true, "DELETE FROM t WHERE id = 12", "UPDATE t SET v = 1 WHERE id = 9", "DELETE FROM t WHERE id = 12"); got != "t.deleted #12, t.updated #9, t.deleted #12" {
		t.Error(got)
	}
}

// TestKeyWithoutPrivilege: who may not see triggers cannot know that there are none.
func TestKeyWithoutPrivilege(t *testing.T) {
	for rights, want := range map[string]string{
		"SELECT, INSERT, UPDATE":          "t.inserted, t.updated #7",
		"SELECT, INSERT, UPDATE, TRIGGER": "t.inserted #7, t.updated #7",
		"INSERT":                          "t.inserted, ",
	} {
		for _, on := range []string{"`%s`.*", "`%s`.t"} {
			w := newWorld(t)
			user := strings.ReplaceAll("u"+dbtest.Name(""), "-", "_")
			w.exec(w.bare, "CREATE USER "+user+"@localhost", fmt.Sprintf("GRANT "+rights+" ON "+on+" TO "+user+"@localhost", w.cfg.DBName))
			t.Cleanup(func() { w.exec(w.bare, "DROP USER "+user+"@localhost") })
			w.cfg.User = user
			w.reopen()
			got := w.ids(false, "INSERT INTO t (id) VALUES (7)") + ", "
			if rights != "INSERT" {
				got += w.ids(true, "UPDATE t SET v = 1 WHERE id = 7")
			}
			if got != want {
				t.Errorf("%s on %s: %q, want %q", rights, on, got, want)
			}
		}
	}
}

// TestQuestionIsHarmless: what is asked in a transaction begins no snapshot, and
// what the app's own statements say of themselves is as without the driver.
func TestQuestionIsHarmless(t *testing.T) {
	w := newWorld(t)
	w.exec(w.bare, "CREATE TABLE other (id int PRIMARY KEY)")
	see := map[*sql.DB]string{}
	for i, db := range []*sql.DB{w.bare, w.db} {
		tx, err := db.BeginTx(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		w.exec(tx, fmt.Sprintf("INSERT INTO t (id) VALUES (%d)", i))
		w.exec(w.bare, fmt.Sprintf("INSERT INTO other (id) VALUES (%d)", i))
		var rows, changed, last int
		if err := tx.QueryRowContext(context.Background(), "SELECT ROW_COUNT(), LAST_INSERT_ID()").Scan(&changed, &last); err != nil {
			t.Fatal(err)
		}
		if err := tx.QueryRowContext(context.Background(), "SELECT count(*) FROM other").Scan(&rows); err != nil {
			t.Fatal(err)
		}
		see[db] = fmt.Sprint(rows-i, changed, last)
		w.commit(tx)
	}
	if see[w.bare] != see[w.db] || see[w.bare] != "1 1 0" {
		t.Errorf("seen %q, without the driver %q", see[w.db], see[w.bare])
	}
}

// TestQuestionOnce: a table is asked for once, and again after what may have
// changed it.
func TestQuestionOnce(t *testing.T) {
	w := newWorld(t)
	c := w.conn()
	w.exec(c, "INSERT INTO t (id) VALUES (1)")
	asked := func(queries ...string) int {
		n := w.questions(c)
		w.exec(c, queries...)
		return w.questions(c) - n - 1 - len(queries)
	}
	if n := asked("UPDATE t SET v = 2 WHERE id = 1", "UPDATE t SET v = 3 WHERE id = 1"); n != 0 {
		t.Errorf("%d questions about a known table", n)
	}
	w.exec(c, "ALTER TABLE t DROP PRIMARY KEY")
	w.recorder.Reset()
	w.exec(c, "UPDATE t SET v = 4 WHERE id = 1")
	if got := w.story(); got != "t.updated rows=1" {
		t.Error(got)
	}
}

// TestTemporaryTables are not captured, whatever their name hides.
func TestTemporaryTables(t *testing.T) {
	w := newWorld(t)
	w.exec(w.bare, "CREATE PROCEDURE hide() CREATE TEMPORARY TABLE t (id varchar(9))")
	for _, create := range []string{"CREATE TEMPORARY TABLE t (id varchar(9))", "CALL hide()"} {
		c := w.conn()
		w.exec(c, "INSERT INTO t (id) VALUES (1)", create, "INSERT INTO t (id) VALUES (7)", "DROP TEMPORARY TABLE t", "DELETE FROM t WHERE id = 1")
		if got := w.story(); got != "t.inserted #1 rows=1, t.deleted #1 rows=1" {
			t.Errorf("%s: %s", create, got)
		}
		w.recorder.Reset()
	}
}

// TestViewsHaveNoKey: what a view calls id may be anything.
func TestViewsHaveNoKey(t *testing.T) {
	w := newWorld(t)
	w.exec(w.bare, "CREATE VIEW view AS SELECT v AS id FROM t", "INSERT INTO t (id, v) VALUES (1, 7), (2, 7)")
	if got := w.ids(false, "UPDATE view SET id = 8 WHERE id = 7"); got != "view.updated" {
		t.Error(got)
	}
}

// TestPreparedElsewhere: a prepared statement goes on writing to the table of the
// database that was current when it was prepared.
func TestPreparedElsewhere(t *testing.T) {
	w := newWorld(t)
	other := w.cfg.DBName + "x"
	w.exec(w.bare, "CREATE DATABASE "+other, "CREATE TABLE "+other+".t (id int PRIMARY KEY, v int)")
	c := w.conn()
	st, err := c.PrepareContext(context.Background(), "INSERT INTO t (id) VALUES (?)")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	w.exec(c, "USE "+other)
	if _, err := st.ExecContext(context.Background(), 1); err != nil {
		t.Fatal(err)
	}
	w.is("1")
}

// TestRulesNameTheDatabase that the connection was opened with, or another.
func TestRulesNameTheDatabase(t *testing.T) {
	for _, c := range []struct {
		rules func(db string) *driver.Rules
		want  string
	}{
		{func(db string) *driver.Rules { return driver.Tables(db + ".t") }, "t.inserted #1 rows=1, t.inserted #2 rows=1"},
		{func(db string) *driver.Rules { return driver.Tables("t") }, "t.inserted #1 rows=1, t.inserted #2 rows=1, X.t.inserted #3 rows=1"},
		{func(db string) *driver.Rules { return driver.Tables(db + "x.t") }, "X.t.inserted #3 rows=1"},
		{func(db string) *driver.Rules { return driver.AllTables().Except(db + ".t") }, "X.t.inserted #3 rows=1"},
		{func(db string) *driver.Rules { return driver.Tables("elsewhere.t") }, ""},
	} {
		s := sharedServer(t)
		cfg := s.database(t)
		w := newWorldIn(t, cfg, driver.Capture(c.rules(cfg.DBName)))
		other := cfg.DBName + "x"
		w.exec(w.bare, "CREATE DATABASE "+other, "CREATE TABLE "+other+".t (id int PRIMARY KEY)")
		w.exec(w.db, "INSERT INTO t (id) VALUES (1)", "INSERT INTO "+cfg.DBName+".t (id) VALUES (2)", "INSERT INTO "+other+".t (id) VALUES (3)")
		if got, want := w.story(), strings.ReplaceAll(c.want, "X", other); got != want {
			t.Errorf("%s: %q, want %q", c.rules("shop"), got, want)
		}
	}
}

// TestServersTablesAreLeftOut: of MySQL's own, what an app changes is no event.
func TestServersTablesAreLeftOut(t *testing.T) {
	w := newWorld(t)
	c := w.conn()
	w.exec(c, "DELETE FROM mysql.help_topic WHERE help_topic_id = -1",
		"UPDATE performance_schema.setup_consumers SET ENABLED = 'NO'", "USE mysql", "INSERT INTO help_category VALUES (30000, 'x', NULL, '')", "DELETE FROM help_category WHERE help_category_id = 30000")
	if got := w.story(); got != "" {
		t.Error(got)
	}
}

// TestKeyOfMergedTables: each of the tables that a MERGE table is made of may have a
// row of that key.
func TestKeyOfMergedTables(t *testing.T) {
	w := newWorld(t)
	const columns = " (id int PRIMARY KEY, v int) ENGINE "
	w.exec(w.bare, "CREATE TABLE a"+columns+"MyISAM", "CREATE TABLE b"+columns+"MyISAM", "CREATE TABLE m"+columns+"MERGE UNION (a, b) INSERT_METHOD LAST",
		"INSERT INTO a VALUES (7, 0)")
	if got := w.ids(false, "INSERT INTO m (id) VALUES (7)"); got != "m.inserted" {
		t.Error(got)
	}
}
