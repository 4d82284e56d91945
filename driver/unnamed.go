package driver

import (
	"context"
	"database/sql/driver"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/google/uuid"
)

// pgx prepares each query once, by its text, under a name, and the server may have
// dropped what has that name: in a function that executes DEALLOCATE ALL, or
// because a pooler has given the session another server connection. A question of
// ours would then make the app's transaction fail with 26000. Asked in pgx's mode
// exec it uses no name.

// execModes is what pgx is asked with, found out once for a database.
type execModes struct {
	once   sync.Once
	mode   any  // the argument for a query without a named statement
	caches bool // queries without that argument are cached
}

func (m *execModes) of(base driver.Conn) (mode any, caches bool) {
	m.once.Do(func() { m.mode, m.caches = execMode(base) })
	return m.mode, m.caches
}

// queryUnnamed queries without a statement that the server may not have.
func (q *querier) queryUnnamed(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if !q.is.named {
		return q.query(ctx, query, args)
	}
	if mode, _ := q.modes.of(q.conn); mode != nil {
		return q.query(ctx, query, append([]driver.NamedValue{{Value: mode}}, args...))
	}
	if !isPQ(q.conn) { // which names nothing
		query += " -- " + uuid.NewString() // no text that it has prepared
	}
	return q.query(ctx, query, args)
}

// queryLent queries for the handler and what it calls. A query without arguments has its
// values in its text, so that pgx would keep a statement of each in the place of the
// app's; one with arguments is as the borrower has written it.
func (q *querier) queryLent(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if q.is.named && len(args) == 0 {
		if mode, caches := q.modes.of(q.conn); caches {
			args = []driver.NamedValue{{Value: mode}}
		}
	}
	return q.query(ctx, query, args)
}

// execMode returns the argument that makes pgx's stdlib, perhaps below wrappers of
// others, query in the mode exec; nil for any other driver. Its type cannot be
// named without importing pgx, so it is that of the connection's own setting, by which
// it says, too, whether pgx caches what it is asked.
func execMode(base driver.Conn) (mode any, caches bool) {
	for c := range layers(base) {
		if isOf(c, "github.com/jackc/pgx/v5/stdlib") {
			return execOf(c)
		}
	}
	return nil, false
}

func execOf(base driver.Conn) (mode any, caches bool) {
	conn, ok := call(reflect.ValueOf(base).MethodByName("Conn"))
	if !ok || conn.Kind() != reflect.Pointer || conn.IsNil() {
		return nil, false
	}
	config, ok := call(conn.MethodByName("Config"))
	cfg := reflect.Indirect(config)
	if !ok || cfg.Kind() != reflect.Struct {
		return nil, false
	}
	setting := cfg.FieldByName("DefaultQueryExecMode")
	if !setting.IsValid() || !setting.CanInt() {
		return nil, false
	}
	usual, _ := setting.Interface().(fmt.Stringer)
	caches = usual != nil && strings.HasPrefix(usual.String(), "cache ")
	m := reflect.New(setting.Type()).Elem()
	for i := range int64(maxModes) {
		m.SetInt(i)
		if s, ok := m.Interface().(fmt.Stringer); ok && s.String() == "exec" {
			return m.Interface(), caches
		}
	}
	return nil, false
}

const maxModes = 16 // of pgx, which has five

// isOf reports whether a package defines c's type, also as one that an app vendors.
func isOf(c driver.Conn, pkg string) bool {
	t := reflect.TypeOf(c)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath() == pkg || strings.HasSuffix(t.PkgPath(), "/vendor/"+pkg)
}

// isPQ recognises lib/pq, which prepares only what the app prepares.
func isPQ(base driver.Conn) bool { return isOf(bottom(base), "github.com/lib/pq") }
