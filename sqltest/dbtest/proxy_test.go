package dbtest_test

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// proxied is a table reached through a proxy by the driver under test, and
// directly by the judge.
type proxied struct {
	proxy *dbtest.Proxy
	db    *sql.DB
	judge *sql.DB
}

func newProxied(t *testing.T, e dbtest.Engine) *proxied {
	t.Helper()
	dsn := e.DSN(t)
	proxy := dbtest.NewProxy(t, dbtest.Shared(t).Addr())
	p := &proxied{
		proxy: proxy,
		db:    dbtest.Open(t, e.Driver, dbtest.Via(dsn, proxy.Addr())),
		judge: dbtest.Open(t, "postgres", dsn),
	}
	if _, err := p.judge.ExecContext(context.Background(), "CREATE TABLE things (id int)"); err != nil {
		t.Fatal(err)
	}
	return p
}

// insert writes a row in a transaction and returns what its Commit says.
func (p *proxied) insert(t *testing.T) error {
	t.Helper()
	ctx := context.Background()
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO things VALUES ($1)", 1); err != nil {
		t.Fatal(err)
	}
	return tx.Commit()
}

func (p *proxied) rows(t *testing.T) int {
	t.Helper()
	var n int
	if err := p.judge.QueryRowContext(context.Background(), "SELECT count(*) FROM things").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestProxyCuts(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		p := newProxied(t, e)
		if err := p.insert(t); err != nil || p.rows(t) != 1 {
			t.Fatalf("without a fault: %v, %d rows", err, p.rows(t))
		}
		p.proxy.Next(dbtest.CutBefore, dbtest.IsCommit)
		if err := p.insert(t); err == nil || p.rows(t) != 1 {
			t.Errorf("COMMIT cut: error %v, %d rows; want an error, 1", err, p.rows(t))
		}
		p.proxy.Next(dbtest.CutAnswer, dbtest.IsCommit)
		if err := p.insert(t); err == nil || p.rows(t) != 2 {
			t.Errorf("answer cut: error %v, %d rows; want an error, 2", err, p.rows(t))
		}
	}, dbtest.PostgresEngines()...)
}

// TestProxyCutsWithinAnAnswer: the driver has the answers to all statements of a message but
// the last.
func TestProxyCutsWithinAnAnswer(t *testing.T) {
	p := newProxied(t, dbtest.PGX)
	commits := p.proxy.Watch(dbtest.IsCommit)
	conn, err := p.db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	trap := p.proxy.Next(dbtest.CutWithinAnswer, dbtest.IsCommit)
	const message = "BEGIN; INSERT INTO things VALUES (1), (2); COMMIT"
	var tags []string
	err = conn.Raw(func(dc any) error {
		answers := dc.(*stdlib.Conn).Conn().PgConn().Exec(context.Background(), message)
		for answers.NextResult() {
			tag, _ := answers.ResultReader().Close()
			tags = append(tags, tag.String())
		}
		return answers.Close()
	})
	<-trap.Sprung()
	if got := strings.Join(tags, ", "); err == nil || got != "BEGIN, INSERT 0 2" || p.rows(t) != 2 {
		t.Errorf("error %v, answers %s, %d rows; want an error, two answers, 2", err, got, p.rows(t))
	}
	if got := commits.Queries(); !slices.Equal(got, []string{message}) {
		t.Errorf("watched %q", got)
	}
}

func TestProxyHolds(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for _, c := range []struct {
			fault dbtest.Fault
			held  int // rows that others see meanwhile
		}{{dbtest.HoldStatement, 0}, {dbtest.HoldAnswer, 1}} {
			p := newProxied(t, e)
			trap := p.proxy.Next(c.fault, dbtest.IsCommit)
			done := make(chan error)
			go func() { done <- p.insert(t) }()
			<-trap.Sprung()
			if n := p.rows(t); n != c.held {
				t.Errorf("%d rows while held, want %d", n, c.held)
			}
			trap.Release()
			if err := <-done; err != nil {
				t.Errorf("after the release: %v", err)
			}
			if n := p.rows(t); n != 1 {
				t.Errorf("%d rows after the release, want 1", n)
			}
		}
	}, dbtest.PostgresEngines()...)
}

