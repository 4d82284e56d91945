package capture_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// certain runs a script line by line in a transaction, of which the events follow.
// A % stands for the name of the case's table; ! for a semicolon within a statement.
type certain struct {
	name   string
	ddl    string
	script string
	want   string
}

const (
	one = " statements=1 rows=1"
	two = " statements=2 rows=2"
)

func (w *world) certain(cases []certain) {
	w.Helper()
	for i, c := range cases {
		w.sub(c.name, func(w *world) {
			table := fmt.Sprintf("o%d", i)
			fill := func(s string) string { return strings.NewReplacer("%", table, "!", ";").Replace(s) }
			for ddl := range strings.SplitSeq(c.ddl, ";") {
				w.must(w.bare.ExecContext(ctx(), fill(ddl)))
			}
			tx := w.begin()
			for query := range strings.SplitSeq(fill(c.script), "\n") {
				if strings.Contains(query, "RETURNING") {
					w.must(drain(tx.QueryContext(ctx(), query)))
				} else {
					w.execOn(tx, query)
				}
			}
			w.must(tx.Commit())
			w.want(strings.Split(fill(c.want), "\n")...)
		})
	}
}

// twoSpellings inserts, deletes and inserts one row, by two spellings of its key.
func twoSpellings(column, a, b string) certain {
	return certain{
		column, "CREATE TABLE % (id " + column + " PRIMARY KEY)",
		"INSERT INTO % (id) VALUES (" + a + ")\nDELETE FROM % WHERE id = " + b + "\nINSERT INTO % (id) VALUES (" + a + ")",
		"%.inserted %" + one + "\n%.deleted %" + one + "\n%.inserted %" + one,
	}
}

// TestTwoSpellings: of a type with several spellings of a value no key is named,
// so that the last event about a row says what was done to it last.
func TestTwoSpellings(t *testing.T) {
	long := strings.Repeat("x", 63)
	w := newWorld(t, dbtest.PQ, `CREATE COLLATION anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
		CREATE DOMAIN day AS date; CREATE DOMAIN holiday AS day;
		CREATE DOMAIN hundreds AS numeric(3,-2); CREATE DOMAIN thousands AS hundreds;
		CREATE DOMAIN loose AS text COLLATE anycase`)
	cases := []certain{
		twoSpellings("date", "'infinity'", "' infinity'"),
		twoSpellings("date", "'20261128'", "'261128'"),
		twoSpellings("day", "'2026-11-28'", "'Nov 28 2026'"),
		twoSpellings("holiday", "'2026-11-28'", "'Nov 28 2026'"),
		twoSpellings("timestamp", "'2026-11-28'", "'2026-11-28 00:00'"),
		twoSpellings("timestamptz", "'2026-11-28 00:00Z'", "'2026-11-28 01:00+01'"),
		twoSpellings("interval", "'60'", "'1 minute'"),
		twoSpellings("boolean", "'t'", "'yes'"),
		twoSpellings("inet", "'10.0.0.1'", "'10.0.0.1/32'"),
		twoSpellings("macaddr", "'08:00:2b:01:02:03'", "'08002b-010203'"),
		twoSpellings("jsonb", `'{"a":1}'`, `'{"a": 1}'`),
		twoSpellings("pg_lsn", "'0/A'", "'0/a'"),
		twoSpellings("oid", "'4294967295'", "'-1'"),
		twoSpellings("real", "'16777217'", "'16777216'"),
		twoSpellings("float8", "'9007199254740993'", "'9007199254740992'"),
		twoSpellings("numeric(3,-2)", "149", "'100'"),
		twoSpellings("thousands", "149", "'100'"),
		twoSpellings("name", "'"+long+"y'", "'"+long+"'"),
		twoSpellings(`"char"`, "'ab'", "'a'"),
		twoSpellings("text COLLATE anycase", "'ada'", "'Ada'"),
		twoSpellings("varchar(9) COLLATE anycase", "'straße'", "'STRAßE'"),
		twoSpellings("loose", "'ada'", "'Ada'"),
		twoSpellings("bytea", "'a'", `'\x61'`),
	}
	w.certain(cases)
}

