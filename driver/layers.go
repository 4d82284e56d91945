package driver

import (
	"database/sql/driver"
	"iter"
	"reflect"
)

// layers are a connection and what it wraps, as far as that is shown: the base
// driver's connection is the last.
func layers(c driver.Conn) iter.Seq[driver.Conn] {
	return func(yield func(driver.Conn) bool) {
		for range maxWrappers {
			if c == nil || !yield(c) {
				return
			}
			c = below(c)
		}
	}
}

// bottom is the last of the layers.
func bottom(c driver.Conn) (last driver.Conn) {
	for c := range layers(c) {
		last = c
	}
	return last
}

// maxWrappers ends the search in a wrapper that wraps itself.
const maxWrappers = 16

// below returns what a wrapper of others wraps, nil if it does not show that.
func below(c driver.Conn) driver.Conn {
	switch c := c.(type) {
	case interface{ Raw() driver.Conn }: // XSAM/otelsql
		return c.Raw()
	case interface{ WrappedConn() driver.Conn }: // dd-trace-go
		return c.WrappedConn()
	}
	conn, _ := field(c, "Conn").(driver.Conn) // sqlhooks, sqldb-logger
	return conn
}

// belowDriver is below for drivers.
func belowDriver(d driver.Driver) driver.Driver {
	if u, ok := d.(interface{ Unwrap() driver.Driver }); ok {
		return u.Unwrap()
	}
	below, _ := field(d, "Driver").(driver.Driver) // sqlhooks
	return below
}

// field returns an exported field of a struct or of what points to one.
func field(v any, name string) any {
	s := reflect.Indirect(reflect.ValueOf(v))
	if s.Kind() != reflect.Struct {
		return nil
	}
	f, ok := s.Type().FieldByName(name)
	if !ok || !f.IsExported() {
		return nil
	}
	got, err := s.FieldByIndexErr(f.Index)
	if err != nil || !got.CanInterface() {
		return nil
	}
	return got.Interface()
}
