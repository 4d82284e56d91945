package sqltest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

func (s *trace) conn(ctx context.Context) *sql.Conn {
	c, err := s.db.Conn(ctx)
	if s.err("conn", err) {
		return nil
	}
	return c
}

func traceConn(ctx context.Context, s *trace) {
	c := s.conn(ctx)
	if c == nil {
		return
	}
	s.err("ping", c.PingContext(ctx))
	for i, q := range []string{"BEGIN", "", "COMMIT", "BEGIN", "", "ROLLBACK", "", "COMMIT", "ROLLBACK"} {
		if q != "" {
			// What SQLite counts for it is left over from the statement before,
			// and a flush is one.
			_, err := c.ExecContext(ctx, q)
			s.err(q, err)
			continue
		}
		s.exec(ctx, c, s.sql.insert, i, i)
	}
	tx, err := c.BeginTx(ctx, nil)
	if !s.err("begin", err) {
		s.exec(ctx, tx, s.sql.insert, 100, "tx")
		s.err("commit", tx.Commit())
	}
	s.query(ctx, c, s.sql.all)
	s.err("close", c.Close())
	s.err("close again", c.Close())
	s.exec(ctx, c, s.sql.insert, 101, "closed")
	s.pool()
}

var errRaw = errors.New("sqltest: from Raw")

// traceRaw compares what Raw can do with the connection, not its type: that a
// wrapped one is of another is all that may show.
func traceRaw(ctx context.Context, s *trace) {
	c := s.conn(ctx)
	if c == nil {
		return
	}
	s.err("raw", c.Raw(func(dc any) error {
		shape := ConnShape(dc.(driver.Conn))
		// database/sql makes up for the lack of the others, and of contexts.
		if shape&Execer != 0 {
			shape |= ExecerContext
		}
		if shape&Queryer != 0 {
			shape |= QueryerContext
		}
		s.note("%s", shape&firstFour)
		return nil
	}))
	s.err("raw error", c.Raw(func(any) error { return errRaw }))
	s.exec(ctx, c, s.sql.insert, 1, "a")
	s.err("close", c.Close())
	s.err("raw of a closed one", c.Raw(func(any) error { return nil }))
	s.pool()
}

// traceBadConn lets Raw say that the connection is bad, after which the pool
// must not have it.
func traceBadConn(ctx context.Context, s *trace) {
	c := s.conn(ctx)
	if c == nil {
		return
	}
	s.err("raw", c.Raw(func(any) error { return driver.ErrBadConn }))
	s.exec(ctx, c, s.sql.insert, 1, "a")
	s.err("close", c.Close())
	s.pool()
	s.exec(ctx, s.db, s.sql.insert, 2, "b")
	s.query(ctx, s.db, s.sql.all)
	s.pool()
}

// traceSession looks at what one user of a connection leaves to the next.
func traceSession(ctx context.Context, s *trace) {
	s.db.SetMaxOpenConns(1)
	s.exec(ctx, s.db, "CREATE TEMPORARY TABLE sqltest_temp (id INTEGER)")
	s.exec(ctx, s.db, "INSERT INTO sqltest_temp VALUES (1)")
	s.query(ctx, s.db, "SELECT id FROM sqltest_temp")
	c := s.conn(ctx)
	if c == nil {
		return
	}
	s.exec(ctx, c, "DROP TABLE sqltest_temp")
	s.err("close", c.Close())
	s.query(ctx, s.db, "SELECT id FROM sqltest_temp")
	s.pool()
}

func tracePing(ctx context.Context, s *trace) {
	s.err("ping", s.db.PingContext(ctx))
	s.pool()
}
