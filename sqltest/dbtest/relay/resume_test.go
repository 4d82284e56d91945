package relay_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
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

// TestResumeOfALiveCursor: an operator whose Store has another environment than the
// programs that deliver takes each cursor for one from elsewhere. It keeps its backlog and
// its place, also while it is suspended in all of them, until they are stopped.
func TestResumeOfALiveCursor(t *testing.T) {
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		for _, env := range []string{"live", "żywo", ""} {
			t.Run(env, func(t *testing.T) {
				w := worldAt(t, e, e.DSN(t), &relay.Options{Environment: env})
				processes := 2
				if e.Dialect == hooks.SQLite {
					processes = 1 // others do not see that it is suspended
				}
				w.sink.whole = errTransient
				w.commit("a", "b", "c")
				var relays []*relay.Relay
				for i := range processes {
					relays = append(relays, w.start(relay.Config{Holder: fmt.Sprint("process ", i), Lease: offering}))
				}
				w.until("the sink is suspended", func() bool { return len(w.sink.told(hooks.NoticeSuspended)) == processes })
				w.until("nobody, or the only process, has the lease", func() bool { return (w.state().Holder == "") == (processes > 1) })
				wrong, err := relay.New(e.Dialect, &relay.Options{Environment: "staging"})
				w.must(err)
				for _, replay := range []bool{false, true} {
					n, refused := wrong.Resume(ctx, w.db, name, replay)
					if refused == nil || n != 0 {
						w.Fatalf("Resume(%v) = %d, %v, want it to be refused", replay, n, refused)
					}
					for _, want := range []string{fmt.Sprintf("%q", env), `"staging"`, "Options.Environment", "stop"} {
						if !strings.Contains(refused.Error(), want) {
							w.Errorf("Resume(%v): %v, want an error with %s", replay, refused, want)
						}
					}
				}
				if s := w.state(); s.Elsewhere || s.Behind != 3 || s.Retrying != 0 {
					w.Errorf("%+v, want three behind, here", s)
				}
				w.sink.set(func(s *sink) { s.whole = nil })
				w.clock.pass(time.Hour)
				w.drain(relays[0])
				w.want("a b c")
				for _, r := range relays {
					w.must(r.Stop(ctx))
				}
				w.commit("d")
				n, err := wrong.Resume(ctx, w.db, name, true)
				if w.must(err); n == 0 {
					w.Error("nothing is replayed where no program delivers")
				}
			})
		}
	})
}
