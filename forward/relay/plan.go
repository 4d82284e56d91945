package relay

import "time"

// plan is how many entries each of the next calls gets, after some have failed
// together. What fails is halved until single entries fail, so one bad entry among
// n costs 2 log n calls. The plan outlives a step: each call is settled before the
// next, and a process that dies loses one call's work.
//
// The zero value sets no size: a call gets as many as there are.
type plan struct {
	// small is how many entries come in small parts first, because a call took all its
	// time: halving would pay that log n times.
	small int
	// part is the size of these parts. It is one at first, and twice as many whenever
	// the calls since have worked for as long as that call took (price): so small calls
	// cost no more time than large ones that fail, if each call is slow.
	part        int
	paid, price time.Duration
	// parts follow, the last one first.
	parts []int
}

// over reports whether it sets no size.
func (p *plan) over() bool { return p.small == 0 && len(p.parts) == 0 }

// size is how many entries the next call gets, at most limit.
func (p *plan) size(limit int) int {
	switch n := len(p.parts); {
	case p.small > 0:
		return min(p.part, p.small, limit)
	case n > 0:
		return min(p.parts[n-1], limit)
	}
	return limit
}

// failed plans the next calls after n entries, more than one, failed together in a call
// of some time; late says that it was all that the call had. At the first failure the
// first entry comes alone: if the sink accepts it, it is up.
func (p *plan) failed(n int, took time.Duration, late bool) {
	if p.small > 0 {
		p.part, p.paid, p.price = 1, 0, max(p.price, took)
		return
	}
	first := len(p.parts) == 0
	p.pop()
	switch {
	case late:
		p.small, p.part, p.paid, p.price = n, 1, 0, took
	case first:
		p.push((n-1)/2, n/2, 1)
	default:
		p.push(n/2, (n+1)/2)
	}
}

// passed notes that n entries are settled, after a call that has worked for some time. If
// that is fewer than were planned, there are no more, and the plan is over.
func (p *plan) passed(n int, worked time.Duration) {
	switch k := len(p.parts); {
	case p.small > 0:
		p.small = max(0, p.small-n)
		if p.paid += worked; p.paid >= p.price {
			p.part, p.paid = 2*p.part, 0
		}
	case k > 0 && n < p.parts[k-1]:
		*p = plan{}
	default:
		p.pop()
	}
}

func (p *plan) push(parts ...int) {
	for _, n := range parts {
		if n > 0 {
			p.parts = append(p.parts, n)
		}
	}
}

func (p *plan) pop() {
	if n := len(p.parts); n > 0 {
		p.parts = p.parts[:n-1]
	}
}
