package driver

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

func capturerOf(d hooks.Dialect) *capturer {
	return &capturer{names: &catalog{is: dialects[d].facts()}, keys: dialects[d]}
}

// TestMySQLKey: a key is named if it is the same to all that is compared with the
// column. 0 is what AUTO_INCREMENT replaces.
func TestMySQLKey(t *testing.T) {
	const upper, bare = "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc999c0b4ef8bb6d6bb9bd380a11"
	for column, keys := range map[keyType]map[string]string{
		integerColumn: {
			"7": "7", "-7": "-7", "007": "7", "+7": "7", " 7": "7", "0": "", "-0": "", "00": "", "7.0": "", "7a": "", "ada": "", "": "",
			"18446744073709551615": "", someUUID: "",
		},
		textColumn:  {"7": "", "07": "", "ada": "", "": "", someUUID: someUUID, upper: "", bare: "", someUUID + " ": ""},
		uuidColumn:  {"7": "", "": "", someUUID: someUUID, upper: someUUID, bare: someUUID},
		someColumn:  {"7": "", someUUID: ""},
		otherColumn: {"7": "", someUUID: ""},
	} {
		for text, want := range keys {
			if got := (mysql{}).keyText(column, text); got != want {
				t.Errorf("%d: %q: %q, want %q", column, text, got, want)
			}
		}
	}
}

// MySQLError is the type of go-sql-driver's name. A wrapper's error may be another.
type MySQLError struct{ Number uint16 }

func (*MySQLError) Error() string { return "" }

func TestMySQLNumber(t *testing.T) {
	type otherError struct {
		error
		Number uint16
	}
	type odd struct{ error }
	for err, want := range map[error]int{
		&MySQLError{1213}:                        1213,
		fmt.Errorf("update: %w", &MySQLError{1}): 1,
		&otherError{errors.New("x"), 1213}:       0,
		odd{errors.New("x")}:                     0,
		driver.ErrBadConn:                        0,
		(*MySQLError)(nil):                       0,
	} {
		if got := mysqlNumber(err); got != want {
			t.Errorf("%T: %d, want %d", err, got, want)
		}
	}
	if mysqlNumber(nil) != 0 {
		t.Error("no error has a number")
	}
}

const someUUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"

// TestKeyText: where the column's type is not known, text is named if it is one
// value whatever the type is.
func TestKeyText(t *testing.T) {
	for _, c := range []struct{ text, postgres, sqlite string }{
		{"ada", "", "ada"},
		{"today", "", "today"},
		{"7", "7", "7"},
		{"-7", "-7", "-7"},
		{"0", "0", "0"},
		{"it's größe 注文", "", "it's größe 注文"},
		{"12345678901234567890", "", ""},
		{"ORD-007", "", "ORD-007"},
		{"7a", "", "7a"},
		{"", "", ""},
		{" 7", "", ""},
		{"7 ", "", ""},
		{"7\n", "", ""},
		{"a ", "", ""},
		{"+7", "", ""},
		{"007", "", ""},
		{"-0", "", ""},
		{"7.0", "", ""},
		{".5", "", ""},
		{"1e3", "", ""},
		{"1E400", "", ""},
		{"0x1F", "", ""},
		{"0o17", "", ""},
		{"0b1", "", ""},
		{"1_000", "", ""},
		{"-", "", "-"},
		{"+", "", "+"},
		{".", "", "."},
		{"\xff\xfe", "", ""},
		{someUUID, someUUID, someUUID},
		{"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", someUUID, "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"},
		{"{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", someUUID, "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"},
		{"{a0eebc999c0b4ef8bb6d6bb9bd380a11}", someUUID, "{a0eebc999c0b4ef8bb6d6bb9bd380a11}"},
		{"a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11", someUUID, "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11"},
		{"a0eebc999c0b4ef8bb6d6bb9bd380a11", "", "a0eebc999c0b4ef8bb6d6bb9bd380a11"}, // or an MD5
		{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g", "", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g"},
		{"sixteen bytes tx", "", "sixteen bytes tx"},
	} {
		if got := (postgres{}).keyText(someColumn, c.text); got != c.postgres {
			t.Errorf("PostgreSQL: %q is %q, want %q", c.text, got, c.postgres)
		}
		if got := (sqlite{}).keyText(someColumn, c.text); got != c.sqlite {
			t.Errorf("SQLite: %q is %q, want %q", c.text, got, c.sqlite)
		}
	}
}

// TestKeyOfCast: a cast decides what a text is.
func TestKeyOfCast(t *testing.T) {
	for _, c := range []struct {
		key  lex.Key
		want string
	}{
		{lex.Key{Found: true, Literal: "7", Type: lex.Integer}, "7"},
		{lex.Key{Found: true, Literal: " +07", Type: lex.Integer}, "7"},
		{lex.Key{Found: true, Literal: "7x", Type: lex.Integer}, ""},
		{lex.Key{Found: true, Literal: "A0EEBC999C0B4EF8BB6D6BB9BD380A11", Type: lex.UUID}, someUUID},
		{lex.Key{Found: true, Literal: "x", Type: lex.UUID}, ""},
		{lex.Key{Found: true, Literal: "8"}, "8"},
		{lex.Key{Found: true, Literal: "x"}, ""},
		{lex.Key{Literal: "x"}, ""},
	} {
		if got := capturerOf(hooks.Postgres).keyOf(c.key, someColumn, nil); got != c.want {
			t.Errorf("%+v is %q, want %q", c.key, got, c.want)
		}
	}
}

