package hooks_test

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// origin is that of a statement without a context, outside any transaction.
func origin() hooks.Values { return hooks.Origin(context.Background(), nil) }

// wantOrigin compares it with the actor's ID, "" for none.
func wantOrigin(t *testing.T, where, id string) {
	t.Helper()
	if got := origin().Actor.ID; got != id {
		t.Errorf("%s: the actor is %q, want %q", where, got, id)
	}
}

func actor(id string) hooks.Values {
	return hooks.Values{Actor: hooks.Actor{Type: hooks.User, ID: id}}
}

func TestDo(t *testing.T) {
	outer, v := allValues(t, "outer"), actor("inner")
	called := false
	hooks.Do(hooks.With(context.Background(), outer), v, func(ctx context.Context) {
		called = true
		want := outer
		want.Actor = v.Actor
		if got := hooks.FromContext(ctx); got != want {
			t.Errorf("the context says %+v, want %+v", got, want)
		}
		if got := origin(); got != want {
			t.Errorf("bound is %+v, want what the context says: %+v", got, want)
		}
	})
	if !called {
		t.Error("the function was not called")
	}
	if got := origin(); got != (hooks.Values{}) {
		t.Errorf("afterwards %+v is still bound", got)
	}
}

// TestDoNested: the inner one counts whole, also where it says nothing.
func TestDoNested(t *testing.T) {
	hooks.Do(context.Background(), allValues(t, "outer"), func(context.Context) {
		hooks.Do(context.Background(), actor("inner"), func(context.Context) {
			if got := origin(); got != actor("inner") {
				t.Errorf("bound is %+v, want nothing of the outer one", got)
			}
			hooks.Do(context.Background(), hooks.Values{}, func(context.Context) {
				if got := origin(); got != (hooks.Values{}) {
					t.Errorf("bound is %+v, want nothing", got)
				}
			})
			wantOrigin(t, "after the innermost", "inner")
		})
		if got := origin(); got != allValues(t, "outer") {
			t.Errorf("after the inner one bound is %+v", got)
		}
	})
}

func TestDoEndsWithAPanic(t *testing.T) {
	hooks.Do(context.Background(), actor("outer"), func(context.Context) {
		func() {
			defer func() {
				if recover() != "boom" {
					t.Error("the panic was not the function's")
				}
				wantOrigin(t, "recovered outside", "outer")
			}()
			hooks.Do(context.Background(), actor("inner"), func(context.Context) {
				defer wantOrigin(t, "while panicking", "inner")
				panic("boom")
			})
		}()
	})
	wantOrigin(t, "afterwards", "")
}

func TestDoEndsWithTheGoroutine(t *testing.T) {
	var wg sync.WaitGroup
	wg.Go(func() {
		defer wantOrigin(t, "deferred outside", "")
		hooks.Do(context.Background(), actor("ada"), func(context.Context) { runtime.Goexit() })
	})
	wg.Wait()
}

// TestDoIsOfOneGoroutine: neither children nor workers that are handed something
// inherit it, not even those that a request has started.
func TestDoIsOfOneGoroutine(t *testing.T) {
	tasks := make(chan func())
	worker := sync.OnceFunc(func() {
		go func() {
			for f := range tasks {
				f()
			}
		}()
	})
	for _, user := range []string{"ada", "bob"} {
		hooks.Do(context.Background(), actor(user), func(context.Context) {
			worker()
			done := make(chan bool)
			tasks <- func() { wantOrigin(t, "in a worker", ""); close(done) }
			<-done
			var wg sync.WaitGroup
			wg.Go(func() {
				wantOrigin(t, "in a child", "")
				hooks.Do(context.Background(), actor("child of "+user), func(context.Context) {
					wantOrigin(t, "in a child that says who", "child of "+user)
				})
			})
			wg.Wait()
			next, stop := iter.Pull(func(yield func(string) bool) { yield(origin().Actor.ID) })
			if id, _ := next(); id != "" {
				t.Errorf("in a coroutine: %q", id)
			}
			stop()
			wantOrigin(t, "in the parent", user)
		})
	}
	close(tasks)
}

