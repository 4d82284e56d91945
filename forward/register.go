package forward

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
)

// Dispatch is when a forwarder is called.
type Dispatch uint8

const (
	// Auto is Async where there is a relay or a Queue, else Sync.
	Auto Dispatch = iota
	// Sync forwards inside the app's Commit, after it is confirmed.
	Sync
	// Async forwards from the relay or the Queue. Opening a database that has
	// neither fails.
	Async
)

// String returns "auto", "sync" or "async".
func (d Dispatch) String() string {
	switch d {
	case Sync:
		return "sync"
	case Async:
		return "async"
	default:
		return "auto"
	}
}

// RegisterOption is an option of [Hub.Register].
type RegisterOption func(*registration)

// ID names a forwarder among those of its type. The default is "default". It has 1 to 200
// bytes of printable characters, without spaces and slashes.
func ID(id string) RegisterOption { return func(r *registration) { r.id = id } }

// Filter forwards only entries for which keep returns true. It is called
// concurrently.
func Filter(keep func(journal.Entry) bool) RegisterOption {
	return func(r *registration) { r.keep = keep }
}

// Timeout is how long one call of Forward may take, instead of
// [Options.Timeout]: above 0, and at most 24 h.
func Timeout(d time.Duration) RegisterOption { return func(r *registration) { r.timeout = d } }

// MaxAttempts is the number of attempts, by the relay or the Queue, after which an entry
// is discarded: 1 or more. The default is 5.
func MaxAttempts(n int) RegisterOption { return func(r *registration) { r.maxAttempts = n } }

const defaultAttempts = 5

// WithChanges also gives a forwarder row changes: each is a separate entry ([journal.Entry.Change]), behind the events of
// its transaction, or without any if psql or a program without the wrapper has made the transaction. c reads them: pass
// changes.NewSource(nil).
//
// Only the relay delivers them, on PostgreSQL. So [Hub.Register] panics if the forwarder is [Sync] or works in the app's
// own database ([SameDatabase]), where it finds the changes anyway; and opening a database fails with [Options.Queue],
// and where there is no relay. See "To other systems" in the README of threadline/changes. threadline.Forwarder, with a
// timeline in another PostgreSQL, keeps the changes there as the app's database does.
func WithChanges(c relay.Changes) RegisterOption {
	return func(r *registration) { r.changes, r.wantsChanges = c, true }
}

// Identity declares what a forwarder is, where several programs on one database register
// it by the same name: the same text means the same sink and the same filter. Without it
// forwarders are compared by their types, the names of their filters' functions, and
// what [Hub.Configure] was given; processes where these differ warn.
func Identity(text string) RegisterOption { return func(r *registration) { r.as = text } }

// registration is a forwarder and how it is to be called.
type registration struct {
	forwarder Forwarder
	kind      string // its type
	id        string
	dispatch  Dispatch
	keep      func(journal.Entry) bool
	same      bool // see SameDatabase
	timeout   time.Duration
	// changes is the argument of WithChanges. wantsChanges says that there was one, since a nil one is a mistake.
	changes      relay.Changes
	wantsChanges bool

	maxAttempts int
	// as is the text of Identity, spec the filter and options of Configure.
	as, spec string
	number   int64 // among all registrations of the process
}

// name is what logs and notices call it.
func (r *registration) name() string { return r.kind + "/" + r.id }

// Register adds a forwarder. It is to be called when the program starts, and
// like sql.Register it panics on a mistake: a nil forwarder, a second one of the
// same type and ID, a value that an option does not allow, or a call after a database has
// been opened.
func (h *Hub) Register(f Forwarder, d Dispatch, opts ...RegisterOption) {
	if f == nil {
		panic("forward: Register of a nil Forwarder")
	}
	r := h.registration(f, d)
	for _, o := range opts {
		if o == nil {
			panic("forward: Register of " + r.kind + " with a nil option")
		}
		o(r)
	}
	if err := h.add(r); err != nil {
		panic(err.Error())
	}
}

func (h *Hub) registration(f Forwarder, d Dispatch) *registration {
	same, ok := f.(SameDatabase)
	return &registration{
		same:      ok && same.SameDatabase(),
		forwarder: f, kind: strings.TrimPrefix(fmt.Sprintf("%T", f), "*"),
		id: "default", dispatch: d, timeout: h.timeout, maxAttempts: defaultAttempts, number: registrations.Add(1),
	}
}

const longestID = 200 // bytes

// check returns what is wrong with the options.
func (r *registration) check() error {
	odd := func(c rune) bool { return !unicode.IsGraphic(c) || unicode.IsSpace(c) || c == '/' }
	switch {
	case r.id == "" || len(r.id) > longestID || !utf8.ValidString(r.id) || strings.ContainsFunc(r.id, odd):
		return fmt.Errorf("the ID %q: use 1 to %d bytes of printable characters, without spaces and slashes", r.id, longestID)
	case r.timeout <= 0:
		return fmt.Errorf("the timeout %v: use one above 0, or leave it to Options.Timeout", r.timeout)
	case r.timeout > longest:
		return fmt.Errorf("the timeout %v: use at most %v", r.timeout, longest)
	case r.maxAttempts < 1:
		return fmt.Errorf("%d attempts: use 1 or more; with 1, what is refused once is discarded", r.maxAttempts)
	case r.wantsChanges && r.changes == nil:
		return errors.New("WithChanges of nil: pass what changes.NewSource returns")
	case r.wantsChanges && r.dispatch == Sync:
		return errors.New("WithChanges and Sync: the relay delivers row changes, so use Async or Auto")
	case r.wantsChanges && r.same:
		return errors.New("WithChanges, and a forwarder that works in the app's own database: it finds the row changes there, so leave WithChanges out")
	case r.dispatch > Async:
		return fmt.Errorf("the dispatch %d: use Auto, Sync or Async", r.dispatch)
	}
	return nil
}

// add adds all of them, or none.
func (h *Hub) add(rs ...*registration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := slices.Clone(h.registrations)
	for _, r := range rs {
		if h.opened {
			return fmt.Errorf("forward: Register of %s after a database was opened: register in init, beside driver.Register", r.name())
		}
		if err := r.check(); err != nil {
			return fmt.Errorf("forward: Register of %s: %w", r.kind, err)
		}
		for _, other := range all {
			if other.name() == r.name() {
				return fmt.Errorf("forward: Register of a second %s: give one of them another name with forward.ID", r.name())
			}
		}
		all = append(all, r)
	}
	h.registrations = all
	return nil
}
