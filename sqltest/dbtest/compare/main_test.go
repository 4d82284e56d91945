package main

import (
	"strings"
	"testing"
	"time"
)

// TestRun: each wrapper can do each job, and each has its place in the table.
func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(&out, 1, time.Microsecond); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2+len(jobs) {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		if n := strings.Count(line, "|"); n != 2+len(wrappers) {
			t.Errorf("%d columns in %s", n-1, line)
		}
	}
}
