package changes_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

var errRows = errors.New("another number of rows")

// run executes an undo as an app does: in one transaction, in which each statement has to affect
// as many rows as it says.
func (w *world) run(u *undo.Script) error {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, s := range u.Statements {
		result, err := tx.ExecContext(ctx, s.SQL)
		if err != nil {
			return fmt.Errorf("%s: %w", s.SQL, err)
		}
		if n, err := result.RowsAffected(); err != nil || n != s.Rows {
			return fmt.Errorf("%s: %w: %d: %w", s.SQL, errRows, n, err)
		}
	}
	return tx.Commit()
}

// last returns the transaction that was captured last.
func (w *world) last() (xid int64, startedAt time.Time) {
	w.Helper()
	f := strings.Fields(w.text("SELECT concat(xid, ' ', to_char(tx_started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')) FROM threadline.audit_changes ORDER BY lsn DESC LIMIT 1"))
	xid, err := strconv.ParseInt(f[0], 10, 64)
	w.must(err)
	startedAt, err = time.Parse(time.RFC3339Nano, f[1])
	w.must(err)
	return xid, startedAt
}

// undoLast returns the undo of the transaction that was captured last.
func (w *world) undoLast() *undo.Script {
	w.Helper()
	xid, startedAt := w.last()
	u, err := undo.Transaction(ctx, w.store, xid, startedAt)
	w.must(err)
	return u
}

// onPQ runs f on lib/pq: pgx takes no scripts, and the rest does not depend on the driver.
func onPQ(t *testing.T, f func(w *world)) {
	t.Helper()
	with(t, f, dbtest.PQ)
}

// content is what is in tables, in one text.
func (w *world) content(tables ...string) string {
	w.Helper()
	var all []string
	for _, t := range tables {
		all = append(all, t+": "+w.text("SELECT string_agg(r::text, ' ' ORDER BY r::text COLLATE \"C\") FROM "+t+" r"))
	}
	return strings.Join(all, "\n")
}

// inOne executes queries in one transaction.
func (w *world) inOne(queries ...string) {
	w.Helper()
	tx, err := w.db.BeginTx(ctx, nil)
	w.must(err)
	for _, q := range queries {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			w.Fatalf("%s: %v", q, err)
		}
	}
	w.must(tx.Commit())
}

// clean fails the test unless the undo has statements and nothing is in its way.
func (w *world) clean(u *undo.Script) {
	w.Helper()
	if len(u.Statements) == 0 || len(u.Refusals) > 0 || len(u.Conflicts) > 0 {
		w.Errorf("the undo is not clean:\n%s", u)
	}
}

const (
	undoTree = "CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a {actions}); INSERT INTO a VALUES (1, 'x'), (2, 'y'); INSERT INTO b VALUES (10, 1), (11, 1), (12, 2)"
	undoSelf = "CREATE TABLE a (id int PRIMARY KEY, boss int REFERENCES a {actions}); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (1, NULL), (2, 1), (3, 2), (4, 4)"
)

