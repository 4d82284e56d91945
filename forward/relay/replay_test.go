package relay

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

// TestSpans: where events are looked for by their IDs.
func TestSpans(t *testing.T) {
	const hour = 60 * 60 * 1000
	const at = 1_780_000_000_000
	// id is one that was made at a time, and key one of a row that was written then.
	id := func(ms uint64) uuid.UUID {
		id := keyAt(ms)
		id[6], id[8], id[15] = 0x70, 0x80, 1
		return id
	}
	key := id
	moved := journal.MovedKey(7, 9)
	for name, test := range map[string]struct {
		ids     []uuid.UUID
		in, out []uuid.UUID
		most    int
	}{
		"one": {
			[]uuid.UUID{id(at)},
			[]uuid.UUID{key(at), key(at - 23*hour), key(at + 23*hour), moved},
			[]uuid.UUID{key(at - 25*hour), key(at + 25*hour), uuid.Max},
			2,
		},
		"two that are close": {
			[]uuid.UUID{id(at + 30*hour), id(at)},
			[]uuid.UUID{key(at), key(at + 15*hour), key(at + 50*hour), moved},
			[]uuid.UUID{key(at - 25*hour), key(at + 55*hour)},
			2,
		},
		"two that are far from each other": {
			[]uuid.UUID{id(at), id(at + 100*hour)},
			[]uuid.UUID{key(at), key(at + 100*hour), moved},
			[]uuid.UUID{key(at + 50*hour)},
			3,
		},
		"one that says nothing of its time": {
			[]uuid.UUID{id(at), uuid.MustParse("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")},
			[]uuid.UUID{key(at), key(1 << 41), moved, uuid.Max},
			nil, 1,
		},
		"one of 1970": {[]uuid.UUID{id(0)}, []uuid.UUID{moved}, []uuid.UUID{key(at)}, 2},
	} {
		all := spans(test.ids)
		if len(all) > test.most {
			t.Errorf("%s: %d ranges, want at most %d", name, len(all), test.most)
		}
		in := func(key uuid.UUID) (n int) {
			for _, s := range all {
				if bytes.Compare(s.from[:], key[:]) <= 0 && bytes.Compare(key[:], s.to[:]) <= 0 {
					n++
				}
			}
			return n
		}
		for _, key := range test.in {
			if in(key) != 1 {
				t.Errorf("%s: %v is in %d ranges, want one", name, key, in(key))
			}
		}
		for _, key := range test.out {
			if in(key) != 0 {
				t.Errorf("%s: %v is looked at", name, key)
			}
		}
	}
}

// TestMentionsAny: an ID is found wherever a document has it, and nothing else is taken for one.
func TestMentionsAny(t *testing.T) {
	id, other := uuid.New(), uuid.New()
	for document, want := range map[string]bool{
		"":                                   false,
		id.String():                          true,
		`[{"id":"` + id.String() + `"}]`:     true,
		other.String() + id.String():         true,
		"--" + id.String() + "--":            true,
		id.String()[:35]:                     false,
		id.String()[1:]:                      false,
		"2026-11-29-" + other.String() + "-": false,
		strings.Repeat("-", 100):             false,
		"12345678-1234-1234-1234-":           false,
	} {
		if got := mentionsAny([]byte(document), map[uuid.UUID]bool{id: true}); got != want {
			t.Errorf("%s mentions %s: %v", document, id, got)
		}
	}
}
