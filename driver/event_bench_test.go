package driver_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"strings"
	"testing"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/eventjson"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// storeConn is a nullConn that executes everything, and has a catalog of one table.
type storeConn struct{ nullConn }

func (storeConn) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), nil
}

func (storeConn) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	if strings.HasPrefix(query, "WITH RECURSIVE") {
		return &storeRows{row: []driver.Value{"public\x1fpg_catalog\x1fpublic", "true", "public", "orders", "r", "p", "0", "", "0", "20"}}, nil
	}
	return &storeRows{row: []driver.Value{int64(1)}}, nil
}

// storeRows are one row.
type storeRows struct {
	row  []driver.Value
	read bool
}

func (r *storeRows) Columns() []string { return make([]string, len(r.row)) }
func (r *storeRows) Close() error      { return nil }

func (r *storeRows) Next(dest []driver.Value) error {
	if r.read {
		return io.EOF
	}
	r.read = true
	copy(dest, r.row)
	return nil
}

type storeConnector struct{}

func (storeConnector) Connect(context.Context) (driver.Conn, error) { return storeConn{}, nil }
func (storeConnector) Driver() driver.Driver                        { return nullDriver{} }

// scribe is a hook that does with events what the journal does.
type scribe struct{}

func (scribe) Open(hooks.Database) (hooks.Handler, error)         { return scribe{}, nil }
func (scribe) Connect(context.Context, *sql.DB) error             { return nil }
func (scribe) Notify(hooks.Notice)                                {}
func (scribe) End(_ context.Context, e hooks.Ended) hooks.Outcome { return e.Outcome }

func (scribe) Flush(ctx context.Context, f hooks.Flush) (bool, error) {
	b := append(make([]byte, 0, 512*(1+len(f.Events))), `SELECT 1 FROM "aftercommit".write(`...)
	start := len(b)
	b, err := eventjson.AppendArray(b, f.Events)
	if err != nil {
		return false, err
	}
	query := string(append(pgtext.Quote(b, start), ')'))
	if f.Final != nil {
		query = f.Final(query)
	}
	_, err = f.Conn.ExecContext(ctx, query)
	return err == nil, err
}

// BenchmarkEvent is what an app pays for an event before it reaches a database.
func BenchmarkEvent(b *testing.B) {
	connector, err := adriver.WrapConnector(storeConnector{}, scribe{}, adriver.WithDialect(hooks.Postgres), adriver.Capture(adriver.AllTables()))
	if err != nil {
		b.Fatal(err)
	}
	background := context.Background()
	request, cancel := context.WithCancel(hooks.With(background, hooks.Values{Actor: hooks.Actor{Type: hooks.User, ID: "42"}, RequestID: "r1"}))
	defer cancel()
	for _, ctx := range []struct {
		name string
		context.Context
	}{{"background", background}, {"request", request}} {
		for _, c := range []struct {
			name string
			driver.Connector
		}{{"bare", storeConnector{}}, {"wrapped", connector}} {
			db := sql.OpenDB(c.Connector)
			b.Run("transaction/"+ctx.name+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					tx, _ := db.BeginTx(ctx, nil)
					_, _ = tx.ExecContext(ctx, "INSERT INTO orders (id, n) VALUES ($1, $2)", 7, 2)
					_ = tx.Commit()
				}
			})
			if c.name == "wrapped" {
				b.Run("100 recorded/"+ctx.name, func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						tx, _ := db.BeginTx(ctx, nil)
						for range 100 {
							_ = hooks.Record(ctx, tx, hooks.Event{Action: "order.placed", Actor: hooks.Actor{Type: hooks.System}, Metadata: map[string]any{"total": 12}})
						}
						_ = tx.Commit()
					}
				})
			}
			b.Run("statement/"+ctx.name+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_, _ = db.ExecContext(ctx, "INSERT INTO orders (id, n) VALUES ($1, $2)", 7, 2)
				}
			})
		}
	}
}