// undoOrder are transactions whose undo needs an order.
var undoOrder = map[string]struct {
	setup, actions string
	do             []string
}{
	"insert":                      {undoTree, "", []string{"INSERT INTO a VALUES (3, 'z')", "INSERT INTO b VALUES (13, 3)", "UPDATE a SET v = 'u' WHERE id = 3"}},
	"delete":                      {undoTree, "", []string{"DELETE FROM b", "DELETE FROM a"}},
	"update":                      {undoTree, "", []string{"UPDATE a SET v = 'z'", "UPDATE a SET v = NULL WHERE id = 1", "UPDATE b SET a = 2"}},
	"cascade":                     {undoTree, "ON DELETE CASCADE", []string{"DELETE FROM a"}},
	"set null":                    {undoTree, "ON DELETE SET NULL", []string{"DELETE FROM a WHERE id = 1"}},
	"set default":                 {undoTree + "; ALTER TABLE b ALTER a SET DEFAULT 2", "ON DELETE SET DEFAULT", []string{"DELETE FROM a WHERE id = 1"}},
	"key, cascade":                {undoTree, "ON UPDATE CASCADE", []string{"UPDATE a SET id = id + 10"}},
	"key, set null":               {undoTree, "ON UPDATE SET NULL", []string{"UPDATE a SET id = id + 10"}},
	"key, set default":            {undoTree + "; ALTER TABLE b ALTER a SET DEFAULT 2", "ON UPDATE SET DEFAULT", []string{"UPDATE a SET id = 3 WHERE id = 1"}},
	"key, then moved":             {undoTree, "ON UPDATE CASCADE", []string{"UPDATE a SET id = 3 WHERE id = 1", "UPDATE b SET a = 2 WHERE id = 10", "INSERT INTO b VALUES (14, 3)", "DELETE FROM b WHERE id = 11"}},
	"moved, then key":             {undoTree, "ON UPDATE CASCADE", []string{"UPDATE b SET a = 1 WHERE id = 12", "UPDATE a SET id = 3 WHERE id = 1"}},
	"key, and child in its key":   {"CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (a int REFERENCES a ON UPDATE CASCADE, n int, v text, PRIMARY KEY (a, n)); CREATE TABLE c (a int, n int, w int, FOREIGN KEY (a, n) REFERENCES b ON UPDATE CASCADE ON DELETE CASCADE, PRIMARY KEY (a, n, w)); INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (1, 1, 'x'), (2, 1, 'y'); INSERT INTO c VALUES (1, 1, 1), (2, 1, 1)", "", []string{"UPDATE a SET id = 3 WHERE id = 1", "UPDATE b SET v = 'z'", "DELETE FROM b WHERE a = 2"}},
	"keys swapped":                {undoTree, "ON UPDATE CASCADE", []string{"UPDATE a SET id = 0 WHERE id = 1", "UPDATE a SET id = 1 WHERE id = 2", "UPDATE a SET id = 2 WHERE id = 0", "UPDATE b SET id = 20 WHERE id = 10"}},
	"key used again":              {undoTree, "ON DELETE CASCADE", []string{"DELETE FROM a WHERE id = 1", "INSERT INTO a VALUES (1, 'new')", "INSERT INTO b VALUES (11, 1), (15, 1)"}},
	"key moved, and used again":   {undoTree, "ON UPDATE CASCADE", []string{"UPDATE a SET id = 3 WHERE id = 1", "INSERT INTO a VALUES (1, 'new')", "INSERT INTO b VALUES (15, 1)"}},
	"unique":                      {"CREATE TABLE a (id int PRIMARY KEY, v text UNIQUE); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (1, 'x'), (2, 'y'), (3, 'z')", "", []string{"DELETE FROM a WHERE id = 1", "UPDATE a SET v = 'x' WHERE id = 2", "INSERT INTO a VALUES (4, 'y')"}},
	"unique, swapped":             {"CREATE TABLE a (id int PRIMARY KEY, v text UNIQUE); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (1, 'x'), (2, 'y'), (3, 'z')", "", []string{"UPDATE a SET v = 't' WHERE id = 1", "UPDATE a SET v = 'x' WHERE id = 2", "UPDATE a SET v = 'y' WHERE id = 1"}},
	"unique, deferrable":          {"CREATE TABLE a (id int PRIMARY KEY DEFERRABLE, v text); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (1, 'x'), (2, 'y'), (3, 'z')", "", []string{"UPDATE a SET id = id + 1"}},
	"unique, deferrable, swapped": {"CREATE TABLE a (id int PRIMARY KEY DEFERRABLE, v text); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (1, 'x'), (2, 'y'), (3, 'z')", "", []string{"UPDATE a SET id = 4 - id"}},
	"exclusion":                   {"CREATE TABLE a (id int PRIMARY KEY, r int4range, EXCLUDE USING gist (r WITH &&)); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (1, '[1,5)'), (2, '[5,9)')", "", []string{"DELETE FROM a WHERE id = 1", "UPDATE a SET r = '[1,9)'"}},
	"self":                        {undoSelf, "", []string{"INSERT INTO a VALUES (6, 5), (5, 1)", "UPDATE a SET boss = 6 WHERE id = 3", "DELETE FROM a WHERE id = 4"}},
	"self, cascade":               {undoSelf, "ON DELETE CASCADE", []string{"DELETE FROM a"}},
	"self, set null":              {undoSelf, "ON DELETE SET NULL", []string{"DELETE FROM a WHERE id IN (1, 4)"}},
	"self, key":                   {undoSelf, "ON UPDATE CASCADE", []string{"UPDATE a SET id = id + 10"}},
	"self, inserted and cascade":  {undoSelf, "ON DELETE CASCADE", []string{"INSERT INTO a VALUES (6, 5), (5, 5)"}},
	"deferred":                    {undoTree, "DEFERRABLE INITIALLY DEFERRED", []string{"DELETE FROM a", "DELETE FROM b WHERE a = 1", "INSERT INTO b VALUES (15, 7)", "INSERT INTO a VALUES (7, 'late')", "INSERT INTO a VALUES (2, 'again')"}},
	"each other, deferred":        {"CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a DEFERRABLE); ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b", "", []string{"SET CONSTRAINTS ALL DEFERRED", "INSERT INTO b VALUES (1, 1)", "INSERT INTO a VALUES (1, 1)"}},
	"each other, deleted":         {"CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int NOT NULL REFERENCES a ON DELETE CASCADE); ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b ON DELETE SET NULL; INSERT INTO a VALUES (1, NULL), (2, NULL); INSERT INTO b VALUES (1, 1), (2, 2); UPDATE a SET b = id", "", []string{"DELETE FROM a WHERE id = 1", "DELETE FROM b WHERE id = 2"}},
	"each other, inserted":        {"CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int NOT NULL REFERENCES a ON DELETE CASCADE); ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b ON DELETE SET NULL", "", []string{"INSERT INTO a VALUES (1, NULL)", "INSERT INTO b VALUES (1, 1)", "UPDATE a SET b = 1"}},
	"unique columns referred to":  {"CREATE TABLE a (id int PRIMARY KEY, x text, y text, UNIQUE (x, y)); CREATE TABLE b (id int PRIMARY KEY, x text, y text, FOREIGN KEY (x, y) REFERENCES a (x, y) ON UPDATE CASCADE ON DELETE CASCADE); INSERT INTO a VALUES (1, 'x', 'y,'), (2, 'u', 'v'); INSERT INTO b VALUES (1, 'x', 'y,'), (2, 'u', 'v'), (3, NULL, 'v')", "", []string{"UPDATE a SET x = 'z' WHERE id = 1", "DELETE FROM a WHERE id = 2"}},
	"generated and identity":      {"CREATE TABLE a (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int, twice int GENERATED ALWAYS AS (v * 2) STORED); CREATE TABLE b (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY); INSERT INTO a (v) VALUES (1), (2), (3); INSERT INTO b DEFAULT VALUES", "", []string{"DELETE FROM a WHERE v = 1", "UPDATE a SET v = 7 WHERE v = 2", "INSERT INTO a (v) VALUES (9)", "DELETE FROM b"}},
	"partitions":                  {"CREATE TABLE a (id int, p int, v text, PRIMARY KEY (id, p)) PARTITION BY LIST (p); CREATE TABLE a1 PARTITION OF a FOR VALUES IN (1); CREATE TABLE a2 (v text, p int NOT NULL, id int NOT NULL); ALTER TABLE a ATTACH PARTITION a2 FOR VALUES IN (2); CREATE TABLE b (id int PRIMARY KEY, a int, p int, FOREIGN KEY (a, p) REFERENCES a ON UPDATE CASCADE); INSERT INTO a VALUES (1, 1, 'x'), (2, 2, 'y'), (3, 1, 'z'); INSERT INTO b VALUES (1, 2, 2)", "", []string{"UPDATE a SET p = 2 WHERE id = 1", "UPDATE a SET v = 'moved'", "DELETE FROM a WHERE id = 3", "INSERT INTO a2 (id, p) VALUES (4, 2)"}},
	"no key":                      {"CREATE TABLE a (x int, y text); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (1, 'x'), (1, 'x'), (2, NULL)", "", []string{"DELETE FROM a WHERE ctid = '(0,1)'", "UPDATE a SET y = 'z' WHERE x = 2", "UPDATE a SET x = 3", "INSERT INTO a VALUES (5, NULL), (5, NULL)"}},
	"names":                       {`CREATE TABLE a ("N" int, "undo_rows" int, n int, "a""b" text, "ключ" text, PRIMARY KEY ("N", "ключ")); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (1, 2, 3, 'x', 'значение'), (2, 2, 3, NULL, E'\\$capture$'' 🙂')`, "", []string{`UPDATE a SET "a""b" = E'new\n-- line', undo_rows = 5`, `DELETE FROM a WHERE "N" = 1`}},
	"nothing in between":          {undoTree, "", []string{"UPDATE a SET v = 'z' WHERE id = 2", "UPDATE a SET v = v", "DELETE FROM b WHERE a = 2", "DELETE FROM a WHERE id = 2"}},
	"nothing in between, no key":  {"CREATE TABLE a (x int, y text); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (1, 'x'), (1, 'x'), (2, NULL)", "", []string{"UPDATE a SET y = 'z'", "UPDATE a SET y = y", "UPDATE a SET x = 3", "UPDATE a SET x = x", "DELETE FROM a WHERE ctid = (SELECT max(ctid) FROM a)"}},
	"savepoint":                   {undoTree, "ON DELETE CASCADE", []string{"SAVEPOINT s", "DELETE FROM a", "ROLLBACK TO s", "UPDATE a SET v = 'kept'", "DELETE FROM a WHERE id = 2"}},
}

