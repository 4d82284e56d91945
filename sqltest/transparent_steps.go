package sqltest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"
)

// transparentSteps are the script. Each begins with an empty table.
var transparentSteps = []transparentStep{
	{"exec", traceExec},
	{"query", traceQuery},
	{"errors of the server", traceServerErrors},
	{"errors of the client", traceClientErrors},
	{"argument types", traceArguments},
	{"named parameters", traceNamed},
	{"column types", traceColumnTypes},
	{"multiple statements and result sets", traceMultiple},
	{"RETURNING", traceReturning},
	{"rows closed early", traceEarlyClose},
	{"prepared statements", tracePrepared},
	{"transactions", traceTx},
	{"transaction options", traceTxOptions},
	{"an error inside a transaction", traceFailedTx},
	{"savepoints", traceSavepoints},
	{"a cancelled context", traceCancelled},
	{"a context cancelled inside a transaction", traceCancelledTx},
	{"a connection of one's own", traceConn},
	{"Raw", traceRaw},
	{"a bad connection", traceBadConn},
	{"session reset", traceSession},
	{"ping", tracePing},
}

func traceExec(ctx context.Context, s *trace) {
	s.exec(ctx, s.db, s.sql.insert, 1, "a")
	s.exec(ctx, s.db, s.sql.insert, 2, "b")
	s.exec(ctx, s.db, s.sql.with("UPDATE sqltest_item SET amount = ?"), "1.50")
	s.exec(ctx, s.db, s.sql.with("UPDATE sqltest_item SET amount = ? WHERE id = ?"), 2, 99)
	s.exec(ctx, s.db, "DELETE FROM sqltest_item WHERE id = 1")
	s.exec(ctx, s.db, "")
	s.exec(ctx, s.db, "-- nothing")
	s.query(ctx, s.db, s.sql.all)
	s.pool()
}

func traceQuery(ctx context.Context, s *trace) {
	s.query(ctx, s.db, s.sql.all)
	s.exec(ctx, s.db, s.sql.insert, 1, "a")
	s.query(ctx, s.db, s.sql.all)
	s.query(ctx, s.db, s.sql.with("SELECT name FROM sqltest_item WHERE id = ?"), 1)
	var name string
	one := s.sql.with("SELECT name FROM sqltest_item WHERE id = ?")
	s.err("row", s.db.QueryRowContext(ctx, one, 1).Scan(&name))
	s.note("%s", name)
	s.err("no row", s.db.QueryRowContext(ctx, one, 2).Scan(&name))
	s.query(ctx, s.db, "")
	s.pool()
}

func traceServerErrors(ctx context.Context, s *trace) {
	s.exec(ctx, s.db, s.sql.insert, 1, "a")
	s.exec(ctx, s.db, s.sql.insert, 1, "b")
	s.exec(ctx, s.db, s.sql.insert, 2, "a")
	s.exec(ctx, s.db, s.sql.insert, 3, nil)
	s.exec(ctx, s.db, "SELEKT")
	s.query(ctx, s.db, "SELECT * FROM sqltest_missing")
	s.exec(ctx, s.db, "INSERT INTO sqltest_missing VALUES (1)")
	s.query(ctx, s.db, s.sql.with("INSERT INTO sqltest_item (id, name) VALUES (?, ?) RETURNING id"), 1, "c")
	_, err := s.db.PrepareContext(ctx, "SELEKT") //nolint:sqlclosecheck // it fails
	s.err("prepare", err)
	s.query(ctx, s.db, s.sql.all)
	s.pool()
}

func traceClientErrors(ctx context.Context, s *trace) {
	s.exec(ctx, s.db, s.sql.insert, 1)
	s.exec(ctx, s.db, s.sql.insert, 1, "a", "b")
	s.exec(ctx, s.db, s.sql.insert, struct{}{}, "a")
	s.query(ctx, s.db, s.sql.with("SELECT ?"), complex(1, 2))
	s.exec(ctx, s.db, s.sql.insert, failingValuer{}, "a")
	s.exec(ctx, s.db, s.sql.insert, 1, "a")
	var n int
	s.err("scan", s.db.QueryRowContext(ctx, "SELECT name FROM sqltest_item").Scan(&n))
	s.err("scan of two", s.db.QueryRowContext(ctx, "SELECT id, name FROM sqltest_item").Scan(&n))
	s.pool()
}

var errValuer = errors.New("sqltest: this value has none")

