package relay

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestWarned(t *testing.T) {
	var (
		w   warned
		now = time.Now()
	)
	lease, beat := errors.New("take the lease: read-only"), errors.New("show that this process works: read-only")
	count := func(errs ...error) (n int) {
		for _, err := range errs {
			if w.fresh(now, err) {
				n++
			}
		}
		return n
	}
	if n := count(lease, beat, lease, beat, lease); n != 2 {
		t.Errorf("two errors that take turns are logged %d times, want 2", n)
	}
	dial := func(port int) error { return fmt.Errorf("read tcp 127.0.0.1:%d: connection reset", port) }
	if n := count(dial(40001), dial(40002), dial(54321)); n != 1 {
		t.Errorf("an error that differs by a number is logged %d times, want 1", n)
	}
	for range 10 {
		now = now.Add(calm - time.Second)
		if n := count(lease); n != 0 {
			t.Error("an error that has not ended is logged again")
		}
	}
	now = now.Add(calm)
	if n := count(lease, lease); n != 1 {
		t.Errorf("an error after a calm minute is logged %d times, want 1", n)
	}
	for i := range 1000 {
		count(errors.New(fmt.Sprint("always another ", string(rune('a'+i)))))
	}
	if len(w.kinds) > 20 {
		t.Errorf("%d kinds are remembered", len(w.kinds))
	}
}
