package forward

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// Processes of different programs may register forwarders of the same name on one
// database. If these are not the same, one of them gets nothing: the process that
// delivers does so by its own filter, to its own sink. Only code can be compared, not
// the values that a closure has captured. Where there may be any, the program's name is
// compared as well.

// registrations counts those of this process.
var registrations atomic.Int64

// identity is what r is compared by with forwarders of other processes.
func (r *registration) identity(program string) relay.Identity {
	id := r.ownIdentity(program)
	if r.changes != nil { // who delivers without them passes them
		id.Text += ", with row changes"
	}
	return id
}

func (r *registration) ownIdentity(program string) relay.Identity {
	if r.as != "" {
		return relay.Identity{Text: r.as}
	}
	id := relay.Identity{Text: typeOf(r.forwarder)}
	switch {
	case r.spec != "":
		id.Text += ", " + r.spec
	case r.keep != nil:
		name, certain := funcOf(r.keep)
		id.Text += ", filter " + name
		if !certain {
			id.Text += " of " + program
			id.Instance = fmt.Sprint(r.number)
		}
	}
	return id
}

// shortIdentity is r's identity in few bytes.
func shortIdentity(r *registration, program string) string {
	const bytes = 6
	sum := sha256.Sum256([]byte(r.identity(program).Text))
	return hex.EncodeToString(sum[:bytes]) + " " + program
}

// differs returns what may differ between forwarders of one type. Options are hashed,
// because they may have a password.
func (s *Spec) differs() string {
	var parts []string
	if filter, _ := json.Marshal(s.Filter); string(filter) != "{}" {
		parts = append(parts, "filter "+string(filter))
	}
	if len(s.Options) > 0 {
		const bytes = 6
		options, _ := json.Marshal(s.Options) // sorted
		sum := sha256.Sum256(options)
		parts = append(parts, "options "+hex.EncodeToString(sum[:bytes]))
	}
	return strings.Join(parts, ", ")
}

// typeOf returns the type of f with the path of its package.
func typeOf(f Forwarder) string {
	t := reflect.TypeOf(f)
	star := ""
	if t.Kind() == reflect.Pointer {
		t, star = t.Elem(), "*"
	}
	return star + inProgram(t.PkgPath()+"."+t.Name())
}

// inProgram replaces main, which every program has, by the package's path.
func inProgram(symbol string) string {
	rest, isMain := strings.CutPrefix(symbol, "main.")
	if !isMain {
		return symbol
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Path != "" {
		return info.Path + "." + rest
	}
	return symbol
}

// inInit matches the names of closures in a package's variables and init functions,
// which capture the same in every process.
var inInit = regexp.MustCompile(`\.(init|init\.\d+|glob\.)\.func\d+$`)

// funcOf returns the name of a function, and whether the name identifies it: a closure
// may have captured values, and a method value its receiver.
func funcOf(f any) (name string, certain bool) {
	name = "unknown"
	if fn := runtime.FuncForPC(reflect.ValueOf(f).Pointer()); fn != nil {
		name = fn.Name()
	}
	closure := strings.Contains(name, ".func") || strings.HasSuffix(name, "-fm")
	return inProgram(name), !closure || inInit.MatchString(name)
}

// process names this process for others on the same database.
func (h *Hub) process() string { return fmt.Sprintf("%s/%d", h.host, os.Getpid()) }

// said is what jobs had that was reported already.
type said struct {
	mu    sync.Mutex
	texts map[string]bool
}

// add reports whether a text is new.
func (s *said) add(text string) bool {
	const most = 100 // every role that may enqueue chooses them
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.texts[text] || len(s.texts) >= most {
		return false
	}
	if s.texts == nil {
		s.texts = make(map[string]bool)
	}
	s.texts[text] = true
	return true
}

// compareJob warns, once for each program, of jobs for a forwarder that is a different
// one in the program that has enqueued them.
func (d *handler) compareJob(s *sink, job *Job) {
	own := s.short()
	hash, program, _ := strings.Cut(job.Identity, " ")
	if is, _, _ := strings.Cut(own, " "); hash == "" || hash == is || !s.rivals.add(job.Identity) {
		return
	}
	d.Notify(hooks.Notice{
		Kind: hooks.NoticeConflict, Forwarder: s.name(), Dispatch: Async.String(),
		Err: fmt.Errorf("forward: jobs for %s that program %s has enqueued are worked by program %s, where it is another: %s",
			s.name(), program, d.hub.application, s.identity(d.hub.application).Text),
	})
}
