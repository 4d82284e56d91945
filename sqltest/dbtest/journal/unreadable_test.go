package journal_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// damage is a change to a row of the journal's table that its owner can make.
type damage struct {
	change string
	// says is how the entries' Unreadable begins: that of all three of the row, or, with one,
	// of the second alone.
	says string
	one  bool
}

// Damages that both dialects know.
var damages = []damage{
	{change: "document = replace(document, 'order.step_1', 'order')", says: "action: ", one: true},
	{change: "document = replace(document, '\"action\":\"order.step_1\"', '\"action\":7')", says: "action: ", one: true},
	{change: "document = replace(document, '\"action\":\"order.step_1\"', '\"Action\":\"order.step_1\"')", says: "action: ", one: true},
	{change: "document = replace(document, 'order.step_1\",\"outcome\":\"success\"', 'order.step_1\",\"outcome\":\"success\",\"metadata\":[]')", says: "metadata: ", one: true},
	{change: "document = '[]'", says: "document: "},
	{change: "document = '{}'", says: "document: "},
	{change: "document = ''", says: "document: "},
	{change: "document = NULL", says: "document: "},
	{change: "document = 'x'", says: "document: "},
	{change: "document = '[' || document", says: "document: "},
	{change: "document = document || ' x'", says: "document: "},
	{change: "document = '[{},{}]'", says: "document: "},
	{change: "document = replace(document, '[{', '[{},{')", says: "document: "},
	{change: "personal = 'x'", says: "personal: "},
	{change: "personal = '[null]'", says: "personal: "},
	{change: "personal = '[null,{\"comment\":5},null]'", says: "comment: ", one: true},
	{change: "personal = '[null,5,null]'", says: "event: ", one: true},
	{change: "format = 2", says: "format: 2 is not known"},
	{change: "format = 2, personal = 'x'", says: "format: 2 is not known"},
	{change: "format = 0", says: "format: 0 is not known"},
}

var damagesOf = map[hooks.Dialect][]damage{
	hooks.Postgres: {
		{change: "recorded_at = 'infinity'", says: "recorded_at: "},
		{change: "tx_started_at = '10000-01-01 00:00:00+00'", says: "tx_started_at: "},
		{change: "xid = '18446744073709551615'", says: "tx: "},
	},
	hooks.SQLite: {
		{change: "recorded_at = ''", says: "recorded_at: "},
		{change: "tx_started_at = '2026-01-01'", says: "tx_started_at: "},
		{change: "tx_id = 'x'", says: "tx: "},
		{change: "tx_id = 1.5", says: "tx: "},
		{change: "format = 'x'", says: "format: "},
		{change: "document = replace(document, 'order.step_1', x'ff')", says: "action: ", one: true},
	},
}

func tableOf(e dbtest.Engine) string {
	if e.Dialect == hooks.Postgres {
		return "aftercommit.journal"
	}
	return "aftercommit_journal"
}

// What cannot be read is an entry that says so, and hides no other.
func TestUnreadableEntries(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		for _, d := range append(damages, damagesOf[e.Dialect]...) {
			r.exec("DELETE FROM " + tableOf(e))
			r.exec("BEGIN")
			r.write(r.j, 1, event("order.before"))
			r.write(r.j, 1, events(3)...)
			r.write(r.j, 1, event("order.behind"))
			r.exec("COMMIT")
			r.exec("UPDATE " + tableOf(e) + " SET " + d.change + " WHERE events = 3")
			r.checkDamage(d, r.entries())
			view := map[hooks.Dialect]string{hooks.Postgres: "aftercommit.audit_events", hooks.SQLite: "aftercommit_audit_events"}[e.Dialect]
			if n := r.text("SELECT CAST(count(*) AS text) FROM (SELECT * FROM " + view + " LIMIT 1000) e WHERE action IN ('order.before', 'order.behind')"); n != "2" {
				t.Errorf("after %s the view has %s of the others", d.change, n)
			}
			if n := r.text("SELECT CAST(count(*) AS text) FROM " + view + " WHERE action IS NOT NULL"); strings.HasPrefix(d.says, "format: ") && n != "2" {
				t.Errorf("after %s the view has %s actions, want 2", d.change, n)
			}
		}
	})
}

func (r *rig) checkDamage(d damage, got []journal.Entry) {
	r.t.Helper()
	if len(got) != 5 || got[0].Unreadable+got[4].Unreadable != "" {
		r.t.Errorf("after %s the entries are %+v", d.change, got)
		return
	}
	for i, e := range got[1:4] {
		if damaged := !d.one || i == 1; damaged != (e.Unreadable != "") || !damaged && e.Unreadable != "" {
			r.t.Errorf("after %s entry %d says %q", d.change, i, e.Unreadable)
		} else if damaged && (!strings.HasPrefix(e.Unreadable, d.says) || strings.Contains(e.Unreadable, ";")) {
			r.t.Errorf("after %s it says %q, want only %s", d.change, e.Unreadable, d.says)
		}
		if e.Ordinal != i || e.Key != got[1].Key {
			r.t.Errorf("after %s entry %d is at %s", d.change, i, e.Text())
		}
	}
}

// The session's settings decide on how a time is written, not on whether it is one.
func TestUnreadableTimesInAnyDateStyle(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		times := []string{"infinity", "20000-01-01", "0044-03-15 BC", "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"}
		for _, at := range times {
			key := newKey()
			r.exec("BEGIN")
			r.writeAs(r.j, key, 1, event("order.placed"))
			r.exec("COMMIT")
			r.exec("UPDATE aftercommit.journal SET recorded_at = '" + at + "' WHERE key = '" + key.String() + "'")
		}
		for _, style := range []string{"ISO, YMD", "SQL, DMY", "German", "Postgres, MDY"} {
			for _, zone := range []string{"UTC", "Pacific/Kiritimati", "America/Adak"} {
				r.exec("SET DateStyle = '" + style + "'")
				r.exec("SET TimeZone = '" + zone + "'")
				for i, e := range r.entries() {
					if bad := i < 3; bad != (e.Unreadable != "") {
						t.Errorf("%s in %s: entry %d says %q", style, zone, i, e.Unreadable)
					}
				}
			}
		}
	}, dbtest.PostgresEngines()...)
}
