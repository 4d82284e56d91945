package nildb_test

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/nildb"
	"github.com/go-aftercommit/aftercommit/threadline"
	"github.com/go-aftercommit/aftercommit/threadline/changes"
)

// arguments are those that are valid by themselves, for parameters of their types.
var arguments = []any{
	"name",
	[]uuid.UUID{{1}},
	[]journal.Position{{Ordinal: 1}},
	[]relay.Refusal{{ID: uuid.UUID{1}}},
	uuid.UUID{1},
	[]journal.Entry{{Event: hooks.Event{ID: uuid.UUID{1}, OccurredAt: time.Now(), Action: "a.b", Outcome: hooks.Success}}},
	relay.Selection{Forwarder: "name", Discarded: true},
	relay.PurgeOptions{Before: time.Now(), By: "test"},
	changes.NewStore(nil, hooks.Postgres, nil),
	[]changes.Change{{XID: 1, TxStartedAt: time.Now()}},
}

type sink struct{}

func (sink) Forward(context.Context, []journal.Entry) error { return nil }

// TestNilDatabases: each method that is given a nil *sql.DB says so, and none panics.
func TestNilDatabases(t *testing.T) {
	hub := forward.New(&forward.Options{Logger: zap.NewNop(), Queue: queue{}})
	hub.Register(sink{}, forward.Sync)
	hub.Register(&sink{}, forward.Async, forward.ID("queued"))
	of := map[string]any{"Hub": hub, "Forwarder": threadline.NewForwarder(nil)}
	for _, dialect := range []hooks.Dialect{hooks.Postgres, hooks.SQLite} {
		store, err := relay.New(dialect, nil)
		if err != nil {
			t.Fatal(err)
		}
		j, err := journal.New(dialect, nil)
		if err != nil {
			t.Fatal(err)
		}
		of["relay.Store of "+string(dialect)], of["Journal of "+string(dialect)] = store, j
		of["threadline.Store of "+string(dialect)] = threadline.NewStore(nil, dialect, nil)
	}
	called := 0
	for name, v := range of {
		_, held := v.(*threadline.Store) // which has the database already
		for i := range reflect.TypeOf(v).NumMethod() {
			method := reflect.TypeOf(v).Method(i).Name
			switch name + "." + method {
			case "relay.Store of sqlite.Mark", "Journal of postgres.ConnectWithin":
				continue // they do nothing on this dialect
			}
			if ok, err := call(t, reflect.ValueOf(v).Method(i), held); ok {
				called++
				if !errors.Is(err, nildb.Err) {
					t.Errorf("%s.%s: %v, want %v", name, method, err, nildb.Err)
				}
			}
		}
	}
	const least = 60
	if called < least {
		t.Errorf("%d methods were called, want %d", called, least)
	}
}

// call calls f with a nil *sql.DB, and returns its error. It reports false if f takes
// none, unless held is set and f takes a context.
func call(t *testing.T, f reflect.Value, held bool) (ok bool, err error) {
	t.Helper()
	var in []reflect.Value
	for i := range f.Type().NumIn() {
		p := f.Type().In(i)
		v := reflect.Zero(p)
		switch {
		case f.Type().IsVariadic() && i == f.Type().NumIn()-1 && p.Elem() != reflect.TypeFor[int64]():
			continue
		case p == reflect.TypeFor[context.Context]():
			v, ok = reflect.ValueOf(t.Context()), ok || held
		case p == reflect.TypeFor[*sql.DB]():
			ok = true
		case p == reflect.TypeFor[hooks.Dialect]():
			v = reflect.ValueOf(hooks.Postgres)
		}
		for _, a := range arguments {
			if reflect.TypeOf(a) == p {
				v = reflect.ValueOf(a)
			}
		}
		in = append(in, v)
	}
	if !ok {
		return false, nil
	}
	invoke := f.Call
	if f.Type().IsVariadic() && len(in) == f.Type().NumIn() {
		invoke = f.CallSlice
	}
	out := invoke(in)
	switch last := out[len(out)-1].Interface().(type) {
	case nil:
		return true, nil
	case error:
		return true, last
	case iter.Seq2[journal.Entry, error]:
		for _, err = range last {
			return true, err
		}
	case iter.Seq2[threadline.Action, error]:
		for _, err = range last {
			return true, err
		}
	}
	t.Fatalf("%v has no error", f.Type())
	return false, nil
}

// TestNilDatabaseOfALender: a Lender has its database from the start.
func TestNilDatabaseOfALender(t *testing.T) {
	relay.NewLender(nil, 1).Call(func(db *sql.DB) relay.Result {
		if err := db.PingContext(t.Context()); !errors.Is(err, nildb.Err) {
			t.Errorf("%v, want %v", err, nildb.Err)
		}
		return relay.Result{}
	})
}

// queue is one that the test does not reach.
type queue struct{}

func (queue) Enqueue(context.Context, *sql.DB, hooks.Dialect, []forward.Job) error { return nil }
func (queue) Check(context.Context, *sql.DB, hooks.Dialect) error                  { return nil }
func (queue) Start(context.Context, forward.Worker) (forward.Workers, error)       { return nil, nil }
