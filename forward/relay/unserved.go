package relay

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// unservedEvery is how often a process looks for forwarders that no process has. One that
// is missing in two looks is reported: a program that is restarted is back by then.
const unservedEvery = time.Minute

// unserved are the forwarders that no running process had in the last look.
type unserved struct {
	looked time.Time
	// warned says of each whether it was reported.
	warned map[string]bool
}

// due reports whether it is time for a look, and notes it.
func (u *unserved) due(now time.Time) bool {
	if !u.looked.IsZero() && now.Sub(u.looked) < unservedEvery {
		return false
	}
	u.looked = now
	return true
}

// note notes what a look has found, and returns what is to be reported: what was missing in
// the last look too, once until a process has it.
func (u *unserved) note(missing []string) (report []string) {
	was := u.warned
	u.warned = make(map[string]bool, len(missing))
	for _, name := range missing {
		warned, again := was[name]
		if again && !warned {
			report = append(report, name)
		}
		u.warned[name] = again
	}
	return report
}

// lookForUnserved warns of forwarders that are registered, by apps with a relay elsewhere
// for example, and that no running process has: nothing else shows that they get nothing. A
// process without a lease leaves that to those with one.
func (r *Relay) lookForUnserved(ctx context.Context, q querier) error {
	r.mu.Lock()
	due := r.held > 0 && r.store.d.registersForwarders() && r.unserved.due(r.cfg.Clock.Now())
	r.mu.Unlock()
	if !due {
		return nil
	}
	names, texts, err := r.store.serving(ctx, q)
	if err != nil {
		return err
	}
	r.mu.Lock()
	report := r.unserved.note(missing(names, texts))
	r.mu.Unlock()
	for _, name := range report {
		r.cfg.Log.Warn("aftercommit: no running process that relays has this forwarder, so what waits for it is not delivered, and stays in the journal: "+
			"register it in the process that calls Hub.Relay (or start the program that relays to it), or end it by relay.Store.Retire if it is no longer used",
			zap.String("forwarder", name))
	}
	return nil
}

// missing returns those of names that no process has, by what the processes have
// registered. It returns none if one of them is of an earlier version, which may have
// forwarders that it does not register.
func missing(names, texts []string) (none []string) {
	has := make(map[string]bool)
	for _, text := range texts {
		process := parseRegistered(text)
		if !process.Complete {
			return nil
		}
		for _, name := range slices.AppendSeq(process.LeftOut, maps.Keys(process.Forwarders)) {
			has[name], has[pgtext.Written(name)] = true, true // as quote may have stored it
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return has[name] })
}

// serving returns the forwarders that are not retired, and what each process that lives
// has registered, "" if nothing.
func (s *Store) serving(ctx context.Context, q querier) (names, texts []string, err error) {
	wrong := func(err error) error {
		return fmt.Errorf("relay: look for forwarders that no process has: %w", err)
	}
	rows, err := q.QueryContext(ctx, "SELECT t.registered, "+s.d.read("t.value")+" FROM (SELECT true AS registered, name AS value FROM "+s.prefix+"cursors WHERE retired_at IS NULL"+
		" UNION ALL SELECT false, coalesce(forwarders, '') FROM "+s.prefix+"workers) t ORDER BY t.value")
	if err != nil {
		return nil, nil, wrong(err)
	}
	defer rows.Close()
	for rows.Next() {
		var (
			registered bool
			value      string
		)
		if err := rows.Scan(&registered, s.d.scan(&value)); err != nil {
			return nil, nil, wrong(err)
		}
		if registered {
			names = append(names, value)
		} else {
			texts = append(texts, value)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, nil, wrong(err)
	}
	return names, texts, nil
}
