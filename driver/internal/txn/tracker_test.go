package txn

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// A script tells a tracker, step by step, what happens to a connection:
//
//	begin            a transaction begins
//	a                the event a is recorded; f( records a function
//	!                what is pending is written
//	+s =s -s <s      savepoint s is set, set anew (MySQL), released, rolled back to
//	?<s ?-s          the same, where s may be another savepoint
//	~<s              the same on MySQL
//	commit rollback unknown prepare gone abandon close
//	                 how the transaction ends
//	behind           it exists for events of what has committed already
//	readonly wrote unproven
//	                 what was seen of it
//	ran SQL: W       a string of statements was executed; W is what the witness says. With
//	                 failed or notends before the colon it failed
//	suspect SQL      it may have been; believe W ends the suspicion
//	agree W          the server says so
//	found W          likewise, on MySQL; foundreads if what happened only reads
//
// It wants what there is at the end: in or out of a transaction, what is pending, and what
// was reported since the beginning, in that order: C, R and U are transactions that committed, rolled
// back, or whose outcome is unknown, P one that was prepared, with their events; B is what a
// ROLLBACK TO took back, L what is lost, and A what is to be written after the end.
type trackerScript struct{ name, steps, want string }

var trackerScripts = []trackerScript{
	{"committed", "begin a b ! commit", "out - | C(a b)"},
	{"rolled back", "begin a b rollback", "out - | R(a b)"},
	{"nothing to report", "begin commit", "out - |"},
	{"a function alone", "begin f( commit", "out - | C(f())"},
	{"one after the other", "begin a ! commit begin b rollback", "out - | C(a) R(b)"},
	{"pending", "begin a ! b", "in b |"},
	{"prepared", "begin a ! prepare", "out - | P(a)"},
	{"found to be over, unwritten", "begin a gone", "out - | R(a)"},
	{"found to be over, written", "begin a ! b gone", "out - | U(a b)"},
	{"abandoned", "begin a abandon begin b ! commit", "out - | C(b)"},
	{"closed", "begin a ! close", "out - | R(a)"},
	{"closed while in doubt", "begin a ! suspect ; close", "out - | U(a)"},
	{"not proven", "begin a unproven commit", "out - | U(a)"},

	{"behind, committed", "begin behind a ! commit", "out - | C(a)"},
	{"behind, unknown", "begin behind a ! unknown", "out - | U(a)"},
	{"behind, rolled back: lost", "begin behind a rollback", "out - |"},
	{"behind is of one transaction", "begin behind a rollback begin b rollback", "out - | R(b)"},

	{"taken back", "begin a +s b f( <s c", "in a c | B(b f())"},
	{"taken back, written", "begin a ! +s b ! <s", "in - | B(b)"},
	{"written after the savepoint", "begin a +s ! b ! <s", "in a | B(b)"},
	{"set anew", "begin +s a =s b <s", "in a | B(b)"},
	{"released: the older one", "begin a +s b +s c -s <s", "in a | B(b c)"},

	{"another savepoint, perhaps", "begin a ! +s b ! ?<s", "in - | U(b)"},
	{"another savepoint, unseen", "begin a ! ?<s", "in - | U(a)"},
	{"released, perhaps, and the older one", "begin a ! +s b ! +s c ! suspect RELEASE s ; believe other ?<s", "in - | U(b c)"},
	{"another savepoint on MySQL", "begin a +s b ~<s commit", "out - | U(a b)"},

	{"several: the same transaction", "begin a ! ran SAVEPOINT s ; ROLLBACK TO s : same", "in - |"},
	{"several: COMMIT", "begin a ! ran SELECT 1 ; COMMIT : idle", "out - | U(a)"},
	{"several: ROLLBACK", "begin a ! ran SELECT 1 ; ROLLBACK : idle", "out - | R(a)"},
	{"several: PREPARE", "begin a ! ran SELECT 1 ; PREPARE TRANSACTION 'x' : idle", "out - | P(a)"},
	{"several: COMMIT of a reader", "begin readonly a ran SELECT 1 ; COMMIT : idle", "out - | A(a)"},
	{"several: ROLLBACK of a reader", "begin readonly a ran SELECT 1 ; ROLLBACK : idle", "out - | R(a)"},
	{"several: back, and COMMIT", "begin a +s ! b ! ran ROLLBACK TO s ; COMMIT : idle", "out - | B(b) A(a)"},
	{"several: COMMIT AND CHAIN", "begin a ! ran COMMIT AND CHAIN : other b rollback", "out - | U(a) R(b)"},
	{"several: COMMIT, BEGIN", "begin a ! ran COMMIT ; BEGIN : other b", "in b | U(a)"},
	{"several: BEGIN", "ran SELECT 1 ; BEGIN : other a", "in a |"},
	{"several: failed before its COMMIT", "begin a ! ran SELECT 1 ; COMMIT failed : same b", "in b |"},
	{"several: failed, idle", "begin a ! ran SELECT 1 ; COMMIT failed : idle", "out - | U(a)"},
	{"several: failed, aborted", "begin a ! ran SELECT 1 ; COMMIT failed : aborted rollback", "out - | U(a)"},
	{"several: failed, aborted; a savepoint is found", "begin a ! +s b ! ran SELECT 1 ; COMMIT failed : aborted <s commit", "out - | B(b) C(a)"},
	{"several: failed, another one", "begin a ! ran COMMIT ; BEGIN ; SELECT 1 failed : other b ! commit", "out - | U(a) C(b)"},
	{"several: failed, lost", "begin a ! ran SELECT 1 ; COMMIT failed : lost", "out - | U(a) discard"},
	{"several: a reader's COMMIT, then another failed", "begin readonly a ran COMMIT ; SELECT 1 notends : idle", "out - | A(a)"},
	{"several: a reader's COMMIT failed", "begin readonly a ran COMMIT ; SELECT 1 failed : idle", "out - | L(a)"},

	{"lent out, the same", "begin a suspect ; believe same b", "in a b |"},
	{"lent out, another one", "begin a ! suspect ; believe other b ! commit", "out - | U(a) C(b)"},
	{"lent out, another one, unwritten", "begin a suspect ; believe other b", "in b | U(a)"},
	{"lent out, over", "begin a ! suspect ; believe idle", "out - | U(a)"},
	{"lent out, begun", "suspect ; believe other a ! commit", "out - | C(a)"},
	{"lent out, lost", "begin a ! suspect ; believe lost", "out - | U(a) discard"},
	{"lent out, one of its savepoints is found", "begin a ! +s suspect ; believe other -s commit", "out - | C(a)"},
	{"lent out, a savepoint was set anew", "begin a ! +s suspect COMMIT ; BEGIN ; SAVEPOINT s ; believe other -s b ! commit", "out - | U(a) C(b)"},

	{"lent out twice", "begin a ! suspect ; believe other b ! suspect ; believe other c", "in c | U(a)"},
	{"lent out, a savepoint of the next is found", "begin a ! suspect ; believe other +s b ! -s rollback", "out - | U(a) R(b)"},
	{"another savepoint, perhaps, written behind it", "begin a +s ! b ! ?<s", "in a | U(b)"},
	{"several: COMMIT of a reader with a function", "begin readonly f( a ran SELECT 1 ; COMMIT : idle", "out - | U(f()) A(a)"},

	{"agreed: none", "begin a ! agree idle", "out - | U(a)"},
	{"agreed: lost", "begin a ! agree lost", "out - | U(a) discard"},
	{"agreed: one", "agree other a", "in a |"},
	{"found on MySQL: none", "begin a found idle", "out - | U(a)"},
	{"found on MySQL: one", "found other a", "in a |"},
	{"found on MySQL: this or another", "begin a found other commit", "out - | U(a)"},
	{"found on MySQL: gone back, perhaps", "begin a +s b found other", "in a | U(b)"},
	{"found on MySQL: lost", "begin a found lost", "out - | U(a) discard"},
	{"found on MySQL: none, after a reader", "begin a foundreads idle", "out - | C(a)"},
}