// TestKeyOfCastInColumn: what a cast makes of a text is what the column gets.
func TestKeyOfCastInColumn(t *testing.T) {
	hex := lex.Key{Found: true, Literal: "A0EEBC999C0B4EF8BB6D6BB9BD380A11", Type: lex.UUID}
	seven := lex.Key{Found: true, Literal: "7", Type: lex.Integer}
	for _, c := range []struct {
		dialect hooks.Dialect
		key     lex.Key
		column  keyType
		want    string
	}{
		{hooks.Postgres, hex, textColumn, someUUID},
		{hooks.SQLite, hex, textColumn, ""}, // which is a number
		{hooks.SQLite, hex, someColumn, ""},
		{hooks.SQLite, seven, textColumn, ""}, // '007', too
		{hooks.SQLite, seven, numericColumn, "7"},
		{hooks.Postgres, seven, integerColumn, "7"},
		{hooks.Postgres, seven, otherColumn, ""},
	} {
		if got := capturerOf(c.dialect).keyOf(c.key, c.column, nil); got != c.want {
			t.Errorf("%v: %+v in column %d is %q, want %q", c.dialect, c.key, c.column, got, c.want)
		}
	}
}

type (
	number  int64
	code    string
	raw     [16]byte
	spoken  int64 // has a String
	valued  int64 // is a Valuer
	counted struct{ n *int }
	pointed struct{ n int64 } // is a Valuer by its pointer
	texted  int64             // speaks pgx
	failing struct{}
)

func (spoken) String() string                    { return "order-7" }
func (valued) String() string                    { return "order-7" }
func (v valued) Value() (driver.Value, error)    { return int64(v) + 100, nil }
func (c counted) Value() (driver.Value, error)   { *c.n++; return int64(*c.n), nil }
func (p *pointed) Value() (driver.Value, error)  { return p.n, nil }
func (texted) TextValue() (string, error)        { return "other", nil }
func (failing) Value() (driver.Value, error)     { return nil, errors.New("no value") }
func pointer[T any](v T) *T                      { return &v }
func (rewriting) RewriteQuery(string) (s string) { return s }

type rewriting map[string]any

// TestValueText: what a base driver is given, unconverted, is named if it is
// certain what it sends.
func TestValueText(t *testing.T) {
	id := uuid.MustParse(someUUID)
	for i, c := range []struct {
		value any
		want  string
	}{
		{int64(7), "7"},
		{7, "7"},
		{int8(-7), "-7"},
		{uint(7), "7"},
		{uint64(18446744073709551615), "18446744073709551615"},
		{"a", "a"},
		{number(7), "7"},
		{code("a"), "a"},
		{pointer(7), "7"},
		{pointer(pointer(number(7))), "7"},
		{(*int)(nil), ""},
		{pointer(any(7)), "7"},
		{nil, ""},
		{spoken(7), ""},
		{pointer(spoken(7)), ""},
		{texted(7), ""},
		{valued(7), "107"},
		{pointer(valued(7)), "107"},
		{(*valued)(nil), ""},
		{counted{new(int)}, ""},
		{pointed{7}, ""},
		{&pointed{7}, ""},
		{failing{}, ""},
		{sql.NullInt64{Int64: 7, Valid: true}, "7"},
		{sql.NullInt64{}, ""},
		{sql.NullString{String: "a", Valid: true}, "a"},
		{sql.Null[int64]{V: 7, Valid: true}, "7"},
		{id, someUUID},
		{&id, someUUID},
		{uuid.NullUUID{UUID: id, Valid: true}, someUUID},
		{[16]byte(id), someUUID},
		{raw(id), someUUID},
		{id[:], ""},
		{[]byte("7"), ""},
		{[]byte(nil), ""},
		{7.0, ""},
		{float32(7), ""},
		{true, ""},
		{time.Now(), ""},
		{time.Second, ""},
		{[]int{7}, ""},
		{struct{ ID int }{7}, ""},
	} {
		if got := valueText(c.value); got != c.want {
			t.Errorf("%d: %T %v is %q, want %q", i, c.value, c.value, got, c.want)
		}
	}
}

// TestWithoutOptions: an argument that may rewrite the query leaves nothing
// certain. What pgx itself takes is in the tests of the databases.
func TestWithoutOptions(t *testing.T) {
	key := lex.Key{Found: true, Param: 2}
	for _, c := range []struct {
		args []any
		want string
	}{
		{[]any{8, 7}, "7"},
		{[]any{number(8), 7}, "7"},
		{[]any{id(8), 7}, "7"},
		{[]any{rewriting{}, 8, 7}, ""},
		{[]any{nil, 7}, "7"},
		{[]any{8}, ""},
		{nil, ""},
	} {
		var args []driver.NamedValue
		for i, v := range c.args {
			args = append(args, driver.NamedValue{Ordinal: i + 1, Value: v})
		}
		if got := capturerOf(hooks.Postgres).keyOf(key, someColumn, args); got != c.want {
			t.Errorf("of %v: %q, want %q", c.args, got, c.want)
		}
	}
}

