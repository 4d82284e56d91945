package journal

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-aftercommit/aftercommit/hooks"
)

// TestAdded: what the server has answered to a write is kept if all of it can be read, and
// means the same in every encoding.
func TestAdded(t *testing.T) {
	const start, now = "2026-11-29T21:00:00.000001Z", "2026-11-29T21:00:01.500000Z"
	for _, tt := range []struct {
		name    string
		columns []string
		role    string // of what is kept, if anything is
	}{
		{"an answer", []string{"7", start, now, "app"}, "app"},
		{"none", nil, ""},
		{"of an earlier version", []string{"1"}, ""},
		{"a role that is not ASCII", []string{"7", start, now, ""}, ""},
		{"a clock before the year 1", []string{"7", "0044-03-15T12:00:00.000000Z BC", now, "app"}, ""},
		{"infinity", []string{"7", start, "", "app"}, ""},
		{"no number", []string{"", start, now, "app"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &hooks.Flush{Key: uuid.Must(uuid.NewV7()), Events: make([]hooks.Event, 3)}
			var got *Row
			f.Keep = func(v any) { r := v.(Row); got = &r }
			keepAdded(f, tt.columns)
			switch {
			case tt.role == "" && got != nil:
				t.Errorf("kept %+v", *got)
			case tt.role == "":
			case got == nil:
				t.Error("nothing is kept")
			case got.Key != f.Key || got.Tx.ID != 7 || got.Tx.StartedAt.Format(time.RFC3339Nano) != "2026-11-29T21:00:00.000001Z" ||
				!got.RecordedAt.Equal(got.Tx.StartedAt.Add(1499999*time.Microsecond)) || got.Role != tt.role || got.Events != 3 || got.Unreadable != "":
				t.Errorf("kept %+v", *got)
			}
		})
	}
}
