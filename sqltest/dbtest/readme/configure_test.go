package readme_test

import (
	"database/sql"
	"os"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// TestSinksByConfiguration: the README's list, in a program that has no NATS.
func TestSinksByConfiguration(t *testing.T) {
	t.Setenv("AUDIT_SINKS", blocks(t, "json")[0])
	core, logs := observer.New(zapcore.WarnLevel)
	hub := forward.New(&forward.Options{Logger: zap.New(core)})
	if err := configure(hub); err != nil {
		t.Fatal(err)
	}
	if all := logs.All(); len(all) != 1 || !strings.HasSuffix(all[0].ContextMap()["do"].(string), `/forward/nats"`) {
		t.Errorf("the log has %v", all)
	}

	name := dbtest.Name("sqlite")
	driver.Register(name, "sqlite", hub, driver.Capture(driver.AllTables()))
	db, err := sql.Open(name, dbtest.SQLite.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec(t, db, "CREATE TABLE orders (id integer PRIMARY KEY)")
	exec(t, db, "INSERT INTO orders (id) VALUES (1)")
	page, err := threadline.NewStore(db, hooks.SQLite, nil).Timeline(t.Context(), threadline.Query{TargetType: "orders"})
	if err != nil || len(page.Actions) == 0 {
		t.Errorf("the timeline has %v, %v", page.Actions, err)
	}
}

func configure(audit *forward.Hub) error {
	sinks, err := forward.ParseSpecs([]byte(os.Getenv("AUDIT_SINKS")))
	if err == nil {
		err = audit.Configure(sinks...)
	}
	return err
}
