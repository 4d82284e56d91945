package driver

import (
	"context"
	"database/sql/driver"
	"fmt"
	"reflect"
	"strings"

	"github.com/google/uuid"
)

// pgx prepares each query once, by its text, under a name, and the server may have
// dropped what has that name: in a function that executes DEALLOCATE ALL, or
// because a pooler has given the session another server connection. A question of
// ours would then make the app's transaction fail with 26000. Asked in pgx's mode
// exec it uses no name.

// queryUnnamed queries without a statement that the server may not have.
func (c *conn) queryUnnamed(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if !c.postgres() {
		return c.own.query(ctx, query, args)
	}
	c.db.asksUnnamed.Do(func() { c.db.unnamed = execMode(c.base) })
	if mode := c.db.unnamed; mode != nil {
		return c.own.query(ctx, query, append([]driver.NamedValue{{Value: mode}}, args...))
	}
	if !isPQ(c.base) { // which names nothing
		query += " -- " + uuid.NewString() // no text that it has prepared
	}
	return c.own.query(ctx, query, args)
}

// execMode returns the argument that makes pgx's stdlib, perhaps below wrappers of
// others, query in the mode exec; nil for any other driver. Its type cannot be
// named without importing pgx, so it is that of the connection's own setting.
func execMode(base driver.Conn) any {
	for c := range layers(base) {
		if isOf(c, "github.com/jackc/pgx/v5/stdlib") {
			return execOf(c)
		}
	}
	return nil
}

func execOf(base driver.Conn) any {
	conn := result(reflect.ValueOf(base).MethodByName("Conn"))
	if !conn.IsValid() || conn.Kind() != reflect.Pointer || conn.IsNil() {
		return nil
	}
	cfg := reflect.Indirect(result(conn.MethodByName("Config")))
	if cfg.Kind() != reflect.Struct {
		return nil
	}
	setting := cfg.FieldByName("DefaultQueryExecMode")
	if !setting.IsValid() || !setting.CanInt() {
		return nil
	}
	mode := reflect.New(setting.Type()).Elem()
	for i := range int64(maxModes) {
		mode.SetInt(i)
		if s, ok := mode.Interface().(fmt.Stringer); ok && s.String() == "exec" {
			return mode.Interface()
		}
	}
	return nil
}

const maxModes = 16 // of pgx, which has five

// result calls a method without arguments.
func result(method reflect.Value) reflect.Value {
	if !method.IsValid() || method.Type().NumIn() != 0 || method.Type().NumOut() != 1 {
		return reflect.Value{}
	}
	return method.Call(nil)[0]
}

// isOf reports whether a package defines c's type, also as one that an app vendors.
func isOf(c driver.Conn, pkg string) bool {
	t := reflect.TypeOf(c)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath() == pkg || strings.HasSuffix(t.PkgPath(), "/vendor/"+pkg)
}
