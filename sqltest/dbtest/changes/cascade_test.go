package changes_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// TestForeignKeyActions: what a foreign key has made is named, and what the app has made is never taken for it.
func TestForeignKeyActions(t *testing.T) {
	const parent = "CREATE TABLE p (x int, y int, note text, PRIMARY KEY (x, y)); INSERT INTO p VALUES (1, 1), (1, 2), (1, 3), (9, 3), (0, 0)"
	child := func(columns, key string) string {
		return "CREATE TABLE c (id int, x int DEFAULT 0, y int DEFAULT 0, " + columns + "CONSTRAINT fk FOREIGN KEY (x, y) REFERENCES p " + key + "); INSERT INTO c VALUES (11, 1, 1), (12, 1, 2), (13, 1, 3), (20, NULL, NULL)"
	}
	const byID = "PRIMARY KEY (id), "
	for name, c := range map[string]struct {
		tables string
		do     []string
		want   []string
		newer  string // than which server version
	}{
		"delete cascade":  {tables: child(byID, "ON DELETE CASCADE"), do: []string{"DELETE FROM p WHERE y < 3", "DELETE FROM c WHERE id = 13"}, want: []string{"delete c 11 fk", "delete c 12 fk", "delete c 13", "delete p 0,0", "delete p 1,1", "delete p 1,2"}},
		"delete set null": {tables: child(byID, "ON DELETE SET NULL"), do: []string{"DELETE FROM p WHERE x = 1 AND y < 3", "UPDATE c SET x = NULL WHERE id = 13"}, want: []string{"delete p 1,1", "delete p 1,2", "update c 11 fk", "update c 12 fk", "update c 13"}},
		"set null, full": {
			tables: child(byID, "MATCH FULL ON DELETE SET NULL ON UPDATE CASCADE"), do: []string{"DELETE FROM p WHERE x = 1 AND y = 1", "UPDATE p SET y = 5 WHERE y = 2", "UPDATE c SET x = NULL, y = NULL WHERE id = 13"},
			want: []string{"delete p 1,1", "update c 11 fk", "update c 12 fk", "update c 13", "update p 1,5"},
		},
		"set null, one column": {
			newer: "150000", tables: child(byID, "ON DELETE SET NULL (y)"), do: []string{"DELETE FROM p WHERE x = 1 AND y = 1", "UPDATE c SET y = NULL WHERE id = 13"},
			want: []string{"delete p 1,1", "update c 11 fk", "update c 13"},
		},
		"delete set default": {tables: child(byID, "ON DELETE SET DEFAULT"), do: []string{"DELETE FROM p WHERE x = 1 AND y = 1", "UPDATE c SET x = 0, y = 0 WHERE id = 13"}, want: []string{"delete p 1,1", "update c 11 fk", "update c 13"}},
		"update cascade, one column, in the key": {
			tables: strings.Replace(child("PRIMARY KEY (id, y), ", "ON UPDATE CASCADE"), ", (20, NULL, NULL)", "", 1), do: []string{"UPDATE p SET x = 7 WHERE y = 1", "UPDATE c SET x = 9 WHERE id = 13"},
			want: []string{"update c 11,1 fk", "update c 13,3", "update p 7,1"},
		},
		"update cascade, one column": {
			tables: child(byID, "ON UPDATE CASCADE"), do: []string{"UPDATE p SET x = 9 WHERE y = 1", "UPDATE c SET x = 9 WHERE id = 13"},
			want: []string{"update c 11 fk", "update c 13", "update p 9,1"},
		},
		"update set null":    {tables: child(byID, "ON UPDATE SET NULL"), do: []string{"UPDATE p SET x = 8 WHERE y = 1", "UPDATE p SET note = 'n' WHERE y = 2", "UPDATE c SET x = NULL, y = NULL WHERE id = 12"}, want: []string{"update c 11 fk", "update c 12", "update p 1,2", "update p 8,1"}},
		"update set default": {tables: child(byID, "ON UPDATE SET DEFAULT"), do: []string{"UPDATE p SET x = 8 WHERE y = 1"}, want: []string{"update c 11 fk", "update p 8,1"}},
		"no action, deferred": {
			tables: child(byID, "DEFERRABLE INITIALLY DEFERRED"), do: []string{"DELETE FROM p WHERE y = 1", "DELETE FROM c WHERE id = 11", "UPDATE p SET x = 8 WHERE y = 2", "UPDATE c SET x = 8 WHERE id = 12"},
			want: []string{"delete c 11", "delete p 1,1", "update c 12", "update p 8,2"},
		},
		"after the parent": {
			tables: child(byID, "ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED"), do: []string{"DELETE FROM p WHERE y = 1", "INSERT INTO c VALUES (15, 1, 1)", "DELETE FROM c WHERE id = 15", "UPDATE c SET y = 1 WHERE id = 12", "DELETE FROM c WHERE id = 12"},
			want: []string{"delete c 11 fk", "delete c 12", "delete c 15", "delete p 1,1", "insert c 15", "update c 12"},
		},
		"parent again": {
			tables: child(byID, "ON DELETE CASCADE"), do: []string{"DELETE FROM p WHERE y = 1", "INSERT INTO p VALUES (1, 1)", "INSERT INTO c VALUES (15, 1, 1)", "DELETE FROM c WHERE id = 15"},
			want: []string{"delete c 11 fk", "delete c 15", "delete p 1,1", "insert c 15", "insert p 1,1"},
		},
		"two": {tables: child(byID, "ON DELETE CASCADE, CONSTRAINT again FOREIGN KEY (x, y) REFERENCES p ON DELETE CASCADE"), do: []string{"DELETE FROM p WHERE y = 1"}, want: []string{"delete c 11 fk, again", "delete p 1,1"}},
		"itself": {
			tables: "CREATE TABLE c (id int PRIMARY KEY, up int REFERENCES c ON DELETE CASCADE); INSERT INTO c VALUES (1, NULL), (2, 1), (3, NULL)", do: []string{"DELETE FROM c WHERE id IN (1, 3)"},
			want: []string{"delete c 1", "delete c 2", "delete c 3"},
		},
		"kept by a trigger": {
			tables: child(byID, "ON DELETE CASCADE") + "; CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF OLD.id = 11 AND current_setting(''a.b'', true) IS DISTINCT FROM ''go'' THEN RETURN NULL; END IF; RETURN OLD; END'; CREATE TRIGGER keep BEFORE DELETE ON c FOR EACH ROW EXECUTE FUNCTION keep()",
			do:     []string{"DELETE FROM p WHERE x = 1 AND y < 3", "SET LOCAL a.b = 'go'", "DELETE FROM c WHERE id = 11"}, want: []string{"delete c 11", "delete c 12", "delete p 1,1", "delete p 1,2"},
		},
		"kept by a rule": {
			tables: child(byID, "ON DELETE CASCADE") + "; CREATE RULE keep AS ON DELETE TO c WHERE OLD.id = 11 AND current_setting('a.b', true) IS DISTINCT FROM 'go' DO INSTEAD NOTHING",
			do:     []string{"DELETE FROM p WHERE x = 1 AND y = 1", "SET LOCAL a.b = 'go'", "DELETE FROM c WHERE id = 11"}, want: []string{"delete c 11", "delete p 1,1"},
		},
		"made by a trigger": {
			tables: child(byID, "ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED") + "; CREATE FUNCTION make() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO c VALUES (15, OLD.x, OLD.y); RETURN NULL; END'; CREATE TRIGGER audit AFTER DELETE ON p FOR EACH ROW EXECUTE FUNCTION make()",
			do:     []string{"DELETE FROM p WHERE x = 1 AND y = 1", "DELETE FROM c WHERE id = 15"}, want: []string{"delete c 11", "delete c 15", "delete p 1,1", "insert c 15"},
		},
		"disabled": {tables: child(byID, "ON DELETE CASCADE") + "; DELETE FROM c WHERE id > 11; ALTER TABLE p DISABLE TRIGGER ALL", do: []string{"DELETE FROM p WHERE x = 1 AND y = 1", "DELETE FROM c WHERE id = 11"}, want: []string{"delete c 11", "delete p 1,1"}},
	} {
		t.Run(name, func(t *testing.T) {
			onPQ(t, func(w *world) {
				if version := w.text("SHOW server_version_num"); version < c.newer {
					t.Skipf("PostgreSQL %s", version)
				}
				w.exec(parent, c.tables)
				w.capture(capture.Table{Name: "p"}, capture.Table{Name: "c"})
				w.inOne(c.do...)
				got := w.byForeignKeys()
				if !slices.Equal(got, c.want) {
					t.Errorf("%q, want %q", got, c.want)
				}
			})
		})
	}
}

