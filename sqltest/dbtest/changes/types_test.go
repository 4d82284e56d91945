package changes_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/threadline/changes/capture"
)

// typed are columns' types, each with values that are two different ones, if only in their bytes.
var typed = map[string][2]string{
	"boolean":          {"true", "false"},
	"smallint":         {"-32768", "32767"},
	"integer":          {"-2147483648", "0"},
	"bigint":           {"9223372036854775807", "-9223372036854775808"},
	"numeric":          {"1.0", "1.00"},
	"numeric(30,10)":   {"12345678901234567890.0123456789", "'NaN'"},
	"real":             {"0.1", "1.17549435e-38"},
	"double precision": {"0", "'-0'"},
	"float8":           {"0.1", "'Infinity'"},
	"money":            {"12.34", "-12.34"},
	"text":             {`''`, `E'a"b\\c,(d) \n''é\t🙂'`},
	"varchar(10)":      {`'A'`, `'A '`},
	"char(5)":          {`'a'`, `'b'`},
	`"char"`:           {`'a'`, `''`},
	"name":             {`'a'`, `'b'`},
	"citext":           {`'a'`, `'A'`},
	"hstore":           {`'a=>1'`, `'a=>"1,\"2\""'`},
	"bytea":            {`'\x00ff5c27'`, `''`},
	"uuid":             {`'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'`, `'00000000-0000-0000-0000-000000000000'`},
	"json":             {`'{"a":1, "a":2}'`, `'{"a":"\u0000"}'`},
	"jsonb":            {`'{"a":1.0}'`, `'{"a":1.00}'`},
	"xml":              {`'<a>1</a>'`, `'<a> 1</a>'`},
	"date":             {"'2026-02-03'", "'infinity'"},
	"time":             {"'23:59:59.999999'", "'24:00'"},
	"timetz":           {"'10:00+05:30'", "'10:00-03'"},
	"timestamp":        {"'2026-02-03 04:05:06.789'", "'-infinity'"},
	"timestamptz":      {"'2026-02-03 04:05:06.789+05:30'", "'0044-03-15 12:00+00 BC'"},
	"interval":         {"'1 day'", "'24 hours'"},
	"inet":             {"'10.0.0.1/8'", "'::1'"},
	"cidr":             {"'10.0.0.0/8'", "'10.0.0.0/9'"},
	"macaddr":          {"'08:00:2b:01:02:03'", "'08:00:2b:01:02:04'"},
	"bit varying":      {"B'101'", "B''"},
	"point":            {"'(0.1,1e-300)'", "'(0.1,2)'"},
	"polygon":          {"'((0,0),(1,0.1),(1,1))'", "'((0,0),(1,0.3),(1,1))'"},
	"tsvector":         {"'a:1 b:2'", "'''it''''s'':3'"},
	"int4range":        {"'[1,5)'", "'empty'"},
	"tstzrange":        {"'[2026-01-01 00:00+00,)'", "'(,2026-01-01 00:00+02]'"},
	"integer[]":        {"'{1,NULL,3}'", "'[0:2]={1,NULL,3}'"},
	"text[]":           {`ARRAY['a,b', 'c"d', NULL, 'NULL', '']`, `'{}'`},
	"timestamptz[]":    {"ARRAY['2026-02-03 04:05:06+05:30'::timestamptz]", "'{}'"},
	"color":            {"'red'", `'deep "blue", (dark)'`},
	"positive":         {"1.50", "1.5"},
	"pair":             {"ROW(1, 'a,b')", "ROW(NULL, NULL)"},
	"pair[]":           {"ARRAY[ROW(1, 'a\"b')::pair]", "ARRAY[NULL::pair]"},
	"stamped":          {"ROW('2026-02-03 04:05+05:30', '1 day', 0.1)", "ROW('2026-02-03 04:05+05:30', '24:00', 0.1)"},
	"regclass":         {"'pg_class'", "'shop.lamp'"},
	"regtype":          {"'shop.color'", "'text'"},
	"oid":              {"4294967295", "0"},
	"pg_lsn":           {"'16/B374D848'", "'0/0'"},
	"txid_snapshot":    {"'10:20:10,14,15'", "'10:20:'"},
}

