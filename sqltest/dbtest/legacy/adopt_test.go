package legacy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// adoption is what an app changes to be audited: lines of its own, and audit.go.
type adoption struct {
	edits []edit
	// audit is the new file, and source the file of testdata that it is.
	audit, source string
}

// edit replaces text that is in a file once.
type edit struct{ file, from, to string }

// apply changes the copy of an app, and logs how as a diff.
func (a adoption) apply(t *testing.T, dir string) {
	t.Helper()
	var diff strings.Builder
	for _, e := range a.edits {
		path := filepath.Join(dir, e.file)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(b), e.from); n != 1 {
			t.Fatalf("%s has %q %d times, want once", e.file, e.from, n)
		}
		after := strings.Replace(string(b), e.from, e.to, 1)
		if err = os.WriteFile(path, []byte(after), 0o644); err != nil {
			t.Fatal(err)
		}
		diff.WriteString("--- " + e.file + "\n" + changed(string(b), after))
	}
	b, err := os.ReadFile(filepath.Join("testdata", a.source))
	if err != nil {
		t.Fatal(err)
	}
	if err = os.WriteFile(filepath.Join(dir, a.audit), b, 0o644); err != nil {
		t.Fatal(err)
	}
	diff.WriteString("--- " + a.audit + " (new)\n" + changed("", string(b)))
	requireCore(t, dir)
	t.Logf("adopted by\n%s", diff.String())
}

// changed returns the lines that differ, between those that the texts begin and
// end with.
func changed(before, after string) string {
	old, now := strings.SplitAfter(before, "\n"), strings.SplitAfter(after, "\n")
	for len(old) > 0 && len(now) > 0 && old[0] == now[0] {
		old, now = old[1:], now[1:]
	}
	for len(old) > 0 && len(now) > 0 && old[len(old)-1] == now[len(now)-1] {
		old, now = old[:len(old)-1], now[:len(now)-1]
	}
	var b strings.Builder
	for _, line := range old {
		if line != "" {
			b.WriteString("-" + line)
		}
	}
	for _, line := range now {
		if line != "" {
			b.WriteString("+" + line)
		}
	}
	return b.String()
}
