package peers_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// suite are the compiled tests of a peer.
type suite struct {
	peer     peer
	dir      string
	binaries []string // one a package
}

// variant is what is done to a peer's tests before they are compiled.
type variant struct {
	// hidden: its temporary tables are captured.
	hidden bool
	// toolchain is the go command's GOTOOLCHAIN; "" is the one at hand.
	toolchain string
}

// build copies a peer's module and compiles its tests, first bare and then
// redirected.
func build(t *testing.T, p peer, v variant) (bare, wrapped suite) {
	t.Helper()
	dir := copyModule(t, p.module)
	requireCore(t, dir)
	if v.hidden {
		if err := p.hideTemporary(dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range p.patience {
		if err := e.apply(dir); err != nil {
			t.Fatal(err)
		}
	}
	bare = compile(t, p, v, dir, "bare")
	if err := p.redirect(dir); err != nil {
		t.Fatal(err)
	}
	return bare, compile(t, p, v, dir, "wrapped")
}

func compile(t *testing.T, p peer, v variant, dir, name string) suite {
	t.Helper()
	s := suite{peer: p, dir: dir}
	var env []string
	if v.toolchain != "" {
		env = append(env, "GOTOOLCHAIN="+v.toolchain)
	}
	for i, pkg := range p.packages {
		binary := filepath.Join(dir, name+strconv.Itoa(i)+".test")
		if _, err := goCommand(t, dir, env, "test", "-c", "-vet=off", "-o", binary, pkg); err != nil {
			t.Fatal(err)
		}
		s.binaries = append(s.binaries, binary)
	}
	return s
}

// results are those of a suite's tests, by package and name; the package itself
// is one without a name.
type results map[string]*result

type result struct {
	action string // pass, fail or skip; "" if the process ended in it
	output strings.Builder
}

// attempts is how often a binary is started whose tests end it early, by a panic
// for instance: the others are not to be lost.
const attempts = 4

// run runs the suite's tests whose names match a regular expression, but not
// those that match the second one, if there is one.
func (s suite) run(t *testing.T, env []string, only, skip string) results {
	t.Helper()
	all := make(results)
	for i, pkg := range s.peer.packages {
		part := make(results)
		var done []string
		if skip != "" {
			done = append(done, skip)
		}
		for range attempts {
			args := []string{"-test.v=test2json", "-test.timeout=5m", "-test.run=" + only}
			if len(done) > 0 {
				args = append(args, "-test.skip="+strings.Join(done, "|"))
			}
			out, code := s.start(t, i, env, args)
			part.read(t, pkg, out)
			if code < 2 { // 1: tests have failed
				break
			}
			done = append(done, part.ended()...)
		}
		maps.Copy(all, part)
	}
	return all
}

// start returns what test2json makes of a binary's output, and its exit code.
func (s suite) start(t *testing.T, i int, env, args []string) ([]byte, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), s.binaries[i], args...)
	cmd.Dir = filepath.Join(s.dir, s.peer.packages[i])
	cmd.Env = append(cleanEnv(), env...)
	text, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	convert := exec.CommandContext(t.Context(), "go", "tool", "test2json")
	convert.Stdin = bytes.NewReader(text)
	out, err := convert.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out, cmd.ProcessState.ExitCode()
}

// ended gives patterns of the top-level tests that have ended.
func (r results) ended() []string {
	var patterns []string
	for name, res := range r {
		_, test, _ := strings.Cut(name, " ")
		if test != "" && !strings.Contains(test, "/") && res.action != "" {
			patterns = append(patterns, "^"+test+"$")
		}
	}
	return patterns
}

// cleanEnv is the environment without what PostgreSQL's clients, or our driver,
// read.
func cleanEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PG") && !strings.HasPrefix(v, "AFTERCOMMIT_") {
			env = append(env, v)
		}
	}
	return env
}

// read reads what test2json writes.
func (r results) read(t *testing.T, pkg string, out []byte) {
	t.Helper()
	sc := bufio.NewScanner(bytes.NewReader(out))
	sc.Buffer(nil, 1<<24)
	for sc.Scan() {
		var e struct{ Action, Test, Output string }
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			t.Fatalf("%s: %v\n%s", pkg, err, out)
		}
		name := pkg + " " + e.Test
		if r[name] == nil {
			r[name] = &result{}
		}
		switch e.Action {
		case "pass", "fail", "skip":
			r[name].action = e.Action
		case "output":
			r[name].output.WriteString(e.Output)
		}
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
}

// action tells how a test ended: pass, fail, skip, or did not.
func (r results) action(name string) string {
	switch res := r[name]; {
	case res == nil:
		return "did not run"
	case res.action == "":
		return "did not end"
	default:
		return res.action
	}
}

func (r results) output(name string) string {
	if res := r[name]; res != nil {
		return res.output.String()
	}
	return ""
}

// tests counts those that ended in one way.
func (r results) tests(action string) int {
	n := 0
	for name, res := range r {
		if res.action == action && !strings.HasSuffix(name, " ") {
			n++
		}
	}
	return n
}
