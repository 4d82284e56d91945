package changes_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// adoption is a database on which programs run.
type adoption struct {
	*world
	e   dbtest.Engine
	dsn string
}

// adopt runs f on each of PostgreSQL's drivers, with an empty database.
func adopt(t *testing.T, f func(a *adoption)) {
	t.Helper()
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		dsn := e.DSN(t)
		db := dbtest.Open(t, e.Driver, dsn)
		f(&adoption{world: &world{T: t, db: db, store: changes.NewStore(db, hooks.Postgres, nil)}, e: e, dsn: dsn})
	}, dbtest.PostgresEngines()...)
}

// program is one that has adopted row changes, as far as a test can have several.
type program struct {
	*adoption
	hub  *forward.Hub
	db   *sql.DB
	logs *observer.ObservedLogs
}

// program starts one by its first connection.
func (a *adoption) program(dsn string, options forward.Options, tables ...capture.Table) *program {
	a.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	options.Logger, options.Timeout = zap.New(core), dbtest.Patience
	p := &program{adoption: a, hub: forward.New(&options), logs: logs}
	p.hub.Keep(capture.Of(tables...))
	name := dbtest.Name(a.e.Driver)
	driver.Register(name, a.e.Driver, p.hub, driver.Capture(driver.AllTables()), driver.WriteTimeout(dbtest.Patience))
	p.db = dbtest.Open(a.T, name, dsn)
	a.must(p.db.PingContext(ctx))
	return p
}

// await waits until what the program wants is as it wants it.
func (p *program) await() error {
	c, cancel := context.WithTimeout(ctx, dbtest.Patience)
	defer cancel()
	return p.hub.AwaitKept(c)
}

// warnings returns the warnings, with their errors.
func (p *program) warnings() string {
	var lines []string
	for _, l := range p.logs.All() {
		if l.Level >= zapcore.WarnLevel {
			lines = append(lines, fmt.Sprint(l.Message, " ", l.ContextMap()["error"]))
		}
	}
	return strings.Join(lines, "\n")
}

func (a *adoption) until(what string, ok func() bool) {
	a.Helper()
	for deadline := time.Now().Add(dbtest.Patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			a.Fatalf("never: %s", what)
		}
	}
}

// captured returns the tables that are captured.
func (a *adoption) captured() string {
	a.Helper()
	return a.text("SELECT string_agg(DISTINCT tgrelid::regclass::text, ' ' ORDER BY tgrelid::regclass::text) FROM pg_trigger WHERE tgname = 'threadline_row' AND tgenabled = 'O'")
}

// TestKept: a program that names its tables has them captured, although it makes them after its
// first connection, and again when it has altered one.
func TestKept(t *testing.T) {
	adopt(t, func(a *adoption) {
		p := a.program(a.dsn, forward.Options{}, capture.Table{Name: "orders", Mask: []string{"card"}})
		_, err := p.db.ExecContext(ctx, "CREATE TABLE orders (id int PRIMARY KEY, card text)")
		a.must(err)
		a.until("orders is captured", func() bool { return a.captured() == "orders" })
		_, err = p.db.ExecContext(ctx, "ALTER TABLE orders ADD state text")
		a.must(err)
		a.until("the capture was replaced", func() bool { return p.logs.FilterMessageSnippet("has changed").Len() == 1 })
		_, err = p.db.ExecContext(ctx, "INSERT INTO orders VALUES (1, '4111', 'new')")
		a.must(err)
		a.wantStory("insert id: NULL → 1; card: NULL → (masked); state: NULL → new;", "orders", "1")
		if warnings := p.logs.FilterMessageSnippet("not as Hub.Keep wants it").Len(); warnings > 0 {
			t.Error(p.warnings())
		}
		a.must(p.db.Close())
	})
}

// TestKeptBesideLocks: a lock on the table holds up neither the program's connection nor, behind the
// capture, its statements, nor its end.
func TestKeptBesideLocks(t *testing.T) {
	adopt(t, func(a *adoption) {
		a.exec("CREATE TABLE orders (id int PRIMARY KEY)")
		tx, err := a.db.BeginTx(ctx, nil)
		a.must(err)
		_, err = tx.ExecContext(ctx, "INSERT INTO orders VALUES (1)")
		a.must(err)
		first, second := a.program(a.dsn, forward.Options{}, capture.Table{Name: "orders"}), a.program(a.dsn, forward.Options{}, capture.Table{Name: "orders"})
		a.until("one waits for the lock", func() bool {
			return a.text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'orders'::regclass") == "1"
		})
		_, err = first.db.ExecContext(ctx, "INSERT INTO orders VALUES (2)") // would hang for as long as tx is open
		a.must(err)
		a.must(first.db.Close())
		a.must(tx.Commit())
		a.until("orders is captured", func() bool { return a.captured() == "orders" })
		a.must(second.db.Close())
	})
}

