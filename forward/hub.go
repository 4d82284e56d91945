package forward

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// Options of a [Hub]; nil is fine.
type Options struct {
	// Logger gets what operators should know: at level info, a line for each
	// database when it starts, and unknown outcomes once they are known; else
	// warnings and errors. The default writes to stderr from level info on, and
	// drops most of those that repeat within a second. A core that panics loses its
	// line, and no more.
	Logger *zap.Logger
	// Observer gets every notice.
	Observer hooks.Observer
	// Journal has the options of the journal.
	Journal *journal.Options
	// NoJournal leaves the app's database as it is. See the package's
	// documentation for what that gives up.
	NoJournal bool
	// Application and Host are set in events that name none. The defaults are the
	// program's file name and the machine's name.
	Application, Host string
	// Relay is whether this process relays entries from the journal to async
	// forwarders, and those that sync ones have missed.
	Relay RelayMode
	// Queue delivers to forwarders registered with [Async] or [Auto], instead of
	// the relay: package river has one. Its jobs are written in the app's
	// transaction, and worked beside the app, on SQLite too, unless Relay is
	// [RelayElsewhere]; see [Hub.Work]. It reads the journal, so it has no use
	// with NoJournal, which is an error.
	Queue Queue
	// Environment is a name such as "production". A process does not deliver what
	// was committed in another environment, by the relay or by a Queue that stores
	// [Job.Place]. Where the database is copied, give each copy's processes a different
	// name.
	Environment string
	// Grace is how long the relay leaves entries to sync forwarders before it
	// delivers what they have missed, at most 24 h. The default, with 0, is 30 s.
	Grace time.Duration
	// Timeout is how long one call of a forwarder may take, and one look into
	// the journal, at most 24 h. The default, with 0, is 5 s.
	Timeout time.Duration
}

const defaultTimeout = 5 * time.Second

// Hub journals events and forwards them. It is what driver.Register takes as its
// hook, and is safe for concurrent use.
type Hub struct {
	log         *zap.Logger
	observer    hooks.Observer
	journal     *journal.Options
	noJournal   bool
	application string
	host        string
	timeout     time.Duration
	relayMode   RelayMode
	external    Queue // nil without one
	environment string
	grace       time.Duration
	wrong       error // with the options
	now         func() time.Time
	counts      counts

	mu            sync.Mutex
	registrations []*registration
	keepers       []Keeper
	opened        bool
	closed        bool
	// known are the databases that Settle, Drain, Status and Close visit: those that
	// are open and have started or try to, and closed ones with pending transactions.
	known map[*handler]struct{}
}

var (
	_ hooks.Hook      = (*Hub)(nil)
	_ hooks.Journaled = (*Hub)(nil)
)

// New returns a Hub without forwarders. Options that are out of range, or contradict each
// other, are an error of [Hub.Open], so of sql.Open, and of [Hub.Relay] and [Hub.Work].
func New(o *Options) *Hub {
	if o == nil {
		o = &Options{}
	}
	h := &Hub{
		log: o.Logger, observer: o.Observer,
		journal: o.Journal, noJournal: o.NoJournal,
		application: o.Application, host: o.Host,
		timeout: o.Timeout, now: time.Now,
		relayMode: o.Relay, external: o.Queue, environment: o.Environment, grace: o.Grace, wrong: o.check(),
		known: make(map[*handler]struct{}),
	}
	if h.log == nil {
		h.log = stderrLogger()
	}
	h.log = safe(h.log)
	if h.application == "" {
		h.application = filepath.Base(os.Args[0])
	}
	if h.host == "" {
		// Without a name of the host the audit goes on.
		h.host, _ = os.Hostname()
	}
	// Shortened, because they go into captured events too, which no store may refuse.
	e := hooks.Event{Application: h.application, Host: h.host}
	hooks.Shorten(&e)
	h.application, h.host = e.Application, e.Host
	if h.timeout <= 0 || h.wrong != nil {
		h.timeout = defaultTimeout
	}
	if h.grace <= 0 {
		h.grace = defaultGrace
	}
	return h
}

func stderrLogger() *zap.Logger {
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.ISO8601TimeEncoder
	core := zapcore.NewCore(zapcore.NewConsoleEncoder(enc), zapcore.Lock(os.Stderr), zapcore.InfoLevel)
	const first, thereafter = 10, 100
	return zap.New(zapcore.NewSamplerWithOptions(core, time.Second, first, thereafter))
}