func TestProxyStrands(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		p := newProxied(t, e)
		trap := p.proxy.Next(dbtest.Strand, dbtest.IsCommit)
		if err := p.insert(t); err == nil {
			t.Error("no error of the stranded COMMIT")
		}
		if n := p.rows(t); n != 0 {
			t.Errorf("%d rows before the release, want 0", n)
		}
		trap.Release()
		<-trap.Done()
		if n := p.rows(t); n != 1 {
			t.Errorf("%d rows after the release, want 1", n)
		}
	}, dbtest.PostgresEngines()...)
}

// TestProxyStrandsFromCancel: a driver whose connection is closed may ask to cancel what it
// does, and such a request must not end what is stranded, whenever it comes.
func TestProxyStrandsFromCancel(t *testing.T) {
	p := newProxied(t, dbtest.PGX)
	conn, err := p.db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const message = "SELECT pg_advisory_lock(1); INSERT INTO things VALUES (1); COMMIT"
	lock, err := p.judge.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, err := lock.ExecContext(context.Background(), "SELECT pg_advisory_lock(1)"); err != nil {
		t.Fatal(err)
	}
	trap := p.proxy.Next(dbtest.Strand, dbtest.IsCommit)
	_ = conn.Raw(func(dc any) error {
		pg := dc.(*stdlib.Conn).Conn().PgConn()
		if err := pg.Exec(context.Background(), message).Close(); err == nil {
			t.Error("no error of the stranded message")
		}
		trap.Release() // the server waits for the lock
		if err := pg.CancelRequest(context.Background()); err != nil {
			t.Log("the request:", err)
		}
		return nil
	})
	if _, err := lock.ExecContext(context.Background(), "SELECT pg_advisory_unlock(1)"); err != nil {
		t.Fatal(err)
	}
	<-trap.Done()
	if n := p.rows(t); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

// TestProxySeesExtendedProtocol prepares the COMMIT.
func TestProxySeesExtendedProtocol(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		p := newProxied(t, e)
		ctx := context.Background()
		conn, err := p.db.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, q := range []string{"BEGIN", "INSERT INTO things VALUES (1)"} {
			if _, err = conn.ExecContext(ctx, q); err != nil {
				t.Fatal(err)
			}
		}
		stmt, err := conn.PrepareContext(ctx, "COMMIT")
		if err != nil {
			t.Fatal(err)
		}
		defer stmt.Close()
		p.proxy.Next(dbtest.CutAnswer, dbtest.IsCommit)
		if _, err := stmt.ExecContext(ctx); err == nil || p.rows(t) != 1 {
			t.Errorf("error %v, %d rows; want an error, 1", err, p.rows(t))
		}
	}, dbtest.PostgresEngines()...)
}

func TestProxyDropsAllAndDelays(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		p := newProxied(t, e)
		ctx := context.Background()
		tx, err := p.db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.proxy.DropAll()
		if _, err := tx.ExecContext(ctx, "INSERT INTO things VALUES (1)"); err == nil {
			t.Error("the connection outlived DropAll")
		}
		_ = tx.Rollback()
		const d = 30 * time.Millisecond
		p.proxy.Delay(d)
		start := time.Now()
		if _, err := p.db.ExecContext(ctx, "SELECT 1"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < d {
			t.Errorf("a round trip took %v, less than its delay of %v", took, d)
		}
	}, dbtest.PostgresEngines()...)
}

// TestProxyCountsNoPings: how many there are depends on the time between two statements.
func TestProxyCountsNoPings(t *testing.T) {
	p := newProxied(t, dbtest.PGX)
	conn, err := p.db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	before := p.proxy.Trips()
	err = conn.Raw(func(dc any) error {
		pg := dc.(*stdlib.Conn).Conn().PgConn()
		if err = pg.Ping(context.Background()); err != nil {
			return err
		}
		return pg.Exec(context.Background(), "SELECT 1").Close()
	})
	if n := p.proxy.Trips() - before; err != nil || n != 1 {
		t.Errorf("%d round trips, %v, want that of the query", n, err)
	}
}

func TestIsCommit(t *testing.T) {
	for query, want := range map[string]bool{
		"COMMIT": true, "commit": true, "END": true, " commit work ;": true, "/* a */ COMMIT": true,
		"SELECT aftercommit.record('[]'); COMMIT": true,
		"SELECT 'commit'":                         false, "COMMIT PREPARED 'x'": false, "SELECT aftercommit.x()": false,
	} {
		if got := dbtest.IsCommit(query); got != want {
			t.Errorf("%q: %v", query, got)
		}
	}
}
