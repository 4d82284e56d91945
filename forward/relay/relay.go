package relay

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Config is what a [Relay] is started with. The relay's own goroutines call its functions,
// those of its Targets, and Log: a panic there ends the process, as in any goroutine. (A Hub
// makes one of a forwarder a failure before it comes here.)
type Config struct {
	Targets []Target
	// LeftOut names forwarders that this process has, and that cannot be among Targets yet.
	LeftOut []string
	// Holder names this process in the lease. The default has the host, the
	// process and something random.
	Holder string
	// Program and Process name this program and this process in the warnings of others
	// that register a different forwarder by the same name.
	Program, Process string
	// Lease is how long a lease lasts unless it is renewed. When a process dies, another
	// takes over within two of them. The default is 11 s.
	// One that ends more than three leases and calls ahead, and more than a minute, is from a
	// clock that was ahead: it is over once it has not been renewed for two leases and a call
	// ([Target.Timeout]). So leases of programs that share a database must differ by less than
	// three times.
	Lease time.Duration
	// Batch is how many entries a call gets at most. The default is [DefaultBatch].
	Batch int
	// Poll is the longest pause between two looks for entries of other processes; those of
	// this process are announced by [Relay.Wake]. On PostgreSQL one look serves all
	// forwarders. The default is 400 ms.
	Poll time.Duration
	// Notify is called with each notice. It is called concurrently.
	Notify func(hooks.Notice)
	Log    *zap.Logger
	// Memory carries what was learned about sinks from one relay, or call of [CatchUp], to
	// the next; nil starts afresh.
	Memory *Memory
	// Clock is the clock for retries, pauses and the sharing of leases. The default is the
	// system's.
	Clock Clock
}

// Clock gives the time and waits.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

type realClock struct{}

