package export

import (
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// CSV is a table of [Row] (RFC 4180), after a line with the names of its columns. It is UTF-8 without a byte order mark, its
// lines end with CRLF, and times are in UTC with six digits of a second.
//
// A spreadsheet executes a cell that begins with =, +, - or @, so whoever can write to an audited column could attack an auditor. Such
// a cell gets an apostrophe in front. That includes the full-width forms of these signs, and signs after spaces and invisible
// characters. So does a cell that begins with a tab, a line break or an apostrophe, so that a first apostrophe is always an
// added one, which [Unescape] removes. All cells are in quotation marks, so that a spreadsheet that separates at semicolons does
// not divide a cell.
func CSV() Format { return csvTable{} }

type csvTable struct{}

func (csvTable) Name() string      { return "csv" }
func (csvTable) Version() int      { return 1 }
func (csvTable) Extension() string { return ".csv" }

// CountRows implements [RowCounter]. The first line has the names of the columns.
func (csvTable) CountRows(r io.Reader) (int64, error) {
	lines, err := countLines(r, true)
	return lines - 1, err
}

func (csvTable) Begin(w io.Writer) (Encoder, error) {
	e := &csvEncoder{w: w}
	for i, name := range Columns() {
		e.cell(i, name)
	}
	return e, e.end()
}

// Columns are the names of a row's columns, in their order.
func Columns() []string {
	t := reflect.TypeFor[Row]()
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = t.Field(i).Tag.Get("json")
	}
	return names
}

type csvEncoder struct {
	w    io.Writer
	line []byte
}

func (c *csvEncoder) Encode(e Entry) error {
	r, err := RowOf(e)
	if err != nil {
		return err
	}
	c.line = c.line[:0]
	v := reflect.ValueOf(&r).Elem()
	for i := range v.NumField() {
		c.cell(i, cellText(v.Field(i).Interface()))
	}
	return c.end()
}

func (c *csvEncoder) Close(bool) error { return nil }

func cellText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case Kind:
		return string(v)
	case bool:
		return strconv.FormatBool(v)
	case time.Time:
		return instant(v)
	case *time.Time:
		if v != nil {
			return instant(*v)
		}
	}
	return ""
}

func (c *csvEncoder) cell(i int, s string) {
	if i > 0 {
		c.line = append(c.line, ',')
	}
	if s == "" {
		return
	}
	c.line = append(c.line, '"')
	c.line = append(c.line, strings.ReplaceAll(escapeFormula(s), `"`, `""`)...)
	c.line = append(c.line, '"')
}

func (c *csvEncoder) end() error {
	c.line = append(c.line, '\r', '\n')
	_, err := c.w.Write(c.line)
	return err
}

// escapeFormula returns the text as no spreadsheet takes it for a formula: see [CSV].
func escapeFormula(s string) string {
	if strings.IndexAny(s, "'\t\r\n") == 0 {
		return "'" + s
	}
	rest := strings.TrimLeftFunc(s, invisible)
	if first, _ := utf8.DecodeRuneInString(rest); rest != "" && strings.ContainsRune("=+-@＝＋－＠", first) {
		return "'" + s
	}
	return s
}

// invisible reports whether some spreadsheets skip a character before they look for a formula.
func invisible(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
}

// Unescape returns the text of which [CSV] has made a cell: it removes the apostrophe that was added in front.
func Unescape(cell string) string { return strings.TrimPrefix(cell, "'") }
