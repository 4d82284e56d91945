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
// database. If these are not the same, one of them gets nothing: whichever process
// delivers, does it by its own filter to its own sink. What can be compared is the
// code. It is not the values that a function has captured: where it may have any, the
// program's name stands for them.

// registrations counts those of this process.
var registrations atomic.Int64

// identity is what r is.
func (r *registration) identity(program string) relay.Identity {
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

// differs is what else two forwarders of one type may differ in. The options may
// have a password.
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

// inInit are the names of functions that can have captured nothing that differs:
// those of a package's variables and of its init.
var inInit = regexp.MustCompile(`\.(init|init\.\d+|glob\.)\.func\d+$`)

// funcOf returns the name of a function, and whether that says all: a closure may
// have captured values, and a method its receiver.
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

// rivals are identities that were reported.
type rivals struct {
	mu   sync.Mutex
	said map[string]bool
}

// add reports whether an identity is new.
func (r *rivals) add(identity string) bool {
	const most = 100 // anyone may enqueue a job
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said[identity] || len(r.said) >= most {
		return false
	}
	if r.said == nil {
		r.said = make(map[string]bool)
	}
	r.said[identity] = true
	return true
}

// compareJob warns, once for each, of jobs for a forwarder that is another in the
// program that has enqueued them.
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