// TestUndoOrder: the undo of what one transaction has done leads back to what was there before it, in one run of
// statements that each are checked at once.
func TestUndoOrder(t *testing.T) {
	for name, c := range undoOrder {
		t.Run(name, func(t *testing.T) {
			onPQ(t, func(w *world) {
				for _, q := range strings.Split(strings.ReplaceAll(c.setup, "{actions}", c.actions), "; ") {
					w.exec(q)
				}
				tables := []string{"a", "b"}
				if strings.Contains(c.setup, "TABLE c") {
					tables = append(tables, "c")
				}
				for _, name := range tables {
					w.capture(capture.Table{Name: name})
				}
				before := w.content(tables...)
				w.inOne(c.do...)
				after := w.content(tables...)
				u := w.undoLast()
				w.clean(u)
				if err := w.run(u); err != nil {
					w.Fatalf("%v\n%s", err, u)
				}
				if got := w.content(tables...); got != before {
					w.Errorf("the undo leads to\n%s\nand not to\n%s\n%s", got, before, u)
				}
				if err := w.run(u); err == nil {
					w.Errorf("the undo can be executed twice: %s", u)
				}
				// The undo can be undone, here by its script.
				redo := w.undoLast()
				w.clean(redo)
				w.exec(redo.String())
				if got := w.content(tables...); got != after {
					w.Errorf("the undo of the undo leads to\n%s\nand not to\n%s\n%s", got, after, redo)
				}
			})
		})
	}
}

