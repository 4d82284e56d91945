package driver

import (
	"database/sql/driver"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// What a base driver is given is what database/sql converted, such as an int64
// or a string, or what the base driver asked to have as it is. pgx does that
// with everything: it sends an integer of any named type as an integer, a
// driver.Valuer as what that returns, and takes arguments that are no
// parameters.

// withoutOptions drops the leading arguments that choose how pgx executes a
// statement. It is not sure where one of them may rewrite the others.
func withoutOptions(args []driver.NamedValue) (rest []driver.NamedValue, sure bool) {
	for len(args) > 0 {
		t := reflect.TypeOf(args[0].Value)
		if t == nil || t.PkgPath() == "" {
			break
		}
		if _, rewrites := t.MethodByName("RewriteQuery"); rewrites {
			return nil, false
		}
		if !strings.HasPrefix(t.PkgPath(), "github.com/jackc/pgx/") || strings.Contains(t.PkgPath(), "pgtype") {
			break
		}
		switch t.Name() {
		case "QueryExecMode", "QueryResultFormats", "QueryResultFormatsByOID":
			args = args[1:]
		default:
			return nil, false
		}
	}
	return args, true
}

// valueText is the text of a value that any base driver sends as that, or "".
// []byte may be text or not, float64 has more spellings than one.
func valueText(v driver.Value) string {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case [16]byte:
		return uuid.UUID(v).String()
	case nil, []byte, float64, bool:
		return ""
	}
	rv := reflect.ValueOf(v)
	if !plainType(rv.Type()) {
		return ""
	}
	if valuer, ok := v.(driver.Valuer); ok && rv.Kind() != reflect.Pointer {
		return valuerText(valuer)
	}
	switch rv.Kind() {
	case reflect.Pointer:
		// pgx sends what a pointer points to, by its kind if only the pointer is a
		// driver.Valuer.
		if rv.IsNil() || rv.Type().Implements(valuerType) && !rv.Type().Elem().Implements(valuerType) {
			return ""
		}
		return valueText(rv.Elem().Interface())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(rv.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(rv.Uint(), 10)
	case reflect.String:
		return rv.String()
	case reflect.Array:
		if t := reflect.TypeFor[[16]byte](); rv.Type().ConvertibleTo(t) {
			return valueText(rv.Convert(t).Interface())
		}
	}
	return ""
}

var (
	valuerType   = reflect.TypeFor[driver.Valuer]()
	stringerType = reflect.TypeFor[fmt.Stringer]()
)

// valuerText is the text of what a driver.Valuer returns. Called again it must
// return the same: one that makes up a key would name another row.
func valuerText(valuer driver.Valuer) string {
	first, err := valuer.Value()
	if _, again := first.(driver.Valuer); again || err != nil {
		return ""
	}
	second, err := valuer.Value()
	if text := valueText(first); err == nil && text == valueText(second) {
		return text
	}
	return ""
}

// plainType reports whether pgx sends a value of type t as its kind, or as what its
// Value method returns. It may send another if t has a String method, which it
// uses for a column of text, or implements one of pgtype's interfaces. pgtype's
// own types do, but what they send agrees with their Value.
func plainType(t reflect.Type) bool {
	path := t.PkgPath()
	if t.Kind() == reflect.Pointer {
		path = t.Elem().PkgPath()
	}
	if path == "" || strings.HasPrefix(path, "github.com/jackc/pgx/") {
		return true
	}
	return (!t.Implements(stringerType) || t.Implements(valuerType)) && !speaksPgx(t)
}

// speaksPgx reports whether t implements an interface of pgtype that may matter
// for a key. The names are constants at each call, or the linker would keep the
// methods of all types.
func speaksPgx(t reflect.Type) bool {
	_, text := t.MethodByName("TextValue")
	_, integer := t.MethodByName("Int64Value")
	_, float := t.MethodByName("Float64Value")
	_, numeric := t.MethodByName("NumericValue")
	_, id := t.MethodByName("UUIDValue")
	_, bytes := t.MethodByName("BytesValue")
	_, skips := t.MethodByName("SkipUnderlyingTypePlan")
	return text || integer || float || numeric || id || bytes || skips
}