func TestDoConcurrently(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for j := range 50 {
				user, inner := strconv.Itoa(1000*i+j), strconv.Itoa(-i)
				hooks.Do(context.Background(), actor(user), func(context.Context) {
					wantOrigin(t, "before", user)
					hooks.Do(context.Background(), actor(inner), func(context.Context) {
						runtime.Gosched()
						wantOrigin(t, "within", inner)
					})
					runtime.Gosched()
					wantOrigin(t, "after", user)
				})
				wantOrigin(t, "outside", "")
			}
		})
	}
	wg.Wait()
}

// TestOriginOrder: the statement's context, that of BeginTx, the goroutine.
func TestOriginOrder(t *testing.T) {
	ctx := context.Background()
	as := func(id string) context.Context { return hooks.With(ctx, actor(id)) }
	hooks.Do(ctx, actor("goroutine"), func(context.Context) {
		for _, c := range []struct {
			name             string
			statement, begin context.Context
			want             string
		}{
			{"none", ctx, ctx, "goroutine"},
			{"outside any transaction", ctx, nil, "goroutine"},
			{"BeginTx's", ctx, as("begin"), "begin"},
			{"the statement's", as("statement"), as("begin"), "statement"},
		} {
			if got := hooks.Origin(c.statement, c.begin).Actor.ID; got != c.want {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
		}
	})
}

// TestOriginIsOfOneRequest: what the goroutine is bound to comes whole, and not
// at all beside a context that names anything else in any field.
func TestOriginIsOfOneRequest(t *testing.T) {
	here, there := allValues(t, "here"), allValues(t, "there")
	hooks.Do(context.Background(), here, func(context.Context) {
		for _, f := range reflect.VisibleFields(reflect.TypeFor[hooks.Values]()) {
			if f.Name == "Actor" {
				continue
			}
			only := func(v hooks.Values) hooks.Values {
				var one hooks.Values
				reflect.ValueOf(&one).Elem().FieldByIndex(f.Index).Set(reflect.ValueOf(v).FieldByIndex(f.Index))
				return one
			}
			same, other := hooks.With(context.Background(), only(here)), hooks.With(context.Background(), only(there))
			want := only(there)
			if f.Name == "Reason" {
				want = here
				want.Reason = there.Reason
			}
			for name, c := range map[string]struct {
				statement, begin context.Context
				want             hooks.Values
			}{
				"the same in the statement's context": {same, nil, here},
				"the same in BeginTx's":               {context.Background(), same, here},
				"another in the statement's context":  {other, nil, want},
				"another in BeginTx's":                {context.Background(), other, want},
			} {
				if got := hooks.Origin(c.statement, c.begin); got != c.want {
					t.Errorf("%s, %s: %+v, want %+v", f.Name, name, got, c.want)
				}
			}
		}
	})
	// A field that the goroutine is not bound to may be another request's, too.
	hooks.Do(context.Background(), actor("ada"), func(context.Context) {
		if got := hooks.Origin(hooks.With(context.Background(), hooks.Values{RequestID: "r"}), nil); !got.Actor.IsZero() {
			t.Errorf("request r is said to be of %+v", got.Actor)
		}
	})
}

func BenchmarkDo(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		hooks.Do(context.Background(), actor("ada"), func(context.Context) {})
	}
}

// BenchmarkOrigin shows what a statement costs that is captured and whose
// context names no actor.
func BenchmarkOrigin(b *testing.B) {
	run := func(name string, ctx context.Context) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				hooks.Origin(ctx, nil)
			}
		})
	}
	run("nothing bound", context.Background())
	hooks.Do(context.Background(), actor("ada"), func(ctx context.Context) {
		run("by its context", ctx)
		run("by its goroutine", context.Background())
	})
}

// A job whose code passes no context. Origin is what the driver asks.
func ExampleDo() {
	nightly := hooks.Values{Actor: hooks.Actor{Type: hooks.Job, ID: "nightly"}, JobID: "2026-11-28"}
	run := func() { // db.Exec("DELETE FROM carts WHERE …")
		origin := hooks.Origin(context.Background())
		fmt.Println(origin.Actor.ID, origin.JobID)
	}
	hooks.Do(context.Background(), nightly, func(context.Context) { run() })
	// Output: nightly 2026-11-28
}
