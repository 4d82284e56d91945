package driver

import (
	"database/sql/driver"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Option changes what [Register] and [WrapConnector] do by default.
type Option func(*config) error

type config struct {
	rules        *Rules
	mode         hooks.Mode
	actor        hooks.Actor
	requireActor bool
	status       func(driver.Conn) TxStatus
	parameter    func(base driver.Conn, name string) string
	committer    func(base driver.Conn) Committer
	dialect      hooks.Dialect
	keyColumn    string
	maxEvents    int
	maxBytes     int
	drainRows    int
	transactions bool // see CaptureTransactions
	side         driver.Connector
	forgets      bool
	writeTimeout time.Duration
}

// idColumn is the column whose value is a target's ID, unless the event names another (column in its metadata).
const idColumn = "id"

func defaultConfig() config {
	return config{
		keyColumn:    idColumn,
		maxEvents:    10_000,
		maxBytes:     16 << 20,
		drainRows:    10_000,
		writeTimeout: 5 * time.Second,
	}
}