// TestTypes: what is kept of a value, cast to the column's type, is that value to the byte,
// whatever the session that wrote it prefers; and that two values differ is seen.
func TestTypes(t *testing.T) {
	each(t, func(w *world) {
		w.exec(`CREATE SCHEMA shop`, `CREATE EXTENSION citext SCHEMA shop`, `CREATE EXTENSION hstore SCHEMA shop`, `SET search_path = shop, public`,
			`CREATE TABLE lamp ()`, `CREATE TYPE color AS ENUM ('red', 'deep "blue", (dark)')`, `CREATE DOMAIN positive AS numeric CHECK (VALUE > 0)`,
			`CREATE TYPE pair AS (a int, b text)`, `CREATE TYPE stamped AS (at timestamptz, for_ interval, x float8)`)
		w.db.SetMaxOpenConns(1) // which has the settings
		n := 0
		for typ, v := range typed {
			n++
			w.exec(`SET search_path = shop, public`, `RESET TimeZone`, `RESET DateStyle`, `RESET IntervalStyle`, `RESET extra_float_digits`, `RESET bytea_output`)
			table := fmt.Sprintf("shop.t%d", n)
			w.exec(fmt.Sprintf("CREATE TABLE %s (id int PRIMARY KEY, v %s)", table, typ))
			w.capture(capture.Table{Name: table})
			w.exec(`SET TimeZone = 'Asia/Kolkata'`, `SET DateStyle = 'SQL, DMY'`, `SET IntervalStyle = 'iso_8601'`, `SET extra_float_digits = -10`, `SET bytea_output = 'escape'`,
				fmt.Sprintf("INSERT INTO %s VALUES (1, %s)", table, v[0]), fmt.Sprintf("UPDATE %s SET v = %s", table, v[1]),
				fmt.Sprintf("UPDATE %s SET v = NULL", table), fmt.Sprintf("UPDATE %s SET v = %s", table, v[0]))
			history, err := w.store.History(ctx, table, "1")
			w.must(err)
			if len(history) != 4 {
				w.Errorf("%s: %d changes, want 4: %+v", typ, len(history), history)
				continue
			}
			w.exec(`RESET TimeZone`, `RESET DateStyle`, `RESET IntervalStyle`, `RESET extra_float_digits`, `RESET bytea_output`)
			for i, want := range []string{v[0], v[1], "NULL", v[0]} {
				fields := history[i].Fields
				got := fields[len(fields)-1].New
				if got.Text == nil {
					if want != "NULL" {
						w.Errorf("%s: %s is kept as NULL", typ, want)
					}
					continue
				}
				// Both have gone through the column.
				var same bool
				query := fmt.Sprintf(`WITH a AS (INSERT INTO shop.t%d_a SELECT $1::text::%s RETURNING v), b AS (INSERT INTO shop.t%d_a VALUES (%s) RETURNING v) SELECT ROW(a.v)::record *= ROW(b.v)::record FROM a, b`, n, typ, n, want)
				w.exec(fmt.Sprintf("CREATE TABLE IF NOT EXISTS shop.t%d_a (v %s)", n, typ))
				if err := w.db.QueryRowContext(ctx, query, *got.Text).Scan(&same); err != nil || !same {
					w.Errorf("%s: %s is kept as %q: %v", typ, want, *got.Text, err)
				}
			}
			if old := history[1].Fields[0].Old; old.Text == nil || *old.Text != *history[0].Fields[1].New.Text {
				w.Errorf("%s: the old value is %s", typ, old)
			}
		}
	})
}

// TestWide: a table of 600 columns, and values of any length.
func TestWide(t *testing.T) {
	each(t, func(w *world) {
		var columns, values []string
		for i := range 600 {
			columns, values = append(columns, fmt.Sprintf("c%d text", i)), append(values, fmt.Sprintf("'%d'", i))
		}
		w.exec("CREATE TABLE wide (id int PRIMARY KEY, " + strings.Join(columns, ", ") + ")")
		w.capture(capture.Table{Name: "wide"})
		w.exec("INSERT INTO wide VALUES (1, "+strings.Join(values, ", ")+")", "UPDATE wide SET c0 = 'x', c599 = 'y'")
		history, err := w.store.History(ctx, "wide", "1")
		w.must(err)
		if len(history) != 2 || len(history[0].Fields) != 601 || fmt.Sprint(history[1].Fields) != "[{c0 text 0 x} {c599 text 599 y}]" {
			w.Errorf("%+v", history)
		}
	})
}

// TestLong: a long value is cut, whatever its type; one that is merely stored out of line is not.
func TestLong(t *testing.T) {
	each(t, func(w *world) {
		w.exec("CREATE TABLE docs (id int PRIMARY KEY, title text, body text, data bytea, list int[])", "ALTER TABLE docs ALTER body SET STORAGE EXTERNAL")
		w.capture(capture.Table{Name: "docs"})
		w.exec("INSERT INTO docs VALUES (1, 'a', repeat('x', 65536), NULL, NULL), (2, 'a', repeat('x', 65537), NULL, NULL)",
			"UPDATE docs SET title = 'b'", "UPDATE docs SET body = repeat('y', 100000), list = array_fill(1, ARRAY[50000]) WHERE id = 1",
			"UPDATE docs SET data = decode(repeat('00', 20000000), 'hex') WHERE id = 1", "ALTER TABLE docs ALTER data SET STORAGE EXTERNAL",
			"UPDATE docs SET data = decode(repeat('01', 20000000), 'hex') WHERE id = 1")
		one, err := w.store.History(ctx, "docs", "1")
		w.must(err)
		two, err := w.store.History(ctx, "docs", "2")
		w.must(err)
		if v := one[0].Fields[2].New; v.Shortened || len(*v.Text) != 65536 {
			w.Errorf("a text of 64 KiB is kept as %.80s", v)
		}
		if v := two[0].Fields[2].New; !v.Shortened || *v.Text != "65537 "+w.text("SELECT encode(sha256(convert_to(repeat('x', 65537), 'UTF8')), 'hex')") {
			w.Errorf("a text of 64 KiB and a byte is kept as %.80s", v)
		}
		if got := fmt.Sprint(one[1].Fields, two[1].Fields); got != "[{title text a b}] [{title text a b}]" {
			w.Errorf("an update beside a long value is kept as %s", got)
		}
		for _, f := range append(one[2].Fields[:2:2], one[3].Fields[0], one[4].Fields[0]) {
			if !f.New.Shortened {
				w.Errorf("a long %s is kept as %.80s", f.Type, f.New)
			}
		}
		// The text of a value that is stored in 1 GB might be longer than texts can be.
		if v := one[4].Fields[0].New; *v.Text != "stored 20000000" {
			w.Errorf("a huge value is kept as %.80s", v)
		}
	})
}
