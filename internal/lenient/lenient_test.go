package lenient

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestReadable(t *testing.T) {
	r := Row{Hex: true}
	at := time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
	if got := r.Time("at", []byte(at.Format(TimeForm))); !got.Equal(at) {
		t.Errorf("time %v", got)
	}
	if got := r.ID("id", []byte(uuid.Max.String())); got != uuid.Max {
		t.Errorf("id %v", got)
	}
	if got := r.Text("text", []byte("c582")); got != "ł" {
		t.Errorf("text %q", got)
	}
	if r.Int("n", []byte("-9223372036854775808")) != -1<<63 || !r.Bool("b", []byte("1")) {
		t.Error("a number or a truth value")
	}
	if got := r.Object("m", []byte("7b2261223a317d")); len(got) != 1 {
		t.Errorf("object %v", got)
	}
	if r.Text("text", nil) != "" || r.Object("m", nil) != nil {
		t.Error("none is not nothing")
	}
	if got := r.Unreadable(); got != "" {
		t.Error(got)
	}
}

// Each thing that cannot be read is named by its column, and no value is repeated
// at any length.
func TestUnreadable(t *testing.T) {
	var r Row
	r.Time("at", []byte("infinity"))
	r.Time("at", []byte("20000-01-01 00:00:00"))
	r.Time("at", nil)
	r.Int("n", nil)
	r.Int("n", []byte("18446744073709551615"))
	r.Bool("b", []byte("5"))
	r.ID("id", []byte("x"))
	if got := r.Text("text", []byte("a\xff")); got != "a\uFFFD" {
		t.Errorf("what can be read is %q", got)
	}
	for _, doc := range []string{"[1]", "x", "1", `{"a":`, `{} {}`, strings.Repeat(`{"a":`, 11_000)} {
		r.Object("m", []byte(doc))
	}
	r.Time("long", []byte(strings.Repeat("9", 100_000)))
	var columns []string
	for part := range strings.SplitSeq(r.Unreadable(), "; ") {
		column, _, _ := strings.Cut(part, ":")
		columns = append(columns, column)
	}
	if want := strings.Fields("at at at n n b id text m m m m m m long"); !reflect.DeepEqual(columns, want) {
		t.Errorf("noted %q, want %q", columns, want)
	}
	if n := len(r.Unreadable()); n > 1000 {
		t.Errorf("%d bytes are said", n)
	}
	if r.Begin(); r.Unreadable() != "" {
		t.Error("the next row has the problems of this one")
	}
}
