package forward

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// scripted answers what is unworked, look by look; nil is an error, and "panic" panics.
type scripted struct {
	startsQueue
	looks *[][]string
}

func (q scripted) Unworked(context.Context, *sql.DB, hooks.Dialect) ([]string, error) {
	names := (*q.looks)[0]
	*q.looks = (*q.looks)[1:]
	if slices.Contains(names, "panic") {
		panic("bad queue")
	}
	if names == nil {
		return nil, errors.New("down")
	}
	return names, nil
}

// TestUnworkedIsReportedOnce: each forwarder is reported once until a process works its jobs,
// while a look that fails changes nothing; and nothing looks after the stop.
func TestUnworkedIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := [][]string{{"a"}, {"a", "b"}, nil, {"panic"}, {"a", "b"}, {"b"}, {"a"}}
		core, logs := observer.New(zap.WarnLevel)
		h := New(&Options{Logger: zap.New(core), Queue: scripted{looks: &looks}})
		d := h.newHandler(hooks.Database{Driver: "x", Dialect: hooks.Postgres})
		stop := d.watchUnworked(nil)
		for i, want := range []string{"a", "b", "", "", "", "", "a"} {
			synctest.Wait()
			got := ""
			for _, line := range logs.TakeAll() {
				got += line.ContextMap()["forwarder"].(string)
			}
			if got != want {
				t.Errorf("look %d reports %q, want %q", i+1, got, want)
			}
			if i < 6 {
				time.Sleep(time.Minute)
			}
		}
		stop(t.Context())
		time.Sleep(time.Hour) // another look would panic
	})
}