func id(n int) string { return strconv.Itoa(n) }

// TestReturnedKey: a column's type is known of what it returns.
func TestReturnedKey(t *testing.T) {
	bin := uuid.MustParse(someUUID)
	for _, c := range []struct {
		kind  string
		value driver.Value
		want  string
	}{
		{"INT8", int64(7), "7"},
		{"UUID", []byte(someUUID), someUUID},
		{"UUID", bin[:], someUUID},
		{"UUID", "A0EEBC999C0B4EF8BB6D6BB9BD380A11", someUUID},
		{"TEXT", "ada", ""}, // whose collation is not known
		{"BPCHAR", "ada  ", ""},
		{"BYTEA", []byte("ada"), ""},
		{"NUMERIC", []byte("7"), ""},
		{"DATE", "2026-11-28", ""},
		{"", []byte("ada"), ""},
		{"", "ada", ""},
		{"", int64(7), "7"},
		{"FLOAT8", 7.0, ""},
	} {
		pg := postgres{}
		if got := pg.returnedKey(pg.returnedType(c.kind), c.value); got != c.want {
			t.Errorf("%s %v: %q, want %q", c.kind, c.value, got, c.want)
		}
	}
	lite := sqlite{}
	for _, c := range []struct {
		value driver.Value
		want  string
	}{
		{bin[:], ""},
		{int64(9007199254740993), "9007199254740993"},
		{"ada", "ada"},
		{"007", ""},
	} {
		if got := lite.returnedKey(lite.returnedType("UUID"), c.value); got != c.want {
			t.Errorf("SQLite: %v is %q, want %q", c.value, got, c.want)
		}
	}
}

// TestColumnText: in a column whose type is known, a text has one meaning.
func TestColumnText(t *testing.T) {
	for _, c := range []struct {
		column keyType
		text   string
		want   string
	}{
		{integerColumn, "7", "7"},
		{integerColumn, " +007\n", "7"},
		{integerColumn, "-0", "0"},
		{integerColumn, "7.0", ""},
		{integerColumn, "0x7", ""},
		{integerColumn, "1_000", ""},
		{integerColumn, "", ""},
		{textColumn, "007", "007"},
		{textColumn, " 7", " 7"},
		{textColumn, "7 ", ""}, // in a varchar(1) it is 7
		{textColumn, "A0EEBC999C0B4EF8BB6D6BB9BD380A11", "A0EEBC999C0B4EF8BB6D6BB9BD380A11"},
		{textColumn, "\xff", ""},
		{textColumn, strings.Repeat("a", hooks.MaxText), strings.Repeat("a", hooks.MaxText)},
		{textColumn, strings.Repeat("a", hooks.MaxText+1), ""},
		{paddedColumn, "ab  ", "ab"},
		{uuidColumn, "A0EEBC999C0B4EF8BB6D6BB9BD380A11", someUUID},
		{uuidColumn, "x", ""},
		{otherColumn, "7", ""},
		{someColumn, "ada", ""},
		{someColumn, "7", "7"},
	} {
		if got := (postgres{}).keyText(c.column, c.text); got != c.want {
			t.Errorf("column %d: %q is %q, want %q", c.column, c.text, got, c.want)
		}
	}
	for _, c := range []struct {
		column keyType
		text   string
		want   string
	}{
		{textColumn, "007", "007"},
		{textColumn, "7", "7"},
		{textColumn, "a\x00b", ""},
		{someColumn, "a\x00b", ""},
		{textColumn, "12345678901234567890", ""}, // a float, if it is no string
		{numericColumn, "007", ""},
		{numericColumn, "9007199254740993", "9007199254740993"},
		{numericColumn, "2026-11-28", "2026-11-28"},
		{someColumn, "9007199254740993", ""}, // of floats, perhaps
		{otherColumn, "7", ""},
	} {
		if got := (sqlite{}).keyText(c.column, c.text); got != c.want {
			t.Errorf("SQLite, column %d: %q is %q, want %q", c.column, c.text, got, c.want)
		}
	}
}

// TestAffinity has the examples of SQLite's documentation.
func TestAffinity(t *testing.T) {
	for affinityOf, declared := range map[string][]string{
		"affinity numeric": {"INT", "INTEGER", "UNSIGNED BIG INT", "INT8", "FLOATING POINT", "CHARINT", "NUMERIC", "DECIMAL(10,5)", "BOOLEAN", "DATE", "STRING"},
		"affinity text":    {"CHARACTER(20)", "NATIVE CHARACTER(70)", "TEXT", "CLOB"},
		"":                 {"BLOB", "", "REAL", "DOUBLE PRECISION", "FLOAT", "ANY"},
	} {
		for _, d := range declared {
			if got := affinity(d); got != affinityOf {
				t.Errorf("%q: %q, want %q", d, got, affinityOf)
			}
		}
	}
}
