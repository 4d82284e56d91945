package driver_test

import (
	"slices"
	"strings"
	"testing"

	adriver "github.com/go-aftercommit/aftercommit/driver"
	"github.com/go-aftercommit/aftercommit/sqltest"
)

// TestLeadIsExecutedOnce: what must be ahead of any query is executed first, and the rest of
// its string alone.
func TestLeadIsExecutedOnce(t *testing.T) {
	const lead, rest = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;", "UPDATE orders SET n = 1"
	fake := sqltest.NewFake()
	tx := begin(t, open(t, fake, &spy{}, adriver.Capture(adriver.AllTables())))
	exec(t, tx, lead+rest)
	sent := fake.Sent()
	if last := sent[len(sent)-1]; !slices.Contains(sent, lead) || strings.TrimSpace(last) != rest {
		t.Errorf("sent: %q, want %q, and at last %q", sent, lead, rest)
	}
	_ = tx.Rollback()
}
