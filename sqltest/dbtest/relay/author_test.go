package relay_test

import (
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
)

// author is a session of a writer: its transactions are short or long, are rolled back
// or prepared, and record events that a poisoned sink does not accept.
type author struct {
	db  *sql.DB
	j   *journal.Journal
	rng *rand.Rand
	// committed and undone get the names of events when it is known what became of them.
	committed, undone io.Writer

	name string
	made int
}

// undoneFile has what an author has rolled back.
func undoneFile(path string) string { return path + ".undone" }

func (v *victim) authors() {
	j, err := journal.New(hooks.Postgres, nil)
	exitOn(err)
	undone, err := appendTo(undoneFile(os.Getenv(fileEnv)))
	exitOn(err)
	for range 3 {
		a := &author{db: v.db, j: j, rng: rand.New(rand.NewPCG(v.rng.Uint64(), 0)), committed: v.file, undone: undone}
		go a.run()
	}
	select {}
}

func (a *author) run() {
	a.rename()
	for {
		if err := a.transaction(); err != nil {
			time.Sleep(10 * time.Millisecond) // the server may be away
			a.rename()                        // it may commit yet, after the next
		}
		time.Sleep(time.Duration(a.rng.IntN(10)) * time.Millisecond)
	}
}

// rename begins a row of transactions, each of which begins when the one before has
// committed, and so is delivered after it.
func (a *author) rename() { a.name, a.made = fmt.Sprintf("%016x", a.rng.Uint64()), 0 }

func (a *author) transaction() error {
	conn, err := a.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err = a.on(conn); err != nil {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // with what is open on it
	}
	return err
}

func (a *author) on(conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	what := a.rng.IntN(20)
	row := a.name
	if what < 3 {
		row = fmt.Sprintf("%016x", a.rng.Uint64()) // it commits when it may
	}
	names := a.names(row)
	if err := a.record(conn, names); err != nil {
		return err
	}
	switch {
	case what < 3:
		return a.prepare(conn, row, names)
	case what < 6:
		return a.finish(conn, "ROLLBACK", a.undone, names)
	case what == 6:
		time.Sleep(time.Duration(a.rng.IntN(1500)) * time.Millisecond)
	}
	return a.finish(conn, "COMMIT", a.committed, names)
}

// names are those of a transaction's events.
func (a *author) names(row string) []string {
	names := make([]string, 1+a.rng.IntN(4))
	for i := range names {
		a.made++
		names[i] = fmt.Sprintf("%s.%d", row, a.made)
		switch a.rng.IntN(80) {
		case 0, 1:
			names[i] += spoils
		case 2:
			names[i] += refused
		}
	}
	return names
}

func (a *author) record(conn *sql.Conn, names []string) error {
	events := make([]hooks.Event, len(names))
	for i, n := range names {
		events[i] = event(n)
	}
	var err error
	_, lent := relay.LendWithin(conn, func(db *sql.DB) bool {
		_, err = a.j.Write(ctx, hooks.Flush{Conn: sqltest.Lent(db), Events: events, Key: key(), Must: true, Timeout: time.Minute})
		return false
	})
	return errors.Join(lent, err)
}

func (a *author) finish(conn *sql.Conn, query string, list io.Writer, names []string) error {
	if _, err := conn.ExecContext(context.WithoutCancel(ctx), query); err != nil {
		return err
	}
	_, err := fmt.Fprintln(list, strings.Join(names, "\n"))
	exitOn(err)
	return nil
}

// prepare leaves a transaction to its second phase, which may be another process's.
func (a *author) prepare(conn *sql.Conn, gid string, names []string) error {
	if _, err := conn.ExecContext(ctx, "PREPARE TRANSACTION '"+gid+"'"); err != nil {
		return err
	}
	time.Sleep(time.Duration(a.rng.IntN(300)) * time.Millisecond)
	if err := settlePrepared(conn, a.rng, "2 s"); err != nil {
		return err
	}
	if a.rng.IntN(4) == 0 {
		return a.finish(conn, "ROLLBACK PREPARED '"+gid+"'", a.undone, names)
	}
	return a.finish(conn, "COMMIT PREPARED '"+gid+"'", a.committed, names)
}

// settlePrepared ends what was prepared so long ago that its process must have died.
func settlePrepared(conn *sql.Conn, rng *rand.Rand, age string) error {
	var gids string
	err := conn.QueryRowContext(ctx, "SELECT coalesce(string_agg(gid, ' '), '') FROM pg_prepared_xacts"+
		" WHERE database = current_database() AND prepared < clock_timestamp() - interval '"+age+"'").Scan(&gids)
	for _, gid := range strings.Fields(gids) {
		if err == nil {
			_, err = conn.ExecContext(ctx, []string{"COMMIT", "ROLLBACK"}[rng.IntN(2)]+" PREPARED '"+gid+"'")
		}
	}
	return err
}
