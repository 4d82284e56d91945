package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/go-aftercommit/aftercommit/threadline/changes"
	"github.com/go-aftercommit/aftercommit/threadline/cmd/threadline/internal/screen"
)

// TestPrintChange: of a row that was kept whole only what differs is shown, and of a transaction without a number no ID.
func TestPrintChange(t *testing.T) {
	var out bytes.Buffer
	a := &app{screen: screen.New(&out, time.UTC, time.Now())}
	x, y := "x", "y"
	c := changes.Change{Op: changes.Update, Drifted: true, Table: "orders", By: &changes.Attribution{}, Fields: []changes.Field{
		{Name: "same", Old: changes.Value{Text: &x}, New: changes.Value{Text: &x}},
		{Name: "status", Old: changes.Value{Text: &x}, New: changes.Value{Text: &y}},
	}}
	a.printChange(&c)
	wantIn(t, out.String(), "status: x → y", "the whole row was kept", "its transaction has no number")
	if got := fieldsLine(&c); strings.Contains(out.String()+got, "same") || got != "status: x → y (the whole row was kept)" || strings.Contains(out.String(), "0@") {
		t.Errorf("%s\n%s", out.String(), got)
	}
}