// TestOneSpelling: of these types it is known, also of what is returned.
func TestOneSpelling(t *testing.T) {
	each(t, "CREATE DOMAIN number AS bigint; CREATE DOMAIN price AS number", func(w *world) {
		named := func(column, value, key string) certain {
			return certain{
				column, "CREATE TABLE % (id " + column + " PRIMARY KEY, n int)",
				"INSERT INTO % (id) VALUES (" + value + ")\nDELETE FROM % WHERE id = " + value + "\nINSERT INTO % (id) SELECT x.id FROM (VALUES (1)) y CROSS JOIN LATERAL (SELECT CAST(" + value + " AS " + column + ") AS id) x RETURNING id",
				"%.inserted %#" + key + one + "\n%.deleted %#" + key + one + "\n%.inserted %#" + key + one,
			}
		}
		w.certain([]certain{
			named("smallint", "'007'", "7"),
			named("price", "'007'", "7"),
			named("numeric", "'007'", "7"),
			named("numeric(9,0)", "'007'", "7"),
			named("text", "'007'", "007"),
			named("varchar(9)", "'007'", "007"),
			named("char(9)", "'a '", "a"),
			named("uuid", "'0190AAAABBBB7CCC8DDDEEEEFFFF0001'", fileID.String()),
		})
	}, pg...)
}

// TestTwoSpellingsOfSQLite is about its affinities and collations.
func TestTwoSpellingsOfSQLite(t *testing.T) {
	w := newWorld(t, dbtest.SQLite, "")
	w.certain([]certain{
		twoSpellings("real", "9007199254740993", "9007199254740992"),
		twoSpellings("double", "9007199254740993", "9007199254740992"),
		twoSpellings("text COLLATE NOCASE", "'ada'", "'ADA'"),
		twoSpellings("blob", "'7'", "CAST('7' AS text)"),
		twoSpellings("", "'7'", "CAST('7' AS text)"),
		{
			"text", "CREATE TABLE % (id text PRIMARY KEY)", "INSERT INTO % (id) VALUES ('007')\nINSERT INTO % (id) VALUES (7)\nDELETE FROM % WHERE id = CAST('7' AS int)",
			"%.inserted %#007" + one + "\n%.inserted %#7" + one + "\n%.deleted % statements=1 rows=2",
		},
		{
			"integer", "CREATE TABLE % (id integer PRIMARY KEY)", "INSERT INTO % (id) VALUES (7)\nDELETE FROM % WHERE id = '7.0'\nINSERT INTO % (id) VALUES ('7')",
			"%.inserted %#7" + one + "\n%.deleted %" + one + "\n%.inserted %#7" + one,
		},
		{"no such column", "CREATE TABLE % (n int); INSERT INTO % VALUES (1), (2)", `DELETE FROM % WHERE "id" = 'id'`, "%.deleted % statements=1 rows=2"},
	})
}

const setsKey = " FOR EACH ROW EXECUTE FUNCTION sets_key()"

