package relay_test

import (
	"bufio"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// The environment of a test binary that is not to test, but to play a role until
// it is killed.
const (
	roleEnv   = "AFTERCOMMIT_TEST_ROLE" // as in play
	driverEnv = "AFTERCOMMIT_TEST_DRIVER"
	dsnEnv    = "AFTERCOMMIT_TEST_DSN"
	fileEnv   = "AFTERCOMMIT_TEST_FILE" // what a writer has committed, or a relay delivered
)

// victim is a process that is killed.
type victim struct {
	db   *sql.DB
	file *os.File
	rng  *rand.Rand
}

// play plays a role. The process ends when its parent has.
func play(role string) {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // which ends with the parent
		os.Exit(0)
	}()
	db, err := sql.Open(os.Getenv(driverEnv), os.Getenv(dsnEnv))
	exitOn(err)
	file, err := appendTo(os.Getenv(fileEnv))
	exitOn(err)
	v := &victim{db: db, file: file, rng: rand.New(rand.NewPCG(rand.Uint64(), 0))}
	switch role {
	case "relay":
		v.relay()
	case "freezable":
		v.freezable()
	case "authors":
		v.authors()
	case "troubled":
		v.troubled()
	default:
		v.write()
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func appendTo(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// write commits transactions, and writes down those whose commit has returned.
func (v *victim) write() {
	j, err := journal.New(hooks.Postgres, nil)
	exitOn(err)
	me := time.Now().UnixNano()
	for n := 1; ; n++ {
		names := make([]string, 1+v.rng.IntN(4))
		for i := range names {
			names[i] = fmt.Sprintf("%d.%d.%d", me, n, i)
		}
		if err := v.transaction(j, names); err == nil {
			_, err = fmt.Fprintln(v.file, strings.Join(names, "\n"))
			exitOn(err)
		} else if !errors.Is(err, errUndecided) {
			time.Sleep(10 * time.Millisecond) // the server may be away
		}
	}
}

var errUndecided = errors.New("rolled back")

func (v *victim) transaction(j *journal.Journal, names []string) error {
	conn, err := v.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	fail := func(err error) error {
		if _, e := conn.ExecContext(ctx, "ROLLBACK"); e != nil {
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
		return err
	}
	if _, err = conn.ExecContext(ctx, "BEGIN"); err != nil {
		return fail(err)
	}
	for _, n := range names {
		_, e := relay.LendWithin(conn, func(db *sql.DB) bool {
			_, err = j.Write(ctx, hooks.Flush{Conn: sqltest.Lent(db), Events: []hooks.Event{event(n)}, Key: key(), Must: true, Timeout: dbtest.Patience})
			return false
		})
		if err = errors.Join(e, err); err != nil {
			return fail(err)
		}
	}
	if v.rng.IntN(8) == 0 {
		return fail(errUndecided)
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}

// The forwarders of the processes.
const (
	inTable = "table/default"
	inFile  = "file/default"
)

func (v *victim) relay() {
	s, err := relay.New(hooks.Postgres, nil)
	exitOn(err)
	calm := &process{calm: true}
	relay.Start(s, v.db, relay.Config{
		Targets: []relay.Target{(&table{name: inTable}).target(calm), fileTarget(v.file, 10*time.Millisecond)},
		Batch:   batches[v.rng.IntN(len(batches))], Lease: 500 * time.Millisecond, Poll: 10 * time.Millisecond,
	})
	select {}
}

// fileTarget appends a line for each entry, with how many came together. Its answer takes a while, in which the
// process may be killed.
func fileTarget(file *os.File, takes time.Duration) relay.Target {
	return relay.Target{Name: inFile, MaxAttempts: 5, Deliver: func(_ context.Context, _ *sql.DB, entries []journal.Entry) (r relay.Result) {
		var lines strings.Builder
		lines.WriteByte('\n') // the last line may be torn
		for _, e := range entries {
			fmt.Fprintf(&lines, "%s %s %d .\n", e.Target.ID, place(&e), len(entries))
		}
		if _, err := io.WriteString(file, lines.String()); err != nil {
			r.Err = &relay.Failure{Reason: "error", Err: err}
		}
		time.Sleep(takes)
		return r
	}}
}

// readLines returns the lines of a file, of which the last may be torn.
func readLines(path string) (lines []string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	for r := bufio.NewReader(file); ; {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return nil, err
		}
		if line = strings.TrimSuffix(line, "\n"); line != "" {
			lines = append(lines, line)
		}
	}
}
