package relay

import "time"

// A lease says by the server's clock when it ends. If that clock is set back, or a server is
// promoted whose clock is behind, the lease of a process that has died meanwhile would last until
// the clock is there again. So a lease that ends further ahead than leases last is doubted: it is
// taken as over once it has not been renewed for two leases and a call, by the clock of the process
// that waits for it.

// doubted is a lease that ends too far ahead.
type doubted struct {
	fence int64
	until time.Time
	since time.Time // when this process first saw it
}

// doubtsFor is for how long a lease has not been renewed that is taken as over. Where no renewer
// renews it, it is not during a call.
func (w *worker) doubtsFor() time.Duration {
	const leases = 2
	return leases*w.relay.cfg.Lease + w.target.timeout()
}

// maxLease is the time that the leases of others are believed to last: theirs may be longer than
// this process's, and so may the calls which these last for where no renewer renews them.
func (r *Relay) maxLease() time.Duration {
	const factor = 3
	call := time.Duration(0)
	for _, w := range r.workers {
		call = max(call, w.target.timeout())
	}
	return max(time.Minute, factor*(r.cfg.Lease+call))
}

// doubt notes what is wrong with another process's lease, and reports whether it is over.
func (w *worker) doubt(st *leaseStatus) bool {
	now := w.relay.cfg.Clock.Now()
	switch d := w.doubted; {
	case !st.tooFarAhead || st.until.IsZero():
		w.doubted = nil
		return false
	case d == nil || d.fence != st.fence || !d.until.Equal(st.until):
		w.doubted = &doubted{st.fence, st.until, now}
		return false
	default:
		return now.Sub(d.since) >= w.doubtsFor()
	}
}

// still continues a condition: or the cursor's lease is the doubted one, and was not renewed.
func (d *doubted) still(s *Store) string {
	if d == nil {
		return ""
	}
	return " OR fence = " + itoa(d.fence) + " AND lease_until = " + s.time(d.until)
}