// TestTracker: what is to be written, kept and dropped, whatever happens unseen.
func TestTracker(t *testing.T) {
	for _, tt := range trackerScripts {
		t.Run(tt.name, func(t *testing.T) {
			w := &teller{T: t, Tracker: &Tracker{}}
			w.Follow(&Config{MaxEvents: 100, MaxBytes: 1 << 20})
			w.play(tt.steps)
			pending := names(w.Pending())
			if pending == "" {
				pending = "-"
			}
			where := "out "
			if w.Open() {
				where = "in "
			}
			if got := strings.TrimSpace(where + pending + " | " + strings.Join(w.told, " ")); got != tt.want {
				t.Errorf("%s\n got %s\nwant %s", tt.steps, got, tt.want)
			}
		})
	}
}

// teller tells a tracker what happens, and notes what comes of it.
type teller struct {
	*testing.T
	*Tracker
	told []string
}

var start = Start{Ctx: context.Background(), Mode: hooks.Strict}

func (w *teller) mark() uuid.UUID {
	w.Helper()
	return w.AssignKey(0, len(w.items))
}

func (w *teller) play(steps string) {
	w.Helper()
	words := strings.Fields(steps)
	for len(words) > 0 {
		n := 1
		for words[0] == "ran" && words[n-1] != ":" || words[0] == "suspect" && words[n] != "believe" && words[n] != "close" {
			n++
		}
		switch words[0] {
		case "ran", "believe", "agree", "found", "foundreads":
			n++
		}
		w.step(words[0], words[1:n])
		w.noteEnded()
		if late := w.TakeLate(); len(late) > 0 {
			w.note("A", Ended{Events: late})
		}
		words = words[n:]
	}
}

