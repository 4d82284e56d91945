package relay_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// crowd are transactions that begin, record, go back and end in a random order,
// and what they have committed.
type crowd struct {
	w *world

	mu        sync.Mutex
	ended     int
	committed [][]string // the events of each transaction, as they were recorded
	prepared  []prepared
	gids      int
	failure   error
}

// prepared is a transaction that waits for its second phase.
type prepared struct {
	gid   string
	names []string
}

// mostPrepared is below what the server allows.
const mostPrepared = 8

// member is a session of the crowd.
type member struct {
	c    *crowd
	name string
	rng  *rand.Rand
	conn *sql.Conn
	// ends is how likely a step ends the transaction, in hundredths.
	ends int

	open  bool
	txs   int
	names []string
	made  int
	marks []int // how many names there were at each savepoint
}

func (c *crowd) member(i int, seed uint64) *member {
	c.w.Helper()
	conn, err := c.w.db.Conn(ctx)
	c.w.must(err)
	m := &member{c: c, name: fmt.Sprintf("m%d", i), rng: rand.New(rand.NewPCG(seed, uint64(i))), conn: conn, ends: 40}
	if i%4 == 0 && c.w.e.Dialect == hooks.Postgres {
		m.ends = 2 // long, among short ones
	}
	return m
}

// step does the next thing.
func (m *member) step() error {
	if !m.open {
		if m.rng.IntN(4) == 0 {
			if done, err := m.secondPhase(); done || err != nil {
				return err
			}
		}
		return m.begin()
	}
	switch n := m.rng.IntN(100); {
	case len(m.names) > 60 || n < m.ends:
		return m.end()
	case n < m.ends+6:
		m.marks = append(m.marks, len(m.names))
		return m.exec(fmt.Sprintf("SAVEPOINT s%d", len(m.marks)))
	case n < m.ends+12 && len(m.marks) > 0:
		return m.back()
	default:
		return m.record(1 + m.rng.IntN(3))
	}
}

func (m *member) begin() error {
	m.open, m.names, m.marks, m.made = true, nil, nil, 0
	m.txs++
	return m.exec(begin(m.c.w.e))
}

func (m *member) exec(query string) error {
	if _, err := m.conn.ExecContext(ctx, query); err != nil {
		return fmt.Errorf("%s: %s: %w", m.name, query, err)
	}
	return nil
}

func (m *member) record(n int) error {
	events := make([]hooks.Event, n)
	for i := range events {
		m.made++
		name := fmt.Sprintf("%s.%d.%d", m.name, m.txs, m.made)
		events[i] = event(name)
		m.names = append(m.names, name)
	}
	var err error
	_, lent := relay.LendWithin(m.conn, func(db *sql.DB) bool {
		_, err = m.c.w.j.Write(ctx, hooks.Flush{Conn: sqltest.Lent(db), Events: events, Key: key(), Must: true, Timeout: dbtest.Patience})
		return false
	})
	if err == nil {
		err = lent
	}
	return err
}

// back goes back to a savepoint or releases it.
func (m *member) back() error {
	i := m.rng.IntN(len(m.marks))
	at := m.marks[i]
	if m.rng.IntN(3) == 0 {
		m.marks = m.marks[:i]
		return m.exec(fmt.Sprintf("RELEASE SAVEPOINT s%d", i+1))
	}
	m.marks, m.names = m.marks[:i+1], m.names[:at]
	return m.exec(fmt.Sprintf("ROLLBACK TO SAVEPOINT s%d", i+1))
}

func (m *member) end() error {
	m.open = false
	switch n := m.rng.IntN(10); {
	case n == 0:
		m.c.over(nil)
		return m.exec("ROLLBACK")
	case n <= 2 && m.c.w.e.Dialect == hooks.Postgres:
		if gid, ok := m.c.gid(); ok {
			if err := m.exec("PREPARE TRANSACTION '" + gid + "'"); err != nil {
				return err
			}
			m.c.mu.Lock()
			defer m.c.mu.Unlock()
			m.c.prepared = append(m.c.prepared, prepared{gid, m.names})
			return nil
		}
	}
	err := m.exec("COMMIT")
	if err == nil {
		m.c.over(m.names)
	}
	return err
}

// gid names a transaction to prepare, if there are not too many.
func (c *crowd) gid() (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.prepared) >= mostPrepared {
		return "", false
	}
	c.gids++
	return fmt.Sprintf("%s %d", c.w.Name(), c.gids), true
}

func (c *crowd) over(names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended++
	if len(names) > 0 {
		c.committed = append(c.committed, names)
	}
}

// secondPhase ends a transaction that somebody has prepared.
func (m *member) secondPhase() (done bool, err error) {
	c := m.c
	c.mu.Lock()
	if len(c.prepared) == 0 {
		c.mu.Unlock()
		return false, nil
	}
	i := m.rng.IntN(len(c.prepared))
	p := c.prepared[i]
	c.prepared = append(c.prepared[:i], c.prepared[i+1:]...)
	c.mu.Unlock()
	if m.rng.IntN(4) == 0 {
		c.over(nil)
		return true, m.exec("ROLLBACK PREPARED '" + p.gid + "'")
	}
	if err = m.exec("COMMIT PREPARED '" + p.gid + "'"); err == nil {
		c.over(p.names)
	}
	return true, err
}

// finish ends what is open and what is prepared, and gives the connection back.
func (m *member) finish() error {
	var err error
	if m.open {
		err = m.end()
	}
	for more := true; more && err == nil; {
		more, err = m.secondPhase()
	}
	if err != nil {
		return err
	}
	return m.conn.Close()
}

// enough reports whether so many transactions are over.
func (c *crowd) enough(txs int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended >= txs || c.failure != nil
}

// alternate runs n members in one thread, which makes the order the seed's, until
// so many transactions are over.
func (c *crowd) alternate(n, txs int, seed uint64) {
	c.w.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	members := make([]*member, n)
	for i := range members {
		members[i] = c.member(i, seed)
	}
	for !c.enough(txs) {
		c.w.must(members[rng.IntN(n)].step())
	}
	for _, m := range members {
		c.w.must(m.finish())
	}
}

// rush runs n members at the same time.
func (c *crowd) rush(n, txs int, seed uint64) {
	c.w.Helper()
	var wg sync.WaitGroup
	for i := range n {
		m := c.member(i, seed)
		wg.Go(func() {
			var err error
			for err == nil && !c.enough(txs) {
				err = m.step()
			}
			if err == nil {
				err = m.finish()
			}
			if err != nil {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.failure = err
			}
		})
	}
	wg.Wait()
	c.w.must(c.failure)
	// A member may have prepared after the others had looked.
	last := c.member(n, seed)
	c.w.must(last.finish())
}
