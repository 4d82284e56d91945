package others_test

import (
	"database/sql"
	sqldriver "database/sql/driver"
	"io"
	"net"
	"strings"
	"testing"

	xsam "github.com/XSAM/otelsql"
	"github.com/go-sql-driver/mysql"
	"github.com/qustavo/sqlhooks/v2"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest/others"
)

// mysqlServer answers OK to everything, and returns the DSN to connect to it.
func mysqlServer(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveMySQL(c)
		}
	}()
	return "app@tcp(" + l.Addr().String() + ")/shop"
}

// serveMySQL greets as the protocol's version 10 asks (Handshake V10), with the
// capabilities PROTOCOL_41, SECURE_CONNECTION and PLUGIN_AUTH.
func serveMySQL(c net.Conn) {
	defer c.Close()
	greeting := "\x0a8.0.0\x00" + "\x01\x00\x00\x00" + "12345678\x00" + "\x00\x82" + "\x2d" + "\x02\x00" + "\x08\x00" + "\x15" +
		strings.Repeat("\x00", 10) + "123456789012\x00" + "mysql_native_password\x00"
	if _, err := c.Write(append([]byte{byte(len(greeting)), 0, 0, 0}, greeting...)); err != nil {
		return
	}
	header := make([]byte, 4)
	for {
		if _, err := io.ReadFull(c, header); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, c, int64(header[0])|int64(header[1])<<8|int64(header[2])<<16); err != nil {
			return
		}
		if _, err := c.Write([]byte{7, 0, 0, header[3] + 1, 0, 0, 0, 2, 0, 0, 0}); err != nil {
			return
		}
	}
}

// TestMySQLIsRefused with a journal in one sentence, however it is wrapped. What is
// claimed gets nobody past it, who would lose rows.
func TestMySQLIsRefused(t *testing.T) {
	dsn := mysqlServer(t)
	hook := dbtest.Wrap(t, "mysql", func(d sqldriver.Driver) sqldriver.Driver { return sqlhooks.Wrap(d, others.NoHooks{}) })
	hidden := dbtest.Wrap(t, "mysql", func(d sqldriver.Driver) sqldriver.Driver { return xsam.WrapDriver(d) })
	claimed := []driver.Option{driver.WithDialect(hooks.Postgres)}
	itself := []driver.Option{driver.WithDialect(hooks.MySQL)}
	for what, c := range map[string]struct {
		base string
		opts []driver.Option
	}{
		"bare":              {"mysql", nil},
		"claimed":           {"mysql", claimed},
		"best effort":       {"mysql", []driver.Option{driver.WithMode(hooks.BestEffort)}},
		"sqlhooks":          {hook, nil},
		"otelsql":           {hidden, itself},
		"otelsql, claimed":  {hidden, claimed},
		"sqlhooks, claimed": {hook, claimed},
	} {
		t.Run(what, func(t *testing.T) {
			hub, _ := newHub(t, nil)
			name := dbtest.Name("mysql")
			driver.Register(name, c.base, hub, c.opts...)
			err := openAndPing(name, dsn)
			if strings.Contains(what, "claimed") {
				if err == nil || !strings.Contains(err.Error(), "driver.WithDialect says postgres, but ") {
					t.Errorf("error %v, want one that contradicts the claim", err)
				}
				return
			}
			wantRefused(t, err)
		})
	}
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	c, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	hub, _ := newHub(t, nil)
	_, err = driver.WrapConnector(c, hub)
	wantRefused(t, err)
}

func openAndPing(name, dsn string) error {
	db, err := sql.Open(name, dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.PingContext(ctx())
}

func wantRefused(t *testing.T, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "MySQL (or MariaDB) is not supported yet with a journal: set forward.Options.NoJournal") || strings.Contains(err.Error(), "WithDialect") {
		t.Errorf("error %v, want one that says that it is not supported with a journal", err)
	}
}

// TestMySQLOff: with the mode off it is the bare driver, and the mode stays.
func TestMySQLOff(t *testing.T) {
	dsn := mysqlServer(t)
	hub, _ := newHub(t, nil)
	name := dbtest.Name("mysql")
	driver.Register(name, "mysql", hub, driver.WithMode(hooks.Off), driver.Capture(driver.AllTables()))
	db := dbtest.Open(t, name, dsn)
	bare := dbtest.Open(t, "mysql", dsn)
	byOne := sql.OpenDB(traceDSN{db.Driver(), dsn})
	defer byOne.Close()
	for what, db := range map[string]*sql.DB{"by name": db, "one by one": byOne} {
		if _, err := db.ExecContext(ctx(), "INSERT INTO orders VALUES ('it\\'s')"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got, want := rawType(t, db), rawType(t, bare); got != want {
			t.Errorf("%s: the connection is a %s, want the bare driver's %s", what, got, want)
		}
		if _, ok := driver.Base(db.Driver()).(*mysql.MySQLDriver); !ok {
			t.Errorf("%s: the base driver is a %T", what, driver.Base(db.Driver()))
		}
	}
	for _, mode := range []hooks.Mode{hooks.Strict, hooks.BestEffort} {
		wantRefused(t, driver.SetMode(ctx(), name, mode))
	}
	if err := driver.SetMode(ctx(), name, hooks.Off); err != nil {
		t.Error(err)
	}
}

func rawType(t *testing.T, db *sql.DB) (name string) {
	t.Helper()
	conn, err := db.Conn(ctx())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.Raw(func(dc any) error {
		name = typeOf(dc)
		return nil
	})
	return name
}