func (w *teller) noteEnded() {
	for _, e := range w.TakeEnded() {
		w.note(map[hooks.Outcome]string{hooks.Committed: "C", hooks.RolledBack: "R", hooks.Unknown: "U"}[e.Outcome], e)
	}
}

func (w *teller) note(what string, e Ended) {
	if e.Prepared {
		what = "P"
	}
	all := names(e.Events)
	for range e.Funcs {
		all = strings.TrimSpace(all + " f()")
	}
	w.told = append(w.told, what+"("+all+")")
}

func names(events []hooks.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, e.Action)
	}
	return strings.Join(all, " ")
}

func (w *teller) step(word string, args []string) {
	w.Helper()
	switch word {
	case "begin":
		w.Begin(start)
	case "f(":
		w.check(w.AddFunc(Func{OnCommit: func(context.Context) {}, Ctx: start.Ctx}))
	case "!":
		w.mark()
		w.Written()
	case "commit":
		w.End(hooks.Committed)
	case "rollback":
		w.End(hooks.RolledBack)
	case "unknown":
		w.End(hooks.Unknown)
	case "prepare":
		w.EndPrepared()
	case "gone":
		w.EndRolledBack()
	case "abandon":
		w.Abandon()
	case "close":
		w.Close()
	case "behind":
		w.Behind = true
	case "readonly":
		w.ReadOnly = true
	case "unproven":
		w.Unproven = true
	case "ran":
		how := map[string]Progress{"failed": Failed, "notends": NotEnds}[args[len(args)-3]]
		sql := args[:len(args)-2]
		if how != Whole {
			sql = sql[:len(sql)-1]
		}
		w.follow(w.Ran(start, parsed(sql), how, witnesses[args[len(args)-1]]))
	case "suspect":
		w.Suspect(parsed(args))
	case "believe":
		w.follow(w.Believe(start, witnesses[args[0]]))
	case "agree":
		w.follow(w.Agree(start, witnesses[args[0]]))
	case "found":
		w.follow(w.Found(start, witnesses[args[0]], false))
	case "foundreads":
		w.follow(w.Found(start, witnesses[args[0]], true))
	default:
		w.savepoint(word)
	}
}

func (w *teller) savepoint(word string) {
	w.Helper()
	name := word[1:]
	switch word[0] {
	case '+':
		w.Savepoint(name)
	case '=':
		w.Replace(name)
	case '-':
		w.Release(name)
	case '<':
		w.back(w.RollbackTo(name))
	case '?':
		if word[1] == '<' {
			w.RollbackToDoubtful(name[1:])
		} else {
			w.ReleaseDoubtful(name[1:])
		}
	case '~':
		w.RollbackToUnknown()
	default:
		w.check(w.Add(hooks.Event{Action: word}))
	}
}

func (w *teller) follow(did Changes) {
	for _, b := range did.TakenBack {
		w.back(b)
	}
	if len(did.Lost) > 0 {
		w.note("L", Ended{Events: did.Lost})
	}
	if did.Discard {
		defer func() { w.told = append(w.told, "discard") }()
	}
	w.noteEnded()
}

func (w *teller) back(b TakenBack) {
	if len(b.Events)+len(b.Funcs) > 0 {
		w.note("B", Ended{Events: b.Events, Funcs: b.Funcs})
	}
}

func (w *teller) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

var witnesses = map[string]Witness{"lost": Lost, "same": Same, "other": Other, "idle": Idle, "aborted": Aborted}

// parsed returns nil for no statements, which are any.
func parsed(words []string) []lex.Statement {
	sql := strings.Trim(strings.Join(words, " "), " ;")
	if sql == "" {
		return nil
	}
	return lex.Parse(lex.Postgres, sql, "", nil)
}