// TestKeptByOne: one process at a time changes captures, and no lock outlives its transaction.
func TestKeptByOne(t *testing.T) {
	adopt(t, func(a *adoption) {
		a.exec("CREATE TABLE orders (id int PRIMARY KEY)")
		tx, err := a.db.BeginTx(ctx, nil)
		a.must(err)
		_, err = tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtextextended('threadline captures threadline', 7355608))")
		a.must(err)
		keep := capture.Of(capture.Table{Name: "orders"})
		if _, _, err := keep.Keep(ctx, a.db); err == nil || !strings.Contains(err.Error(), "another process captures tables") {
			t.Errorf("while another process has the lock: %v", err)
		}
		if got := a.captured(); got != "" {
			t.Errorf("captured meanwhile: %s", got)
		}
		a.must(tx.Commit())
		if done, _, err := keep.Keep(ctx, a.db); err != nil || len(done) != 1 || a.captured() != "orders" {
			t.Errorf("%q, %v; captured: %s", done, err, a.captured())
		}
		if n := a.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"); n != "0" {
			t.Errorf("%s advisory locks are left", n)
		}
	})
}

// TestKeptByTwoVersions: whichever of two versions starts first or last, nothing is loosened, and the
// one that would warns.
func TestKeptByTwoVersions(t *testing.T) {
	older := []capture.Table{{Name: "orders", Mask: []string{"note"}}}
	newer := []capture.Table{{Name: "orders", Mask: []string{"card"}, Exclude: []string{"pin"}}, {Name: "customers"}}
	for _, order := range [][][]capture.Table{{older, newer}, {newer, older}} {
		adopt(t, func(a *adoption) {
			a.exec("CREATE TABLE orders (id int PRIMARY KEY, card text, pin text, note text)", "CREATE TABLE customers (id int PRIMARY KEY)")
			programs := make([]*program, 0, len(order)) // which run at once
			for _, tables := range order {
				programs = append(programs, a.program(a.dsn, forward.Options{}, tables...))
			}
			for range 2 {
				for _, p := range programs {
					a.must(p.await())
				}
			}
			if got := a.captured(); got != "customers orders" {
				t.Errorf("captured: %s", got)
			}
			a.exec("INSERT INTO orders VALUES (1, '4111', '12', 'x')")
			a.wantStory("insert id: NULL → 1; card: NULL → (masked); note: NULL → (masked);", "orders", "1")
			for i, p := range programs {
				got := p.warnings()
				want := []string{`"pin" of "public"."orders" stays excluded, although this program's list has it kept`, `"card" of "public"."orders" stays masked`, `"customers" is captured, and is not in this program's list`}
				if len(order[i]) == 2 {
					want = []string{`"note" of "public"."orders" stays masked`}
				}
				for _, line := range want {
					if strings.Count(got, line) != 1 {
						t.Errorf("program %d: the warnings are\n%s\nwant once %s", i+1, got, line)
					}
				}
				a.must(p.db.Close())
			}
		})
	}
}

// TestKeptStricter: what a newer list masks or excludes is so at once; what is loosened by hand stays
// loosened; and no rename takes a mask off.
func TestKeptStricter(t *testing.T) {
	adopt(t, func(a *adoption) {
		a.exec("CREATE TABLE orders (id int PRIMARY KEY, card text, pin text)")
		run := func(table capture.Table, want, key string) {
			t.Helper()
			p := a.program(a.dsn, forward.Options{}, table)
			a.must(p.await())
			a.exec("INSERT INTO " + table.Name + " VALUES (" + key + ", '4111', '12')")
			a.wantStory(want, table.Name, key)
			a.must(p.db.Close())
		}
		run(capture.Table{Name: "orders"}, "insert id: NULL → 1; card: NULL → 4111; pin: NULL → 12;", "1")
		run(capture.Table{Name: "orders", Mask: []string{"pin", "card"}}, "insert id: NULL → 2; card: NULL → (masked); pin: NULL → (masked);", "2")
		run(capture.Table{Name: "orders", Exclude: []string{"pin"}}, "insert id: NULL → 3; card: NULL → (masked);", "3")
		a.exec("ALTER TABLE orders RENAME card TO number")
		run(capture.Table{Name: "orders"}, "insert id: NULL → 4; number: NULL → (masked);", "4")
		a.exec("ALTER TABLE orders RENAME TO sales")
		run(capture.Table{Name: "sales"}, "insert id: NULL → 5; number: NULL → (masked);", "5")
		a.capture(capture.Table{Name: "sales"})
		run(capture.Table{Name: "sales"}, "insert id: NULL → 6; number: NULL → 4111; pin: NULL → 12;", "6")
	})
}

