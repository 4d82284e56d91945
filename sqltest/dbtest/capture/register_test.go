package capture_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// wantPanic asks that f panics with a text that says each of these.
func wantPanic(t *testing.T, f func(), texts ...string) {
	t.Helper()
	defer func() {
		t.Helper()
		v := recover()
		if v == nil {
			t.Errorf("no panic, want one that says %q", texts)
		}
		for _, text := range texts {
			if v != nil && !strings.Contains(fmt.Sprint(v), text) {
				t.Errorf("panic %q does not say %q", v, text)
			}
		}
	}()
	f()
}

// TestRegisterMistakes: they are told when the program starts, with what to do.
func TestRegisterMistakes(t *testing.T) {
	w := newWorld(t, dbtest.SQLite, "")
	name := func() string { return dbtest.Name("sqlite") }
	rules := func(table string) func() {
		return func() { driver.Register(name(), "sqlite", w.hub, driver.Capture(driver.Tables(table))) }
	}
	for what, c := range map[string]struct {
		call  func()
		texts []string
	}{
		"the name is used":     {func() { driver.Register(w.name, "sqlite", w.hub) }, []string{w.name, "is taken"}},
		"the base's own name":  {func() { driver.Register("sqlite", "sqlite", w.hub) }, []string{"name the driver to wrap"}},
		"no name":              {func() { driver.Register("", "sqlite", w.hub) }, []string{"name is empty"}},
		"no base":              {func() { driver.Register(name(), "", w.hub) }, []string{"name the driver to wrap"}},
		"nil hook":             {func() { driver.Register(name(), "sqlite", nil) }, []string{"nil hook", "forward.New"}},
		"nil option":           {func() { driver.Register(name(), "sqlite", w.hub, nil) }, []string{"nil option"}},
		"nil rules":            {func() { driver.Register(name(), "sqlite", w.hub, driver.Capture(nil)) }, []string{"nil rules"}},
		"no table":             {func() { driver.Register(name(), "sqlite", w.hub, driver.Capture(driver.Tables())) }, []string{"at least one"}},
		"an empty schema":      {func() { driver.Register(name(), "sqlite", w.hub, driver.Capture(driver.Tables(".orders"))) }, []string{".orders"}},
		"an empty exception":   {func() { driver.Register(name(), "sqlite", w.hub, driver.Capture(driver.AllTables().Except(""))) }, []string{"Except"}},
		"a pattern":            {rules("public.*"), []string{"public.*", "without patterns", "AllTables"}},
		"a quoted name":        {rules(`"Orders"`), []string{"without patterns, quotes"}},
		"a list in one string": {rules("orders, items"), []string{"commas"}},
		"spaces around a name": {rules(" orders"), []string{"spaces around"}},
		"three parts":          {rules("db.public.orders"), []string{"schema.table"}},
		"a pattern in Except":  {func() { driver.Register(name(), "sqlite", w.hub, driver.Capture(driver.AllTables().Except("log_*"))) }, []string{"Except", "patterns"}},
		"nothing is left": {func() {
			driver.Register(name(), "sqlite", w.hub, driver.Capture(driver.Tables("orders").Except("Orders")))
		}, []string{"capture nothing", "Except"}},
		"a nil Hub":              {func() { driver.Register(name(), "sqlite", (*forward.Hub)(nil), driver.Capture(driver.AllTables())) }, []string{"nil hook", "forward.New"}},
		"Do of nothing":          {func() { hooks.Do(ctx(), hooks.Values{}, nil) }, []string{"nil function"}},
		"an actor without an ID": {func() { driver.Register(name(), "sqlite", w.hub, driver.DefaultActor(hooks.Actor{Type: hooks.Job})) }, []string{"actor.id"}},
		"no actor":               {func() { driver.Register(name(), "sqlite", w.hub, driver.DefaultActor(hooks.Actor{})) }, []string{"DefaultActor is empty", "Type"}},
		"no write timeout":       {func() { driver.Register(name(), "sqlite", w.hub, driver.WriteTimeout(0)) }, []string{"WriteTimeout 0s: use a millisecond to 24h0m0s"}},
		"a negative timeout":     {func() { driver.Register(name(), "sqlite", w.hub, driver.WriteTimeout(-1)) }, []string{"WriteTimeout -1ns"}},
		"a long write timeout":   {func() { driver.Register(name(), "sqlite", w.hub, driver.WriteTimeout(24*time.Hour+1)) }, []string{"use a millisecond to 24h0m0s"}},
		"an endless timeout":     {func() { driver.Register(name(), "sqlite", w.hub, driver.WriteTimeout(1<<63-1)) }, []string{"use a millisecond to 24h0m0s"}},
		"no key column":          {func() { driver.Register(name(), "sqlite", w.hub, driver.KeyColumn("")) }, []string{"KeyColumn is empty"}},
		"no such dialect":        {func() { driver.Register(name(), "sqlite", w.hub, driver.WithDialect("oracle")) }, []string{"oracle", "hooks.Postgres"}},
		"no such mode":           {func() { driver.Register(name(), "sqlite", w.hub, driver.WithMode(9)) }, []string{"mode 9"}},
		"no room":                {func() { driver.Register(name(), "sqlite", w.hub, driver.Limits(0, 1)) }, []string{"positive"}},
		"no time":                {func() { driver.Register(name(), "sqlite", w.hub, driver.WriteTimeout(1)) }, []string{"millisecond"}},
	} {
		t.Run(what, func(t *testing.T) { wantPanic(t, c.call, c.texts...) })
	}
}

