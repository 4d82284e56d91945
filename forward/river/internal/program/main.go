// Command program is the app that tests of upgrades run, with River as its queue.
package main

import (
	"time"

	riverqueue "github.com/riverqueue/river"

	"github.com/go-aftercommit/aftercommit/forward/river"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest/upgrade/app"
)

func main() {
	app.Main(river.New(&river.Options{Config: &riverqueue.Config{
		FetchCooldown: time.Millisecond, FetchPollInterval: 5 * time.Millisecond, TestOnly: true,
	}}))
}