// TestForeignKeyActionsWithoutRights: who may read the history, and not the app's tables, gets what the history tells.
func TestForeignKeyActionsWithoutRights(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE p (x int, y int, PRIMARY KEY (x, y))", "INSERT INTO p VALUES (1, 1)",
			"CREATE TABLE c (id int PRIMARY KEY, x int, y int, CONSTRAINT fk FOREIGN KEY (x, y) REFERENCES p ON UPDATE CASCADE)", "INSERT INTO c VALUES (11, 1, 1), (12, 1, 1)",
			"DROP ROLE IF EXISTS changes_reader", "CREATE ROLE changes_reader", "GRANT USAGE ON SCHEMA threadline TO changes_reader", "GRANT SELECT ON ALL TABLES IN SCHEMA threadline TO changes_reader")
		w.capture(capture.Table{Name: "p"}, capture.Table{Name: "c"})
		w.exec("UPDATE p SET x = 2 WHERE x = 1")
		xid, startedAt := w.last()
		w.exec("DELETE FROM c WHERE id = 11") // a deleted row is kept whole, and so the value of y is known
		w.db.SetMaxOpenConns(1)
		defer w.exec("RESET ROLE", "DROP OWNED BY changes_reader", "DROP ROLE changes_reader")
		want := func(want string) {
			w.Helper()
			kept, err := w.store.Transaction(ctx, xid, startedAt, 100)
			w.must(err)
			var list []string
			for _, c := range kept.Changes {
				list = append(list, strings.TrimSpace(c.Table+" "+strings.Join(c.Key, ",")+" "+c.ForeignKey))
			}
			slices.Sort(list)
			if got := strings.Join(list, "; "); got != want {
				w.Errorf("%s; want %s", got, want)
			}
		}
		want("c 11 fk; c 12 fk; p 2,1")
		w.exec("SET ROLE changes_reader")
		want("c 11 fk; c 12; p 2,1")
		w.exec("RESET ROLE", "REVOKE SELECT ON threadline.audit_captures FROM changes_reader", "SET ROLE changes_reader")
		want("c 11; c 12; p 2,1")
	})
}

