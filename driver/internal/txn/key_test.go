package txn

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// writes of a part that has ended, such as "A:a,b B1:c": by the keys in the order in which they
// were made, and the place of the first event unless that is the first.
func (w *teller) writes(keys []uuid.UUID, e Ended) string {
	var all []string
	for _, write := range e.Writes {
		name := "?"
		for i, key := range keys {
			if key == write.Key {
				name = string(rune('A' + i))
			}
		}
		if write.First > 0 {
			name += fmt.Sprint(write.First)
		}
		all = append(all, name+":"+strings.ReplaceAll(names(write.Events), " ", ","))
	}
	return strings.Join(all, " ")
}

// TestKeys: each write has a different key, and when a part of the transaction has ended it
// lists the keys under which its events may have been written. In the steps ! is a write, the
// other words are as in trackerScripts; the transaction then commits.
func TestKeys(t *testing.T) {
	for _, tt := range []struct{ steps, want string }{
		{"a b !", "A:a,b"},
		{"a ! b !", "A:a B:b"},
		{"a b", ""},
		{"+s a ! <s b !", "B:b"},
		{"a +s b ! <s c !", "B:a,c"}, // a was taken back with b
		{"a ! +s b ! <s c !", "A:a C:c"},
		{"a ! +s b ! -s c !", "A:a B:b C:c"},
		{"a f( b !", "A:a,b"},
	} {
		w := &teller{T: t, Tracker: &Tracker{}}
		w.Follow(&Config{MaxEvents: 100, MaxBytes: 1 << 20})
		w.Begin(start)
		var keys []uuid.UUID
		for step := range strings.FieldsSeq(tt.steps) {
			if step != "!" {
				w.play(step)
				continue
			}
			keys = append(keys, w.mark())
			w.Written()
		}
		for i := range keys {
			if i > 0 && keys[i].String() <= keys[i-1].String() {
				t.Errorf("%s: the key %s is not behind %s", tt.steps, keys[i], keys[i-1])
			}
		}
		w.End(hooks.Committed)
		ended := w.TakeEnded()
		if got := w.writes(keys, ended[len(ended)-1]); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.steps, got, tt.want)
		}
	}
}

// TestKeysOfAPart: what may have gone back to another savepoint than the one that was seen
// knows its place in a write that it shares with what is certainly kept.
func TestKeysOfAPart(t *testing.T) {
	w := &teller{T: t, Tracker: &Tracker{}}
	w.Follow(&Config{MaxEvents: 100, MaxBytes: 1 << 20})
	w.Begin(start)
	w.play("a +s b c")
	keys := []uuid.UUID{w.mark()}
	w.Written()
	w.doubtStmts([]lex.Statement{{Kind: lex.Savepoint, Name: "s"}})
	w.RollbackToDoubtful("s")
	keys = append(keys, w.mark())
	w.Written()
	w.End(hooks.Committed)
	var got []string
	for _, e := range w.TakeEnded() {
		got = append(got, w.writes(keys, e))
	}
	if got := strings.Join(got, " | "); got != "A1:b,c | B:a" {
		t.Error(got)
	}
}

// TestPart: a write has at most so many events, and so many bytes of them.
func TestPart(t *testing.T) {
	long := hooks.Event{Comment: strings.Repeat("x", hooks.MaxMetadata), TenantID: strings.Repeat("x", hooks.MaxText)}
	for _, tt := range []struct {
		events []hooks.Event
		want   int
	}{
		{make([]hooks.Event, 1), 1},
		{make([]hooks.Event, maxPart), maxPart},
		{make([]hooks.Event, maxPart+1), maxPart},
		{append(make([]hooks.Event, 20), long), 21},
	} {
		if got := Part(tt.events); got != tt.want {
			t.Errorf("%d of %d events, want %d", got, len(tt.events), tt.want)
		}
	}
	many := make([]hooks.Event, 500)
	for i := range many {
		many[i] = long
	}
	n, size := Part(many), lengthOf(&long)
	if n*size > maxPartBytes || (n+1)*size <= maxPartBytes {
		t.Errorf("%d events of %d bytes", n, size)
	}
}
