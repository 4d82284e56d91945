package river_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/river"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// lacking is a sink that refuses to be attached until ready.
type lacking struct {
	*sink
	ready atomic.Bool
}

func (l *lacking) Attach(context.Context, *sql.DB) error {
	if l.ready.Load() {
		return nil
	}
	return forward.Permanent("schema_mismatch", errors.New("no tables"))
}

// TestLeftOutComesBack: jobs for a forwarder that is left out wait until it can be
// attached, beside those of another one, and in a process that only works jobs.
func TestLeftOutComesBack(t *testing.T) {
	each(t, func(w *world) {
		for _, mode := range []forward.RelayMode{forward.RelayInProcess, forward.RelayElsewhere} {
			l := &lacking{sink: &sink{}}
			w.sink = &sink{}
			core, logs := observer.New(zap.InfoLevel)
			w.hub = forward.New(&forward.Options{Logger: zap.New(core), Relay: mode, Queue: river.New(w.river)})
			w.hub.Register(l, forward.Async)
			w.hub.Register(w.sink, forward.Async)
			w.driver = dbtest.Name(w.e.Driver)
			driver.Register(w.driver, w.e.Driver, w.hub, driver.WriteTimeout(dbtest.Patience))
			w.db = dbtest.Open(w, w.driver, w.dsn)
			w.commit(int(mode) + 1)
			if mode == forward.RelayElsewhere {
				w.work()
				line := func() *observer.ObservedLogs { return logs.FilterMessageSnippet("the workers have started") }
				w.until("the process says that it works", func() bool { return line().Len() == 1 }, w.jobs)
				if got := fmt.Sprint(line().All()[0].ContextMap()["forwarders"]); !strings.Contains(got, "lacking/default (left out)") || !strings.Contains(got, "sink/default (async)") {
					w.Errorf("it works for %s", got)
				}
			}
			w.until("the other one has it", func() bool { return w.sink.calls() != "" }, w.jobs)
			if got := l.calls(); got != "" {
				w.Errorf("the one that is left out has %s", got)
			}
			l.ready.Store(true)
			w.until("both have it", func() bool { return l.calls() != "" }, w.jobs)
			w.must(w.db.Close())
		}
	})
}
