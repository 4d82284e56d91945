package libraries_test

import (
	"context"
	"database/sql"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// files is a folder of an app's migrations.
func files(nameAndText ...string) fs.FS {
	folder := fstest.MapFS{}
	for i := 0; i < len(nameAndText); i += 2 {
		folder[nameAndText[i]] = &fstest.MapFile{Data: []byte(nameAndText[i+1])}
	}
	return folder
}

var gooseFiles = files("00001_orders.sql", `
-- +goose Up
CREATE TABLE orders (id integer PRIMARY KEY, note text NOT NULL);
INSERT INTO orders VALUES (1, 'apples'), (2, 'pears');

-- +goose Down
DROP TABLE orders;
`, "00002_gift.sql", `
-- +goose NO TRANSACTION

-- +goose Up
ALTER TABLE orders ADD COLUMN gift boolean;
UPDATE orders SET gift = false;

-- +goose Down
ALTER TABLE orders DROP COLUMN gift;
`)

// gooseInGo is a migration in Go, which says what it does.
func gooseInGo() *goose.Migration {
	return goose.NewGoMigration(3, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM orders WHERE id = 2"); err != nil {
			return err
		}
		return record(ctx, tx, "cleaned")
	}}, nil)
}

func openGoose(w *world, db *sql.DB, folder fs.FS, opts ...goose.ProviderOption) *goose.Provider {
	w.Helper()
	d := goose.DialectPostgres
	if w.e.Dialect == hooks.SQLite {
		d = goose.DialectSQLite3
	}
	p, err := goose.NewProvider(d, db, folder, opts...)
	w.ok(err)
	return p
}

// TestGoose migrates up and down through the wrapper: the version table is no
// business of the audit trail, the rows that a migration writes are.
func TestGoose(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		p := openGoose(w, w.open(), gooseFiles, goose.WithGoMigrations(gooseInGo()))
		_, err := p.Up(t.Context())
		w.ok(err)
		w.want("schema.changed #orders", "orders.inserted 2",
			"schema.changed #orders", "orders.updated 2",
			"orders.deleted #2", "order.noted #cleaned")
		_, err = p.DownTo(t.Context(), 0)
		w.ok(err)
		w.want("schema.changed #orders", "schema.changed #orders")
	})
}

// TestGooseBeside migrates with the bare driver while the app is at work.
func TestGooseBeside(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e)
		p := openGoose(w, w.bare, gooseFiles)
		_, err := p.UpByOne(t.Context())
		w.ok(err)
		app := w.open()
		w.exec(app, "INSERT INTO orders (id, note) VALUES (3, 'plums')")
		w.want("orders.inserted 1")
		_, err = p.Up(t.Context())
		w.ok(err)
		w.want()
		w.exec(app, "UPDATE orders SET gift = true")
		w.want("orders.updated 3")
	})
}

// TestGooseFails: a migration that fails leaves no events, as it leaves no rows.
func TestGooseFails(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := withOrders(t, e)
		p := openGoose(w, w.open(), files("00001_wrong.sql", `
-- +goose Up
INSERT INTO orders (note) VALUES ('apples');
INSERT INTO nowhere VALUES (1);
`))
		_, err := p.Up(t.Context())
		if err == nil {
			t.Fatal("the migration did not fail")
		}
		w.wantRefusal(err, "nowhere")
		w.want()
		w.wantOrders()
		if version, err := p.GetDBVersion(t.Context()); version != 0 || err != nil {
			t.Errorf("version %d, %v", version, err)
		}
	})
}

// TestGooseLocks has goose hold an advisory lock on a connection of its own, and
// build an index that no transaction may be around.
func TestGooseLocks(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := withOrders(t, e)
		locker, err := lock.NewPostgresSessionLocker()
		w.ok(err)
		p := openGoose(w, w.open(), files("00001_index.sql", `
-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY notes ON orders (note);
-- +goose StatementBegin
DO $$ BEGIN INSERT INTO orders (note) VALUES ('apples; pears'); END $$;
-- +goose StatementEnd
`), goose.WithSessionLocker(locker))
		_, err = p.Up(t.Context())
		w.ok(err)
		w.want("schema.changed #notes") // what a DO block writes is not seen
		w.wantOrders("apples; pears")
	}, dbtest.PostgresEngines()...)
}
