package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"time"

	"github.com/go-aftercommit/aftercommit/example/shop"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/threadline"
)

// run lets the day happen, prints the timeline, and reports whether the check
// found everything right.
func run(ctx context.Context, t target, orders int, out io.Writer, bar *progress) (ok bool, err error) {
	bare, err := sql.Open(t.bare, t.dsn)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, bare.Close()) }()
	if err = isEmpty(ctx, t, bare); err != nil {
		return false, err
	}

	depot := openDepot()
	defer depot.Close()
	books := openDepot()
	defer books.Close()
	warehouse.url, bookkeeping.url = depot.URL, books.URL
	d, err := live(ctx, t, bare, depot, orders, bar)
	if err != nil {
		return false, err
	}

	if err = printTimeline(ctx, out, threadline.NewStore(bare, t.dialect(), nil)); err != nil {
		return false, err
	}
	c := &check{out: out, db: bare, dialect: t.dialect()}
	if err = c.read(ctx); err != nil {
		return false, err
	}
	c.printAbsent(d.web.log)
	if t.dialect() == hooks.Postgres {
		if err = c.tellStory(ctx, d); err != nil {
			return false, err
		}
		c.books = books
		if err = books.print(out, d.first); err != nil {
			return false, err
		}
	}
	if err = catchUp(ctx, out, t.dialect(), bare, depot); err != nil {
		return false, err
	}
	return c.all(ctx, d)
}

// live runs the day. Where there was sql.Open("postgres", dsn) before, there is
// now the other name, and nothing else differs.
func live(ctx context.Context, t target, bare *sql.DB, depot *depot, orders int, bar *progress) (d *day, err error) {
	db, err := sql.Open(t.audited, t.dsn)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	dialect := shop.SQLite
	if t.dialect() == hooks.Postgres {
		dialect = shop.Postgres
	}
	d = &day{Shop: shop.New(db, dialect), depot: depot, audit: t.audit(), orders: orders}
	site := httptest.NewServer(withActor(d.Sessions, d.Handler()))
	defer site.Close()
	d.web = &client{url: site.URL}

	deeds := d.deeds()
	bar.begin(len(deeds))
	for _, do := range deeds {
		if err = do(ctx); err != nil {
			return nil, err
		}
		bar.step()
	}
	// On PostgreSQL the relay delivers, beside the shop; let it finish.
	drain, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err = d.audit.Drain(drain); err != nil || t.dialect() != hooks.Postgres {
		return d, err
	}
	if err = d.changeAndUndo(ctx, bare, db); err != nil {
		return nil, err
	}
	return d, d.audit.Drain(drain)
}

func (t target) audit() *forward.Hub {
	if t.dialect() == hooks.Postgres {
		return onPostgres
	}
	return onSQLite
}

func (t target) dialect() hooks.Dialect {
	if t.bare == "postgres" {
		return hooks.Postgres
	}
	return hooks.SQLite
}

// isEmpty refuses a PostgreSQL database that somebody uses.
func isEmpty(ctx context.Context, t target, db *sql.DB) error {
	if t.dialect() != hooks.Postgres {
		return nil // a new file
	}
	var name string
	var tables int
	err := db.QueryRowContext(ctx, `SELECT current_database(), count(*) FROM information_schema.tables
		WHERE table_schema NOT IN ('pg_catalog', 'information_schema')`).Scan(&name, &tables)
	if err == nil && tables > 0 {
		err = fmt.Errorf("the database %q has %d tables already: give an empty one (createdb shop_example)", name, tables)
	}
	return err
}

// catchUp takes from the journal what the warehouse lacks: what it refused within
// a Commit on SQLite, or what the relay would try again in a quarter of a minute
// on PostgreSQL.
func catchUp(ctx context.Context, out io.Writer, dialect hooks.Dialect, db *sql.DB, depot *depot) error {
	j, err := journal.New(dialect, nil)
	if err != nil {
		return err
	}
	var all []journal.Entry
	for e, err := range j.Each(ctx, db, journal.Query{}) {
		if err != nil {
			return err
		}
		all = append(all, e)
	}
	missing := depot.lacks(all)
	fmt.Fprintf(out, "\nThe warehouse, a second sink, was closed for a while and lacks %d of %d events\n"+
		"(the warnings on stderr). The commits went through, and the journal has them all.\n", len(missing), len(all))
	if len(missing) == 0 {
		return nil
	}
	if err := warehouse.Forward(ctx, missing); err != nil {
		return err
	}
	fmt.Fprintf(out, "Sent again from there: it lacks %d now.\n", len(depot.lacks(all)))
	return nil
}
