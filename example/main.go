// Command example runs a day in a small shop (package shop) that knows nothing
// of audit trails, with one: audit.go and actors.go are all that was added. It
// prints the timeline, on PostgreSQL also what has changed in the rows of one
// order and how a part of that was undone, and then checks both, and the
// journal, against the shop's own tables, read over connections that nothing
// wraps.
//
//	go run ./example                          on SQLite, in a temporary file
//	go run ./example -dsn postgres://…        in an empty PostgreSQL database
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

func main() {
	os.Exit(command(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// command returns the exit code: 1 if something is wrong, 2 for wrong flags.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("example", flag.ContinueOnError)
	flags.SetOutput(stderr)
	dsn := flags.String("dsn", "", "`URL` of an empty PostgreSQL database, such as postgres://localhost/shop; without it, SQLite in a temporary file")
	orders := flags.Int("orders", 3, "how many ordinary orders the day has")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	target, cleanup, err := database(*dsn)
	switch {
	case err != nil:
	case flags.NArg() > 0:
		err = fmt.Errorf("%q is not a flag: see -help", flags.Arg(0))
	case *orders < 0:
		err = fmt.Errorf("-orders %d: it cannot be negative", *orders)
	}
	if err != nil {
		fmt.Fprintln(stderr, "example:", err)
		return 2
	}
	defer cleanup()

	var bar *progress
	if f, ok := stderr.(*os.File); ok {
		bar = newProgress(f)
	}
	ok, err := run(ctx, target, *orders, stdout, bar)
	if err != nil {
		fmt.Fprintln(stderr, "example:", err)
	}
	if err != nil || !ok {
		return 1
	}
	return 0
}

// keyValue is libpq's other form of a DSN: host=… dbname=….
var keyValue = regexp.MustCompile(`^\s*(host|port|user|dbname|service)\s*=`)

// target is a database: how the shop opens it, and how those who check do.
type target struct {
	audited, bare, dsn string
}

// database says what to open for -dsn.
func database(dsn string) (t target, cleanup func(), err error) {
	scheme, _, _ := strings.Cut(dsn, "://")
	switch {
	case dsn == "":
		dir, err := os.MkdirTemp("", "aftercommit-example-")
		if err != nil {
			return t, nil, err
		}
		cleanup := func() { _ = os.RemoveAll(dir) } // temporary files: nobody minds one that stays
		return sqliteFile(filepath.Join(dir, "shop.db")), cleanup, nil
	case scheme == "postgres", scheme == "postgresql", keyValue.MatchString(dsn):
		return target{"postgres-audited", "postgres", dsn}, func() {}, nil
	default:
		return t, nil, fmt.Errorf("-dsn %q: give a URL such as postgres://user@localhost/shop, or leave it out for SQLite", dsn)
	}
}

func sqliteFile(path string) target {
	return target{"sqlite-audited", "sqlite", "file:" + path + "?_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)"}
}
