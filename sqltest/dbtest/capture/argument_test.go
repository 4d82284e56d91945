package capture_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

const argumentTables = keyTables + `; CREATE TABLE blobs (id bytea PRIMARY KEY, note text);
	CREATE TABLE codes (id char(4) PRIMARY KEY, note text)`

type (
	orderID  uint
	userID   string
	spokenID int64 // has a String
	prefixed int64 // is a Valuer
)

func (spokenID) String() string                 { return "order-7" }
func (p prefixed) Value() (driver.Value, error) { return int64(p) - 100, nil }
func pointer[T any](v T) *T                     { return &v }

// TestKeysOfArguments: of any type that an app's key has, its event has what the
// database received, or nothing.
func TestKeysOfArguments(t *testing.T) {
	const update = "UPDATE orders SET note = 'x' WHERE id = ?"
	both := func(key string) map[string]string { return map[string]string{"pq": key, "pgx": key, "sqlite": key} }
	// Only PostgreSQL says what type a column's values have.
	typed := map[string]string{"pq": "7", "pgx": "7", "sqlite": ""}
	cases := []struct {
		name  string
		setUp string
		query string
		args  []any
		key   map[string]string // by engine; where there is none, the statement fails
	}{
		{"named integer", "", update, []any{orderID(7)}, both("7")},
		{"pointer", "", update, []any{pointer(orderID(7))}, both("7")},
		{"NullInt64", "", update, []any{sql.NullInt64{Int64: 7, Valid: true}}, both("7")},
		{"Null", "", update, []any{sql.Null[int64]{V: 7, Valid: true}}, both("7")},
		{"Valuer", "", update, []any{prefixed(107)}, both("7")},
		{"String", "", update, []any{spokenID(7)}, map[string]string{"pq": "7", "pgx": "", "sqlite": "7"}},
		{"float", "", update, []any{float64(7)}, both("")},
		{"text", "", update, []any{"7"}, both("7")},
		{"text with space", "", update, []any{" 7"}, typed},
		{"text with sign", "", update, []any{"+7"}, typed},
		{"text with zeros", "", update, []any{"007"}, typed},
		{"text with a point", "CREATE TABLE amounts (id numeric PRIMARY KEY, note text); INSERT INTO amounts (id) VALUES (7)", "UPDATE amounts SET note = 'x' WHERE id = ?", []any{"7.0"}, both("")},
		{"digits", "INSERT INTO users (id) VALUES ('007')", "UPDATE users SET note = 'x' WHERE id = ?", []any{"007"}, both("007")},
		{"32 digits", "INSERT INTO users (id) VALUES ('0190AAAABBBB7CCC8DDDEEEEFFFF0001')", "UPDATE users SET note = 'x' WHERE id = ?", []any{"0190AAAABBBB7CCC8DDDEEEEFFFF0001"}, both("0190AAAABBBB7CCC8DDDEEEEFFFF0001")},
		{"large float", "INSERT INTO orders (id) VALUES (12345678)", update, []any{float64(12345678)}, both("")},
		{"named string", "", "UPDATE users SET note = 'x' WHERE id = ?", []any{userID("ada")}, both("ada")},
		{"text of sixteen bytes", "INSERT INTO users (id) VALUES ('sixteen bytes tx')", "UPDATE users SET note = 'x' WHERE id = ?", []any{"sixteen bytes tx"}, both("sixteen bytes tx")},
		{"bytes of text", "INSERT INTO users (id) VALUES ('sixteen bytes tx')", "UPDATE users SET note = 'x' WHERE id = ?", []any{[]byte("sixteen bytes tx")}, map[string]string{"pq": "", "pgx": ""}},
		{"bytes", "", "INSERT INTO blobs (id) VALUES (?)", []any{[]byte("\xff\xfe")}, both("")},
		{"more bytes", "", "INSERT INTO blobs (id) VALUES (?)", []any{fileID[:]}, both("")},
		{"padded", "INSERT INTO codes (id) VALUES ('ab')", "UPDATE codes SET note = 'x' WHERE id = ?", []any{"ab  "}, map[string]string{"pq": "ab", "pgx": "ab"}},
		{"UUID", "", "INSERT INTO files (id) VALUES (?)", []any{fileID}, both(fileID.String())},
		{"UUID by pointer", "", "INSERT INTO files (id) VALUES (?)", []any{&fileID}, both(fileID.String())},
		{"pgtype.UUID", "", "INSERT INTO files (id) VALUES (?)", []any{pgtype.UUID{Bytes: fileID, Valid: true}}, both(fileID.String())},
		{"bytes of a UUID", "", "INSERT INTO files (id) VALUES (?)", []any{[16]byte(fileID)}, map[string]string{"pgx": fileID.String()}},
		{"literal with zeros", "", "UPDATE orders SET note = 'x' WHERE id = 007", nil, both("7")},
		{"negative zero", "INSERT INTO orders (id) VALUES (0)", "UPDATE orders SET note = 'x' WHERE id = -0", nil, both("0")},
		{"literal with exponent", "", "UPDATE orders SET note = 'x' WHERE id = 7e0", nil, both("")},
		{"literal of text", "", "UPDATE orders SET note = 'x' WHERE id = '7'", nil, both("7")},
		{"literal with space", "", "UPDATE orders SET note = 'x' WHERE id = ' 7'", nil, typed},
		{"padded literal", "INSERT INTO codes (id) VALUES ('7')", "UPDATE codes SET note = 'x' WHERE id = '7 '", nil, map[string]string{"pq": "7", "pgx": "7"}},
		{"cast literal", "", "UPDATE orders SET note = 'x' WHERE id = '7 '::int", nil, map[string]string{"pq": "7", "pgx": "7"}},
		{"cast to a length", "INSERT INTO users (id) VALUES ('ab')", "UPDATE users SET note = 'x' WHERE id = 'abc'::varchar(2)", nil, map[string]string{"pq": "", "pgx": ""}},
		{"cast argument", "", "UPDATE orders SET note = 'x' WHERE id = ?::bigint", []any{7}, map[string]string{"pq": "7", "pgx": "7"}},
		{"cast text", "", "UPDATE orders SET note = 'x' WHERE id = CAST(? AS bigint)", []any{"7x"}, map[string]string{"sqlite": ""}},
	}
	const rows = "DELETE FROM orders; DELETE FROM users; DELETE FROM files; DELETE FROM blobs; DELETE FROM codes;" +
		"INSERT INTO orders (id) VALUES (7); INSERT INTO users (id) VALUES ('ada'); "
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		all := newWorld(t, e, argumentTables) // one for all cases, which a database for each would make slow
		for _, c := range cases {
			all.sub(c.name, func(w *world) {
				key, works := c.key[e.Name]
				if !works {
					w.Skip("the engine has no such thing")
				}
				w.setUp(rows + c.setUp)
				w.exec(c.query, c.args...)
				w.wantKey(c.query, key)
			})
		}
	})
}

