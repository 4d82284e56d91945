package relay

import "math"

// sharing says of each forwarder of a process how many other processes may have it, as of
// the last heartbeat. It is nil before the first one.
type sharing map[string]int

// equally is the sharing with others that all have the same forwarders.
func (r *registered) equally(others int) sharing {
	s := make(sharing, len(r.Forwarders))
	for name := range r.Forwarders {
		s[name] = others
	}
	return s
}

// sharedWith is the sharing with those of others that have the same environment: in another
// one they cannot take the lease.
func (r *registered) sharedWith(others []registered) sharing {
	s := r.equally(0)
	for i := range others {
		o := &others[i]
		if o.Environment != nil && r.Environment != nil && *o.Environment != *r.Environment {
			continue
		}
		for name := range s {
			if _, has := o.Forwarders[name]; has || !o.Complete {
				s[name]++
			}
		}
	}
	return s
}

// share is how many forwarders the process may keep: each counts as one divided by the
// processes that may have it. What no other process has counts in full, and the shares of
// all processes together are enough for all forwarders.
func (s sharing) share() int {
	const rounding = 1e-9
	var sum float64
	for _, others := range s {
		sum += 1 / float64(1+others)
	}
	return int(math.Ceil(sum - rounding))
}

// onlyHere reports whether no other process may have the forwarder.
func (s sharing) onlyHere(name string) bool {
	others, known := s[name]
	return known && others == 0
}

// mayTake reports whether this process has fewer forwarders than its share, or is the only
// one that has this forwarder.
func (r *Relay) mayTake(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held < r.share || r.sharing.onlyHere(name)
}

// addLease notes that the process has one more; extra, that it is above the share because no
// other process took it: the others are not to be given up for that.
func (r *Relay) addLease(extra bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held++
	if extra {
		r.extra++
	}
}

func (r *Relay) removeLease() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held--
	r.poller.reschedule()
}

// clearExtra notes that one is not extra any more.
func (r *Relay) clearExtra() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.extra--
}

// releaseExcess counts one less, and returns true, if the process has more than its share and
// others may have this forwarder.
func (r *Relay) releaseExcess(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held-r.extra <= r.share || r.sharing.onlyHere(name) {
		return false
	}
	r.held--
	r.poller.reschedule()
	return true
}

// hasOthers reports whether another process lives that could deliver to the forwarder.
func (r *Relay) hasOthers(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sharing[name] > 0
}
