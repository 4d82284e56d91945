package hooks

import (
	"context"
	"os"
	"runtime"
	"sync"
	"testing"
)

// TestNothingStaysBound: whatever way requests end, the table is empty after
// them.
func TestNothingStaysBound(t *testing.T) {
	requests := 20_000
	if os.Getenv("AFTERCOMMIT_LONG") == "1" {
		requests = 1_000_000
	}
	var wg sync.WaitGroup
	for w := range 20 {
		wg.Go(func() {
			for i := w; i < requests; i += 20 {
				serve(i)
			}
		})
	}
	wg.Wait()
	if n := bound.count.Load(); n != 0 {
		t.Errorf("%d goroutines count as bound", n)
	}
	bound.by.Range(func(id, v any) bool {
		t.Errorf("goroutine %d is bound to %+v", id, v)
		return true
	})
}

// serve ends every hundredth request by a panic, every hundredth with its
// goroutine, and serves one within another now and then.
func serve(i int) {
	ctx, v := context.Background(), Values{RequestID: "r"}
	switch i % 100 {
	case 0:
		func() {
			defer func() { _ = recover() }()
			Do(ctx, v, func(context.Context) { panic(i) })
		}()
	case 1:
		done := make(chan bool)
		go func() {
			defer close(done)
			Do(ctx, v, func(context.Context) { runtime.Goexit() })
		}()
		<-done
	case 2:
		Do(ctx, v, func(ctx context.Context) { Do(ctx, v, func(context.Context) {}) })
	default:
		Do(ctx, v, func(context.Context) {})
	}
}
