package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	msqlite "modernc.org/sqlite"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// TestLastRowid: what the first flush makes leaves last_insert_rowid() the app's.
func TestLastRowid(t *testing.T) {
	w := newWorld(t)
	w.must(w.bare.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY)"))
	conn := w.conn(w.open())
	for _, id := range []string{"4711", "4712"} {
		w.must(conn.ExecContext(ctx, "BEGIN"))
		w.must(conn.ExecContext(ctx, "INSERT INTO orders VALUES ("+id+")"))
		w.must(conn.ExecContext(ctx, "SAVEPOINT a; RELEASE a")) // flushes
		if got := w.text(conn, "SELECT last_insert_rowid()"); got != id {
			t.Errorf("last_insert_rowid() is %s after the flush, want %s", got, id)
		}
		w.must(conn.ExecContext(ctx, "COMMIT"))
	}
}

// TestWhatIsNoticed is the list in driver/README.md of what cannot be avoided.
func TestWhatIsNoticed(t *testing.T) {
	w := newWorld(t)
	w.must(w.bare.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY); PRAGMA user_version = 3; PRAGMA application_id = 4"))
	conn := w.conn(w.open())
	is := func(query, want string) {
		t.Helper()
		if got := w.text(conn, query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	schema := w.text(conn, "PRAGMA schema_version")
	w.must(conn.ExecContext(ctx, "INSERT INTO orders VALUES (1)"))
	after := w.text(conn, "PRAGMA schema_version")
	if after == schema {
		t.Error("schema_version has not changed, so the README need not say that it does")
	}
	w.must(conn.ExecContext(ctx, "INSERT INTO orders VALUES (2)"))
	is("PRAGMA schema_version", after)
	is("PRAGMA user_version", "3")
	is("PRAGMA application_id", "4")
	is("SELECT count(*) FROM pragma_foreign_key_check", "0")
	is("PRAGMA integrity_check", "ok")
	is("SELECT group_concat(name) FROM (SELECT name FROM sqlite_sequence ORDER BY name)", "aftercommit_journal")
	is("SELECT total_changes() > 2", "1")
	is("SELECT count(*) > 0 FROM pragma_table_list WHERE name LIKE 'aftercommit%'", "1")
	is("SELECT count(*) FROM temp.sqlite_master", "0")

	copied := filepath.Join(t.TempDir(), "copy.db")
	w.must(conn.ExecContext(ctx, "VACUUM INTO '"+copied+"'"))
	w.wantTrail(dbtest.Open(t, "sqlite", "file:"+copied), "orders.inserted orders.inserted")
	w.must(conn.ExecContext(ctx, "VACUUM"))
	w.must(conn.ExecContext(ctx, "INSERT INTO orders VALUES (3)"))
	w.wantTrail(w.bare, "orders.inserted orders.inserted orders.inserted")
}

// TestHooks: the app's hooks see the rows of the trail, each by a name that tells
// them.
func TestHooks(t *testing.T) {
	w := newWorld(t)
	w.must(w.bare.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY)"))
	conn := w.conn(w.open())
	w.must(conn.ExecContext(ctx, "INSERT INTO orders VALUES (1)"))
	var seen []string
	commits := 0
	w.must(conn.Raw(func(dc any) error {
		h := driver.Raw(dc).(msqlite.HookRegisterer)
		h.RegisterPreUpdateHook(func(d msqlite.SQLitePreUpdateData) { seen = append(seen, d.TableName) })
		h.RegisterCommitHook(func() int32 { commits++; return 0 })
		return nil
	}))
	w.must(conn.ExecContext(ctx, "INSERT INTO orders VALUES (2)"))
	theirs := slices.DeleteFunc(slices.Clone(seen), func(name string) bool {
		return strings.HasPrefix(name, "aftercommit_") || strings.HasPrefix(name, "threadline_")
	})
	if !slices.Equal(theirs, []string{"orders"}) || len(seen) == 1 || commits < 2 {
		t.Errorf("the preupdate hook saw %q, and there were %d commits: the README says otherwise", seen, commits)
	}
}

// TestListing: an app that lists its tables without the trail's finds its own.
func TestListing(t *testing.T) {
	w := newWorld(t)
	db := w.open()
	w.must(db.ExecContext(ctx, "CREATE TABLE orders (id integer PRIMARY KEY)"))
	rows, err := db.QueryContext(ctx, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT GLOB 'sqlite_*' ORDER BY name")
	w.must(err)
	got, err := names(rows)
	w.must(err)
	for _, name := range got {
		if name != "orders" && !strings.HasPrefix(name, "aftercommit_") && !strings.HasPrefix(name, "threadline_") {
			t.Errorf("there is %s", name)
		}
	}
}

func names(rows *sql.Rows) (all []string, err error) {
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		all = append(all, name)
	}
	return all, rows.Err()
}