type failingValuer struct{}

func (failingValuer) Value() (driver.Value, error) { return nil, errValuer }

func traceArguments(ctx context.Context, s *trace) {
	type word string
	update := func(column string, v any) {
		s.exec(ctx, s.db, s.sql.with("UPDATE sqltest_item SET "+column+" = ? WHERE id = 1"), v)
	}
	text, none := "pointer", (*string)(nil)
	s.exec(ctx, s.db, s.sql.insert, int8(1), word("named type"))
	update("name", &text)
	update("body", none)
	update("body", []byte{0, 1, 255})
	update("flag", false)
	update("ratio", float32(1.5))
	update("amount", sql.NullFloat64{})
	update("amount", sql.NullInt64{Int64: 12, Valid: true})
	update("seen", time.Date(2024, 2, 29, 23, 59, 58, 123456000, time.UTC))
	update("id", uint64(1)<<63)
	update("name", []string{"a", "b"})
	update("name", map[string]int{"a": 1})
	s.query(ctx, s.db, s.sql.all)
}

func traceNamed(ctx context.Context, s *trace) {
	s.exec(ctx, s.db, s.sql.named, sql.Named("name", "a"), sql.Named("id", 1))
	s.exec(ctx, s.db, s.sql.insert, sql.Named("x", 2), "b")
	s.exec(ctx, s.db, s.sql.named, sql.Named("", 1))
	s.query(ctx, s.db, s.sql.all)
}

func traceColumnTypes(ctx context.Context, s *trace) {
	s.query(ctx, s.db, s.sql.all)
	s.exec(ctx, s.db, s.sql.insert, 1, "a")
	s.query(ctx, s.db, s.sql.all)
	s.query(ctx, s.db, s.sql.types)
	st, err := s.db.PrepareContext(ctx, s.sql.all)
	if s.err("prepare", err) {
		return
	}
	rows, err := st.QueryContext(ctx)
	s.rows("prepared", rows, err)
	s.err("close", st.Close()) //nolint:sqlclosecheck // when it is closed is what is traced
}

func traceMultiple(ctx context.Context, s *trace) {
	s.query(ctx, s.db, "SELECT 1; SELECT 2, 3")
	s.exec(ctx, s.db, "INSERT INTO sqltest_item (id, name) VALUES (1, 'a'); UPDATE sqltest_item SET name = 'b'")
	s.exec(ctx, s.db, "INSERT INTO sqltest_item (id, name) VALUES (2, 'c'); SELEKT")
	s.exec(ctx, s.db, "BEGIN; INSERT INTO sqltest_item (id, name) VALUES (3, 'd'); ROLLBACK")
	s.exec(ctx, s.db, "INSERT INTO sqltest_item (id, name) VALUES (4, 'x;y');")
	s.query(ctx, s.db, s.sql.all)
}

func traceReturning(ctx context.Context, s *trace) {
	insert := s.sql.insert + " RETURNING id, name"
	s.query(ctx, s.db, insert, 1, "a")
	s.query(ctx, s.db, insert, 1, "a")
	s.query(ctx, s.db, "UPDATE sqltest_item SET name = name RETURNING *")
	s.query(ctx, s.db, "DELETE FROM sqltest_item WHERE id = 99 RETURNING id")
	s.query(ctx, s.db, "UPDATE sqltest_item SET name = name RETURNING id; SELECT 42; SELECT 43, 44")
	s.exec(ctx, s.db, insert, 2, "b")
	tx := s.begin(ctx, nil)
	if tx == nil {
		return
	}
	s.query(ctx, tx, insert, 3, "c")
	s.err("commit", tx.Commit())
	s.query(ctx, s.db, s.sql.all)
	s.pool()
}

func traceEarlyClose(ctx context.Context, s *trace) {
	for i, name := range []string{"a", "b", "c"} {
		s.exec(ctx, s.db, s.sql.insert, i, name)
	}
	for _, q := range []string{s.sql.all, "UPDATE sqltest_item SET flag = FALSE RETURNING id"} {
		rows, err := s.db.QueryContext(ctx, q)
		if s.err(q, err) {
			continue
		}
		s.note("next %v", rows.Next())
		s.err("close", rows.Close()) //nolint:sqlclosecheck // as above
		s.err("rows", rows.Err())
		s.err("scan", rows.Scan())
		s.note("next %v", rows.Next())
	}
	s.query(ctx, s.db, s.sql.all)
	s.pool()
}
