package changes_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// keep keeps tables as a program that runs beside others does, and returns the warnings.
func (w *world) keep(tables ...capture.Table) string {
	w.Helper()
	_, warnings, err := capture.Of(tables...).Keep(ctx, w.db)
	w.must(err)
	return strings.Join(warnings, "\n")
}

// secretive is a table of which a card is masked, a number hashed and a pin excluded.
func secretive(name string) capture.Table {
	return capture.Table{Name: name, Mask: []string{"card"}, Hash: []string{"number"}, Exclude: []string{"pin"}}
}

const secrets = "(id int, region text, card text, number text, pin text, PRIMARY KEY (id, region))"

// wantSecret inserts a row into one table, and wants its change under another, with nothing of what is secret.
func (w *world) wantSecret(into, table string) {
	w.Helper()
	w.exec("DELETE FROM threadline.audit_changes", "INSERT INTO "+into+" (id, region, card, number, pin) VALUES (1, 'eu', 'secret-c', 'secret-n', 'secret-p')", "DELETE FROM "+into)
	if got := w.text("SELECT string_agg(c::text, ' ') FROM threadline.audit_changes c"); strings.Contains(got, "secret") || got == "" {
		w.Errorf("of %s, kept is %s", into, got)
	}
	if table != "" {
		if got := w.story(table, "1", "eu"); !strings.Contains(got, "card: NULL → (masked);") || !strings.Contains(got, "number: NULL → (masked ") || strings.Contains(got, "pin") {
			w.Errorf("the history of %s is %s", table, got)
		}
	}
}

// wantOpen plans a table by hand without masks, and wants that a program which keeps it leaves it so.
func (w *world) wantOpen(into, table string) {
	w.Helper()
	w.capture(capture.Table{Name: table})
	for range 2 {
		w.exec("DELETE FROM threadline.audit_changes", "INSERT INTO "+into+" (id, region, card, number, pin) VALUES (1, 'eu', 'secret-c', 'secret-n', 'secret-p')", "DELETE FROM "+into)
		if got := w.text("SELECT string_agg(c::text, ' ') FROM threadline.audit_changes c"); strings.Count(got, "secret") != 6 {
			w.Errorf("after %s was loosened by hand, kept is %s", table, got)
		}
		if got := w.keep(capture.Table{Name: table}); strings.Contains(got, "stays masked") {
			w.Errorf("after %s was loosened by hand: %s", table, got)
		}
	}
}

// TestKeptRemade: a program whose list has no masks takes none off, although a migration has made the table, or
// the column, anew.
func TestKeptRemade(t *testing.T) {
	with(t, func(w *world) {
		open := capture.Table{Name: "t"}
		for _, c := range []struct {
			name  string
			steps func()
		}{
			{"dropped", func() { w.exec("DROP TABLE t", "CREATE TABLE t "+secrets) }},
			{"dropped twice", func() {
				w.exec("DROP TABLE t", "CREATE TABLE t (id int PRIMARY KEY)")
				w.keep(open)
				w.exec("DROP TABLE t", "CREATE TABLE t "+secrets)
			}},
			{"renamed", func() { w.exec("ALTER TABLE t RENAME TO former", "CREATE TABLE t "+secrets) }},
			{"renamed and kept", func() {
				w.exec("ALTER TABLE t RENAME TO former")
				w.keep(capture.Table{Name: "former"})
				w.exec("CREATE TABLE t " + secrets)
			}},
			{"exchanged", func() {
				w.exec("CREATE TABLE other " + secrets)
				w.keep(capture.Table{Name: "other"})
				w.exec("DROP TABLE t", "ALTER TABLE other RENAME TO t")
			}},
			{"columns dropped", func() {
				w.exec("ALTER TABLE t DROP card, DROP number, DROP pin")
				w.keep(open)
				w.exec("ALTER TABLE t ADD card text, ADD number text, ADD pin text")
				w.wantSecret("t", "") // before the next plan
			}},
			{"columns exchanged", func() {
				w.exec("ALTER TABLE t RENAME card TO c2", "ALTER TABLE t RENAME number TO n2", "ALTER TABLE t RENAME pin TO p2")
				w.keep(open)
				w.exec("ALTER TABLE t ADD card text, ADD number text, ADD pin text")
				w.wantSecret("t", "")
			}},
		} {
			w.exec("DROP SCHEMA threadline CASCADE", "DROP TABLE IF EXISTS t, former, other", "CREATE TABLE t "+secrets)
			w.keep(secretive("t"))
			c.steps()
			got := w.keep(open)
			for _, line := range []string{`"card" of "public"."t" stays masked`, `"number" of "public"."t" stays hashed`, `"pin" of "public"."t" stays excluded`} {
				if strings.Count(got, line) != 1 {
					w.Errorf("%s: the warnings are %s, want %s", c.name, got, line)
				}
			}
			w.wantSecret("t", "t")
			w.keep(open)
			w.wantSecret("t", "t")
			w.wantOpen("t", "t")
		}
	}, dbtest.PQ)
}