// TestUndoTypes: values of every type come back to the byte, whatever the sessions prefer that plan and execute.
func TestUndoTypes(t *testing.T) {
	each(t, func(w *world) {
		w.exec(`CREATE SCHEMA shop`, `CREATE EXTENSION citext SCHEMA shop`, `CREATE EXTENSION hstore SCHEMA shop`)
		w.db.SetMaxOpenConns(1) // which has the settings
		w.exec(`SET search_path = shop, public`, `CREATE TABLE lamp ()`, `CREATE TYPE color AS ENUM ('red', 'deep "blue", (dark)')`, `CREATE DOMAIN positive AS numeric CHECK (VALUE > 0)`,
			`CREATE TYPE pair AS (a int, b text)`, `CREATE TYPE stamped AS (at timestamptz, for_ interval, x float8)`)
		var columns, first, second []string
		for typ, v := range typed {
			name := fmt.Sprintf("c%d", len(columns))
			columns, first, second = append(columns, name+" "+typ), append(first, v[0]), append(second, name+" = "+v[1])
		}
		w.exec("CREATE TABLE t (id citext PRIMARY KEY, "+strings.Join(columns, ", ")+")", "INSERT INTO t VALUES ('one', "+strings.Join(first, ", ")+"), ('two', "+strings.Join(first, ", ")+")", "INSERT INTO t VALUES ('three')")
		w.capture(capture.Table{Name: "t"})
		w.exec("CREATE TABLE before AS TABLE t")
		for _, do := range []string{"UPDATE t SET " + strings.Join(second, ", "), "DELETE FROM t", "INSERT INTO t VALUES ('new', " + strings.Join(first, ", ") + ")", "UPDATE t SET id = upper(id)"} {
			w.exec(`SET search_path = shop, public`, do, "CREATE TABLE after AS TABLE t", `SET search_path = public`)
			u := w.undoLast()
			w.clean(u)
			w.exec(`SET TimeZone = 'Asia/Kolkata'`, `SET DateStyle = 'SQL, DMY'`, `SET IntervalStyle = 'sql_standard'`, `SET extra_float_digits = -10`, `SET bytea_output = 'escape'`, `SET standard_conforming_strings = off`, `SET xmloption = document`)
			again := w.undoLast()
			if got, want := again.String(), u.String(); got != want {
				w.Errorf("in another session the undo is\n%s\nand not\n%s", got, want)
			}
			w.must(w.run(u))
			w.same("before")
			redo := w.undoLast()
			w.clean(redo)
			w.must(w.run(redo))
			w.same("after")
			w.must(w.run(w.undoLast()))
			w.exec("DROP TABLE shop.after", `RESET ALL`)
		}
	})
}

