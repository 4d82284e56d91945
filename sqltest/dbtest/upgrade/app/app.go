// Package app is what the programs share that tests of upgrades build against two versions of
// the module, so it may use only what both have: an app with an audit trail, what delivers
// its events, or both. It does what the lines on its standard input say.
//
//	write 3      commits three transactions, of an INSERT and an event each, and prints
//	             "committed" with the event's ID after each commit
//	rollback 3   rolls three back, and prints "rolledback" with the ID
//	ping         prints "pong"
//
// At the end of its input it closes its database and ends. The file of -sink gets the IDs of
// the events that a forwarder has accepted, a line each.
package app

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib" // "pgx"
	_ "github.com/lib/pq"              // "postgres"
	_ "modernc.org/sqlite"             // "sqlite"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
)

var (
	base   = flag.String("driver", "", "the base driver's name")
	dsn    = flag.String("dsn", "", "the database")
	sink   = flag.String("sink", "", "the file of the forwarder")
	relays = flag.String("relay", "in-process", "in-process, elsewhere, or only: no app, but Hub.Relay, or Hub.Work with a queue")
)

// Main is that of a program. queue may be nil.
func Main(queue forward.Queue) {
	flag.Parse()
	if err := run(context.Background(), queue); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, queue forward.Queue) error {
	file, err := os.OpenFile(*sink, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	o := &forward.Options{Grace: 100 * time.Millisecond, Queue: queue}
	if *relays != "in-process" {
		o.Relay = forward.RelayElsewhere
	}
	hub := forward.New(o)
	hub.Register(fileSink{file}, forward.Auto)
	hub.Register(threadline.NewForwarder(nil), forward.Auto)
	if *relays == "only" {
		deliver := hub.Relay
		if queue != nil {
			deliver = hub.Work
		}
		return only(ctx, deliver)
	}
	driver.Register("audited", *base, hub)
	db, err := sql.Open("audited", *dsn)
	if err != nil {
		return err
	}
	if err = obey(ctx, db); err != nil {
		return err
	}
	return errors.Join(db.Close(), hub.Close(ctx))
}

// only delivers until its input ends.
func only(ctx context.Context, deliver func(context.Context, *sql.DB, hooks.Dialect) error) error {
	db, err := sql.Open(*base, *dsn)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- deliver(ctx, db, dialect()) }()
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Println("pong")
	}
	stop()
	if err = <-done; errors.Is(err, context.Canceled) { // it had not started yet
		err = nil
	}
	return errors.Join(err, db.Close())
}

func dialect() hooks.Dialect {
	if *base == "sqlite" {
		return hooks.SQLite
	}
	return hooks.Postgres
}

// fileSink notes the IDs of the events that it gets.
type fileSink struct{ file *os.File }

func (s fileSink) Forward(_ context.Context, entries []journal.Entry) error {
	var b strings.Builder
	for i := range entries {
		b.WriteString(entries[i].ID.String() + "\n")
	}
	_, err := s.file.WriteString(b.String()) // one write, so that processes can share the file
	return err
}

func obey(ctx context.Context, db *sql.DB) error {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		word, rest, _ := strings.Cut(in.Text(), " ")
		n, _ := strconv.Atoi(rest)
		switch word {
		case "write", "rollback":
			for range n {
				if err := transaction(ctx, db, word == "write"); err != nil {
					return err
				}
			}
		case "ping":
		default:
			return fmt.Errorf("no such command: %q", in.Text())
		}
		fmt.Println("pong")
	}
	return in.Err()
}

func transaction(ctx context.Context, db *sql.DB, commits bool) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	id := uuid.Must(uuid.NewV7())
	if _, err = tx.ExecContext(ctx, "INSERT INTO things (name) VALUES ('"+id.String()+"')"); err != nil {
		return err
	}
	event := hooks.Event{ID: id, Action: "thing.made", Target: hooks.Target{Type: "thing", ID: id.String()}}
	if err = hooks.Record(ctx, tx, event); err != nil {
		return err
	}
	if !commits {
		fmt.Println("rolledback", id)
		return tx.Rollback()
	}
	if err = tx.Commit(); err != nil {
		return err
	}
	fmt.Println("committed", id)
	return nil
}