// TestKeptPartitions: a table that becomes a partition, or is none any more, takes its masks with it.
func TestKeptPartitions(t *testing.T) {
	with(t, func(w *world) {
		keep := func(names ...string) {
			for _, name := range names {
				w.keep(capture.Table{Name: name})
			}
		}
		const attach = "ALTER TABLE p ATTACH PARTITION t FOR VALUES IN ('eu')"
		for _, c := range []struct {
			name        string
			masked      string // which is, in the beginning, before the others are captured
			others      []string
			steps       func()
			into, table string
		}{
			{"attached", "t", []string{"p"}, func() {
				w.exec(attach)
				keep("p")
			}, "p", "p"},
			{"attached with a renamed column", "t", []string{"p"}, func() {
				w.exec("CREATE TABLE t2 " + strings.Replace(secrets, "card", "c2", 1))
				w.keep(capture.Table{Name: "t2", Mask: []string{"c2"}, Hash: []string{"number"}, Exclude: []string{"pin"}})
				w.exec("ALTER TABLE t2 RENAME c2 TO card", "ALTER TABLE p ATTACH PARTITION t2 FOR VALUES IN ('eu')")
				keep("p")
			}, "p", "p"},
			{"attached under another name", "t", []string{"p"}, func() {
				w.exec("ALTER TABLE t RENAME TO t2", "ALTER TABLE p ATTACH PARTITION t2 FOR VALUES IN ('eu')")
				keep("p")
			}, "p", "p"},
			{"attached after its capture was dropped", "t", []string{"p"}, func() {
				w.exec("DROP TRIGGER threadline_row ON t", attach)
				keep("p")
			}, "p", "p"},
			{"detached", "p", nil, func() {
				w.exec(attach)
				keep("p")
				w.exec("ALTER TABLE p DETACH PARTITION t")
				keep("p", "t")
			}, "t", "t"},
			{"there and back", "p", []string{"t"}, func() {
				w.exec(attach)
				keep("p")
				w.exec("ALTER TABLE p DETACH PARTITION t")
				keep("p", "t")
			}, "t", "t"},
			{"from one to another", "p", []string{"q"}, func() {
				w.exec(attach)
				keep("p")
				w.exec("ALTER TABLE p DETACH PARTITION t", "ALTER TABLE q ATTACH PARTITION t FOR VALUES IN ('eu')")
				keep("q", "p")
			}, "q", "q"},
		} {
			w.exec("DROP SCHEMA threadline CASCADE", "DROP TABLE IF EXISTS p, q, t, t2", "CREATE TABLE t "+secrets, "CREATE TABLE p "+secrets+" PARTITION BY LIST (region)", "CREATE TABLE q "+secrets+" PARTITION BY LIST (region)")
			w.keep(secretive(c.masked))
			keep(c.others...)
			c.steps()
			t.Log(c.name)
			w.wantSecret(c.into, c.table)
			w.wantOpen(c.into, c.into)
			if c.into != "t" { // a new partition brings nothing back
				w.exec("CREATE TABLE fresh PARTITION OF " + c.into + " FOR VALUES IN ('us')")
				if got := w.keep(capture.Table{Name: c.into}); strings.Contains(got, "stays masked") {
					w.Errorf("%s: with a new partition: %s", c.name, got)
				}
			}
		}
	}, dbtest.PGX)
}

