package changes_test

import (
	"database/sql/driver"
	"strings"
	"testing"

	"github.com/ngrok/sqlmw"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
	"github.com/go-aftercommit/aftercommit/threadline/changes/undo"
)

// TestSQLiteFinds: a change is found by its place, and one of which only what it says is known by its time: not among all of
// its transaction, nor among all of programs without the driver.
func TestSQLiteFinds(t *testing.T) {
	w := lite(t)
	w.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, a int)")
	w.capture(capture.Table{Name: "t"})
	w.exec("INSERT INTO t VALUES (1, 0)")
	var plans []plan
	name := dbtest.Wrap(t, "sqlite", func(d driver.Driver) driver.Driver { return sqlmw.Driver(d, explained{plans: &plans}) })
	store := changes.NewStore(dbtest.Open(t, name, w.dsn), hooks.SQLite, nil)
	history, err := store.History(ctx, "t", "1")
	w.must(err)
	read := history[0]
	told := changes.Change{TxStartedAt: read.TxStartedAt, CapturedAt: read.CapturedAt, Op: read.Op, Schema: read.Schema, Table: read.Table, Key: read.Key, Fields: read.Fields}
	for want, c := range map[string]changes.Change{
		"SEARCH c USING INTEGER PRIMARY KEY (rowid=?)":                                          read,
		"SEARCH c USING INDEX threadline_audit_changes_captured (table_id=? AND captured_at=?)": told,
	} {
		plans = nil
		u, err := undo.Change(ctx, store, c)
		w.must(err)
		w.clean(u)
		found := ""
		for _, one := range plans {
			if strings.Contains(one.query, "tx_id IS ?1") {
				found += one.text
			}
		}
		if !strings.Contains(found, want) {
			w.Errorf("it is not found by %s, but by\n%s", want, found)
		}
	}
}
