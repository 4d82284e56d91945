package threadline

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/lenient"
)

func TestRefs(t *testing.T) {
	for want, actor := range map[string]hooks.Actor{
		"unattributed": {},
		"anonymous":    {Type: hooks.Anonymous},
		"system":       {Type: hooks.System},
		"user:42":      {Type: hooks.User, ID: "42", Name: "Ada"},
	} {
		if got := ActorRef(actor); got != want {
			t.Errorf("%+v: %s, want %s", actor, got, want)
		}
	}
	for want, target := range map[string]hooks.Target{"": {}, "order": {Type: "order"}, "order:7": {Type: "order", ID: "7"}} {
		if got := TargetRef(target); got != want {
			t.Errorf("%+v: %s, want %s", target, got, want)
		}
	}
}

func TestActionParts(t *testing.T) {
	for action, want := range map[string][2]string{
		"order.refunded": {"order", "refunded"},
		"a.b.c":          {"a.b", "c"},
		"":               {"", ""}, // no valid event, and no panic
		"x":              {"", "x"},
	} {
		var a Action
		a.Action = action
		if got := [2]string{a.Category(), a.Verb()}; got != want {
			t.Errorf("%q: %q, want %q", action, got, want)
		}
	}
}

// What a reader must not miss is in the line.
func TestActionString(t *testing.T) {
	a := Action{Entry: journal.Entry{RecordedAt: time.Unix(1_800_000_000, 0)}}
	a.Action, a.Target = "orders.deleted", hooks.Target{Type: "orders"}
	const line = "2027-01-15T08:00:00Z unattributed orders.deleted orders"
	for _, test := range []struct {
		metadata map[string]any
		captured bool
		outcome  hooks.EventOutcome
		want     string
	}{
		{map[string]any{"rows": json.Number("3")}, true, hooks.Success, line},
		{map[string]any{"conditional": true}, true, hooks.Success, line + " (conditional)"},
		{map[string]any{"conditional": true, "interleaved": true}, true, hooks.Failure, line + " (failure, conditional, interleaved)"},
		{map[string]any{"conditional": true}, false, hooks.Failure, line + " (failure)"}, // the app's own word
	} {
		a.Metadata, a.Captured, a.Outcome = test.metadata, test.captured, test.outcome
		if got := a.String(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// TestScriptsNameEveryColumn compares the hand-written SQL with the document
// that is sent and with the columns that are read.
func TestScriptsNameEveryColumn(t *testing.T) {
	var e journal.Entry
	fill(reflect.ValueOf(&e).Elem())
	e.Unreadable, e.Change = "", nil
	doc, err := encode([]journal.Entry{e}, false)
	var docs []map[string]any
	if err = errors.Join(err, json.Unmarshal([]byte(doc), &docs)); err != nil {
		t.Fatal(err)
	}
	columns := slices.Collect(maps.Keys(docs[0]))
	read := strings.Split(selected, ", ")
	if got := slices.Sorted(slices.Values(append(columns, "inserted_at"))); !slices.Equal(got, slices.Sorted(slices.Values(read))) {
		t.Errorf("written %v\nread    %v", got, read)
	}
	if n := len(texts(&e)); n != len(read) {
		t.Errorf("%d columns are read into %d places", len(read), n)
	}
	_, trigger, _ := strings.Cut(sqliteStep3, `INSERT INTO "threadline_audit_actions"`)
	for dialect, script := range map[hooks.Dialect]string{hooks.Postgres: postgresTables + postgresFunctions, hooks.SQLite: trigger} {
		for _, c := range columns {
			form := "%s "
			if dialect == hooks.SQLite {
				form = "'$.%s'"
			}
			if !strings.Contains(script, fmt.Sprintf(form, c)) {
				t.Errorf("%s: the script does not take %s from the document", dialect, c)
			}
		}
	}
}

// fill sets everything in v that can be set.
func fill(v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(noon))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case v.Kind() == reflect.Array:
		v.Index(0).SetUint(1)
	case v.Kind() == reflect.Slice:
		v.SetBytes([]byte("{}"))
	case v.Kind() == reflect.Map:
		v.Set(reflect.ValueOf(map[string]any{"x": true}))
	case v.Kind() == reflect.String:
		v.SetString("x")
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	default:
		v.SetInt(1)
	}
}

func TestSchemaNamesEverything(t *testing.T) {
	for _, dialect := range []hooks.Dialect{hooks.Postgres, hooks.SQLite} {
		sql := Schema(dialect, &Options{Schema: "trail"})
		for _, left := range []string{`"threadline`, `'threadline'`} {
			if sql == "" || strings.Contains(sql, left) {
				t.Errorf("%s: %s is left in the schema named trail", dialect, left)
			}
		}
	}
	if sql := Schema("oracle", nil); sql != "" {
		t.Errorf("a schema for an unknown dialect: %s", sql)
	}
}

func TestUnknownDialect(t *testing.T) {
	s := NewStore(nil, "oracle", nil)
	ctx := context.Background()
	_, pageErr := s.Timeline(ctx, Query{})
	_, getErr := s.Get(ctx, uuid.Max)
	for i, err := range []error{pageErr, getErr, s.Migrate(ctx), s.Check(ctx), s.Record(ctx, []journal.Entry{{}})} {
		if err == nil || !strings.Contains(err.Error(), "hooks.Postgres") {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

// TestDocumentLeavesOutWhatIsEmpty, since null and ” are different answers.
func TestDocumentLeavesOutWhatIsEmpty(t *testing.T) {
	doc, err := encode([]journal.Entry{{Event: hooks.Event{ID: uuid.Max, Action: "a.b", Outcome: hooks.Success}}}, false)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"id":"ffffffff-ffff-ffff-ffff-ffffffffffff","name":"a.b","outcome":"success",` +
		`"occurred_at":"0001-01-01T00:00:00.000000Z","recorded_at":"0001-01-01T00:00:00.000000Z"}]`
	if doc != want {
		t.Errorf("%s\nwant %s", doc, want)
	}
}

// TestMemoryEntriesAreOrderedByTheirEvents: without a journal there is no
// recorded_at, and the year 1 would be the end of every timeline.
func TestMemoryEntriesAreOrderedByTheirEvents(t *testing.T) {
	doc, err := encode([]journal.Entry{{Event: hooks.Event{ID: uuid.Max, OccurredAt: noon}}}, false)
	if at := noon.Format(lenient.TimeForm); err != nil || !strings.Contains(doc, `"recorded_at":"`+at+`"`) {
		t.Errorf("%s, %v: want it recorded at %s", doc, err, at)
	}
}

type stateError string

func (e stateError) Error() string    { return "database: " + string(e) }
func (e stateError) SQLState() string { return string(e) }

func TestErrorClasses(t *testing.T) {
	const mismatch, data, refused, busy = 1, 2, 4, 8
	for err, want := range map[error]int{
		stateError("42P01"): mismatch,
		stateError("42703"): mismatch,
		stateError("42883"): mismatch,
		stateError("3F000"): mismatch,
		&SchemaError{}:      mismatch,
		errors.New("SQL logic error: no such table: x"):    mismatch,
		errors.New("no such column: x"):                    mismatch,
		stateError("22P05"):                                data,
		stateError("23514"):                                data,
		stateError("54000"):                                data,
		&entryError{uuid.Max, errors.New("x")}:             data,
		errors.New("CHECK constraint failed: x"):           data,
		stateError("42501"):                                refused,
		stateError("25006"):                                refused,
		errors.New("attempt to write a readonly database"): refused,
		errors.New("database is locked (5)"):               busy,
		stateError("40P01"):                                0,
		stateError("57014"):                                0,
		stateError("08006"):                                0,
		stateError("2"):                                    0,
		// What a server says of itself in words is not SQLite.
		fmt.Errorf("%w: no such table", stateError("57014")): 0,
		context.DeadlineExceeded:                             0,
	} {
		wrapped := fmt.Errorf("wrapped: %w", err)
		got := 0
		for bit, is := range map[int]bool{mismatch: isMismatch(wrapped), data: isData(wrapped), refused: isRefused(wrapped), busy: isBusy(wrapped)} {
			if is {
				got |= bit
			}
		}
		if got != want {
			t.Errorf("%v: class %b, want %b", err, got, want)
		}
	}
	if isMismatch(nil) || isData(nil) || isRefused(nil) || isBusy(nil) {
		t.Error("no error is in a class")
	}
}

func TestForwardWithoutAConnection(t *testing.T) {
	err := NewForwarder(nil).Forward(context.Background(), []journal.Entry{{}})
	if err == nil || !strings.Contains(err.Error(), "no connection") {
		t.Errorf("got %v", err)
	}
}

// nowhere is a database that cannot be reached.
type nowhere struct{}

func (nowhere) Connect(context.Context) (driver.Conn, error) {
	return nil, errors.New("there is no such database")
}
func (nowhere) Driver() driver.Driver { return nil }

// TestWrongSchema: a name that the database would change, or refuse later, is an error of
// the first call, and says what to do.
func TestWrongSchema(t *testing.T) {
	db := sql.OpenDB(nowhere{})
	defer db.Close()
	long := strings.Repeat("x", 64)
	for _, test := range []struct {
		dialect hooks.Dialect
		name    string
		wrong   bool
	}{
		{hooks.Postgres, long, true},
		{hooks.Postgres, long[1:], false},
		{hooks.SQLite, long, false},
		{hooks.Postgres, "a\x00b", true},
		{hooks.SQLite, "a\x00b", true},
		{hooks.SQLite, "\xff", true},
	} {
		s := NewStore(db, test.dialect, &Options{Schema: test.name})
		for what, err := range map[string]error{"Check": s.Check(t.Context()), "Migrate": s.Migrate(t.Context()), "attachable": s.attachable(t.Context(), false)} {
			var schema *SchemaError
			if errors.As(err, &schema) != test.wrong || test.wrong && !strings.Contains(err.Error(), "give Options.Schema at most 63 bytes of text without NUL") {
				t.Errorf("%s of %s, %q: %v", what, test.dialect, test.name, err)
			}
		}
	}
}
