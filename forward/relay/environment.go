package relay

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// mayResume returns an error if programs that run with a forwarder have another
// environment than the Store. To those, Resume would take the forwarder away, and without
// replay its backlog too.
func (s *Store) mayResume(ctx context.Context, q querier, forwarder string) error {
	if !s.d.registersForwarders() {
		return s.mayTake(ctx, q, forwarder)
	}
	all, err := s.registrations(ctx, q)
	if err != nil {
		return err
	}
	for i := range all {
		r := &all[i]
		if r.has(forwarder) && r.Environment != nil && *r.Environment != s.env {
			return s.otherEnvironment(*r.Environment, "program "+r.Program)
		}
	}
	return nil
}

// mayTake is mayResume where processes do not register what they are: a lease is held only
// in the environment of its cursor.
func (s *Store) mayTake(ctx context.Context, q querier, forwarder string) error {
	var holder, place string
	err := q.QueryRowContext(ctx, "SELECT "+s.d.read("holder")+", "+s.d.read("place")+" FROM "+s.prefix+"cursors WHERE name = "+s.quote(forwarder)+
		" AND holder IS NOT NULL AND lease_until >= "+s.d.now()).Scan(s.d.scan(&holder), s.d.scan(&place))
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if _, env, _ := strings.Cut(place, " "); err == nil && env != s.env {
		err = s.otherEnvironment(env, "process "+holder)
	}
	return err
}

func (s *Store) otherEnvironment(env, where string) error {
	return fmt.Errorf("it is delivered here in the environment %q (%s), and this Store has %q, so nothing was changed: give relay.Options.Environment the programs' value; "+
		"if theirs is to change, or this is a copy, stop the programs of %[1]q first (one that died counts for up to a minute)", env, where, s.env)
}

// has reports whether the process has a forwarder of that name, which may be as a server
// stores it.
func (r *registered) has(name string) bool {
	is := func(own string) bool { return stores(own, name) }
	for own := range r.Forwarders {
		if is(own) {
			return true
		}
	}
	return slices.ContainsFunc(r.LeftOut, is)
}
