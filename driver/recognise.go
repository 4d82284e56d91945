package driver

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// packages are those of known drivers, by the beginning of their path.
var packages = []struct {
	path    string
	dialect hooks.Dialect // empty: not supported
	speaks  string
}{
	{"github.com/lib/pq", hooks.Postgres, "PostgreSQL"},
	{"github.com/jackc/pgx/", hooks.Postgres, "PostgreSQL"},
	{"modernc.org/sqlite", hooks.SQLite, "SQLite"},
	{"github.com/mattn/go-sqlite3", hooks.SQLite, "SQLite"},
	{"github.com/ncruces/go-sqlite3", hooks.SQLite, "SQLite"},
	{"github.com/glebarez/", hooks.SQLite, "SQLite"},
	{"github.com/go-sql-driver/mysql", hooks.MySQL, "MySQL (or MariaDB)"},
	{"github.com/go-mysql-org/go-mysql", "", "MySQL (or MariaDB)"},
	{"github.com/microsoft/go-mssqldb", "", "SQL Server"},
	{"github.com/denisenkom/go-mssqldb", "", "SQL Server"},
	{"github.com/sijms/go-ora", "", "Oracle"},
	{"github.com/godror/godror", "", "Oracle"},
	{"github.com/ClickHouse/clickhouse-go", "", "ClickHouse"},
	{"github.com/snowflakedb/gosnowflake", "", "Snowflake"},
}

// unsupported is a known database that the driver cannot audit.
type unsupported struct{ speaks string }

// Error says how the database can be opened all the same.
func (u unsupported) Error() string {
	return u.speaks + " is not supported yet: the database can be opened only with the mode off (driver.WithMode, AFTERCOMMIT_MODE), and is then not audited"
}

// recognise finds a dialect by where the type of a driver or connection comes
// from. It is empty for what is not known, and an error for what is known not to
// be supported.
func recognise(v any) (hooks.Dialect, error) {
	t := reflect.TypeOf(v)
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		return "", nil
	}
	for _, p := range packages {
		switch {
		case !strings.HasPrefix(t.PkgPath(), p.path):
		case p.dialect == "":
			return "", unsupported{p.speaks}
		default:
			return p.dialect, nil
		}
	}
	return "", nil
}

// dialectOf returns the dialect of a driver, looking through wrappers that show
// what they wrap. What claimed says, from WithDialect, must not contradict it.
func dialectOf(d driver.Driver, claimed hooks.Dialect) (hooks.Dialect, error) {
	bottom := d
	for range maxWrappers {
		next := belowDriver(bottom)
		if w, ok := bottom.(*wrapped); ok {
			next = Base(w)
		}
		if next == nil || next == bottom {
			break
		}
		bottom = next
	}
	found, err := recognise(bottom)
	switch {
	case err != nil:
		return "", err
	case claimed == "" && found == "":
		return "", fmt.Errorf("cannot tell which database %T is for: if it is PostgreSQL, SQLite or MySQL, pass driver.WithDialect; others are not supported yet", d)
	case claimed == "":
		return found, nil
	case found != "" && found != claimed:
		return "", fmt.Errorf("driver.WithDialect says %s, but %T speaks %s: leave the option out", claimed, bottom, found)
	}
	return claimed, nil
}

// checkClaim looks at the first connections of a database whose dialect was
// only claimed: wrappers of others may show more there.
func (db *database) checkClaim(c driver.Conn) error {
	if db.reg.cfg.dialect == "" {
		return nil
	}
	c = bottom(c)
	found, err := recognise(c)
	switch {
	case err != nil:
	case found != "" && found != db.dialect.name():
		err = fmt.Errorf("driver.WithDialect says %s, but %T speaks %s: correct the option", db.dialect.name(), c, found)
	default:
		return nil
	}
	return fmt.Errorf("driver: %q: %w", db.reg.name, err)
}

// unaudited opens connections of the base driver for a database that cannot be
// audited, which the mode off allows.
type unaudited struct {
	base driver.Connector
	w    *wrapped
}

var (
	_ driver.Connector = unaudited{}
	_ io.Closer        = unaudited{}
)

func (u unaudited) Connect(ctx context.Context) (driver.Conn, error) { return u.base.Connect(ctx) }
func (u unaudited) Driver() driver.Driver                            { return u.w }

// Close is called by sql.DB.Close.
func (u unaudited) Close() error {
	if c, ok := u.base.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
