package relay

// plan is how many entries each of the next calls gets, after some have failed
// together. What fails is halved until single entries fail, so one bad entry among
// n costs 2 log n calls. The plan outlives a step: each call is settled before the
// next, and a process that dies loses one call's work.
//
// The zero value sets no size: a call gets as many as there are.
type plan struct {
	// alone is how many come one by one first: a call that hangs costs its whole
	// timeout, and halving would pay that log n times.
	alone int
	// parts follow, the last one first.
	parts []int
}

// size is how many entries the next call gets, at most limit.
func (p *plan) size(limit int) int {
	switch n := len(p.parts); {
	case p.alone > 0:
		return 1
	case n > 0:
		return min(p.parts[n-1], limit)
	}
	return limit
}

// failed plans the next calls after n entries, more than one, failed together. At the
// first failure the first entry comes alone: if the sink accepts it, it is up.
func (p *plan) failed(n int, hung bool) {
	first := len(p.parts) == 0
	p.pop()
	switch {
	case hung:
		p.alone = n
	case first:
		p.push((n-1)/2, n/2, 1)
	default:
		p.push(n/2, (n+1)/2)
	}
}

// passed notes that n entries are settled. If that is fewer than were planned, there are
// no more, and the plan is over.
func (p *plan) passed(n int) {
	switch k := len(p.parts); {
	case p.alone > 0:
		p.alone--
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