// TestLimits: what a transaction may hold, and that a ROLLBACK TO gives it back.
func TestLimits(t *testing.T) {
	event := hooks.Event{Action: "order.placed"}
	for name, cfg := range map[string]Config{
		"events": {MaxEvents: 2, MaxBytes: 1 << 20},
		"bytes":  {MaxEvents: 100, MaxBytes: 2*sizeOf(&event) + 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := &Tracker{}
			w.Follow(&cfg)
			w.Begin(start)
			add := func() error { return w.Add(event) }
			w.Savepoint("s")
			if err := errors.Join(add(), add()); err != nil {
				t.Fatal(err)
			}
			err := add()
			if err == nil || !strings.Contains(err.Error(), "driver.Limits") {
				t.Errorf("the third: %v", err)
			}
			w.RollbackTo("s")
			if err := errors.Join(add(), add()); err != nil {
				t.Errorf("after the ROLLBACK TO: %v", err)
			}
			w.End(hooks.Committed)
			w.Begin(start)
			if err := errors.Join(add(), add()); err != nil {
				t.Errorf("in the next transaction: %v", err)
			}
		})
	}
}

// TestWitnessOfASavepoint: where the driver's witness is a savepoint, one behind which it
// was set takes it along.
func TestWitnessOfASavepoint(t *testing.T) {
	for _, tt := range []struct {
		steps string
		there bool
	}{
		{"W", true},
		{"+s W", true},
		{"+s W <s", false},
		{"+s W -s", false},
		{"W +s <s", true},
		{"W +s -s", true},
		{"W +s +t <s", true},
		{"+r W +s <r", false},
	} {
		w := &teller{T: t, Tracker: &Tracker{}}
		w.Follow(&Config{MaxEvents: 100, MaxBytes: 1 << 20})
		w.Begin(start)
		for word := range strings.FieldsSeq(tt.steps) {
			if word == "W" {
				w.SetWitness()
			} else {
				w.step(word, nil)
			}
		}
		if w.HasWitness() != tt.there {
			t.Errorf("%s: there is a witness: %v", tt.steps, w.HasWitness())
		}
	}
	w := &Tracker{}
	for _, there := range []bool{true, false} {
		w.Begin(start)
		w.Unproven = true
		w.SetWitness()
		if w.Proven(there); w.Unproven == there || w.HasWitness() {
			t.Errorf("proven %v: it is in doubt: %v, and has a witness: %v", there, w.Unproven, w.HasWitness())
		}
		w.End(hooks.Committed)
	}
}

// TestMustProve: what is written proves itself at the COMMIT; functions, and what a handler
// keeps in memory, do not.
func TestMustProve(t *testing.T) {
	for steps, want := range map[string]bool{"": false, "a !": false, "a ! memory": true, "f(": true, "f( a !": false} {
		w := &teller{T: t, Tracker: &Tracker{}}
		w.Follow(&Config{MaxEvents: 100, MaxBytes: 1 << 20})
		w.Begin(start)
		for word := range strings.FieldsSeq(steps) {
			if word == "memory" {
				w.InMemory = true
			} else {
				w.step(word, nil)
			}
		}
		if got := w.MustProve(); got != want {
			t.Errorf("%q: %v, want %v", steps, got, want)
		}
	}
}

// TestNothingChanged: a statement that turns out to have changed no row has no event.
func TestNothingChanged(t *testing.T) {
	r := NewRecord(&Config{
		MaxEvents: 100, MaxBytes: 1 << 20,
		NewEvent: func(k Key, _ map[string]any) hooks.Event { return hooks.Event{Action: k.Action, Target: k.Target} },
	}, hooks.Strict)
	update := func(table string, rows int64) {
		f := r.Capture(Operation{Key: Key{Action: table + ".updated", Target: hooks.Target{Type: table}}, Effect: Updated})
		f.Add(0)
		f.Reads()
		r.Settle(f, Returned{Rows: rows, Known: true}, r.Statements())
	}
	update("orders", 0)
	update("users", 2)
	if got := names(r.Pending()); got != "users.updated" {
		t.Errorf("pending: %q", got)
	}
}

// TestChained: COMMIT AND CHAIN in a string begins a transaction of the same caller.
func TestChained(t *testing.T) {
	type key struct{}
	app := context.WithValue(context.Background(), key{}, "ada")
	w := &Tracker{}
	w.Follow(&Config{MaxEvents: 100, MaxBytes: 1 << 20})
	w.Begin(Start{Ctx: app, Mode: hooks.Strict})
	w.Ran(start, parsed(strings.Fields("SELECT 1 ; COMMIT AND CHAIN")), Whole, Other)
	if got := w.Context(); got != app {
		t.Errorf("the next transaction has another context: %v", got)
	}
}