// TestKeptWithoutKey: a key that no index proves any more holds up neither the table's masks nor other
// tables, and is used again once it can be.
func TestKeptWithoutKey(t *testing.T) {
	with(t, func(w *world) {
		w.exec("CREATE TABLE t (no int NOT NULL, card text)", "CREATE UNIQUE INDEX no ON t (no)", "CREATE TABLE u (id int PRIMARY KEY, no int NOT NULL UNIQUE, card text)", "CREATE TABLE v (id int PRIMARY KEY)")
		key := []string{"no"}
		w.keep(capture.Table{Name: "t", Key: key}, capture.Table{Name: "u", Key: key})
		w.exec("DROP INDEX no", "ALTER TABLE u DROP CONSTRAINT u_no_key")
		for _, key := range [][]string{nil, key} {
			got := w.keep(capture.Table{Name: "t", Mask: []string{"card"}, Key: key}, capture.Table{Name: "u", Mask: []string{"card"}, Key: key}, capture.Table{Name: "v"})
			for _, want := range []string{
				`"public"."t": no unique index has exactly the columns of the key, no: add one that is neither partial nor deferrable: until it can be the key, its rows are kept whole`,
				`"public"."u": no unique index has exactly the columns of the key, no: add one that is neither partial nor deferrable: until it can be the key, its primary key is used`,
			} {
				if strings.Count(got, want) != 1 {
					t.Errorf("the warnings are %s, want %s", got, want)
				}
			}
		}
		w.exec("INSERT INTO t VALUES (1, 'secret')", "INSERT INTO u VALUES (7, 1, 'secret')", "INSERT INTO v VALUES (1)")
		if got := w.text("SELECT string_agg(concat(key, new_row), ' ' ORDER BY lsn) FROM threadline.audit_changes"); got != "(1,) (7)(7,1,) (1)(1)" {
			t.Errorf("kept is %s", got)
		}
		w.exec("CREATE UNIQUE INDEX no ON t (no)")
		if got := w.keep(capture.Table{Name: "t"}, capture.Table{Name: "v"}); strings.Contains(got, "until it can be the key") || strings.Contains(got, `"public"."t" has no key`) {
			t.Errorf("with a key again: %s", got)
		}
		w.exec("INSERT INTO t VALUES (2, 'secret')")
		if got := w.text("SELECT concat(key, new_row) FROM threadline.audit_changes ORDER BY lsn DESC LIMIT 1"); got != "(2)(2,)" {
			t.Errorf("with a key again, kept is %s", got)
		}

		// What another program wants to be the key is masked by this one's list.
		if got := w.keep(capture.Table{Name: "t", Mask: []string{"no"}}); !strings.Contains(got, `column "no" is in the key, and cannot be masked, hashed or excluded`) {
			t.Errorf("a masked key: %s", got)
		}
		w.exec("DELETE FROM threadline.audit_changes", "INSERT INTO t VALUES (3, 'secret')")
		if got := w.text("SELECT new_row FROM threadline.audit_changes"); got != "(,)" {
			t.Errorf("of a masked key, kept is %s", got)
		}
	}, dbtest.PGX)
}

// TestKeptRemadeElsewhere: a role that may not read the notes says what to run, and that takes no masks off either.
func TestKeptRemadeElsewhere(t *testing.T) {
	with(t, func(w *world) {
		role := dbtest.Name("app")
		w.exec("CREATE TABLE t "+secrets, `CREATE ROLE "`+role+`" LOGIN`)
		w.Cleanup(func() { w.exec(`DROP OWNED BY "`+role+`" CASCADE`, `DROP ROLE "`+role+`"`) })
		w.exec("CREATE TABLE other " + secrets)
		w.keep(secretive("t"), capture.Table{Name: "other"})
		w.exec("DROP TABLE t", "ALTER TABLE other RENAME TO t")
		_, _, err := capture.Of(capture.Table{Name: "t"}).Keep(ctx, dbtest.Open(t, dbtest.PQ.Driver, w.dsn+" user="+role))
		var remedy interface{ Statements() string }
		if !errors.As(err, &remedy) {
			t.Fatalf("a role that may not capture: %v", err)
		}
		w.exec(remedy.Statements())
		w.wantSecret("t", "t")
	}, dbtest.PQ)
}
