package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// Identity distinguishes a forwarder from others of the same name, in other processes.
// The zero value is not compared.
type Identity struct {
	// Text is the same for the same forwarder in every process.
	Text string `json:"is"`
	// Instance distinguishes forwarders of one process whose texts may be the same by
	// chance; "" if they cannot be.
	Instance string `json:"instance,omitempty"`
}

// registered is what a process registers for others to compare, as JSON in ASCII,
// so that no encoding changes it.
type registered struct {
	Program string `json:"program"`
	Process string `json:"process"`
	// Environment is that of its Store; nil in earlier versions.
	Environment *string `json:"environment,omitempty"`
	// Forwarders are its targets, also those without an Identity.
	Forwarders map[string]Identity `json:"forwarders"`
	// Changes are those of its targets that also get row changes.
	Changes []string `json:"changes,omitempty"`
	// LeftOut is as in Config.
	LeftOut []string `json:"left_out,omitempty"`
	// Complete says that Forwarders has all of them. In earlier versions those without an
	// Identity are missing.
	Complete bool `json:"complete"`
	// Suspended are those of its forwarders that accept nothing. Earlier versions do not
	// write or read it.
	Suspended map[string]Suspension `json:"suspended,omitempty"`
}

func (r *registered) text() string {
	text, _ := json.Marshal(r) // it is text and maps of text
	return pgtext.ASCII(text)
}

func parseRegistered(text string) (r registered) {
	_ = json.Unmarshal([]byte(text), &r) // what a later version writes otherwise is not compared
	return r
}

// stores reports whether a forwarder's name may be stored as that text: what processes
// register has the program's form, and the server may lack characters of it.
func stores(name, text string) bool { return name == text || pgtext.Written(name) == text }

// foundFor returns what was found, by the program's form of its name, for a forwarder as the
// server stores it.
func foundFor[T any](stored string, found map[string][]T) (all []T) {
	for name := range found {
		if stores(name, stored) {
			all = append(all, found[name]...)
		}
	}
	return all
}

// registers returns what a process registers about its targets.
func registers(cfg *Config) registered {
	own := registered{Program: cfg.Program, Process: cfg.Process, Forwarders: make(map[string]Identity), LeftOut: cfg.LeftOut, Complete: true}
	for i := range cfg.Targets {
		t := &cfg.Targets[i]
		own.Forwarders[t.Name] = t.Identity
		if t.Changes != nil {
			own.Changes = append(own.Changes, t.Name)
		}
	}
	return own
}

// rival is a different forwarder that another process has registered by the name of one
// of this process.
type rival struct {
	forwarder, program string
	is, other          string
}

// rivals compares what two processes have registered.
func rivals(own, other *registered) (all []rival) {
	for _, name := range slices.Sorted(maps.Keys(own.Forwarders)) {
		is, has := own.Forwarders[name], other.Forwarders[name]
		within := own.Process != "" && own.Process == other.Process && is.Instance != has.Instance
		if is.Text != "" && has.Text != "" && (has.Text != is.Text || within) {
			all = append(all, rival{name, other.Program, is.Text, has.Text})
		}
	}
	return all
}

// compare reports the rivals in other processes that are running.
func (r *Relay) compare(others []registered) {
	for i := range others {
		for _, v := range rivals(&r.own, &others[i]) {
			r.sayRival(v)
		}
	}
}

// sayRival reports a rival once.
func (r *Relay) sayRival(v rival) {
	const most = 100
	r.mu.Lock()
	fresh := !r.rivals[v] && len(r.rivals) < most
	if fresh {
		r.rivals[v] = true
	}
	r.mu.Unlock()
	if !fresh {
		return
	}
	r.cfg.Notify(hooks.Notice{
		Kind: hooks.NoticeConflict, Forwarder: v.forwarder, Dispatch: "async",
		Err: fmt.Errorf("relay: %s is here (program %s): %s; in another process (program %s): %s", v.forwarder, r.own.Program, v.is, v.program, v.other),
	})
}

// registrations returns what the processes that live have registered.
func (s *Store) registrations(ctx context.Context, q querier) ([]registered, error) {
	return s.living(ctx, q, "forwarders <> '' AND seen_at > "+s.d.later(-lately)+" AND seen_at < "+s.d.later(lately))
}

// others returns what the other processes have registered, as of a heartbeat just now. One
// that registers nothing is of an earlier version.
func (s *Store) others(ctx context.Context, q querier, holder string) ([]registered, error) {
	return s.living(ctx, q, "name <> "+s.quote(holder))
}

func (s *Store) living(ctx context.Context, q querier, where string) (all []registered, err error) {
	if !s.d.registersForwarders() {
		return nil, nil
	}
	rows, err := q.QueryContext(ctx, "SELECT coalesce(forwarders, '') FROM "+s.prefix+"workers WHERE "+where+" ORDER BY name")
	if err != nil {
		return nil, fmt.Errorf("relay: read what other processes have registered: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, fmt.Errorf("relay: read what other processes have registered: %w", err)
		}
		all = append(all, parseRegistered(text))
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("relay: read what other processes have registered: %w", err)
	}
	return all, nil
}

// conflicts returns what processes that live have registered by each name, where
// that is not the same.
func conflicts(all []registered) map[string][]string {
	found := make(map[string][]string)
	add := func(name, text string) {
		if !slices.Contains(found[name], text) {
			found[name] = append(found[name], text)
		}
	}
	for i := range all {
		for j := range i {
			for _, v := range rivals(&all[i], &all[j]) {
				add(v.forwarder, v.program+": "+v.other)
				add(v.forwarder, all[i].Program+": "+v.is)
			}
		}
	}
	return found
}
