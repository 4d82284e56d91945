package roles_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/lib/pq"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// lose takes all rights from what is in the schemas, as pg_dump --no-acl does.
func (w *world) lose() {
	w.Helper()
	for _, query := range []string{
		`DELETE FROM pg_shdepend WHERE deptype = 'a' AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND objid IN (
			SELECT oid FROM pg_proc WHERE pronamespace::regnamespace::text IN ('aftercommit', 'threadline')
			UNION ALL SELECT oid FROM pg_class WHERE relnamespace::regnamespace::text IN ('aftercommit', 'threadline')
			UNION ALL SELECT oid FROM pg_namespace WHERE nspname IN ('aftercommit', 'threadline'))`,
		"UPDATE pg_proc SET proacl = NULL WHERE pronamespace::regnamespace::text IN ('aftercommit', 'threadline')",
		"UPDATE pg_class SET relacl = NULL WHERE relnamespace::regnamespace::text IN ('aftercommit', 'threadline')",
		"UPDATE pg_namespace SET nspacl = NULL WHERE nspname IN ('aftercommit', 'threadline')",
	} {
		w.must(w.super.ExecContext(ctx, query))
	}
}

// warning returns a connection of the owner's and what the server has warned it of.
func (w *world) warning() (db *sql.DB, warned *[]string) {
	w.Helper()
	base, err := pq.NewConnector(w.as(w.ownerRole))
	w.must(err)
	warned = new([]string)
	db = sql.OpenDB(pq.ConnectorWithNoticeHandler(base, func(n *pq.Error) { *warned = append(*warned, n.Message) }))
	w.Cleanup(func() { _ = db.Close() })
	return db, warned
}

// starts opens the database with a Hub, and returns which functions it warns of.
func (w *world) starts() (exposed string) {
	w.Helper()
	core, logs := observer.New(zapcore.WarnLevel)
	name := dbtest.Name(w.e.Driver)
	driver.Register(name, w.e.Driver, forward.New(&forward.Options{Relay: forward.RelayOff, Logger: zap.New(core)}))
	w.must(dbtest.Open(w.T, name, w.as(w.ownerRole)).PingContext(ctx))
	for _, l := range logs.FilterMessageSnippet("restore without rights").All() {
		exposed += l.ContextMap()["functions"].(string)
	}
	return exposed
}

const ours = "aftercommit.acknowledge(text,uuid[]), aftercommit.claim(uuid[],integer), aftercommit.enlist(text,text), " +
	"aftercommit.write(uuid,integer,smallint,text,text,boolean,integer), aftercommit.written(uuid[])"

// TestRestoredWithoutRights: every role could execute the functions that write as their owner.
// The start warns of that, and each script ends it.
func TestRestoredWithoutRights(t *testing.T) {
	for name, upgrade := range map[string]bool{"Schema": false, "Upgrade": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, dbtest.PQ)
			w.install()
			if got := w.starts(); got != "" {
				t.Errorf("as they were made, the start warns of %s", got)
			}
			w.lose()
			if got := w.starts(); got != ours+", threadline.record(json)" {
				t.Errorf("the start warns of %s", got)
			}
			script, second := w.scripts("aftercommit")
			if upgrade {
				script = second
			}
			timeline, _ := w.scripts("threadline")
			db, warned := w.warning()
			w.must(db.ExecContext(ctx, script))
			w.must(db.ExecContext(ctx, timeline))
			if all := strings.Join(*warned, "\n"); len(*warned) != 2 || !strings.Contains(all, "every role could execute "+ours+": only") || !strings.Contains(all, "every role could execute threadline.record(json): only") {
				t.Errorf("the scripts warn:\n%s", all)
			}
			for r := range strings.SplitSeq(w.rights(), "; ") {
				if strings.Contains(r, "EXECUTE") && !strings.Contains(forReaders, r+"; ") && !plain(r) {
					t.Errorf("a right of others: %s", r)
				}
			}
			if got := w.starts(); got != "" {
				t.Errorf("after the scripts the start warns of %s", got)
			}
			w.must(w.owner.ExecContext(ctx, script))
			w.must(w.owner.ExecContext(ctx, timeline))
		})
	}
}

// plain reports whether the right is one on a function of the timeline that has its caller's
// rights, and so none on the timeline.
func plain(right string) bool {
	for _, name := range []string{"refuse", "add", "lacking", "plain", "storable"} {
		if strings.HasPrefix(right, "PUBLIC EXECUTE on threadline."+name+"(") {
			return true
		}
	}
	return false
}

// TestGrantedToAll: what somebody has granted to PUBLIC stays, and the scripts and the start warn
// of it.
func TestGrantedToAll(t *testing.T) {
	w := newWorld(t, dbtest.PQ)
	w.install()
	w.must(w.owner.ExecContext(ctx, "GRANT EXECUTE ON FUNCTION aftercommit.claim, threadline.record TO PUBLIC"))
	before := w.rights()
	install, upgrade := w.scripts("aftercommit")
	timeline, _ := w.scripts("threadline")
	for script, want := range map[string]string{
		install: "REVOKE EXECUTE ON FUNCTION aftercommit.claim(uuid[],integer) FROM PUBLIC", upgrade: "REVOKE EXECUTE ON FUNCTION aftercommit.claim(uuid[],integer) FROM PUBLIC",
		timeline: "REVOKE EXECUTE ON FUNCTION threadline.record(json) FROM PUBLIC",
	} {
		db, warned := w.warning()
		w.must(db.ExecContext(ctx, script))
		if len(*warned) != 1 || !strings.HasSuffix((*warned)[0], want) {
			t.Errorf("warnings %q, want one that ends with %q", *warned, want)
		}
	}
	if after := w.rights(); after != before {
		t.Errorf("others had the rights\n%s, and have\n%s", before, after)
	}
	if got := w.starts(); got != "aftercommit.claim(uuid[],integer), threadline.record(json)" {
		t.Errorf("the start warns of %s", got)
	}
}

// TestEarlierWithoutRights: the functions of an earlier version are closed by its upgrade, too.
func TestEarlierWithoutRights(t *testing.T) {
	k := newKept(t, dbtest.PQ)
	k.lose()
	_, upgrade := k.scripts("aftercommit")
	k.must(k.owner.ExecContext(ctx, upgrade))
	for r := range strings.SplitSeq(k.rights(), "; ") {
		if strings.Contains(r, "aftercommit.record(") || strings.Contains(r, "aftercommit.entries(") || strings.Contains(r, "aftercommit.write(") {
			t.Errorf("a right of others: %s", r)
		}
	}
}
