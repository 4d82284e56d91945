package relay_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// long reports whether the tests are to run at length: a million transactions,
// hundreds of kills. It takes longer than go test's usual limit.
func long() bool { return os.Getenv("AFTERCOMMIT_LONG") == "1" }

// TestAlternating: sessions of one thread, some with long transactions, while
// relays come and go: what was committed is delivered, once, in order.
func TestAlternating(t *testing.T) {
	n := dbtest.Seed(t)
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		newTrial(t, e, n).run(func(c *crowd) { c.alternate(9, 200, n) })
	}, dbtest.PostgresEngines()...)
}

// TestRushing is that with many writers at the same time.
func TestRushing(t *testing.T) {
	n := dbtest.Seed(t)
	dbtest.ForEach(t, func(t *testing.T, e dbtest.Engine) {
		members, txs := 8, 700
		switch {
		case e.Dialect == hooks.SQLite:
			members, txs = 3, 300
		case long() && e.Name == dbtest.PQ.Name:
			txs = 1_000_000
		}
		newTrial(t, e, n).run(func(c *crowd) { c.rush(members, txs, n) })
	})
}

// trial is a crowd and the relays that deliver what it does.
type trial struct {
	*world
	seed   uint64
	memory *memory
	table  *table
}

func newTrial(t *testing.T, e dbtest.Engine, seed uint64) *trial {
	t.Helper()
	tr := &trial{world: newWorld(t, e), seed: seed, memory: &memory{name: name}, table: &table{name: "table/default"}}
	tr.must(tr.store.Register(ctx, tr.db, tr.table.name))
	tr.table.create(tr.world)
	return tr
}

// run lets two processes for each sink work while work does, and then checks
// what they have delivered.
func (tr *trial) run(work func(c *crowd)) {
	tr.Helper()
	tr.Cleanup(func() {
		if tr.Failed() {
			tr.Logf("AFTERCOMMIT_SEED=%d does this again", tr.seed)
		}
	})
	stop := make(chan struct{})
	var (
		wg    sync.WaitGroup
		procs []*process
		errs  = make(chan error, 4)
	)
	for i := range 4 {
		p := &process{w: tr.world, holder: fmt.Sprintf("process %d", i), rng: rand.New(rand.NewPCG(tr.seed, uint64(1000+i))), lease: time.Second, sink: tr.table}
		if i%2 == 0 {
			p.lease, p.sink = lasting, tr.memory // nobody is to be overtaken
		}
		procs = append(procs, p)
		wg.Go(func() { errs <- p.run(stop) })
	}
	c := &crowd{w: tr.world}
	work(c)
	close(stop)
	wg.Wait()
	for range procs {
		tr.must(<-errs)
	}
	tr.finish()
	deaths := 0
	for _, p := range procs {
		deaths += p.deaths
		for _, text := range p.refused {
			tr.Log(text)
		}
	}
	tr.Logf("seed %d: %d transactions over, %d committed events, %d relays died, %d were overtaken", tr.seed, c.ended, c.events(), deaths, tr.table.stolen)
	tr.check(c)
}

// finish delivers what is left.
func (tr *trial) finish() {
	tr.Helper()
	calm := &process{w: tr.world, calm: true}
	for _, sink := range []restless{tr.memory, tr.table} {
		r := relay.Start(tr.store, tr.db, relay.Config{Targets: []relay.Target{sink.target(calm)}, Poll: 5 * time.Millisecond, Lease: lasting})
		tr.drain(r)
		tr.must(r.Stop(ctx))
	}
}

func (c *crowd) events() (n int) {
	for _, tx := range c.committed {
		n += len(tx)
	}
	return n
}

// check compares what was committed, what the journal has, and what came.
func (tr *trial) check(c *crowd) {
	tr.Helper()
	seqs := make(map[string]string)
	for e, err := range tr.j.Each(ctx, tr.db, journal.Query{}) {
		tr.must(err)
		seqs[e.Target.ID] = place(&e)
	}
	if n := c.events(); len(seqs) != n {
		tr.Errorf("the journal has %d events, %d were committed", len(seqs), n)
	}
	for _, tx := range c.committed {
		for _, e := range tx {
			if _, ok := seqs[e]; !ok {
				tr.Errorf("the journal does not have %s", e)
			}
		}
	}
	for sink, got := range map[string][]delivered{"memory": tr.memory.got, "table": tr.table.read(tr.world)} {
		for _, wrong := range faults(seqs, got) {
			tr.Errorf("%s: %s", sink, wrong)
		}
	}
	for _, f := range []string{tr.memory.name, tr.table.name} {
		failed, err := tr.store.Failures(ctx, tr.db, f, false, 0)
		tr.must(err)
		if len(failed) > 0 {
			tr.Errorf("%s: %d failures, one of them %+v", f, len(failed), failed[0])
		}
	}
}

// faults says what is wrong with what came, of committed events with their seqs.
func faults(committed map[string]string, got []delivered) (wrong []string) {
	times := make(map[string]int, len(got))
	last := make(map[string]delivered) // of each transaction
	missed, doubled, unknown, disorder := 0, 0, 0, 0
	var examples []string
	example := func(n *int, what, event string) {
		if *n++; *n <= 3 {
			examples = append(examples, what+" "+event)
		}
	}
	for _, d := range got {
		times[d.event]++
		if _, ok := committed[d.event]; !ok {
			example(&unknown, "never committed", d.event)
		}
		if times[d.event] > 1 {
			example(&doubled, "again", d.event)
			continue
		}
		if d.apart {
			continue
		}
		tx := d.event[:strings.LastIndexByte(d.event, '.')]
		if d.seq <= last[tx].seq {
			example(&disorder, "after "+last[tx].event, d.event)
		}
		last[tx] = d
	}
	for event := range committed {
		if times[event] == 0 {
			example(&missed, "never", event)
		}
	}
	if len(examples) > 0 {
		wrong = append(wrong, fmt.Sprintf("of %d events %d were missed, %d came again, %d were out of order, %d were not committed: %s",
			len(committed), missed, doubled, disorder, unknown, strings.Join(examples, ", ")))
	}
	return wrong
}
