// Command program is the app that tests of upgrades run.
package main

import "github.com/go-aftercommit/aftercommit/sqltest/dbtest/upgrade/app"

func main() { app.Main(nil) }
