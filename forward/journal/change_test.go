package journal

import (
	"testing"

	"github.com/google/uuid"
)

// TestChangePosition: positions of changes are read back, those of one transaction are in the order of the WAL, and behind
// those of its events.
func TestChangePosition(t *testing.T) {
	event := Position{Key: uuid.Must(uuid.NewV7()), Ordinal: 7}
	last := event
	for _, lsn := range []uint64{0, 1, 15, 16, 0xfff, 0x1000, 0x1234567, 0x16B3748, 1 << 32, 0xabcdef0123456, 1<<56 - 1} {
		const xid = 1<<48 - 2
		p := ChangePosition(xid, lsn)
		if p.Compare(last) <= 0 {
			t.Errorf("%x is not behind %s", lsn, last.Text())
		}
		last = p
		if x, l, ok := p.Change(); x != xid || l != lsn || !ok {
			t.Errorf("%x is read back as %d, %x, %t", lsn, x, l, ok)
		}
		if p.Key.Version() != 8 || p.Key.Variant() != uuid.RFC4122 {
			t.Errorf("%s: version %d", p.Key, p.Key.Version())
		}
	}
	for _, p := range []Position{{}, event, {Key: uuid.Max}, {Key: last.Key, Ordinal: 1}} {
		if x, l, ok := p.Change(); ok {
			t.Errorf("%s is that of a change: %d, %x", p.Text(), x, l)
		}
	}
}