// TestKeptByNewer: a program leaves what it does not know as it is.
func TestKeptByNewer(t *testing.T) {
	for change, want := range map[string]string{
		`regexp_replace(definition, '"generation":(\d+)', '"generation":\19')`: "captured by a newer version of this package",
		`replace(definition, '-- Planned from', '--')`:                         "it is not known what was masked",
	} {
		adopt(t, func(a *adoption) {
			a.exec("CREATE TABLE orders (id int PRIMARY KEY, card text)")
			a.must(a.installer().Migrate(ctx))
			a.capture(capture.Table{Name: "orders", Mask: []string{"card"}})
			const definition = "(SELECT pg_get_functiondef(oid) AS definition FROM pg_proc WHERE proname LIKE 'capture\\_%') d"
			current := a.text("SELECT substring(definition FROM '-- Planned from \\{\"generation\":\\d+,') FROM " + definition)
			a.exec("DO $do$ BEGIN EXECUTE (SELECT " + change + " FROM " + definition + "); END $do$")
			before := a.text("SELECT definition FROM " + definition)
			p := a.program(a.dsn, forward.Options{}, capture.Table{Name: "orders"})
			a.must(p.await())
			if got := p.warnings(); !strings.Contains(got, want) {
				t.Errorf("warnings: %s, want %s", got, want)
			}
			if after := a.text("SELECT definition FROM " + definition); after != before || strings.Contains(after, current) {
				t.Error("the capture was replaced")
			}
			a.must(p.db.Close())
		})
	}
}

// TestKeptElsewhere: a program whose role may not capture says once what to run, and goes on. What
// it says is true.
func TestKeptElsewhere(t *testing.T) {
	for name, c := range map[string]struct {
		before string // what the role has; {role} is its name
		table  string // whose table orders is
		want   string
		inline bool // the remedy is in the line itself
	}{
		"nothing is there":       {"GRANT INSERT ON orders TO {role}", "the owner's", "GRANT CREATE ON DATABASE", false},
		"the history is not its": {"{schema} GRANT INSERT ON orders TO {role}", "the owner's", "run the statements in sql as the role that owns the history", false},
		"nor is the table":       {"{schema} ALTER TABLE orders OWNER TO {role}; REVOKE ALL ON orders FROM CURRENT_USER", "the role's", "run the statements in sql as the role that owns the history", false},
		"only the history is":    {"GRANT CREATE ON DATABASE {database} TO {role}; GRANT INSERT ON orders TO {role}", "the owner's", "GRANT TRIGGER ON \"public\".\"orders\" TO {role}", true},
	} {
		t.Run(name, func(t *testing.T) {
			adopt(t, func(a *adoption) {
				role := dbtest.Name("app")
				a.exec("CREATE TABLE orders (id int PRIMARY KEY)", `CREATE ROLE "`+role+`" LOGIN`)
				a.Cleanup(func() { a.exec(`DROP OWNED BY "`+role+`" CASCADE`, `DROP ROLE "`+role+`"`) })
				if strings.Contains(c.before, "{schema}") {
					a.must(a.installer().Migrate(ctx))
				}
				fill := strings.NewReplacer("{schema}", "", "{role}", `"`+role+`"`, "{database}", `"`+a.text("SELECT current_database()")+`"`).Replace
				a.exec(fill(c.before))
				p := a.program(a.dsn+" user="+role, forward.Options{NoJournal: true}, capture.Table{Name: "orders"})
				for range 3 {
					if err := p.await(); err == nil {
						t.Fatal("the role may capture")
					}
				}
				_, err := p.db.ExecContext(ctx, "INSERT INTO orders VALUES (1)")
				a.must(err)
				said := p.logs.FilterMessageSnippet("not as Hub.Keep wants it").All()
				if len(said) != 1 {
					t.Fatalf("it says %d times what is wrong:\n%s", len(said), p.warnings())
				}
				fields := said[0].ContextMap()
				if got := fmt.Sprint(fields["error"]); !strings.Contains(got, fill(c.want)) {
					t.Errorf("it says %s\nwant %s", got, fill(c.want))
				}
				a.exec(fmt.Sprint(fields["sql"]))
				a.until("all is as it should be", func() bool { return p.await() == nil })
				_, err = p.db.ExecContext(ctx, "INSERT INTO orders VALUES (2)")
				a.must(err)
				a.wantStory("insert id: NULL → 2;", "orders", "2")
				if c.inline != strings.Contains(fmt.Sprint(fields["error"]), strings.TrimSuffix(fmt.Sprint(fields["sql"]), ";\n")) {
					t.Errorf("the line is %v", fields)
				}
				a.must(p.db.Close())
			})
		})
	}
}

