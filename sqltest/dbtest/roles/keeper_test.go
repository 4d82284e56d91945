package roles_test

import (
	"database/sql"
	_ "embed" // older scripts
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

var (
	//go:embed testdata/journal_v2.sql.txt
	oldJournal string
	//go:embed testdata/timeline_old.sql.txt
	oldTimeline string
)

// kept is a journal and a timeline of an older version, which the owner has made.
type kept struct {
	*world
	app    *stranger
	member *stranger // of the owner's role
}

func newKept(t *testing.T, e dbtest.Engine) *kept {
	t.Helper()
	k := &kept{world: newWorld(t, e)}
	k.app, k.member = k.stranger(), k.stranger()
	k.must(k.super.ExecContext(ctx, `GRANT "`+k.ownerRole+`" TO "`+k.member.role+`"`))
	k.must(k.super.ExecContext(ctx, `CREATE TABLE orders (id integer PRIMARY KEY); GRANT ALL ON orders TO "`+k.app.role+`"; GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO "`+k.app.role+`"`))
	for _, db := range []*sql.DB{k.super, k.member.db} { // as roles for migrations often have them
		k.must(db.ExecContext(ctx, "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC; ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO PUBLIC"))
	}
	k.must(k.owner.ExecContext(ctx, "BEGIN; "+oldJournal+" COMMIT"))
	k.must(k.owner.ExecContext(ctx, oldTimeline))
	k.must(k.owner.ExecContext(ctx, `GRANT USAGE ON SCHEMA aftercommit, threadline TO "`+k.app.role+`"; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA aftercommit TO "`+k.app.role+`"; GRANT EXECUTE ON FUNCTION threadline.record(json) TO "`+k.app.role+`"`))
	return k
}

// works fails the test unless all that is in the schemas is the owner's, PUBLIC may only
// read the versions, and the app can commit strict events and write to the timeline.
func (k *kept) works() {
	k.Helper()
	if others := k.others(); others != "" {
		k.Errorf("not the owner's: %s", others)
	}
	for r := range strings.SplitSeq(k.rights(), "; ") {
		if strings.HasPrefix(r, "PUBLIC") && !strings.Contains(forReaders, r+"; ") && r != "PUBLIC SELECT on aftercommit.schema_versions" && r != "PUBLIC SELECT on threadline.schema_version" {
			k.Errorf("a right of others: %s", r)
		}
	}
	if err := k.commit(); err != nil {
		k.Errorf("the app's transaction: %v", err)
	}
	if err := k.record(); err != nil {
		k.Errorf("the app's timeline: %v", err)
	}
}

func (k *kept) others() string {
	k.Helper()
	return k.text(`SELECT coalesce(string_agg(name, ' ' ORDER BY name COLLATE "C"), '') FROM (
		SELECT oid::regclass::text, relowner, relnamespace FROM pg_class
		UNION ALL SELECT oid::regprocedure::text, proowner, pronamespace FROM pg_proc) o (name, owner, schema)
		WHERE schema IN (SELECT oid FROM pg_namespace WHERE nspname IN ('aftercommit', 'threadline'))
		AND owner <> '"` + k.ownerRole + `"'::regrole`)
}

// opens connects with a hub, which migrates the journal.
func (k *kept) opens(role string) (*sql.DB, error) {
	k.Helper()
	name := dbtest.Name(k.e.Driver)
	driver.Register(name, k.e.Driver, forward.New(&forward.Options{Relay: forward.RelayOff}), driver.Capture(driver.Tables("orders")))
	db := dbtest.Open(k.T, name, k.as(role))
	return db, db.PingContext(ctx)
}

func (k *kept) commit() error {
	k.Helper()
	db, err := k.opens(k.app.role)
	if err == nil {
		_, err = db.ExecContext(ctx, "INSERT INTO orders SELECT 1 + count(*) FROM orders")
	}
	return err
}

func (k *kept) record() error {
	_, err := k.app.db.ExecContext(ctx, `SELECT threadline.record('[{"id":"01a2274d-bb92-7198-8ab3-f1f8164c2d1a","name":"a.b","occurred_at":"2026-11-29T12:00:00Z","recorded_at":"2026-11-29T12:00:00Z","outcome":"success","actor_type":"user"}]')`)
	return err
}

// TestUpgradeKeepsTheOwner: whatever upgrades, all remains the owner's, and the app's
// strict transactions go on.
func TestUpgradeKeepsTheOwner(t *testing.T) {
	for _, e := range dbtest.PostgresEngines() {
		for name, by := range map[string]func(k *kept) *stranger{
			"a superuser": func(k *kept) *stranger { return &stranger{db: k.super, role: k.text("SELECT current_user")} },
			"a member":    func(k *kept) *stranger { return k.member },
		} {
			t.Run(e.Name+"/"+name+"/scripts", func(t *testing.T) {
				k := newKept(t, e)
				_, upgrade := k.scripts("aftercommit")
				k.must(by(k).db.ExecContext(ctx, upgrade))
				_, err := by(k).db.ExecContext(ctx, threadline.Schema(hooks.Postgres, nil))
				if want := map[string]string{"a superuser": "AC001"}[name]; hooks.SQLState(err) != want {
					t.Errorf("threadline.Schema: %v, want SQLSTATE %q", err, want)
				}
				k.works()
			})
			t.Run(e.Name+"/"+name+"/first connection", func(t *testing.T) {
				k := newKept(t, e)
				k.must(k.opens(by(k).role))
				k.must(threadline.NewStore(by(k).db, hooks.Postgres, nil).Migrate(ctx))
				k.works()
			})
		}
	}
}

// TestInstallByAMember: in the schema of a role that others are members of, all is that
// role's. In a superuser's schema all is the role's that runs the script first, also after
// a superuser's upgrade.
func TestInstallByAMember(t *testing.T) {
	w := newWorld(t, dbtest.PQ)
	member := w.stranger()
	w.must(w.super.ExecContext(ctx, `GRANT "`+w.ownerRole+`" TO "`+member.role+`"`))
	super := w.text("SELECT current_user")
	for _, test := range []struct{ is, authorization, owner string }{
		{"NOSUPERUSER", w.ownerRole, w.ownerRole},
		{"NOSUPERUSER", super, member.role},
		{"SUPERUSER", super, member.role},
	} {
		authorization, owner := test.authorization, test.owner
		w.must(w.super.ExecContext(ctx, `ALTER ROLE "`+member.role+`" `+test.is))
		for _, schema := range []string{"aftercommit", "threadline"} {
			w.must(w.super.ExecContext(ctx, `CREATE SCHEMA `+schema+` AUTHORIZATION "`+authorization+`"; GRANT ALL ON SCHEMA `+schema+` TO "`+member.role+`"`))
			script, upgrade := w.scripts(schema)
			w.must(member.db.ExecContext(ctx, script))
			if schema == "aftercommit" {
				w.must(w.super.ExecContext(ctx, "DROP FUNCTION aftercommit.enlist, aftercommit.acknowledge")) // which an older version had not
				w.must(w.super.ExecContext(ctx, upgrade))
			}
			got := w.text(`SELECT string_agg(DISTINCT owner::regrole::text, ' ') FROM (SELECT relowner, relnamespace FROM pg_class UNION ALL SELECT proowner, pronamespace FROM pg_proc) o (owner, schema)
				WHERE schema = '` + schema + `'::regnamespace`)
			if got != `"`+owner+`"` && got != owner {
				t.Errorf("%s in a schema of %s: all is %s's, want %s", schema, authorization, got, owner)
			}
			w.must(w.super.ExecContext(ctx, "DROP SCHEMA "+schema+" CASCADE"))
		}
	}
}

// TestUpgradeRepairs: parts of a superuser, as older scripts left them, become the
// owner's, and what is not ours stays. The owner cannot do that; the error says who can.
func TestUpgradeRepairs(t *testing.T) {
	for _, e := range dbtest.PostgresEngines() {
		t.Run(e.Name, func(t *testing.T) {
			k := newKept(t, e)
			_, upgrade := k.scripts("aftercommit")
			timeline, _ := k.scripts("threadline")
			k.must(k.owner.ExecContext(ctx, upgrade))
			k.must(k.owner.ExecContext(ctx, timeline))
			takeAway := `ALTER TABLE aftercommit.journal OWNER TO CURRENT_USER; ALTER TABLE aftercommit.registrars OWNER TO CURRENT_USER;
				ALTER FUNCTION threadline.add(json, integer) OWNER TO "` + k.member.role + `"`
			k.must(k.super.ExecContext(ctx, takeAway))
			if err := k.commit(); err == nil || !strings.Contains(err.Error(), "journal.Upgrade returns as a superuser") {
				t.Errorf("with parts of a superuser: %v", err)
			}
			k.must(k.super.ExecContext(ctx, "CREATE TABLE aftercommit.a_note ()")) // not ours
			_, err := k.owner.ExecContext(ctx, upgrade)
			want := "run this as role " + k.text("SELECT current_user") + `, which owns aftercommit.journal, or run as that role: `
			if hooks.SQLState(err) != "42501" || !strings.Contains(err.Error(), want) {
				t.Errorf("the owner's script: %v\nwant %s", err, want)
			}
			k.must(k.super.ExecContext(ctx, "DROP TABLE aftercommit.a_note"))
			k.must(k.super.ExecContext(ctx, upgrade))
			k.must(k.member.db.ExecContext(ctx, timeline))
			k.works()

			k.must(k.super.ExecContext(ctx, takeAway))
			k.must(k.super.ExecContext(ctx, remedy(k.owner, upgrade, "run as that role: ")))
			k.must(k.owner.ExecContext(ctx, upgrade))
			k.must(k.super.ExecContext(ctx, remedy(k.owner, timeline, "to this one: ")))
			k.must(k.owner.ExecContext(ctx, timeline))
			k.works()

			// With the owner's rights a stranger's function could do anything.
			k.must(k.super.ExecContext(ctx, `CREATE TABLE aftercommit.notes (); CREATE FUNCTION aftercommit.note() RETURNS void LANGUAGE sql AS '';
				CREATE FUNCTION aftercommit.claim() RETURNS void LANGUAGE sql SECURITY DEFINER AS ''; ALTER FUNCTION aftercommit.claim() OWNER TO "`+k.app.role+`"`))
			k.must(k.super.ExecContext(ctx, upgrade))
			if others := k.others(); others != "aftercommit.claim() aftercommit.note() aftercommit.notes" {
				t.Errorf("not the owner's: %s; want what is not ours", others)
			}
		})
	}
}

// remedy returns what the error of a script says to run, after the word.
func remedy(db *sql.DB, script, word string) string {
	_, err := db.ExecContext(ctx, script)
	_, remedy, _ := strings.Cut(fmt.Sprint(err), word)
	for _, state := range []string{" (AC001)", " (42501)", " (SQLSTATE AC001)", " (SQLSTATE 42501)"} { // lib/pq and pgx add it
		remedy = strings.TrimSuffix(remedy, state)
	}
	return remedy
}

// TestGiveAll: what the refusal says to run is accepted, and enough.
func TestGiveAll(t *testing.T) {
	w := newWorld(t, dbtest.PQ)
	s := w.stranger()
	for _, schema := range []string{"aftercommit", "threadline"} {
		script, _ := w.scripts(schema)
		w.must(w.owner.ExecContext(ctx, script))
		// The sequence comes before its table in the list.
		w.must(w.owner.ExecContext(ctx, "CREATE TABLE "+schema+".t (id int GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME "+schema+".a))"))
		w.must(w.super.ExecContext(ctx, remedy(s.db, script, "to this one: ")))
		w.must(s.db.ExecContext(ctx, script))
	}
}

// TestPublicSchema: the error names a role that can log in, and that role can do it.
func TestPublicSchema(t *testing.T) {
	w := newWorld(t, dbtest.PQ)
	s := w.stranger()
	w.must(w.super.ExecContext(ctx, `DO $own$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO "`+w.ownerRole+`"', current_database()); END $own$`))
	w.Cleanup(func() {
		w.must(w.super.ExecContext(ctx, `DO $own$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO CURRENT_USER', current_database()); END $own$`))
	})
	script := threadline.Schema(hooks.Postgres, &threadline.Options{Schema: "public"})
	_, err := s.db.ExecContext(ctx, script)
	if err == nil || !strings.Contains(err.Error(), `else run this as role "`+w.ownerRole+`"`) {
		t.Errorf("got %v, want the database's owner", err)
	}
	w.must(w.owner.ExecContext(ctx, script))
	if n := w.count("SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tableowner <> '" + w.ownerRole + "'"); n > 0 {
		t.Errorf("%d tables are another role's", n)
	}
}

// TestScriptsUnderALock, and an upgrade of what is not there, say what to do.
func TestScriptsUnderALock(t *testing.T) {
	w := newWorld(t, dbtest.PQ)
	_, upgrade := w.scripts("aftercommit")
	_, err := w.owner.ExecContext(ctx, upgrade)
	if hooks.SQLState(err) != "AC001" || !strings.Contains(err.Error(), "run what journal.Schema returns") {
		t.Errorf("without a journal: %v", err)
	}
	w.must(w.owner.ExecContext(ctx, oldJournal))
	tx, err := w.super.BeginTx(ctx, nil)
	w.must(err)
	w.must(tx.ExecContext(ctx, "LOCK TABLE aftercommit.workers"))
	_, err = w.owner.ExecContext(ctx, upgrade)
	if hooks.SQLState(err) != "55P03" || !strings.Contains(err.Error(), "run this again when it is done") {
		t.Errorf("under a lock: %v", err)
	}
	w.must(tx.Rollback())
}
