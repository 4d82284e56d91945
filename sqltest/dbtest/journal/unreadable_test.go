package journal_test

import (
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// unreadable are changes to a row of the journal's table that its owner can make,
// and the column that cannot be read then.
var unreadable = map[hooks.Dialect]map[string]string{
	hooks.Postgres: {
		"occurred_at = 'infinity'":                                   "occurred_at",
		"occurred_at = '-infinity'":                                  "occurred_at",
		"occurred_at = '20000-01-01'":                                "occurred_at",
		"occurred_at = '0044-03-15 BC'":                              "occurred_at",
		"recorded_at = 'infinity'":                                   "recorded_at",
		"tx_started_at = '10000-01-01 00:00:00+00'":                  "tx_started_at",
		"xid = '18446744073709551615'":                               "tx",
		"metadata = '[1]'":                                           "metadata",
		"metadata = '\"x\"'":                                         "metadata",
		"metadata = '1'":                                             "metadata",
		"metadata = (repeat('[', 5000) || repeat(']', 5000))::jsonb": "metadata",
	},
	hooks.SQLite: {
		"occurred_at = 'infinity'":     "occurred_at",
		"occurred_at = 5":              "occurred_at",
		"occurred_at = x'00ff'":        "occurred_at",
		"recorded_at = ''":             "recorded_at",
		"tx_started_at = '2026-01-01'": "tx_started_at",
		"tx_id = 'x'":                  "tx",
		"tx_id = 1.5":                  "tx",
		"id = 'x'":                     "id",
		"id = x'00'":                   "id",
		"captured = 'maybe'":           "captured",
		"actor_name = x'ff'":           "actor_name",
		"action = x'fe'":               "action",
		"metadata = '[1]'":             "metadata",
		"metadata = 1.5":               "metadata",
		"metadata = '{\"a\":'":         "metadata",
		"metadata = x'ff'":             "metadata",
		"metadata = '{} {}'":           "metadata",
	},
}

func tableOf(e dbtest.Engine) string {
	if e.Dialect == hooks.Postgres {
		return "aftercommit.audit_events"
	}
	return "aftercommit_events"
}

// A row that cannot be read is an entry that says so, and hides no other.
func TestUnreadableEntries(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		for change, column := range unreadable[e.Dialect] {
			list := events(3)
			r.exec("DELETE FROM " + tableOf(e))
			r.exec("BEGIN")
			r.write(r.j, 1, list...)
			r.exec("COMMIT")
			r.exec("UPDATE " + tableOf(e) + " SET " + change + " WHERE action = 'order.step_1'")
			r.checkUnreadable(change, column, list, r.entries())
		}
	})
}

func (r *rig) checkUnreadable(change, column string, list []hooks.Event, got []journal.Entry) {
	r.t.Helper()
	if len(got) != 3 || got[0].Action != "order.step_0" || got[2].Action != "order.step_2" || got[0].Unreadable+got[2].Unreadable != "" {
		r.t.Errorf("after %s the entries are %+v", change, got)
		return
	}
	bad := got[1]
	if !strings.HasPrefix(bad.Unreadable, column+": ") || strings.Contains(bad.Unreadable, ";") {
		r.t.Errorf("after %s it says %q, want only %s", change, bad.Unreadable, column)
	}
	if column != "id" && bad.ID != list[1].ID || column != "action" && bad.Action != list[1].Action {
		r.t.Errorf("after %s what can be read is not: %+v", change, bad)
	}
	var each []string
	for e, err := range r.j.Each(ctx, r.conn, journal.Query{}) {
		if err != nil {
			r.t.Errorf("after %s Each ends: %v", change, err)
		}
		each = append(each, e.Unreadable)
	}
	if len(each) != 3 || each[1] != bad.Unreadable {
		r.t.Errorf("after %s Each gives %q", change, each)
	}
	byID, err := r.j.ByID(ctx, r.conn, ids(list))
	want := 3
	if column == "id" {
		want = 2 // it has none to be found by
	}
	if err != nil || len(byID) != want {
		r.t.Errorf("after %s ByID finds %d, %v", change, len(byID), err)
	}
}

// The session's settings decide on how a time is written, not on whether it is one.
func TestUnreadableTimesInAnyDateStyle(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := newRig(t, e)
		r.exec("BEGIN")
		r.write(r.j, 1, events(5)...)
		r.exec("COMMIT")
		for i, at := range []string{"infinity", "20000-01-01", "0044-03-15 BC", "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"} {
			r.exec("UPDATE aftercommit.audit_events SET occurred_at = '" + at + "' WHERE action = 'order.step_" + string(rune('0'+i)) + "'")
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

// On a server that stores any bytes a text need not be UTF-8.
func TestUnreadableTexts(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		r := encodedRig(t, e, "SQL_ASCII")
		r.exec("BEGIN")
		r.write(r.j, 1, events(2)...)
		r.exec("COMMIT")
		r.exec(`UPDATE aftercommit.audit_events SET actor_name = E'M\374ller' WHERE action = 'order.step_0'`)
		got := r.entries()
		if len(got) != 2 || got[0].Unreadable != "actor_name: is not UTF-8" || got[0].Actor.Name != "M\uFFFDller" || got[1].Unreadable != "" {
			t.Errorf("%+v", got)
		}
	}, dbtest.PostgresEngines()...)
}
