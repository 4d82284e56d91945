package relay_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/go-aftercommit/aftercommit/forward/journal"
	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// mortal is a process with a relay whose sink may end it. It appends what happens to its
// file.
type mortal struct {
	// Fatal names events; the process ends when the sink meets one. A star stands for all.
	Fatal []string
	// Held is whether a call waits until the process is killed.
	Held bool
	// Same is whether the sink is in the same database.
	Same bool
	// Beside is whether there is a second sink, which is slow, and then the process ends a
	// moment later.
	Beside bool
	// Holder is its name, "" for one that no other process has.
	Holder string
	// Attempts is after how many an event is discarded.
	Attempts int
	// CatchUp is whether it works as commits on SQLite do.
	CatchUp bool
	// Later is how far its clock is ahead.
	Later time.Duration
}

const (
	mortalEnv = "AFTERCOMMIT_TEST_MORTAL" // JSON
	besides   = "slow/default"
)

// soon is a clock that is ahead.
type soon time.Duration

// Now implements relay.Clock.
func (s soon) Now() time.Time { return time.Now().Add(time.Duration(s)) }

// After implements relay.Clock.
func (soon) After(d time.Duration) <-chan time.Time { return time.After(d) }

func (v *victim) mortal() {
	var m mortal
	exitOn(json.Unmarshal([]byte(os.Getenv(mortalEnv)), &m))
	d := hooks.Postgres
	if os.Getenv(driverEnv) == dbtest.SQLite.Driver {
		d = hooks.SQLite
	}
	s, err := relay.New(d, nil)
	exitOn(err)
	cfg := relay.Config{Targets: m.targets(v.file), Holder: m.Holder, Lease: lasting, Poll: 10 * time.Millisecond, Clock: soon(m.Later), Log: logTo(v.file), Notify: func(n hooks.Notice) {
		if n.Kind == hooks.NoticeSuspended {
			note(v.file, fmt.Sprintf("%s %s %s", n.Forwarder, n.Kind, n.Reason))
		}
	}}
	if m.CatchUp {
		v.db.SetMaxOpenConns(1)
		for {
			_, err := relay.CatchUp(ctx, s, v.db, cfg, relay.Share{Steps: 2})
			exitOn(err)
			time.Sleep(time.Millisecond)
		}
	}
	relay.Start(s, v.db, cfg)
	select {}
}

// logTo returns a logger that appends warnings to a file.
func logTo(file *os.File) *zap.Logger {
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "log"}), file, zap.WarnLevel))
}

func note(file *os.File, line string) {
	_, err := file.WriteString("\n" + line + "\n") // at once, because the process may be killed
	exitOn(err)
}

func (m *mortal) targets(file *os.File) []relay.Target {
	targets := []relay.Target{{Name: name, MaxAttempts: m.Attempts, SameDatabase: m.Same, Deliver: func(c context.Context, db *sql.DB, entries []journal.Entry) relay.Result {
		note(file, fmt.Sprintf("%s called %d", name, len(entries)))
		if m.Held {
			note(file, "held")
			select {}
		}
		m.check(entries)
		for _, e := range entries {
			if !m.Same {
				note(file, "got "+e.Target.ID)
			} else if _, err := db.ExecContext(c, fmt.Sprintf("INSERT INTO delivered (forwarder, event, seq) VALUES ('%s', '%s', %d)", name, e.Target.ID, e.Seq)); err != nil {
				return relay.Result{Err: failure(err)}
			}
		}
		return relay.Result{}
	}}}
	if m.Beside {
		targets = append(targets, relay.Target{Name: besides, MaxAttempts: 5, Deliver: func(_ context.Context, _ *sql.DB, entries []journal.Entry) relay.Result {
			const takes = 300 * time.Millisecond
			time.Sleep(takes)
			for _, e := range entries {
				note(file, "slow "+e.Target.ID)
			}
			return relay.Result{}
		}})
	}
	return targets
}

// check ends the process if one of entries is fatal.
func (m *mortal) check(entries []journal.Entry) {
	for _, e := range entries {
		if !slices.Contains(m.Fatal, e.Target.ID) && !slices.Contains(m.Fatal, "*") {
			continue
		}
		if m.Beside {
			const late = 100 * time.Millisecond
			time.Sleep(late)
		}
		os.Exit(mortalExit)
	}
}

const mortalExit = 2

// grave is where mortals live and die.
type grave struct {
	*world
	path string
	m    mortal
}

func newGrave(w *world, m mortal) *grave {
	w.Helper()
	(&table{}).create(w)
	if m.Attempts == 0 {
		m.Attempts = 5
	}
	g := &grave{world: w, path: filepath.Join(w.TempDir(), "life"), m: m}
	file, err := appendTo(g.path)
	g.must(err)
	g.must(file.Close())
	return g
}

