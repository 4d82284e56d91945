package readme_test

import (
	_ "github.com/lib/pq"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/threadline"
)

var audit = forward.New(nil)

func init() {
	audit.Register(threadline.NewForwarder(nil), forward.Auto) // no database named: the app's own
	driver.Register("postgres-audited", "postgres", audit, driver.Capture(driver.AllTables()))
}
