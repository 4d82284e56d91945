package txn

import (
	"math/rand/v2"
	"slices"
)

// A token is the number that a write locks until the end of its transaction, so that it
// can be found out later whether that has ended. Others see it once it is locked, and
// any role may wait for it: where the lock may have been released, by a ROLLBACK TO or
// with the transaction, the next write would wait for the session that has it now. So a token is
// used again only while a write with it stands, and what cannot be seen counts as
// released.

// maxEarlier is how many tokens a transaction keeps beside the last: the first, which is
// the likeliest to be locked still, and the newest.
const maxEarlier = 20

// Token returns the token for the next write.
func (r *Record) Token() int64 {
	if r.cfg.LocksToken && r.written == 0 { // else it only names the transaction
		r.token = 0
	}
	if r.token == 0 {
		r.token = draw()
	}
	return r.token
}

// doubtToken notes that the lock may have been released. What was written under it may
// stand all the same.
func (r *Record) doubtToken() {
	switch {
	case !r.cfg.LocksToken || r.token == 0:
		return
	case r.written == 0:
	case len(r.earlier) == maxEarlier: // a copy, because transactions that have ended have this one
		r.earlier = slices.Concat(r.earlier[:1], r.earlier[2:], []int64{r.token})
	default:
		r.earlier = append(r.earlier, r.token)
	}
	r.token = 0
}

// tokens returns those whose writes may stand: the last, 0 if nothing was written, and
// the ones before it.
func (r *Record) tokens() (last int64, earlier []int64) {
	n := len(r.earlier)
	if r.token != 0 || n == 0 {
		return r.token, slices.Clip(r.earlier)
	}
	return r.earlier[n-1], r.earlier[: n-1 : n-1]
}

// Signature returns the number by which the witness knows the transaction. It is no
// token, because statements with it are sent while nothing has been locked.
func (r *Record) Signature() int64 {
	if r.signature == 0 {
		r.signature = draw()
	}
	return r.signature
}

// draw returns a number that cannot be guessed: the generator is ChaCha8, seeded by the
// operating system.
func draw() (n int64) {
	for n == 0 {
		n = rand.Int64()
	}
	return n
}
