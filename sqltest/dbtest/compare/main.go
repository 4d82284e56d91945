// Command compare measures what wrapping drivers cost through database/sql, over
// a driver that does nothing: this project's, with all tables captured and a
// journal that costs nothing, beside others that do nothing. It prints a table
// of Markdown; the ratios are of one run, in which the wrappers take turns.
//
//	go run ./sqltest/dbtest/compare
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 5, "how often each is measured; the `median` counts")
	every := flag.Duration("time", 200*time.Millisecond, "`how long` each measurement takes")
	flag.Parse()
	if err := run(os.Stdout, *rounds, *every); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// job is what an app does, once.
type job struct {
	name string
	do   func(ctx context.Context, s *session) error
}

// session is a database on one connection.
type session struct {
	db   *sql.DB
	stmt *sql.Stmt
}

const short = "SELECT id, name FROM products"

var (
	long   = short + " WHERE shop = $1" + strings.Repeat(" AND id <> 1234567890", 12)
	insert = "INSERT INTO products (id, name) VALUES ($1, $2)"
)

var jobs = []job{
	{"Exec of a short SELECT", exec(short)},
	{"Exec of a SELECT of 300 bytes", exec(long)},
	{"Query with 10 rows", query},
	{"prepared Exec", prepared},
	{"begin and commit", transaction("")},
	{"begin, 1 INSERT, commit", transaction(insert)},
	{"INSERT alone", exec(insert)},
}

func exec(query string) func(context.Context, *session) error {
	return func(ctx context.Context, s *session) error {
		_, err := s.db.ExecContext(ctx, query)
		return err
	}
}

func query(ctx context.Context, s *session) (err error) {
	rows, err := s.db.QueryContext(ctx, short)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var (
		id   int64
		name sql.RawBytes
	)
	for rows.Next() {
		if err := rows.Scan(&id, &name); err != nil {
			return err
		}
	}
	return rows.Err()
}

func prepared(ctx context.Context, s *session) error {
	_, err := s.stmt.ExecContext(ctx)
	return err
}

func transaction(query string) func(context.Context, *session) error {
	return func(ctx context.Context, s *session) error {
		tx, err := s.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if query != "" {
			if _, err := tx.ExecContext(ctx, query); err != nil {
				return errors.Join(err, tx.Rollback())
			}
		}
		return tx.Commit()
	}
}

// cost is what one measurement found, for one call.
type cost struct{ ns, allocs float64 }

func run(out io.Writer, rounds int, every time.Duration) (err error) {
	ctx := context.Background()
	sessions := make([]*session, len(wrappers))
	for i, w := range wrappers {
		db, err := w.open()
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		db.SetMaxOpenConns(1)
		stmt, err := db.PrepareContext(ctx, short)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		defer func() { err = errors.Join(err, stmt.Close()) }()
		sessions[i] = &session{db: db, stmt: stmt}
	}
	head(out)
	for _, j := range jobs {
		costs := make([][]cost, len(wrappers))
		for range rounds {
			for i, s := range sessions {
				c, err := measure(ctx, j, s, every)
				if err != nil {
					return fmt.Errorf("%s: %s: %w", wrappers[i].name, j.name, err)
				}
				costs[i] = append(costs[i], c)
			}
		}
		row(out, j.name, costs)
	}
	return nil
}

// measure does a job for some time.
func measure(ctx context.Context, j job, s *session, every time.Duration) (cost, error) {
	if err := j.do(ctx, s); err != nil {
		return cost{}, err
	}
	allocs := testing.AllocsPerRun(100, func() { _ = j.do(ctx, s) })
	const batch = 1000
	start, n := time.Now(), 0
	for time.Since(start) < every {
		for range batch {
			if err := j.do(ctx, s); err != nil {
				return cost{}, err
			}
		}
		n += batch
	}
	return cost{ns: float64(time.Since(start).Nanoseconds()) / float64(n), allocs: allocs}, nil
}

func head(out io.Writer) {
	fmt.Fprint(out, "| ns, allocations, ratio to bare |")
	for _, w := range wrappers {
		fmt.Fprintf(out, " %s |", w.name)
	}
	fmt.Fprintf(out, "\n|---|%s\n", strings.Repeat("---|", len(wrappers)))
}

// row prints medians.
func row(out io.Writer, name string, costs [][]cost) {
	fmt.Fprintf(out, "| %s |", name)
	bare := median(costs[0])
	for i, of := range costs {
		c := median(of)
		fmt.Fprintf(out, " %.0f, %.0f", c.ns, c.allocs)
		if i > 0 {
			fmt.Fprintf(out, ", %.2f", c.ns/bare.ns)
		}
		fmt.Fprint(out, " |")
	}
	fmt.Fprintln(out)
}

func median(costs []cost) cost {
	slices.SortFunc(costs, func(a, b cost) int {
		switch {
		case a.ns < b.ns:
			return -1
		case a.ns > b.ns:
			return 1
		}
		return 0
	})
	return costs[len(costs)/2]
}
