package command

import (
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/forward/journal"
)

func TestTx(t *testing.T) {
	at := time.Date(2026, 11, 30, 11, 0, 0, 64_060_000, time.FixedZone("", 3600))
	if got, want := Tx(journal.TxKey{ID: 775, StartedAt: at}), "775@2026-11-30T10:00:00.064060Z"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
