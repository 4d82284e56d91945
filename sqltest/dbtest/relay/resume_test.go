package relay_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestResumeIsForCopies: a suspended sink keeps its backlog, though an operator takes
// Resume for what ends a suspension.
func TestResumeIsForCopies(t *testing.T) {
	each(t, func(w *world) {
		w.sink.whole = errTransient
		w.commit("a", "b", "c")
		r := w.start(relay.Config{})
		w.until("the sink is suspended", func() bool { return len(w.sink.told(hooks.NoticeSuspended)) == 1 })
		for _, replay := range []bool{false, true} {
			n, err := w.store.Resume(ctx, w.db, name, replay)
			if err == nil || n != 0 {
				w.Fatalf("Resume(%v) = %d, %v, want it to be refused", replay, n, err)
			}
			for _, want := range []string{"belongs to this database", "by itself", "Replay", "Dismiss", "Retire"} {
				if !strings.Contains(err.Error(), want) {
					w.Errorf("Resume(%v): %v, want an error with %q", replay, err, want)
				}
			}
		}
		if s := w.state(); s.Behind != 3 || s.Retrying != 0 {
			w.Errorf("%+v, want three behind", s)
		}
		w.sink.set(func(s *sink) { s.whole = nil })
		w.clock.pass(time.Hour)
		w.drain(r)
		w.want("a b c")
	})
}

// TestResumeCounts: what is skipped is counted as what would be replayed.
func TestResumeCounts(t *testing.T) {
	each(t, func(w *world) {
		w.commit("a")
		r := w.start(relay.Config{})
		w.drain(r)
		w.must(r.Stop(ctx))
		w.commit("b", "c")
		counts := make(map[bool]int64)
		for replay, env := range map[bool]string{false: "staging", true: "testing"} {
			copied, err := relay.New(w.e.Dialect, &relay.Options{Environment: env})
			w.must(err)
			w.commit("meanwhile")
			counts[replay], err = copied.Resume(ctx, w.db, name, replay)
			w.must(err)
			if _, err = copied.Resume(ctx, w.db, name, replay); err == nil {
				w.Errorf("Resume(%v) a second time is no error", replay)
			}
		}
		w.Logf("skipped %d, replayed %d", counts[false], counts[true])
		if counts[false] < 3 {
			w.Errorf("%d are skipped, want b, c and meanwhile at least", counts[false])
		}
	})
}
