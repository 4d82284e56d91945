package river_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/forward"
	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/river"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// What a process to be killed is started with.
const (
	victimEnv  = "RIVER_TEST_DRIVER"
	dsnEnv     = "RIVER_TEST_DSN"
	dialectEnv = "RIVER_TEST_DIALECT"
)

// victim works jobs, says when its sink is called, and never returns from it.
func victim() {
	db, err := sql.Open(os.Getenv(victimEnv), os.Getenv(dsnEnv))
	if err == nil {
		db.SetMaxOpenConns(4)
		dialect := hooks.Dialect(os.Getenv(dialectEnv))
		if dialect == hooks.SQLite {
			db.SetMaxOpenConns(1)
		}
		hub := forward.New(&forward.Options{Logger: zap.NewNop(), Queue: river.New(quick())})
		hub.Register(&sink{answer: func(context.Context, int, []journal.Entry) error {
			fmt.Println("called")
			select {}
		}}, forward.Async)
		err = hub.Work(ctx, db, dialect)
	}
	fmt.Println(err)
	os.Exit(1)
}

// TestKilled: a process is killed while a sink has the events of its job. Another process
// makes the next attempt; or, if that was the last one, notifies that the job is
// discarded.
func TestKilled(t *testing.T) {
	for _, tt := range []struct {
		attempts         int
		state, delivered string
		discarded        int
		reason           string
	}{
		{5, "completed 2", "1 2", 0, ""},
		{1, "discarded 2", "", 2, "died"},
	} {
		t.Run(fmt.Sprint(tt.attempts), func(t *testing.T) {
			each(t, func(w *world) {
				w.start(forward.Async, forward.RelayElsewhere, forward.MaxAttempts(tt.attempts))
				w.commit(1, 2)
				w.kill()
				if got := w.jobs(); got != "running 1" {
					t.Fatalf("jobs: %s", got)
				}
				// Twenty minutes go by.
				w.age("20 minutes", 1)
				w.must(w.bare.ExecContext(ctx, "DELETE FROM river_leader"))
				w.work()
				w.untilJobs(tt.state)
				w.delivered(tt.delivered)
				w.told(hooks.NoticeDiscarded, tt.discarded, tt.reason)
				if tt.discarded > 0 { // an operator retries it
					w.retry(1)
					w.untilJobs("completed 3")
					w.delivered("1 2")
				}
			})
		})
	}
}

// kill starts a process that works jobs, and kills it when it has called its sink.
func (w *world) kill() {
	w.Helper()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+w.e.Driver, dsnEnv+"="+w.dsn, dialectEnv+"="+string(w.e.Dialect))
	out, err := cmd.StdoutPipe()
	w.must(err)
	w.must(cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "called\n" {
		w.Errorf("the process says %q, %v", line, err)
	}
	w.must(cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
}

// TestDeadLettersStay: River deletes them only if its Config says after which time.
func TestDeadLettersStay(t *testing.T) {
	each(t, func(w *world) {
		old, ancient := w.past("20 minutes"), w.past("90 days")
		w.start(forward.Async, forward.RelayElsewhere)
		for id := range 4 {
			w.commit(id)
		}
		for id, state := range []string{"cancelled", "discarded", "completed", "available"} {
			query := "UPDATE river_job SET state = '" + state + "', finalized_at = " + ancient + ", attempted_at = " + old + " WHERE id = ?"
			if state == "available" {
				query = "UPDATE river_job SET attempted_at = NULL WHERE id = ?"
			}
			w.must(w.bare.ExecContext(ctx, w.e.Rebind(query), id+1))
		}
		w.work()
		w.untilJobs("cancelled 0, discarded 0, completed 1") // the old completed one is deleted
		w.retry(2)
		w.untilJobs("completed 1, completed 1, completed 1")
	})
}