// TestUndoArrays: an array whose NULL was replaced is the one that it is printed as, and no other.
func TestUndoArrays(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TYPE pair AS (x int, y text)", "CREATE DOMAIN three AS text[] CHECK (cardinality(VALUE) = 3)", "CREATE DOMAIN named AS three",
			"CREATE TABLE t (id int PRIMARY KEY, a text[], b int[], e pair[], d named)", "INSERT INTO t VALUES (1, '{a,NULL,c}', '[2:3][1:2]={{1,NULL},{3,4}}', ARRAY[NULL, (1, 'y')::pair], '{a,NULL,c}')")
		w.capture(capture.Table{Name: "t"})
		before := w.content("t")
		w.exec("UPDATE t SET a[2] = 'b', b[2][2] = 2, e[1] = (2, NULL), d[2] = 'b'")
		u := w.undoLast()
		w.clean(u)
		for _, other := range []string{"a = '{a,b}'", "a = '{a,b,C}'", "a = '[0:2]={a,b,c}'", "a = NULL", "a = '{}'", "b = '{{1,2},{3,4}}'", "b = '{1,2,3,4}'", "e = NULL", "e[1] = (2, '')", "d = '{a,b,C}'", "d = '[0:2]={a,b,c}'", "d = NULL"} {
			w.exec("CREATE TABLE kept AS TABLE t", "UPDATE t SET "+other)
			if err := w.run(u); !errors.Is(err, errRows) {
				w.Errorf("with %s: %v", other, err)
			}
			w.exec("UPDATE t SET a = kept.a, b = kept.b, e = kept.e, d = kept.d FROM kept", "DROP TABLE kept")
		}
		w.must(w.run(u))
		if got := w.content("t"); got != before {
			w.Errorf("the undo leads to %s, and not to %s", got, before)
		}
		w.exec("UPDATE t SET a = '{}', b = '{}'")
		w.must(w.run(w.undoLast()))
		if got := w.content("t"); got != before {
			w.Errorf("the undo leads to %s, and not to %s", got, before)
		}
	})
}

