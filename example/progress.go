package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress is a bar on w once the work has taken a second. A nil one shows
// nothing.
type progress struct {
	w     io.Writer
	start time.Time
	total int
	done  int
	bar   *progressbar.ProgressBar
}

// newProgress returns nil where nobody looks.
func newProgress(f *os.File) *progress {
	if !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &progress{w: f, start: time.Now()}
}

func (p *progress) begin(total int) {
	if p != nil {
		p.total = total
	}
}

// step says that one more of the total is done.
func (p *progress) step() {
	if p == nil {
		return
	}
	p.done++
	if p.bar == nil && time.Since(p.start) > time.Second {
		p.bar = progressbar.NewOptions(p.total,
			progressbar.OptionSetWriter(p.w),
			progressbar.OptionSetDescription("a day in the shop"),
			progressbar.OptionShowCount(),
			progressbar.OptionClearOnFinish())
	}
	if p.bar != nil {
		// What cannot be drawn is no reason to stop.
		_ = p.bar.Set(p.done)
	}
}
