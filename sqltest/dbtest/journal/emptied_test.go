package journal_test

import (
	"testing"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// What empties all tables for a test empties schema_versions too, and a dump of the schema
// alone has no row in it either. On PostgreSQL the next Connect notes the version again; on
// SQLite its error has what to run. Programs that need tables which are not there are kept out
// as before, and others are not.
func TestEmptiedTables(t *testing.T) {
	for _, e := range dbtest.Engines() {
		cases := map[string]func() *rig{
			"fresh":    func() *rig { return newRig(t, e) },
			"upgraded": func() *rig { r := outdatedRig(t, e); r.connect(r.session); return r },
			"outdated": func() *rig { return outdatedRig(t, e) },
		}
		if e.Dialect == hooks.Postgres {
			cases["swapped"] = func() *rig {
				r := outdatedRig(t, e)
				r.connect(r.session)
				swap, err := journal.Swap(nil)
				if err != nil {
					t.Fatal(err)
				}
				r.exec(swap)
				return r
			}
		}
		for name, made := range cases {
			t.Run(e.Name+" "+name, func(t *testing.T) {
				r := made()
				oldest := "SELECT CAST(oldest AS text) FROM " + partsOf[e.Dialect].versions + " WHERE component = 'journal'"
				before := r.text(oldest)
				r.exec("DELETE FROM " + partsOf[e.Dialect].versions)
				if e.Dialect == hooks.SQLite && name != "outdated" {
					r.exec(setup(t, newJournal(t, e.Dialect, nil).Connect(ctx, r.conn)).SQL)
				}
				for range 2 {
					if err := newJournal(t, e.Dialect, &journal.Options{}).Connect(ctx, r.conn); err != nil {
						t.Errorf("Connect: %v", err)
					}
				}
				if err := newJournal(t, e.Dialect, &journal.Options{NoMigrate: true}).Connect(ctx, r.conn); err != nil {
					t.Errorf("Connect without migrating: %v", err)
				}
				if after := r.text(oldest); after != before {
					t.Errorf("the oldest program that works with it was of version %s, and is of version %s", before, after)
				}
			})
		}
	}
}