// live runs a process until it has died of its sink, which it reports, or until there is
// nothing to wait for: then it is killed. Either way its lease has run out afterwards.
func (g *grave) live(over func() bool) (died bool) {
	g.Helper()
	how, err := json.Marshal(g.m)
	g.must(err)
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"=mortal", driverEnv+"="+g.e.Driver, dsnEnv+"="+g.dsn, fileEnv+"="+g.path, mortalEnv+"="+string(how))
	cmd.Stderr = os.Stderr
	_, err = cmd.StdinPipe() // open as long as this process lives
	g.must(err)
	g.must(cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its state says how
		close(ended)
	}()
	g.until("the process dies, or has nothing to do", func() bool {
		select {
		case <-ended:
			return true
		default:
			return over()
		}
	})
	select {
	case <-ended:
		if code := cmd.ProcessState.ExitCode(); code != mortalExit {
			g.Fatalf("the process ended with %d", code)
		}
		died = true
	default:
		g.must(cmd.Process.Kill())
		<-ended
	}
	for _, query := range []string{
		"UPDATE " + g.own("forwarders") + " SET lease_until = '" + past + "' WHERE holder IS NOT NULL",
		"DELETE FROM " + g.own("workers"),
	} {
		_, err = g.db.ExecContext(ctx, query)
		g.must(err)
	}
	return died
}

// deaths runs processes until one does not die, and returns how many have.
func (g *grave) deaths(over func() bool) (n int) {
	g.Helper()
	const most = 40
	for g.live(over) {
		if n++; n > most {
			g.Fatalf("%d processes have died", n)
		}
	}
	return n
}

// done is whether all forwarders have got everything, or discarded it.
func (g *grave) done() bool {
	g.Helper()
	states, err := g.store.States(ctx, g.db)
	g.must(err)
	for _, s := range states {
		if s.Behind+s.Retrying > 0 {
			return false
		}
	}
	return true
}

// lines are those that begin with a word, without it.
func (g *grave) lines(word string) (found []string) {
	g.Helper()
	lines, err := readLines(g.path)
	g.must(err)
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, word+" "); ok || line == word {
			found = append(found, rest)
		}
	}
	return found
}

// got is what the sink has accepted, in order.
func (g *grave) got() string {
	g.Helper()
	if !g.m.Same {
		return strings.Join(g.lines("got"), " ")
	}
	var got []string
	for _, d := range (&table{name: name}).read(g.world) {
		got = append(got, d.event)
	}
	return strings.Join(got, " ")
}

// wantInOrder checks that the sink has accepted these in order, and once each, but for
// those that have shown that it accepts others than the fatal ones: these may come ahead,
// and if the process dies before it comes there, again.
func (g *grave) wantInOrder(names []string) {
	g.Helper()
	rest, ahead := slices.Clone(names), make(map[string]bool)
	for _, n := range strings.Fields(g.got()) {
		switch i := slices.Index(rest, n); {
		case i < 0 && !ahead[n]:
			g.Errorf("%s is not to be delivered, or not again", n)
		case i > 0:
			ahead[n] = true
			fallthrough
		case i == 0:
			rest = slices.Delete(rest, i, i+1)
		}
	}
	if len(rest) > 0 || len(ahead) > max(1, len(g.failures(true))) {
		g.Errorf("delivered %s, want %v", g.got(), names)
	}
}

// wantDead checks which events are discarded, and that each was so after some attempts
// because of deaths, and that no other has failed.
func (g *grave) wantDead(attempts int, names ...string) {
	g.Helper()
	entries, dead := g.entries(), g.failures(true)
	for _, n := range names {
		if !slices.ContainsFunc(dead, func(f relay.Failed) bool {
			return f.EventID == entries[n].ID && f.Reason == "died" && f.Attempts == attempts
		}) {
			g.Errorf("%s is not discarded as it should be: %+v", n, dead)
		}
	}
	all, err := g.store.Failures(ctx, g.db, "", true, 0)
	g.must(err)
	again, err := g.store.Failures(ctx, g.db, "", false, 0)
	g.must(err)
	if len(all) != len(names) || len(again) > 0 {
		g.Errorf("%d are discarded, want %d; to be tried again are %+v", len(all), len(names), again)
	}
}

// wantWarned checks that the log names an event after each death with it alone.
func (g *grave) wantWarned(event string, deaths int) {
	g.Helper()
	text, err := os.ReadFile(g.path)
	g.must(err)
	id := g.entries()[event].ID
	for i := range deaths {
		if field := fmt.Sprintf(`"event":"%s","deaths":%d}`, id, i+1); strings.Count(string(text), field) != 1 {
			g.Errorf("the log does not have %s once", field)
		}
	}
}

// wantNothingKept checks that nothing is kept of deaths that are over.
func (g *grave) wantNothingKept() {
	g.Helper()
	var n int
	g.must(g.db.QueryRowContext(ctx, "SELECT count(*) FROM "+g.own("failures")+" WHERE state NOT IN ('retrying', 'discarded')").Scan(&n))
	if n > 0 {
		g.Errorf("%d rows about deaths are left", n)
	}
}
