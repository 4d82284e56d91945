// Package screen writes what people read: tables that fit the terminal, times, and values that cannot
// disturb it.
package screen

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// Screen is where a command writes its answer. It is not safe for concurrent use.
type Screen struct {
	Out io.Writer
	// Width is how many columns a line has at most, 0 for any number: the output is not a terminal.
	Width int
	// Colour says that the output is a terminal that shows colours.
	Colour bool
	// Zone is that of all times.
	Zone *time.Location
	// Now is what times are relative to.
	Now time.Time
}

// New returns the screen that out is. Colours are left out if NO_COLOR is set, or TERM is "dumb".
func New(out io.Writer, zone *time.Location, now time.Time) *Screen {
	s := &Screen{Out: out, Zone: zone, Now: now}
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return s
	}
	if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
		s.Width = width
	}
	s.Colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return s
}

// Printf writes a line of text. What comes from a database goes through [Plain] first.
func (s *Screen) Printf(format string, args ...any) {
	fmt.Fprintf(s.Out, format, args...)
}

// Style is how a text is shown.
type Style string

// The styles that commands need.
const (
	Bold  Style = "\x1b[1m"
	Faint Style = "\x1b[2m"
	Good  Style = "\x1b[32m"
	Bad   Style = "\x1b[31m"
	Mind  Style = "\x1b[33m"
)

// In returns the text in a style, where colours are shown.
func (s *Screen) In(style Style, t string) string {
	if !s.Colour || t == "" {
		return t
	}
	return string(style) + t + "\x1b[0m"
}

// Column is one of a [Screen.Table].
type Column struct {
	Head string
	// Wide says that its cells may be cut where the table is too wide for the terminal.
	Wide bool
	// Right says that it has numbers.
	Right bool
}

// Table writes rows under their heads. On a terminal it is cut to its width; elsewhere it is whole.
func (s *Screen) Table(columns []Column, rows [][]string) {
	w := table.NewWriter()
	w.SetStyle(style)
	head := make(table.Row, len(columns))
	for i, c := range columns {
		head[i] = s.In(Faint, c.Head)
	}
	w.AppendHeader(head)
	for _, cells := range rows {
		row := make(table.Row, len(cells))
		for i, cell := range cells {
			row[i] = cell
		}
		w.AppendRow(row)
	}
	w.SetColumnConfigs(s.widths(columns, rows))
	for line := range strings.Lines(w.Render() + "\n") {
		fmt.Fprintln(s.Out, strings.TrimRight(line, " \n"))
	}
}

// Folded writes rows as [Screen.Table] does, but the last column of each under it, as far as the line is wide.
func (s *Screen) Folded(columns []Column, rows [][]string) {
	last := len(columns) - 1
	var lines strings.Builder
	above := *s
	above.Out = &lines
	cells := make([][]string, len(rows))
	for i, row := range rows {
		cells[i] = row[:last]
	}
	above.Table(columns[:last], cells)
	n := -1 // the head
	for line := range strings.Lines(lines.String()) {
		fmt.Fprint(s.Out, line)
		if n >= 0 && rows[n][last] != "" {
			fmt.Fprintln(s.Out, "    "+s.In(Faint, cut(rows[n][last], max(s.Width-4, 8))))
		}
		n++
	}
}

var style = table.Style{
	Name:   "threadline",
	Box:    table.BoxStyle{PaddingRight: "  ", UnfinishedRow: "…"},
	Format: table.FormatOptions{Header: text.FormatDefault},
}

// widths shares what a terminal's line has left among the wide columns: each gets what it needs, as long as that
// is no more than its share.
func (s *Screen) widths(columns []Column, rows [][]string) []table.ColumnConfig {
	configs := make([]table.ColumnConfig, len(columns))
	needs := make([]int, len(columns))
	left, wide := s.Width, 0
	for i, c := range columns {
		needs[i] = text.StringWidthWithoutEscSequences(c.Head)
		for _, cells := range rows {
			needs[i] = max(needs[i], text.LongestLineLen(cells[i]))
		}
		configs[i] = table.ColumnConfig{Number: i + 1}
		if c.Right {
			configs[i].Align, configs[i].AlignHeader = text.AlignRight, text.AlignRight
		}
		left -= 2
		if c.Wide {
			wide++
		} else {
			left -= needs[i]
		}
	}
	if s.Width == 0 {
		return configs
	}
	left += 2 // nothing is behind the last one
	for wide > 0 {
		share, fit := max(left/wide, 8), false
		for i, c := range columns {
			if c.Wide && needs[i] >= 0 && needs[i] <= share {
				left, wide, needs[i], fit = left-needs[i], wide-1, -1, true
			}
		}
		if fit {
			continue
		}
		for i, c := range columns {
			if c.Wide && needs[i] >= 0 {
				configs[i].WidthMax, configs[i].WidthMaxEnforcer = share, cut
			}
		}
		break
	}
	return configs
}

// least is how much of a text is shown at least, however narrow the terminal.
const least = 20

// Short returns a text in one line of what is left of it behind used columns, with a mark that says how long it is if it was shortened. Where
// the output is not a terminal it is whole.
func (s *Screen) Short(t string, used int) string {
	room := max(s.Width-used, least)
	if s.Width == 0 || text.StringWidthWithoutEscSequences(t) <= room {
		return t
	}
	mark := fmt.Sprintf("… (%d characters)", utf8.RuneCountInString(t))
	return text.Snip(t, max(room-text.StringWidthWithoutEscSequences(mark), 1), "") + mark
}

// Both returns two texts that share a line as [Screen.Short] does: what one does not need, the other may have.
func (s *Screen) Both(a, b string, used int) (string, string) {
	half := (s.Width - used) / 2
	if w := text.StringWidthWithoutEscSequences(b); w <= half {
		return s.Short(a, used+w), b
	}
	a = s.Short(a, used+half)
	return a, s.Short(b, used+text.StringWidthWithoutEscSequences(a))
}

// cut shortens a cell, with a sign that it did.
func cut(cell string, width int) string { return text.Snip(cell, width, "…") }

// IsTerminal reports whether a person sees what is written to the file.
func IsTerminal(file *os.File) bool { return term.IsTerminal(int(file.Fd())) }