// TestKeysOfFreshValuers: a Valuer that returns something else each time names
// nothing. What it returned to the base driver is not seen.
func TestKeysOfFreshValuers(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		w := newWorld(t, e, keyTables)
		w.exec("INSERT INTO orders (id) VALUES (?)", &sequence{})
		w.wantKey("a Valuer that counts", "")
	}, dbtest.PGX)
}

type sequence struct{ n int64 }

// Value returns the next number.
func (s *sequence) Value() (driver.Value, error) { s.n++; return s.n, nil }

// spellings are one UUID, as PostgreSQL reads it.
var spellings = []string{
	"0190aaaa-bbbb-7ccc-8ddd-eeeeffff0001", "0190AAAA-BBBB-7CCC-8DDD-EEEEFFFF0001", "{0190aaaa-bbbb-7ccc-8ddd-eeeeffff0001}",
	"0190-aaaa-bbbb-7ccc-8ddd-eeee-ffff-0001", "0190aaaabbbb7ccc8dddeeeeffff0001",
}

// TestSpellingsOfUUID: they are one target.
func TestSpellingsOfUUID(t *testing.T) {
	each(t, keyTables+"; INSERT INTO files (id) VALUES ('"+fileID.String()+"')", func(w *world) {
		for _, s := range spellings {
			w.exec("UPDATE files SET note = 'x' WHERE id = ?", s)
			w.wantKey(s, fileID.String())
			w.exec("UPDATE files SET note = 'x' WHERE id = '" + s + "'")
			w.wantKey(s, fileID.String())
		}
	}, pg...)
}

// TestOptionsOfPgx: an argument that chooses how pgx executes a statement is not a
// parameter of it.
func TestOptionsOfPgx(t *testing.T) {
	modes := []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	}
	const update = "UPDATE orders SET quantity = $1 WHERE id = $2"
	const tables = "CREATE TABLE orders (id bigint PRIMARY KEY, quantity bigint); INSERT INTO orders VALUES (7, 1), (8, 1)"
	each(t, tables, func(w *world) {
		for _, mode := range modes {
			for _, key := range []any{7, orderID(7), pointer(7), sql.NullInt64{Int64: 7, Valid: true}} {
				w.exec(update, mode, 8, key)
				w.wantKey(mode.String(), "7")
			}
			w.exec(update, mode, 8, spokenID(7))
			w.wantKey(mode.String(), "")
			w.must(drain(w.db.QueryContext(ctx(), update+" RETURNING quantity", pgx.QueryResultFormats{pgx.TextFormatCode}, mode, 8, 7)))
			w.wantKey(mode.String(), "7")
			w.exec("UPDATE orders SET quantity = @id WHERE id = @row", mode, pgx.NamedArgs{"id": 8, "row": 7})
			w.wantKey(mode.String(), "")
		}
		w.exec(update, swapped{}, 7, 8)
		w.wantKey("a rewriter", "")
	}, dbtest.PGX)
}

// swapped rewrites the arguments of a query.
type swapped struct{}

var _ pgx.QueryRewriter = swapped{}

// RewriteQuery exchanges two arguments.
func (swapped) RewriteQuery(_ context.Context, _ *pgx.Conn, query string, args []any) (string, []any, error) {
	return query, []any{args[1], args[0]}, nil
}

// TestReturnedKeysOfTypes: what the database returns is named as the statements
// about the row name it.
func TestReturnedKeysOfTypes(t *testing.T) {
	each(t, argumentTables, func(w *world) {
		for _, c := range []struct{ query, key string }{
			{"INSERT INTO files (id) SELECT CAST('0190AAAA-BBBB-7CCC-8DDD-EEEEFFFF0001' AS uuid) RETURNING id", fileID.String()},
			{"INSERT INTO blobs (id) SELECT '\\xfffe'::bytea RETURNING id", ""},
			{"INSERT INTO codes (id) SELECT 'ab' RETURNING id", "ab"},
			{"INSERT INTO users (id) SELECT 'ada' RETURNING id", "ada"},
			{"INSERT INTO users (id) SELECT '007' RETURNING id", "007"},
			{"INSERT INTO orders (id) SELECT 7 RETURNING id", "7"},
		} {
			w.must(drain(w.db.QueryContext(ctx(), c.query)))
			w.wantKey(c.query, c.key)
		}
	}, pg...)
}
