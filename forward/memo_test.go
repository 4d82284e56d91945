package forward

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/relay"
	"github.com/go-aftercommit/aftercommit/internal/pgtext"
)

// TestMemo: an attempt counts only if the sink is up and each event that is left has
// failed alone; what has not comes first in the next one.
func TestMemo(t *testing.T) {
	ids := make([]uuid.UUID, 4)
	for i := range ids {
		ids[i] = uuid.New()
	}
	a, b, c := ids[0], ids[1], ids[2]
	failed := relay.Failure{Err: errors.New("bad")}
	never := relay.Failure{Err: errors.New("never"), Permanent: true}
	ids3 := ids[:3]
	type (
		findings = relay.Findings
		some     = []uuid.UUID
		bad      = map[uuid.UUID]relay.Failure
	)
	for _, tt := range []struct {
		name          string
		was           memo
		attempt       int
		f             findings
		up            bool
		next          JobNext
		left, refused []uuid.UUID
		fails, waits  int
	}{
		{"all accepted", memo{Left: ids}, 1, findings{Accepted: ids, Proved: true}, true, JobDone, nil, nil, 0, 0},
		{"down", memo{Left: ids, Failed: 1, Waits: 2}, 1, findings{Untried: ids}, false, JobWaits, ids, nil, 1, 3},
		{"down in the last attempt", memo{Left: ids}, 9, findings{Untried: ids}, false, JobWaits, ids, nil, 0, 1},
		{"down, all have failed", memo{Left: ids, Failed: 4}, 5, findings{Untried: ids}, false, JobWaits, ids, nil, 4, 1},
		{"some fail", memo{Left: ids3, Waits: 3}, 1, findings{Failed: bad{a: failed, c: failed}, Proved: true}, true, JobAgain, some{a, c}, nil, 2, 0},
		{"the last time", memo{Left: ids3}, 5, findings{Failed: bad{a: failed, c: never}, Proved: true}, true, JobDiscarded, some{a, c}, nil, 0, 0},
		{"cut short", memo{Left: ids3}, 5, findings{Failed: bad{a: failed}, Untried: some{b, c}, Proved: true}, true, JobWaits, some{b, c, a}, nil, 1, 0},
		{"but each has failed", memo{Left: some{b, c, a}, Failed: 1}, 1, findings{Failed: bad{b: failed, c: failed}, Untried: some{a}}, true, JobAgain, some{a, b, c}, nil, 3, 0},
		{"no call, all have failed", memo{Left: ids, Failed: 4}, 5, findings{Untried: ids}, true, JobWaits, ids, nil, 4, 1},
		{"no call, and one is gone", memo{Left: some{a, b}, Failed: 2}, 5, findings{Failed: bad{a: never}, Untried: some{b}}, true, JobWaits, some{b}, some{a}, 1, 1},
		{"refused for good", memo{Left: some{a, b}, Refused: some{c}}, 1, findings{Failed: bad{a: never, b: failed}, Proved: true}, true, JobAgain, some{b}, some{c, a}, 1, 0},
		{"and the rest accepted", memo{Left: some{b}, Refused: some{c, a}}, 2, findings{Accepted: some{b}, Proved: true}, true, JobRefused, some{c, a}, nil, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := tt.was.next(&Job{Attempt: tt.attempt, MaxAttempts: 5}, &tt.f, tt.up, false)
			got := memoOf(&Job{Note: v.Note})
			if v.Next != tt.next || list(got.Left) != list(tt.left) || list(got.Refused) != list(tt.refused) || got.Failed != tt.fails || got.Waits != tt.waits {
				t.Errorf("next %d, %+v, want %d, left %s, refused %s, %d failed, %d waits", v.Next, got, tt.next, list(tt.left), list(tt.refused), tt.fails, tt.waits)
			}
			if (v.Wait > 0) != (v.Next == JobWaits) {
				t.Errorf("a wait of %v", v.Wait)
			}
		})
	}
}

func list(ids []uuid.UUID) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return strings.Join(texts, " ")
}

// TestMemoOf: a note that makes no sense is that of a first attempt.
func TestMemoOf(t *testing.T) {
	for _, note := range []string{"", "{}", "null", "[]", "x", `{"left": ["x"]}`, `{"left": ["0199c0de-0000-7000-8000-000000000001"], "failed": 2}`} {
		id := uuid.New()
		if m := memoOf(&Job{Events: []uuid.UUID{id}, Note: note}); len(m.Left) != 1 || m.Left[0] != id || m.Failed != 0 {
			t.Errorf("%s is %+v", note, m)
		}
	}
}

// TestNoteIsASCII: every database can store a note, whatever the sink's error is.
func TestNoteIsASCII(t *testing.T) {
	for text, want := range map[string]string{
		"a\x00b":                  "a<U+FFFD>b",
		"a\xffb":                  "a<U+FFFD>b",
		"ł":                       "<U+0142>",
		strings.Repeat("ł", 1000): strings.Repeat("<U+0142>", 37) + "<U+0...",
	} {
		m := memo{Left: []uuid.UUID{uuid.New()}}
		v := m.next(&Job{Attempt: 1, MaxAttempts: 5}, &relay.Findings{Untried: m.Left, Why: relay.Failure{Err: errors.New(text)}}, false, false)
		if got := memoOf(&Job{Note: v.Note}).Why; got != want || !pgtext.IsASCII(v.Note) {
			t.Errorf("%q is noted as %q in %s, want %q", text, got, v.Note, want)
		}
	}
}