// TestUndoArraysInComposites: a composite value whose array has had a NULL is the one that was left, and another one is not, whatever the
// session prints of floats.
func TestUndoArraysInComposites(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TYPE pair AS (x int, y text)", "CREATE TYPE parcel AS (name text, tags text[], pairs pair[], weights float8[])", "CREATE DOMAIN sent AS parcel",
			"CREATE TABLE t (id int PRIMARY KEY, f parcel, s sent, g parcel[])",
			`INSERT INTO t SELECT 1, p, p, ARRAY[p] FROM (SELECT ('b', '{"x y",NULL}', '{"(1,a)",NULL}', '{0.1,NULL}')::parcel) p (p)`)
		w.capture(capture.Table{Name: "t"})
		before := w.content("t")
		w.exec("UPDATE t SET f.tags[2] = 'z', f.pairs[2] = (2, 'b'), f.weights[2] = 0.3, s.tags[2] = 'z', g[1].tags[2] = 'z'")
		u := w.undoLast()
		w.clean(u)
		w.exec("CREATE TABLE kept AS TABLE t")
		for _, other := range []string{"f.tags[2] = 'Z'", "f.tags = '{\"x y\"}'", "f.pairs[2] = (2, 'B')", "f.weights[2] = 0.1::float8 + 0.2", "s.tags[2] = NULL", "g[1].tags[2] = 'Z'", "f = NULL"} {
			w.exec("UPDATE t SET "+other, "SET extra_float_digits = 0")
			if err := w.run(u); !errors.Is(err, errRows) {
				w.Errorf("with %s: %v", other, err)
			}
			w.exec("RESET extra_float_digits", "UPDATE t SET f = kept.f, s = kept.s, g = kept.g FROM kept")
		}
		w.exec("UPDATE t SET f.tags[2] = NULL, f.pairs[2] = NULL, f.weights[2] = NULL, s.tags[2] = NULL, g[1].tags[2] = NULL",
			"UPDATE t SET f.tags[2] = 'z', f.pairs[2] = (2, 'b'), f.weights[2] = 0.3, s.tags[2] = 'z', g[1].tags[2] = 'z'") // as it was left, with other images
		w.must(w.run(u))
		if got := w.content("t"); got != before {
			w.Errorf("the undo leads to %s, and not to %s", got, before)
		}
	})
}

// same fails the test unless shop.t has the same rows as another table, to the byte.
func (w *world) same(as string) {
	w.Helper()
	if got, want := w.text("SELECT count(*) FROM shop.t JOIN shop."+as+" o ON t.id::text = o.id::text AND ROW(t.*)::record *= ROW(o.*)::record"),
		w.text("SELECT greatest((SELECT count(*) FROM shop.t), (SELECT count(*) FROM shop."+as+"))"); got != want {
		w.Errorf("%s of %s rows are as %s:\n%s\n%s", got, want, as, w.text("SELECT string_agg(t::text, ' ') FROM shop.t"), w.text("SELECT string_agg(t::text, ' ') FROM shop."+as+" t"))
	}
}