// TestKeysThatTriggersChange: the key is what the row got, or none.
func TestKeysThatTriggersChange(t *testing.T) {
	w := newHub(t, dbtest.PQ, dbtest.PQ.DSN(t))
	w.must(w.bare.ExecContext(ctx(), "CREATE FUNCTION sets_key() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.id < 10 THEN NEW.id := NEW.id + 70; END IF; RETURN NEW; END'"))
	w.register(driver.Capture(driver.AllTables()))
	w.certain([]certain{
		{
			"INSERT", "CREATE TABLE % (id bigint PRIMARY KEY, n int); CREATE TRIGGER t BEFORE INSERT ON %" + setsKey,
			"INSERT INTO % (id) VALUES (7)\nUPDATE % SET n = 1 WHERE id = 77", "%.inserted %" + one + "\n%.updated %#77" + one,
		},
		{
			"RETURNING", "CREATE TABLE % (id bigint PRIMARY KEY, n int); CREATE TRIGGER t BEFORE INSERT ON %" + setsKey,
			"INSERT INTO % (id) VALUES (7) RETURNING id", "%.inserted %#77" + one,
		},
		{
			"upsert", "CREATE TABLE % (id bigint PRIMARY KEY, n int); CREATE TRIGGER t BEFORE INSERT ON %" + setsKey,
			"INSERT INTO % (id) VALUES (7) ON CONFLICT (id) DO UPDATE SET n = 1", "%.upserted %" + one,
		},
		{
			"partition", "CREATE TABLE % (id bigint PRIMARY KEY, n int) PARTITION BY RANGE (id); CREATE TABLE %_1 PARTITION OF % FOR VALUES FROM (0) TO (100); CREATE TRIGGER t BEFORE INSERT ON %_1" + setsKey,
			"INSERT INTO % (id) VALUES (7)\nINSERT INTO %_1 (id) VALUES (8)\nUPDATE % SET n = 1 WHERE id = 77", "%.inserted %" + one + "\n%.inserted %" + one + " via=%_1\n%.updated %#77" + one,
		},
		{
			"UPDATE", "CREATE TABLE % (id bigint PRIMARY KEY, n int); INSERT INTO % VALUES (7), (77); CREATE TRIGGER t BEFORE UPDATE ON %" + setsKey,
			"DELETE FROM % WHERE id = 77\nUPDATE % SET n = 1 WHERE id = 7\nDELETE FROM % WHERE id = 77", "%.deleted %#77" + one + "\n%.updated %#7" + one + "\n%.deleted %#77" + one,
		},
		{
			"rule", "CREATE TABLE % (id bigint PRIMARY KEY, n int); CREATE RULE r AS ON UPDATE TO % DO INSTEAD NOTHING",
			"INSERT INTO % (id) VALUES (7)\nUPDATE % SET n = 1 WHERE id = 7", "%.inserted %#7" + one + "\n%.updated % statements=1 conditional=true",
		},
		{
			"disabled", "CREATE TABLE % (id bigint PRIMARY KEY, n int); CREATE TRIGGER t BEFORE INSERT ON %" + setsKey + "; ALTER TABLE % DISABLE TRIGGER t",
			"INSERT INTO % (id) VALUES (7)", "%.inserted %#7" + one,
		},
	})
}

func TestKeysThatTriggersOfSQLiteChange(t *testing.T) {
	w := newWorld(t, dbtest.SQLite, "")
	w.certain([]certain{
		{
			"another column", "CREATE TABLE % (id integer PRIMARY KEY, n int); CREATE TRIGGER %t AFTER INSERT ON % BEGIN UPDATE % SET n = new.id WHERE id = new.id! END",
			"INSERT INTO % (id) VALUES (7)", "%.inserted %#7" + one,
		},
		{
			"UPDATE", "CREATE TABLE % (id integer PRIMARY KEY, n int); INSERT INTO % VALUES (7, 1), (77, 1); CREATE TRIGGER %t AFTER UPDATE OF n ON % BEGIN UPDATE % SET id = 77 WHERE id = 7! END",
			"DELETE FROM % WHERE id = 77\nUPDATE % SET n = 2 WHERE id = 7\nDELETE FROM % WHERE id = 77", "%.deleted %#77" + one + "\n%.updated %#7" + one + "\n%.deleted %#77" + one,
		},
	})
	w.setUp("CREATE TABLE zeros (id integer PRIMARY KEY)")
	w.must(w.bare.ExecContext(ctx(), "CREATE TRIGGER zt AFTER INSERT ON zeros WHEN new.id = 0 BEGIN UPDATE zeros SET id = (SELECT max(id) + 1000 FROM zeros) WHERE id = 0; END"))
	w.exec("INSERT INTO zeros (id) VALUES (0)")
	w.must(drain(w.db.QueryContext(ctx(), "INSERT INTO zeros (id) VALUES (0) RETURNING id")))
	w.want("zeros.inserted zeros"+one, "zeros.inserted zeros"+one)
}

