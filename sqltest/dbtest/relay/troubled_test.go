package relay_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// The forwarders of TestChaos, beside inTable and inFile.
const (
	slowly          = "slow/default"
	hangs           = "hangs/default"
	poisoned        = "poisoned/default"
	poisonedInTable = "poisoned table/default"
)

const (
	troubledLease = 500 * time.Millisecond
	// poisonedAttempts is when what fails each call that has it is discarded.
	poisonedAttempts = 2
)

// How an event's name ends that a poisoned sink does not accept.
const (
	spoils  = "bad"   // fails each call that has it
	refused = "never" // refused for good, by name
)

func marked(event string) bool {
	return strings.HasSuffix(event, spoils) || strings.HasSuffix(event, refused)
}

// troubledTargets are those forwarders, over files whose paths begin with path. When
// they are calm, no call takes long or hangs.
func troubledTargets(path string, calm bool) ([]relay.Target, error) {
	steady := &process{calm: true}
	failures, err := appendTo(sinkFile(path, poisonedInTable))
	if err != nil {
		return nil, err
	}
	targets := []relay.Target{
		(&table{name: inTable}).target(steady),
		poison(failingAlone((&table{name: poisonedInTable}).target(steady), failures)),
	}
	for _, n := range []string{inFile, slowly, hangs, poisoned} {
		file, err := appendTo(sinkFile(path, n))
		if err != nil {
			return nil, err
		}
		target := fileTarget(file, 0)
		target.Name = n
		switch {
		case n == poisoned:
			target = poison(target)
		case n == slowly && !calm:
			target = slow(target, troubledLease)
		case n == hangs && !calm:
			target = hanging(target, file)
		}
		targets = append(targets, target)
	}
	for i := range targets {
		targets[i].Timeout = 2 * troubledLease
	}
	return targets, nil
}

func sinkFile(path, forwarder string) string {
	return path + "." + strings.ReplaceAll(forwarder, "/", ".")
}

// poison makes a target refuse events that are marked.
func poison(target relay.Target) relay.Target {
	deliver := target.Deliver
	target.MaxAttempts = poisonedAttempts
	target.Deliver = func(c context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
		never := make(map[uuid.UUID]relay.Failure)
		var good []journal.Entry
		for _, e := range entries {
			switch {
			case strings.HasSuffix(e.Target.ID, spoils):
				return relay.Result{Err: failure(errTransient)}
			case strings.HasSuffix(e.Target.ID, refused):
				never[e.ID] = *failure(permanent{errors.New("never")})
			default:
				good = append(good, e)
			}
		}
		if len(good) == 0 {
			return relay.Result{Failed: never}
		}
		r := deliver(c, db, good)
		if r.Err == nil {
			r.Failed = never
		}
		return r
	}
	return target
}

// failedAlone marks a line of what hung or failed in a call by itself, and comes again later.
const failedAlone = "failed"

func noteFailedAlone(file *os.File, e *journal.Entry) {
	_, err := fmt.Fprintf(file, "\n%s %s 1 %s\n", e.Target.ID, place(e), failedAlone)
	exitOn(err)
}

// failingAlone notes which entries fail in a call by themselves, as where a process is frozen
// for longer than the call may take: the relay takes these for bad, and delivers others
// before them.
func failingAlone(target relay.Target, file *os.File) relay.Target {
	deliver := target.Deliver
	target.Deliver = func(c context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
		r := deliver(c, db, entries)
		if r.Err != nil && len(entries) == 1 {
			noteFailedAlone(file, &entries[0])
		}
		return r
	}
	return target
}

// hanging makes some calls take longer than they may, before they have done anything or
// afterwards.
func hanging(target relay.Target, file *os.File) relay.Target {
	deliver := target.Deliver
	target.Deliver = func(c context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
		n := rand.IntN(20)
		if n > 1 {
			return deliver(c, db, entries)
		}
		if n == 0 {
			deliver(c, db, entries)
		}
		if len(entries) == 1 {
			noteFailedAlone(file, &entries[0])
		}
		time.Sleep(troubledLease / 2)
		return relay.Result{Hung: true, Err: &relay.Failure{Reason: "timeout", Err: errors.New("it has not returned")}}
	}
	return target
}

// troubled is a relay whose sinks are slow, hang or refuse events.
func (v *victim) troubled() {
	s, err := relay.New(hooks.Postgres, nil)
	exitOn(err)
	targets, err := troubledTargets(os.Getenv(fileEnv), false)
	exitOn(err)
	v.db.SetMaxOpenConns([]int{0, 1, 3}[v.rng.IntN(3)])
	relay.Start(s, v.db, relay.Config{
		Targets: targets, Batch: batches[v.rng.IntN(len(batches))], Lease: troubledLease, Poll: 10 * time.Millisecond,
	})
	select {}
}