// Open implements [hooks.Hook]. From the first call on, Register panics. It
// fails for options that are wrong, for a forwarder registered with [Async] where there is no queue, and for
// a dialect that the journal does not know.
func (h *Hub) Open(db hooks.Database) (hooks.Handler, error) {
	d := h.newHandler(db)
	if h.wrong != nil {
		return nil, h.wrong
	}
	if db.Mode != nil && db.Mode() == hooks.Off {
		h.log.Info("aftercommit: the mode is off: nothing is written to the audit trail (driver.WithMode, AFTERCOMMIT_MODE)", zap.String("driver", db.Driver))
	}
	if !h.noJournal && db.Dialect == hooks.MySQL {
		return nil, errors.New("MySQL (or MariaDB) is not supported yet with a journal: set forward.Options.NoJournal, which forwards from memory, at most once, or the mode off (driver.WithMode, AFTERCOMMIT_MODE), which audits nothing")
	}
	if !h.noJournal {
		j, err := journal.New(db.Dialect, h.journal)
		if err != nil {
			return nil, fmt.Errorf("forward: driver %s: %w (Options.NoJournal does without)", db.Driver, err)
		}
		d.journal = j.From(h.application, h.host)
	}
	if err := d.openQueue(); err != nil {
		return nil, err
	}
	return d, d.resolve()
}

// Journal implements [hooks.Journaled].
func (h *Hub) Journal(dialect hooks.Dialect) string {
	if h.noJournal {
		return ""
	}
	j, err := journal.New(dialect, h.journal)
	if err != nil {
		return "" // Open returns the error
	}
	return j.Schema()
}

// newHandler returns a handler with a sink for each registration. After it Register
// panics.
func (h *Hub) newHandler(db hooks.Database) *handler {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.opened = true
	d := &handler{hub: h, db: db, dialect: dialectOf(db.Dialect), setup: make(chan struct{}, 1)}
	d.keeping.keepers, d.keeping.turn, d.keeping.said = slices.Clone(h.keepers), make(chan struct{}, 1), make(map[string]bool)
	for _, r := range h.registrations {
		d.sinks = append(d.sinks, &sink{
			registration: r,
			short:        sync.OnceValue(func() string { return shortIdentity(r, h.application) }),
		})
	}
	return d
}

// Pending returns how many transactions wait for a connection, to learn how they
// ended or to be forwarded.
func (h *Hub) Pending() int {
	n := 0
	for _, d := range h.databases() {
		n += d.pending.len()
	}
	return n
}

// Settle finds out now how pending transactions ended, over separate connections, and
// forwards those that committed. On SQLite it also delivers all that sync forwarders
// have missed. Its error names the databases that could not be asked; transactions
// that are still in progress stay pending and are no error.
func (h *Hub) Settle(ctx context.Context) error {
	var errs []error
	for _, d := range h.databases() {
		if err := d.settleAll(ctx); err != nil {
			errs = append(errs, fmt.Errorf("forward: settle %s: %w", d.db.Driver, err))
		}
	}
	return errors.Join(errs...)
}

// Close stops the relay and the Queue's workers, and closes the connections that the
// Hub has opened; none is started or opened afterwards. Deliveries that are running may
// finish until ctx ends; what is left is delivered by another process, or when this
// one is started again. Transactions of databases that are still open are journaled
// as before.
func (h *Hub) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	var errs []error
	for _, d := range h.databases() {
		errs = append(errs, d.closeQueue(ctx), d.side.close())
	}
	return errors.Join(errs...)
}

func (h *Hub) databases() []*handler {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*handler, 0, len(h.known))
	for d := range h.known {
		all = append(all, d)
	}
	return all
}

// forget is the opposite of keep.
func (h *Hub) forget(d *handler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.known, d)
}

// keep makes d known to Settle, even if it is closed.
func (h *Hub) keep(d *handler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known[d] = struct{}{}
}

// keepOpen makes d known to Status, unless it was closed meanwhile.
func (h *Hub) keepOpen(d *handler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !d.starter.isClosed() {
		h.known[d] = struct{}{}
	}
}

// admit is keep for what Close has to stop. After Close it reports false, except for
// what the app has asked for by Relay or Work.
func (h *Hub) admit(d *handler) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed && !d.asked {
		return false
	}
	h.known[d] = struct{}{}
	return true
}

func (h *Hub) isClosed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed
}