// TestRulesThatMayBeMeant: an exception of one schema leaves others, and a name may
// have a space in it.
func TestRulesThatMayBeMeant(t *testing.T) {
	for _, r := range []*driver.Rules{
		driver.Tables("orders").Except("t1.orders"), driver.Tables("t1.orders", "t2.orders").Except("t1.orders"),
		driver.Tables("order details"), driver.Tables("bestellung$größe"),
	} {
		driver.Register(dbtest.Name("sqlite"), "sqlite", forward.New(nil), driver.Capture(r))
	}
}

// TestStartSaysWhatIsCaptured: a program without driver.Capture starts as happily
// as one with it.
func TestStartSaysWhatIsCaptured(t *testing.T) {
	for want, opts := range map[string][]driver.Option{
		"off: only what is recorded":    nil,
		"all tables":                    {driver.Capture(driver.AllTables())},
		"all tables except sessions":    {driver.Capture(driver.AllTables().Except("sessions"))},
		"orders, t1.items except parts": {driver.Capture(driver.Tables("orders", "t1.items").Except("parts"))},
	} {
		core, logs := observer.New(zap.InfoLevel)
		name := dbtest.Name("sqlite")
		driver.Register(name, "sqlite", forward.New(&forward.Options{Logger: zap.New(core)}), opts...)
		if err := dbtest.Open(t, name, dbtest.SQLite.DSN(t)).PingContext(ctx()); err != nil {
			t.Fatal(err)
		}
		started := logs.FilterMessage("aftercommit: started").All()
		if len(started) != 1 || started[0].ContextMap()["capture"] != want {
			t.Errorf("started %v, want capture %q", started, want)
		}
	}
}

// TestUnknownBase: the base driver is looked up when the first database is
// opened, and its absence is told there.
func TestUnknownBase(t *testing.T) {
	w := newHub(t, dbtest.SQLite, dbtest.SQLite.DSN(t))
	name := dbtest.Name("nosuch")
	driver.Register(name, "nosuch", w.hub)
	db, err := sql.Open(name, "dsn")
	if err == nil {
		_ = db.Close()
	}
	w.wantText(err, name, `"nosuch"`, "forgotten import")
}

// stranger is a driver of a database that nobody has heard of.
type stranger struct{}

func (stranger) Open(string) (sqldriver.Conn, error) { return nil, errors.New("no connection") }

func init() { sql.Register("stranger", stranger{}) }

// TestUnknownDialect: guessing would be worse.
func TestUnknownDialect(t *testing.T) {
	w := newHub(t, dbtest.SQLite, dbtest.SQLite.DSN(t))
	name := dbtest.Name("stranger")
	driver.Register(name, "stranger", w.hub)
	db, err := sql.Open(name, "dsn")
	if err == nil {
		_ = db.Close()
	}
	w.wantText(err, "stranger", "driver.WithDialect")

	told := dbtest.Name("stranger")
	driver.Register(told, "stranger", w.hub, driver.WithDialect(hooks.Postgres))
	db = dbtest.Open(t, told, "dsn")
	w.wantText(db.PingContext(ctx()), "no connection")
}

// TestWrapConnector: for apps that use sql.OpenDB.
func TestWrapConnector(t *testing.T) {
	connectors := map[string]func(dsn string) (sqldriver.Connector, error){
		"pq": func(dsn string) (sqldriver.Connector, error) { return pq.NewConnector(dsn) },
		"pgx": func(dsn string) (sqldriver.Connector, error) {
			cfg, err := pgx.ParseConfig(dsn)
			if err != nil {
				return nil, err
			}
			return stdlib.GetConnector(*cfg), nil
		},
	}
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newHub(t, e, e.DSN(t))
		w.setUp(ordersTable)
		base, err := connectors[e.Name](w.dsn)
		w.must(err)
		c, err := driver.WrapConnector(base, w.hub, driver.Capture(driver.AllTables()))
		w.must(err)
		w.db = sql.OpenDB(c)
		t.Cleanup(func() { _ = w.db.Close() })
		if got, want := fmt.Sprintf("%T", driver.Base(w.db.Driver())), fmt.Sprintf("%T", w.bare.Driver()); got != want {
			t.Errorf("the driver wraps a %s, want the base's %s", got, want)
		}
		w.exec("INSERT INTO orders (id) VALUES (1)")
		tx := w.begin()
		w.execOn(tx, "DELETE FROM orders WHERE id = 1")
		w.record(tx, "n")
		w.must(tx.Commit())
		w.want("orders.inserted orders#1 statements=1 rows=1", "orders.deleted orders#1 statements=1 rows=1", "thing.noted thing#n")
	}, pg...)
}

// TestWrapConnectorMistakes: here they are errors.
func TestWrapConnectorMistakes(t *testing.T) {
	w := newWorld(t, dbtest.SQLite, "")
	base := connectorOf{stranger{}}
	_, err := driver.WrapConnector(nil, w.hub)
	w.wantText(err, "nil connector")
	_, err = driver.WrapConnector(base, nil)
	w.wantText(err, "nil hook")
	_, err = driver.WrapConnector(base, w.hub)
	w.wantText(err, "driver.WithDialect")
	_, err = driver.WrapConnector(base, w.hub, driver.Limits(0, 0))
	w.wantText(err, "positive")
}

type connectorOf struct{ d sqldriver.Driver }

func (c connectorOf) Connect(context.Context) (sqldriver.Conn, error) { return c.d.Open("") }
func (c connectorOf) Driver() sqldriver.Driver                        { return c.d }