// TestLosses: what was lost of a transaction is counted, and what foreign keys have made of the rest is not guessed.
func TestLosses(t *testing.T) {
	onPQ(t, func(w *world) {
		w.exec("CREATE TABLE p (id int PRIMARY KEY)", "CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE)", "INSERT INTO p VALUES (1)", "INSERT INTO c VALUES (1, 1)")
		w.capture(capture.Table{Name: "p"}, capture.Table{Name: "c"})
		w.exec("DELETE FROM p")
		xid, startedAt := w.last()
		w.exec("INSERT INTO threadline.audit_gaps (xid, tx_started_at, table_id, op, reason, lsn) SELECT c.xid, c.tx_started_at, c.table_id, 'INSERT', 'lost', pg_current_wal_insert_lsn() + n FROM threadline.audit_changes c, generate_series(1, 3) n WHERE c.key = '(1)'")
		kept, err := w.store.Transaction(ctx, xid, startedAt, 2)
		w.must(err)
		n := 0
		for _, l := range kept.Lost {
			n += l.Count
		}
		if len(kept.Lost) != 2 || n != 6 || kept.MoreLost {
			w.Errorf("%+v", kept)
		}
		for _, c := range kept.Changes {
			if c.ForeignKey != "" {
				w.Errorf("%s of %s by %s", c.Op, c.Table, c.ForeignKey)
			}
		}
	})
}

// byForeignKeys are the changes of the last transaction, each with the foreign key that has made it, sorted.
func (w *world) byForeignKeys() (list []string) {
	w.Helper()
	xid, startedAt := w.last()
	kept, err := w.store.Transaction(ctx, xid, startedAt, 100)
	w.must(err)
	for _, c := range kept.Changes {
		list = append(list, strings.TrimSpace(string(c.Op)+" "+c.Table+" "+strings.Join(c.Key, ",")+" "+c.ForeignKey))
	}
	slices.Sort(list)
	return list
}
