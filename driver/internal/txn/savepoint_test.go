package txn

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// Scripts of savepoints: "a" records event a, "+s" sets savepoint s, "-s"
// releases it, "<s" rolls back to it, "!" writes. Events that remain to be
// written follow the arrow.
func TestSavepoints(t *testing.T) {
	for _, script := range []string{
		"a b -> a b",
		"a +s b <s -> a",
		"a +s b -s c -> a b c",
		"a +s b <s c <s d -> a d",
		"a +s b +s c <s d -> a b d",
		"a +s b +s c -s <s d -> a d",
		"a +s b +t c <s d -> a d",
		"a +s b +t c -t <s -> a",
		"a +s b <s -s c -> a c",
		"+s a +t b -s c -> a b c",
		"a <s b -> a b",
		"a -s b -> a b",
		"a ! b -> b",
		"a ! +s b <s c -> c",
		"a +s ! b <s c -> a c",
		"a +s b ! <s c -> a c",
		"a +s b ! -s c -> c",
		"a +s ! +t b ! <t c -> c",
		"a +s ! +t b ! <s c -> a c",
	} {
		t.Run(script, func(t *testing.T) {
			steps, wanted, _ := strings.Cut(script, " -> ")
			tx := NewRecord(&Config{}, hooks.Strict)
			for _, s := range strings.Fields(steps) {
				switch s[0] {
				case '+':
					tx.Savepoint(s[1:])
				case '-':
					tx.Release(s[1:])
				case '<':
					tx.RollbackTo(s[1:])
				case '!':
					tx.Written()
				default:
					tx.Put([]hooks.Event{{Action: s}})
				}
			}
			var got []string
			for _, e := range tx.Pending() {
				got = append(got, e.Action)
			}
			if !slices.Equal(got, strings.Fields(wanted)) {
				t.Errorf("to be written: %q, want %q", got, wanted)
			}
		})
	}
}