// TestUpsertsThatMove: an upsert that sets the key is about two rows.
func TestUpsertsThatMove(t *testing.T) {
	each(t, "", func(w *world) {
		w.certain([]certain{{
			"sets the key", "CREATE TABLE % (id bigint PRIMARY KEY, n int); INSERT INTO % VALUES (9, 1), (12, 1)",
			"DELETE FROM % WHERE id = 12\nINSERT INTO % (id, n) VALUES (9, 2) ON CONFLICT (id) DO UPDATE SET id = 12\nDELETE FROM % WHERE id = 12",
			"%.deleted %#12" + one + "\n%.upserted %#9" + one + "\n%.deleted %#12" + one,
		}, {
			"sets another", "CREATE TABLE % (id bigint PRIMARY KEY, n int); INSERT INTO % VALUES (9, 1), (11, 1), (12, 1)",
			"DELETE FROM % WHERE id = 12\nINSERT INTO % (id, n) VALUES (9, 2) ON CONFLICT (id) DO UPDATE SET n = excluded.id\nDELETE FROM % WHERE n = 1 AND id = 11\nINSERT INTO % (id, n) VALUES (9, 2) ON CONFLICT (id) DO UPDATE SET n = excluded.id",
			"%.deleted %#12" + one + "\n%.upserted %#9" + two + "\n%.deleted %#11" + one,
		}})
	})
}

// TestReplace: SQLite's REPLACE may delete another row than it names.
func TestReplace(t *testing.T) {
	const table = "CREATE TABLE % (id integer PRIMARY KEY, email text UNIQUE); INSERT INTO % VALUES (1, 'a'), (2, 'b')"
	w := newWorld(t, dbtest.SQLite, "")
	w.certain([]certain{
		{
			"REPLACE", table, "UPDATE % SET email = 'c' WHERE id = 1\nREPLACE INTO % (id, email) VALUES (9, 'c')\nINSERT INTO % (id, email) VALUES (1, 'a')\nUPDATE % SET email = 'd' WHERE id = 1",
			"%.updated %#1" + one + "\n%.upserted %#9" + one + "\n%.inserted %#1" + one + "\n%.updated %#1" + one,
		},
		{
			"UPDATE OR REPLACE", table, "INSERT INTO % (id, email) VALUES (3, 'c')\nUPDATE OR REPLACE % SET email = 'c' WHERE id = 2\nINSERT INTO % (id, email) VALUES (3, 'x')",
			"%.inserted %#3" + one + "\n%.updated %#2" + one + "\n%.inserted %#3" + one,
		},
		{
			"ON CONFLICT REPLACE", "CREATE TABLE % (id integer PRIMARY KEY, email text UNIQUE ON CONFLICT REPLACE)", "INSERT INTO % (id, email) VALUES (1, 'a')\nDELETE FROM % WHERE email = 'a' AND id = 1\nINSERT INTO % (id, email) VALUES (2, 'a')\nUPDATE % SET email = 'b' WHERE id = 2",
			"%.upserted %#1" + one + "\n%.deleted %#1" + one + "\n%.upserted %#2" + one + "\n%.updated %#2" + one,
		},
	})
}