func (realClock) Now() time.Time                         { return time.Now() }
func (realClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Relay delivers to the targets whose leases this process has.
type Relay struct {
	store *Store
	db    *sql.DB
	cfg   Config

	workers []*worker
	poller  *poller  // nil if the workers look by themselves
	renewer *renewer // nil if the workers renew their leases themselves
	// lender has the connections that workers and their sinks may use, all but the renewer's.
	lender   *Lender
	stopping chan struct{}
	cancel   context.CancelFunc
	once     sync.Once
	working  sync.WaitGroup // the workers
	finished sync.WaitGroup // they and the poller
	silent   bool           // it sends no heartbeat

	own   registered
	plain atomic.Bool // db is known not to be audited

	mu          sync.Mutex
	rivals      map[rival]bool // that were reported
	unserved    unserved
	suspended   map[string]Suspension
	held, share int
	extra       int // of those held
	sharing     sharing
	member      membership
}

// Start starts a relay over db, which it uses with as many connections as it
// gets, at least one. With two or more, one is kept free to renew leases. Its
// targets must be registered. On a mistake in cfg it panics. A database that is audited
// itself is reported as any that cannot be used: in the log, and by [Relay.Trouble].
func Start(s *Store, db *sql.DB, cfg Config) *Relay {
	if err := cfg.check(s, db); err != nil {
		panic(err.Error())
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := newRelay(s, db, cfg)
	r.cancel = cancel
	if canRenew(s, db) {
		r.renewer, r.lender = newRenewer(r), NewLender(db, 1)
		go r.renewer.run(ctx)
	}
	if s.d.pollsTogether() {
		r.poller = newPoller(r)
	}
	for _, w := range r.workers {
		r.working.Add(1)
		r.finished.Go(func() {
			defer r.working.Done()
			w.run(ctx)
		})
	}
	if r.poller != nil {
		r.finished.Go(func() { r.poller.run(ctx) })
	}
	return r
}

// DefaultBatch is how many entries a call gets at most, unless [Config] says otherwise.
const DefaultBatch = 500

func newRelay(s *Store, db *sql.DB, cfg Config) *Relay {
	const (
		// Nine tenths of it are less than the 10 s after which an earlier version, which may
		// run beside this one, forgets a process without a heartbeat.
		defaultLease = 11 * time.Second
		defaultPoll  = 400 * time.Millisecond
	)
	if cfg.Lease <= 0 {
		cfg.Lease = defaultLease
	}
	if cfg.Batch <= 0 {
		cfg.Batch = DefaultBatch
	}
	if cfg.Poll <= 0 {
		cfg.Poll = defaultPoll
	}
	if cfg.Notify == nil {
		cfg.Notify = func(hooks.Notice) {}
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Memory == nil {
		cfg.Memory = &Memory{}
	}
	if cfg.Clock == nil {
		cfg.Clock = realClock{}
	}
	if cfg.Holder == "" {
		host, _ := os.Hostname() // a name for people to read
		cfg.Holder = fmt.Sprintf("%s/%d/%s", host, os.Getpid(), uuid.NewString()[:8])
	}
	r := &Relay{store: s, db: db, cfg: cfg, lender: NewLender(db, 0), stopping: make(chan struct{}), share: 1, own: registers(&cfg), rivals: make(map[rival]bool), member: newMembership(time.Now())}
	for _, t := range cfg.Targets {
		r.workers = append(r.workers, &worker{relay: r, target: t, reads: s.withChanges(t.Changes), wake: make(chan struct{}, 1), rotation: newRotation()})
	}
	return r
}

// Wake says that entries have been committed.
func (r *Relay) Wake() {
	elsewhere := false
	for _, w := range r.workers {
		if r.poller != nil && !w.alert.Load() {
			elsewhere = true // or with no process
			continue
		}
		w.rouse()
	}
	if elsewhere {
		r.heartbeatSoon()
	}
}

func (r *Relay) stops() bool {
	select {
	case <-r.stopping:
		return true
	default:
		return false
	}
}

// unregister deletes this process from those that share the forwarders.
func (r *Relay) unregister(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	_ = r.store.unregister(ctx, r.db, r.cfg.Holder) // or it is forgotten after a while
}

// giveBack gives a connection back to its pool. A process without a lease closes it: it has
// no use for one until the next look.
func (r *Relay) giveBack(conn *sql.Conn, left Leftover, err error) {
	if r.standsBy() {
		left = max(left, SessionChanged)
	}
	giveBack(conn, left, err)
}

// standsBy reports whether the process has no lease, and looks from time to time.
func (r *Relay) standsBy() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.poller != nil && r.held == 0
}

// Stop lets deliveries that are running finish and gives the leases back. When
// ctx ends, it cancels them; what they had not finished comes again. Some drivers do
// not return from a connection that is dead without a sign: such workers are left
// behind, after some seconds.
func (r *Relay) Stop(ctx context.Context) error {
	r.once.Do(func() { close(r.stopping) })
	done := make(chan struct{})
	go func() {
		r.finished.Wait()
		close(done)
	}()
	select {
	case <-done:
		r.end()
		return nil
	case <-ctx.Done():
	}
	r.end()
	late := time.NewTimer(2*releaseTime + time.Second) // to give the lease back, and to leave
	defer late.Stop()
	select {
	case <-done:
		return ctx.Err()
	case <-late.C:
		return fmt.Errorf("relay: a connection does not answer; what waits for it is left behind: %w", ctx.Err())
	}
}

// end stops the renewer, which renews leases for as long as workers run.
func (r *Relay) end() {
	r.cancel()
	if r.renewer != nil {
		<-r.renewer.over
	}
}

// Drain waits until what is committed now has been delivered, or failed, by this
// process or another.
func (r *Relay) Drain(ctx context.Context) error {
	bound, err := r.store.d.bound(ctx, r.db, r.store)
	if err != nil {
		return err
	}
	const pause = 10 * time.Millisecond
	for {
		r.Wake()
		behind := ""
		for _, w := range r.workers {
			isBehind, err := w.store().isBehind(ctx, r.db, w.target.Name, bound)
			if err != nil {
				return err
			}
			if isBehind {
				behind = w.target.Name
				break
			}
		}
		if behind == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("relay: %s is still behind: %w", behind, ctx.Err())
		case <-time.After(pause):
		}
	}
}

var errAudited = errors.New("relay: this database is audited itself, so what a sink executes on it would be new events for that sink, without end: " +
	"give Start one of the base driver, as sql.Open returns it for the name that driver.Register has as base")

// unaudited returns an error if what is executed on conn is audited, or if that cannot be
// found out. Once it is known it is not asked again.
func (r *Relay) unaudited(ctx context.Context, conn *sql.Conn) error {
	if r.silent || r.plain.Load() {
		return nil
	}
	wrapped, err := hooks.Wrapped(ctx, conn)
	switch {
	case err != nil:
		return fmt.Errorf("relay: %w", err)
	case wrapped:
		return errAudited
	}
	r.plain.Store(true)
	return nil
}
