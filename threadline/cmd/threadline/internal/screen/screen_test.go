package screen

import (
	"strings"
	"testing"
	"time"
)

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"plain text, ä, 漢字 🙂": "plain text, ä, 漢字 🙂", "": "",
		"\x1b[2Jgone": `\x1b[2Jgone`, "two\nlines\tand a tab": `two\nlines\tand a tab`, "\a": `\a`,
		"\u202egnp.exe": `\u202egnp.exe`, "\xff\xfe": `\xff\xfe`, "\u009b31m": `\u009b31m`,
	} {
		if got := Plain(in); got != want {
			t.Errorf("Plain(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestAgo(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	s := &Screen{Now: now, Zone: time.UTC}
	for ago, want := range map[time.Duration]string{
		0: "0 s ago", 59 * time.Second: "59 s ago", time.Minute: "1 min ago", 90 * time.Minute: "1 h ago",
		36 * time.Hour: "1 d ago", 400 * 24 * time.Hour: "1 y ago", -2 * time.Hour: "in 2 h",
	} {
		if got := s.Ago(now.Add(-ago)); got != want {
			t.Errorf("%s: %q, want %q", ago, got, want)
		}
	}
	if got := s.Exact(now); got != "2026-11-30 12:00:00.000000" || s.ZoneName() != "UTC" {
		t.Errorf("%q, %q", got, s.ZoneName())
	}
}

// TestTableFits: no line is wider than the terminal, whatever is in the wide columns, and the others are whole.
func TestTableFits(t *testing.T) {
	for _, width := range []int{0, 60, 80, 200} {
		var out strings.Builder
		s := &Screen{Out: &out, Width: width, Zone: time.UTC}
		long := strings.Repeat("漢字 and more ", 20) + "."
		s.Table([]Column{{Head: "when"}, {Head: "who", Wide: true}, {Head: "changed", Wide: true}}, [][]string{
			{"2026-11-30 12:00:00", "user:alice", long}, {"2026-11-30 12:00:01", "x", "y"},
		})
		for line := range strings.Lines(out.String()) {
			if n := len([]rune(strings.ReplaceAll(line, "漢字", "xxxx"))) - 1; width > 0 && n > width {
				t.Errorf("%d columns of %d: %s", n, width, line)
			}
		}
		if !strings.Contains(out.String(), "2026-11-30 12:00:00  user:alice  ") {
			t.Errorf("width %d: a column that fits was cut:\n%s", width, out.String())
		}
		if strings.Contains(out.String(), long) != (width == 0) {
			t.Errorf("width %d:\n%s", width, out.String())
		}
	}
}

// TestShort: what does not fit a line is shortened with a mark, and where there is no terminal nothing is.
func TestShort(t *testing.T) {
	long := strings.Repeat("ab ", 100)
	s := &Screen{Width: 80}
	for used, want := range map[int]int{0: 80, 10: 70, 79: least} {
		if got := s.Short(long, used); len([]rune(got)) != want || !strings.HasSuffix(got, "… (300 characters)") && want > least {
			t.Errorf("%d: %q", used, got)
		}
	}
	if got := s.Short("short", 10); got != "short" {
		t.Errorf("%q", got)
	}
	for _, pair := range [][2]string{{long, "b"}, {"a", long}, {long, long}} {
		a, b := s.Both(pair[0], pair[1], 8)
		if n := len([]rune(a + b)); n != 72 && n != 71 {
			t.Errorf("%q, %q: %d", a, b, n)
		}
	}
	whole := &Screen{}
	if a, b := whole.Both(long, long, 8); a != long || b != long || whole.Short(long, 3) != long {
		t.Errorf("%q, %q", a, b)
	}
}

func TestSpan(t *testing.T) {
	s := &Screen{Zone: time.UTC}
	from := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		from, to time.Time
		want     string
	}{
		{from, from, "2026-11-30 12:00:00"},
		{from, from.Add(time.Hour), "2026-11-30 12:00:00 to 2026-11-30 13:00:00"},
		{time.Time{}, from, "until 2026-11-30 12:00:00"},
	} {
		if got := s.Span(c.from, c.to); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
