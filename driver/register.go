package driver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Register makes a driver available to sql.Open under name: it wraps the driver
// that is registered as base, and passes the events of its transactions to hook.
//
// base may be an audited name, too: then both hooks get the events, and what the app
// records goes to the hook that is given here.
//
// Like sql.Register it is called at init and panics on a mistake: an empty or used
// name, a nil hook, an option out of range. base is looked up at the first
// sql.Open, so the order of imports does not matter.
func Register(name, base string, hook hooks.Hook, opts ...Option) {
	reg, err := newRegistration(name, hook, opts)
	if err != nil {
		panic("driver.Register: " + err.Error())
	}
	if base == "" || base == name {
		panic(fmt.Sprintf("driver.Register: base of %q is %q: name the driver to wrap, as sql.Open does", name, base))
	}
	if slices.Contains(sql.Drivers(), name) {
		panic(fmt.Sprintf("driver.Register: the name %q is taken: register each name once, or choose another one, such as %q", name, untaken(base+"-audited")))
	}
	if wrapsItself(name, base) {
		panic(fmt.Sprintf("driver.Register: %q wraps %q, which wraps %q itself: name the driver to wrap", name, base, name))
	}
	w := &wrapped{reg: reg, name: base}
	registrations.Store(name, w)
	sql.Register(name, w)
}

// registered says which names Register was given.
func registered() string {
	var names []string
	registrations.Range(func(name, _ any) bool {
		names = append(names, name.(string))
		return true
	})
	if len(names) == 0 {
		return "it was not called yet"
	}
	slices.Sort(names)
	return "it was called for " + strings.Join(names, ", ")
}

// untaken returns a name that sql.Register accepts: the given one, or with a number.
func untaken(name string) string {
	free := name
	for n := 2; slices.Contains(sql.Drivers(), free); n++ {
		free = fmt.Sprintf("%s-%d", name, n)
	}
	return free
}

// wrapsItself reports whether base leads back to name by what is registered.
func wrapsItself(name, base string) bool {
	for base != name {
		v, ok := registrations.Load(base)
		if !ok {
			return false
		}
		base = v.(*wrapped).name
	}
	return true
}

// WrapConnector wraps a connector, for sql.OpenDB. It has no name: notices and log
// lines call it "connector", and [SetMode] cannot change its mode.
func WrapConnector(base driver.Connector, hook hooks.Hook, opts ...Option) (driver.Connector, error) {
	if base == nil {
		return nil, errors.New("driver: WrapConnector of a nil connector")
	}
	reg, err := newRegistration("connector", hook, opts)
	if err != nil {
		return nil, fmt.Errorf("driver: %w", err)
	}
	return newConnector(&wrapped{reg: reg, base: base.Driver()}, base)
}

var registrations sync.Map // name → *wrapped

// registration is what one Register call says, shared by all its databases.
type registration struct {
	name string
	hook hooks.Hook
	cfg  config
	mode atomic.Int32 // hooks.Mode

	mu  sync.Mutex // guards what follows
	dbs map[*database]struct{}
	// unaudited is why a database was opened that can only be used with the mode
	// off.
	unaudited error
}

func newRegistration(name string, hook hooks.Hook, opts []Option) (*registration, error) {
	if name == "" {
		return nil, errors.New("the name is empty")
	}
	if v := reflect.ValueOf(hook); hook == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, fmt.Errorf("%q has a nil hook: pass what forward.New returns", name)
	}
	reg := &registration{name: name, hook: hook, cfg: defaultConfig(), dbs: make(map[*database]struct{})}
	for _, o := range opts {
		if o == nil {
			return nil, fmt.Errorf("%q has a nil option", name)
		}
		if err := o(&reg.cfg); err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
	}
	mode := reg.cfg.mode
	if s := os.Getenv("AFTERCOMMIT_MODE"); s != "" {
		m, err := hooks.ParseMode(s)
		if err != nil {
			return nil, fmt.Errorf("environment variable AFTERCOMMIT_MODE: %w", err)
		}
		mode = m
	}
	reg.mode.Store(int32(mode))
	return reg, nil
}

func (r *registration) modeNow() hooks.Mode { return hooks.Mode(r.mode.Load()) }

// SetMode changes the mode of a registered driver while it runs. Transactions
// that are open keep the mode that they began with. The change is reported to the
// handlers of all its open databases, and is itself an event in each,
// "aftercommit.mode_changed", whose actor is that of ctx, else the [DefaultActor];
// without either [RequireActor] refuses the event.
//
// It does nothing if the driver is in that mode already. The mode stays as it is
// after an error about the arguments, or about a database that can only be opened
// with the mode off. After any other error the mode is changed, but the event could
// not be written.
func SetMode(ctx context.Context, name string, mode hooks.Mode) error {
	v, ok := registrations.Load(name)
	if !ok {
		return fmt.Errorf("driver: no driver was registered as %q by driver.Register: %s", name, registered())
	}
	if mode < hooks.Strict || mode > hooks.Off {
		return fmt.Errorf("driver: mode %d: use hooks.Strict, hooks.BestEffort or hooks.Off", mode)
	}
	reg := v.(*wrapped).reg
	before, err := reg.swapMode(mode)
	if err != nil || before == mode {
		return err
	}
	var errs []error
	for _, db := range reg.open() {
		db.handler.notify(hooks.Notice{Kind: hooks.NoticeMode, Reason: mode.String(), Count: 1})
		errs = append(errs, db.recordModeChange(ctx, before, mode))
	}
	return errors.Join(errs...)
}

// swapMode sets the mode and returns the one before.
func (r *registration) swapMode(mode hooks.Mode) (hooks.Mode, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if mode != hooks.Off && r.unaudited != nil {
		return hooks.Off, fmt.Errorf("driver: the mode of %q stays off: %w", r.name, r.unaudited)
	}
	return hooks.Mode(r.mode.Swap(int32(mode))), nil
}

// onlyOff reports whether the mode is off, and keeps it so because of err.
func (r *registration) onlyOff(err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.modeNow() != hooks.Off {
		return false
	}
	r.unaudited = err
	return true
}

func (r *registration) open() []*database {
	r.mu.Lock()
	defer r.mu.Unlock()
	dbs := make([]*database, 0, len(r.dbs))
	for db := range r.dbs {
		dbs = append(dbs, db)
	}
	return dbs
}

// recordModeChange writes the event on a separate connection, whatever the mode is.
func (db *database) recordModeChange(ctx context.Context, from, to hooks.Mode) error {
	e, err := hooks.Prepare(hooks.Event{
		ID:       uuid.Nil,
		Action:   "aftercommit.mode_changed",
		Target:   hooks.Target{Type: "driver", ID: db.reg.name},
		Metadata: map[string]any{"from": from.String(), "to": to.String()},
	})
	if err != nil {
		return err
	}
	db.attribute(&e, hooks.Origin(ctx))
	if err = hooks.Validate(e); err != nil {
		return fmt.Errorf("driver: recording the change of mode: %w", err)
	}
	c, err := db.connect(ctx)
	if err != nil {
		return fmt.Errorf("driver: recording the change of mode: %w", err)
	}
	defer func() { _ = c.Close() }()
	if !c.prepared { // the mode is off now
		err = c.prepareConn(ctx)
	}
	if err == nil {
		err = c.writeOwn(ctx, []hooks.Event{e}, hooks.Strict, false).once()
	}
	if err != nil {
		return fmt.Errorf("driver: recording the change of mode: %w", err)
	}
	c.deliver(ctx)
	return nil
}