// TestKeptByRelay: a process that relays, as the owner, captures what the apps may not.
func TestKeptByRelay(t *testing.T) {
	adopt(t, func(a *adoption) {
		a.exec("CREATE TABLE orders (id int PRIMARY KEY)")
		hub := forward.New(&forward.Options{Logger: zap.NewNop()})
		hub.Register(sink{}, forward.Async)
		hub.Keep(capture.Of(capture.Table{Name: "orders"}))
		c, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- hub.Relay(c, a.db, hooks.Postgres) }()
		a.until("orders is captured", func() bool { return a.captured() == "orders" })
		cancel()
		a.must(<-done)
	})
}

// TestKeptOff: with the mode off nothing is made.
func TestKeptOff(t *testing.T) {
	t.Setenv("AFTERCOMMIT_MODE", "off")
	adopt(t, func(a *adoption) {
		a.exec("CREATE TABLE orders (id int PRIMARY KEY)")
		p := a.program(a.dsn, forward.Options{}, capture.Table{Name: "orders"})
		a.must(p.await())
		a.must(p.db.Close())
		if got := a.text("SELECT count(*) FROM pg_namespace WHERE nspname = 'threadline'"); got != "0" {
			t.Error("the schema was made")
		}
	})
}

// sink accepts all.
type sink struct{}

func (sink) Forward(context.Context, []journal.Entry) error { return nil }

// TestKeptStale: what another process has done since a program looked is not undone, and a
// transaction that takes locks waits little for them.
func TestKeptStale(t *testing.T) {
	adopt(t, func(a *adoption) {
		a.exec("CREATE TABLE orders (id int PRIMARY KEY, card text)")
		proxy := dbtest.NewProxy(t, dbtest.Shared(t).Addr())
		steps := proxy.Watch(func(query string) bool {
			return strings.HasPrefix(query, "SET LOCAL") || strings.HasPrefix(query, "CREATE ") || strings.HasPrefix(query, "DROP ") || strings.EqualFold(query, "commit")
		})
		trap := proxy.Next(dbtest.HoldStatement, func(query string) bool { return strings.Contains(query, "pg_try_advisory_xact_lock") })
		older := dbtest.Open(t, a.e.Driver, dbtest.Via(a.dsn, proxy.Addr()))
		done := make(chan error, 1)
		go func() {
			_, _, err := capture.Of(capture.Table{Name: "orders"}).Keep(ctx, older)
			done <- err
		}()
		defer trap.Release()
		select {
		case <-trap.Sprung():
		case err := <-done:
			t.Fatalf("it took no lock: %v", err)
		}
		_, _, err := capture.Of(capture.Table{Name: "orders", Mask: []string{"card"}}).Keep(ctx, a.db)
		a.must(err)
		trap.Release()
		a.must(<-done)
		a.exec("INSERT INTO orders VALUES (1, '4111')")
		a.wantStory("insert id: NULL → 1; card: NULL → (masked);", "orders", "1")

		a.exec("DROP TRIGGER threadline_row ON orders")
		_, _, err = capture.Of(capture.Table{Name: "orders"}).Keep(ctx, older)
		a.must(err)
		got := steps.Queries()
		if last := max(0, len(got)-5); !strings.HasPrefix(strings.Join(got[last:], "; "), "SET LOCAL lock_timeout = '100ms'; CREATE OR REPLACE FUNCTION") {
			t.Errorf("the last steps are %.300q", got[last:])
		}
	})
}
