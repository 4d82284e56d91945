package journal

import (
	"bytes"
	"testing"

	"github.com/google/uuid"
)

// TestMovedKey: the key of a moved row has its transaction, and comes before all others.
func TestMovedKey(t *testing.T) {
	last := uuid.Nil
	for _, tx := range []int64{0, 3, 4095, 4096, 1<<32 + 5, 1 << 48} {
		for _, seq := range []int64{1, 2, 1 << 40} {
			key := MovedKey(tx, seq)
			if got, moved := movedTx(key); got != tx || !moved {
				t.Errorf("%v: transaction %d, %v; want %d", key, got, moved, tx)
			}
			if bytes.Compare(last[:], key[:]) >= 0 || key.Variant() != uuid.RFC4122 {
				t.Errorf("%v follows %v", key, last)
			}
			last = key
		}
	}
	own := uuid.Must(uuid.NewV7())
	if _, moved := movedTx(own); moved || bytes.Compare(last[:], own[:]) >= 0 {
		t.Errorf("%v is taken for one that was moved", own)
	}
}
