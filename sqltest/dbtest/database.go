package dbtest

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// databases are those of a cluster. Creating one takes the server some hundred
// times as long as emptying one, so a test gets what an earlier one has left.
type databases struct {
	mu   sync.Mutex
	made int
	left []string
}

// Database returns the DSN of an empty database, which is the test's until it
// ends.
func (c *Cluster) Database(tb testing.TB) string {
	tb.Helper()
	name, err := c.emptyDatabase()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.dbs.giveBack(name) })
	return c.DSN(name)
}

// Encoded returns the DSN of an empty database whose encoding is not that of the
// cluster, such as LATIN1 or EUC_JP. It is dropped when the test ends.
func (c *Cluster) Encoded(tb testing.TB, encoding string) string {
	tb.Helper()
	name := c.dbs.newName()
	err := c.admin("CREATE DATABASE " + name + " TEMPLATE template0 ENCODING '" + encoding + "' LC_COLLATE 'C' LC_CTYPE 'C'")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.drop(name); err != nil {
			tb.Error(err)
		}
	})
	return c.DSN(name)
}

func (c *Cluster) emptyDatabase() (string, error) {
	if name, ok := c.dbs.takeLeft(); ok {
		empty, err := c.empty(name)
		if err != nil {
			return "", err
		}
		if empty {
			return name, nil
		}
		if err := c.drop(name); err != nil {
			return "", err
		}
	}
	name := c.dbs.newName()
	return name, c.admin("CREATE DATABASE " + name)
}

func (d *databases) giveBack(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = append(d.left, name)
}

func (d *databases) takeLeft() (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.left) == 0 {
		return "", false
	}
	name := d.left[0]
	d.left = d.left[1:]
	return name, true
}

func (d *databases) newName() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.made++
	return fmt.Sprintf("t%d", d.made)
}

// marked asks whether a database has been given what is not in a schema, and
// ends the sessions in it.
const marked = `
SELECT (SELECT count(*) FROM (
	SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() OFFSET 0
) ended) < 0
OR EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database())
OR EXISTS (SELECT FROM pg_database WHERE datname = current_database() AND (datacl IS NOT NULL OR oid IN (SELECT setdatabase FROM pg_db_role_setting)))
OR EXISTS (SELECT FROM pg_extension WHERE extname <> 'plpgsql')
OR EXISTS (SELECT FROM pg_publication)
OR EXISTS (SELECT FROM pg_event_trigger)
OR EXISTS (SELECT FROM pg_default_acl)
OR EXISTS (SELECT FROM pg_foreign_data_wrapper)
OR EXISTS (SELECT FROM pg_largeobject_metadata)`

// scrub drops all schemas and makes public anew, as initdb made it.
const scrub = `
DO $$
DECLARE s name;
BEGIN
	SET LOCAL client_min_messages = warning;
	FOR s IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
		EXECUTE format('DROP SCHEMA %I CASCADE', s);
	END LOOP;
	CREATE SCHEMA public;
	IF current_setting('server_version_num')::int >= 150000 THEN
		ALTER SCHEMA public OWNER TO pg_database_owner;
		GRANT USAGE ON SCHEMA public TO PUBLIC;
	ELSE
		GRANT ALL ON SCHEMA public TO PUBLIC;
	END IF;
END $$`

// empty makes a database as good as new, or reports false if it cannot.
func (c *Cluster) empty(name string) (bool, error) {
	ctx := context.Background()
	db, err := sql.Open("postgres", c.DSN(name))
	if err != nil {
		return false, fmt.Errorf("dbtest: %w", err)
	}
	defer db.Close()
	var no bool
	if err := db.QueryRowContext(ctx, marked).Scan(&no); err != nil {
		return false, fmt.Errorf("dbtest: look at database %s: %w", name, err)
	}
	if no {
		return false, nil
	}
	if _, err := db.ExecContext(ctx, scrub); err != nil {
		return false, fmt.Errorf("dbtest: empty database %s: %w", name, err)
	}
	return true, nil
}

// admin runs one statement as the superuser in the database postgres.
// drop waits for backends that stand still: the server itself waits five seconds for them.
func (c *Cluster) drop(name string) error {
	const inUse = "55006"
	start := time.Now()
	for {
		err := c.admin("DROP DATABASE " + name + " WITH (FORCE)")
		if hooks.SQLState(err) != inUse || time.Since(start) > Patience {
			return err
		}
	}
}

func (c *Cluster) admin(query string) error {
	db, err := sql.Open("postgres", c.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("dbtest: %w", err)
	}
	defer db.Close()
	if _, err := db.ExecContext(context.Background(), query); err != nil {
		return fmt.Errorf("dbtest: %s: %w", query, err)
	}
	return nil
}