// TestSharedKeys: what several rows may have is no key.
func TestSharedKeys(t *testing.T) {
	const change = "UPDATE % SET n = 1 WHERE id = 7"
	each(t, "", func(w *world) {
		unnamed := func(name, ddl string) certain { return certain{name, ddl, change, "%.updated % statements=1 rows=2"} }
		named := func(name, ddl string) certain { return certain{name, ddl, change, "%.updated %#7" + one} }
		const rows = "; INSERT INTO % VALUES (1, 7, 0), (2, 7, 0)"
		const row = "; INSERT INTO % VALUES (1, 7, 0)"
		cases := []certain{
			unnamed("composite", "CREATE TABLE % (tenant int, id bigint, n int, PRIMARY KEY (tenant, id))"+rows),
			unnamed("no index", "CREATE TABLE % (tenant int, id bigint, n int)"+rows),
			unnamed("not unique", "CREATE TABLE % (tenant int, id bigint, n int); CREATE INDEX %i ON % (id)"+rows),
			unnamed("partial", "CREATE TABLE % (tenant int, id bigint, n int); CREATE UNIQUE INDEX %i ON % (id) WHERE tenant = 3"+rows),
			unnamed("expression", "CREATE TABLE % (tenant int, id bigint, n int); CREATE UNIQUE INDEX %i ON % ((id + tenant))"+rows),
			named("primary key", "CREATE TABLE % (tenant int, id bigint PRIMARY KEY, n int)"+row),
			named("unique", "CREATE TABLE % (tenant int PRIMARY KEY, id bigint UNIQUE, n int)"+row),
			named("unique index", "CREATE TABLE % (tenant int, id bigint, n int); CREATE UNIQUE INDEX %i ON % (id)"+row),
		}
		if w.e.Dialect == hooks.SQLite {
			cases = append(cases,
				named("row's number", "CREATE TABLE % (tenant int, id integer PRIMARY KEY, n int)"+row),
				named("without row numbers", "CREATE TABLE % (tenant int, id bigint, n int, PRIMARY KEY (id)) WITHOUT ROWID"+row),
				unnamed("composite without row numbers", "CREATE TABLE % (tenant int, id integer, n int, PRIMARY KEY (id, tenant)) WITHOUT ROWID"+rows))
		} else {
			cases = append(cases,
				unnamed("inherited", "CREATE TABLE % (tenant int, id bigint PRIMARY KEY, n int); CREATE TABLE %_1 () INHERITS (%); INSERT INTO % VALUES (1, 7, 0); INSERT INTO %_1 VALUES (2, 7, 0)"),
				unnamed("partitioned", "CREATE TABLE % (tenant int, id bigint, n int) PARTITION BY LIST (tenant); CREATE TABLE %_1 PARTITION OF % (id PRIMARY KEY) FOR VALUES IN (1); CREATE TABLE %_2 PARTITION OF % (id PRIMARY KEY) FOR VALUES IN (2)"+rows),
				named("partitioned by it", "CREATE TABLE % (tenant int, id bigint PRIMARY KEY, n int) PARTITION BY RANGE (id); CREATE TABLE %_1 PARTITION OF % FOR VALUES FROM (0) TO (9)"+row))
		}
		w.certain(cases)
	})
}

// TestKeysOfAttachedDatabases: what the driver asks of one does not begin a reading
// transaction of the main one.
func TestKeysOfAttachedDatabases(t *testing.T) {
	w := newWorld(t, dbtest.SQLite, "CREATE TABLE orders (id integer PRIMARY KEY); CREATE TABLE vips (id bigint)")
	conn := w.conn()
	w.execOn(conn, "ATTACH '"+filepath.Join(t.TempDir(), "more.db")+"' AS more")
	w.execOn(conn, "CREATE TABLE more.notes (id text PRIMARY KEY)")
	w.events()
	w.execOn(conn, "BEGIN")
	w.execOn(conn, "INSERT INTO more.notes (id) VALUES ('a')")
	w.must(w.bare.ExecContext(ctx(), "INSERT INTO vips VALUES (1)"))
	w.execOn(conn, "INSERT INTO orders (id) VALUES (7)")
	w.execOn(conn, "COMMIT")
	w.want("more.notes.inserted more.notes#a"+one, "orders.inserted orders#7"+one)
}
