package driver

import (
	"math/rand/v2"
	"slices"
)

// A token is the number that a flush locks until the end of its transaction, so that it
// can be found out later whether that has ended. Others see it once it is locked, and
// any role may wait for it: where the lock may have been released, by a ROLLBACK TO or
// with the transaction, the next flush would wait for the session that has it now. So a token is
// used again only while a write with it stands, and what cannot be seen counts as
// released.

// maxEarlier is how many tokens a transaction keeps beside the last: the first, which is
// the likeliest to be locked still, and the newest.
const maxEarlier = 20

// tokens are those of a transaction: while one of them is locked, it has not ended.
type tokens struct {
	last    int64 // 0 if nothing was flushed
	earlier []int64
}

// flushToken returns the token for the next flush.
func (c *conn) flushToken() int64 {
	t := &c.tx
	if c.postgres() && t.flushed == 0 { // elsewhere it names the transaction, and is not locked
		t.token = 0
	}
	if t.token == 0 {
		t.token = draw()
	}
	return t.token
}

// doubtToken notes that the lock may have been released. What was written under it may
// stand all the same.
func (c *conn) doubtToken() {
	t := &c.tx
	switch {
	case !c.postgres() || t.token == 0:
		return
	case t.flushed == 0:
	case len(t.earlier) == maxEarlier: // a copy, because parts have this one
		t.earlier = slices.Concat(t.earlier[:1], t.earlier[2:], []int64{t.token})
	default:
		t.earlier = append(t.earlier, t.token)
	}
	t.token = 0
}

// tokens returns those whose writes may stand.
func (t *txn) tokens() tokens {
	n := len(t.earlier)
	if t.token != 0 || n == 0 {
		return tokens{t.token, slices.Clip(t.earlier)}
	}
	return tokens{t.earlier[n-1], t.earlier[: n-1 : n-1]}
}

// signature returns the number by which the witness knows the transaction. It is no
// token, because statements with it are sent while nothing has been locked.
func (t *txn) signature() int64 {
	if t.sign == 0 {
		t.sign = draw()
	}
	return t.sign
}

// draw returns a number that cannot be guessed: the generator is ChaCha8, seeded by the
// operating system.
func draw() (n int64) {
	for n == 0 {
		n = rand.Int64()
	}
	return n
}