// TestUndoWorkload: the undo of all transactions, the last one first, leads through the states that were there in
// between, to the empty beginning.
func TestUndoWorkload(t *testing.T) {
	each(t, func(w *world) {
		r := rand.New(rand.NewPCG(dbtest.Seed(w), 15))
		var list []string
		for _, c := range columns {
			list = append(list, c.name+" "+c.typ)
		}
		w.exec("CREATE TABLE parent (id int PRIMARY KEY, "+strings.Join(list, ", ")+")",
			"CREATE TABLE child (id int, part text, parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE, "+strings.Join(list, ", ")+", PRIMARY KEY (id, part))",
			"CREATE TABLE leaf (id serial PRIMARY KEY, parent int REFERENCES parent ON DELETE SET NULL ON UPDATE SET NULL, child int, part text, boss int REFERENCES leaf ON DELETE CASCADE, a text UNIQUE, FOREIGN KEY (child, part) REFERENCES child ON DELETE CASCADE ON UPDATE CASCADE)",
			"CREATE TABLE log (a int, b text)",
			// It fires before ours, and changes the row again.
			"CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.a = 1 THEN UPDATE parent SET a = 2 WHERE id = NEW.id; END IF; RETURN NULL; END $$",
			"CREATE TRIGGER a_first AFTER INSERT OR UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION again()")
		tables := []string{"parent", "child", "leaf", "log"}
		for _, name := range tables {
			w.capture(capture.Table{Name: name})
		}
		type step struct {
			xid       int64
			startedAt time.Time
			before    string
		}
		var steps []step
		for range 80 {
			before, count := w.content(tables...), w.changes()
			w.transaction(r, []func(*rand.Rand) string{statement, leafStatement}...)
			if w.changes() != count {
				xid, startedAt := w.last()
				steps = append(steps, step{xid, startedAt, before})
			}
		}
		for _, s := range slices.Backward(steps) {
			u, err := undo.Transaction(ctx, w.store, s.xid, s.startedAt)
			w.must(err)
			if len(u.Conflicts)+len(u.Refusals) > 0 {
				w.Errorf("the undo is not clean:\n%s", u)
			}
			if err := w.run(u); err != nil {
				w.Fatalf("%v\n%s", err, u)
			}
			if got := w.content(tables...); got != s.before {
				w.Fatalf("the undo leads to\n%s\nand not to\n%s\n%s", got, s.before, u)
			}
		}
		if got := w.content(tables...); strings.Contains(got, "(") || len(steps) < 20 {
			w.Errorf("%d transactions were undone, and there is still\n%s", len(steps), got)
		}
	})
}

// leafStatement is a statement on the tables that TestUndoWorkload adds.
func leafStatement(r *rand.Rand) string {
	one := func(list ...string) string { return list[r.IntN(len(list))] }
	id := func() string { return strconv.Itoa(1 + r.IntN(8)) }
	anyLeaf := "(SELECT id FROM leaf ORDER BY md5(id::text || '" + id() + "') LIMIT 1)"
	switch r.IntN(8) {
	case 0, 1, 2:
		return "INSERT INTO leaf (parent, child, part, boss, a) SELECT (SELECT id FROM parent WHERE id = " + id() + "), c.id, c.part, " + one("NULL", anyLeaf, "currval('leaf_id_seq')") + ", " + one("NULL", "'x'", "'y'", "'z'", "'w'") +
			" FROM (SELECT) x LEFT JOIN child c ON c.id = " + id()
	case 3:
		return "UPDATE leaf SET a = CASE a WHEN 'x' THEN 'x2' ELSE 'x' END WHERE id = " + anyLeaf
	case 4:
		return "UPDATE leaf SET boss = " + one("NULL", "id", anyLeaf) + " WHERE id = " + anyLeaf
	case 5:
		return "DELETE FROM leaf WHERE id = " + anyLeaf
	case 6:
		return "INSERT INTO log VALUES (" + id() + ", 'x')"
	default:
		return one("UPDATE log SET b = b || 'y' WHERE a = "+id(), "DELETE FROM log WHERE a = "+id(), "UPDATE log SET a = "+id())
	}
}
