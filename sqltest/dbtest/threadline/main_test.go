// Package threadline_test runs the timeline store against real databases.
package threadline_test

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
	"github.com/go-aftercommit/aftercommit/threadline"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// start is when the tests' events happen.
var start = time.Date(2026, 3, 14, 15, 9, 26, 535897000, time.UTC)

// migrated returns a store with its tables in a new database.
func migrated(t *testing.T, e dbtest.Engine) (*threadline.Store, *sql.DB) {
	t.Helper()
	db := dbtest.Open(t, e.Driver, e.DSN(t))
	s := threadline.NewStore(db, e.Dialect, nil)
	if err := s.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s, db
}

// entry returns a small valid entry that was recorded n seconds after start.
func entry(n int) journal.Entry {
	at := start.Add(time.Duration(n) * time.Second)
	return journal.Entry{
		Event: hooks.Event{
			ID: uuid.Must(uuid.NewV7()), OccurredAt: at, Action: "order.placed", Outcome: hooks.Success,
		},
		Position: journal.Position{Key: uuid.UUID{0: 1, 15: byte(n)}, Ordinal: n}, RecordedAt: at,
	}
}

func record(t *testing.T, s *threadline.Store, entries ...journal.Entry) {
	t.Helper()
	if err := s.Record(context.Background(), entries); err != nil {
		t.Fatal(err)
	}
}

func timeline(t *testing.T, s *threadline.Store, q threadline.Query) threadline.Page {
	t.Helper()
	p, err := s.Timeline(context.Background(), q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	return p
}

func exec(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.ExecContext(context.Background(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func scan(t *testing.T, db *sql.DB, query string, dst ...any) {
	t.Helper()
	if err := db.QueryRowContext(context.Background(), query).Scan(dst...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// full returns an entry with every field set, found by reflection, so that a
// field that is added later cannot be forgotten here.
func full(t *testing.T) journal.Entry {
	t.Helper()
	var e journal.Entry
	n := 0
	fill(t, reflect.ValueOf(&e).Elem(), "entry", &n)
	return e
}

func fill(t *testing.T, v reflect.Value, name string, n *int) {
	t.Helper()
	*n++
	switch name {
	case "Action":
		v.SetString("order.refunded_in_part")
		return
	case "Unreadable", "Change": // which the timeline refuses
		return
	}
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(start.Add(time.Duration(*n) * time.Microsecond)))
		return
	case uuid.UUID:
		v.Set(reflect.ValueOf(uuid.Must(uuid.NewV7())))
		return
	case hooks.EventOutcome:
		v.Set(reflect.ValueOf(hooks.Failure))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), v.Type().Field(i).Name, n)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf(`%s %d: ' " \ $1 ? é 🙂 </script> %s`, name, *n, "\u2028\n\x01"))
	case reflect.Int:
		v.SetInt(1<<31 + int64(*n))
	case reflect.Int64:
		v.SetInt(1<<62 + int64(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]any{
			"a'b": `c"d\e`, "list": []any{nil, true, "x"}, "big": json("12345678901234567890.5"), "deep": map[string]any{"$.k": json("1")},
		}))
	default:
		t.Fatalf("%s has the kind %s, which this test does not fill", name, v.Kind())
	}
}
