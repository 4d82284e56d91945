package driver

import (
	"database/sql/driver"
	"reflect"
)

// isBusy reports whether rows of another statement are open on a connection of
// pgx, perhaps below wrappers of others. pgx refuses a query then, but has taken the
// result away from those rows by that time (pgconn's execExtendedPrefix), which the
// app's own statement need not do. Its types are known by their methods only:
// Conn().PgConn().IsBusy().
func isBusy(base driver.Conn) bool {
	for c := range layers(base) {
		conn, ok := call(reflect.ValueOf(c).MethodByName("Conn"))
		if !ok {
			continue
		}
		wire, ok := call(conn.MethodByName("PgConn"))
		if !ok {
			continue
		}
		busy, ok := call(wire.MethodByName("IsBusy"))
		return ok && busy.Kind() == reflect.Bool && busy.Bool()
	}
	return false
}

// call calls a method without arguments, if it is one that returns a single value.
func call(method reflect.Value) (reflect.Value, bool) {
	if !method.IsValid() || method.Type().NumIn() != 0 || method.Type().NumOut() != 1 {
		return reflect.Value{}, false
	}
	return method.Call(nil)[0], true
}
