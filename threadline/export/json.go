package export

import (
	"bytes"
	"encoding/json"
	"io"
)

// NDJSON is a line of JSON for each item, in the form of [trail.Item]: {"action": …} or {"change": …}. "threadline search
// --json" has the same.
func NDJSON() Format { return ndjson{} }

type ndjson struct{}

func (ndjson) Name() string      { return "ndjson" }
func (ndjson) Version() int      { return 1 }
func (ndjson) Extension() string { return ".ndjson" }

// CountRows implements [RowCounter].
func (ndjson) CountRows(r io.Reader) (int64, error) { return countLines(r, false) }

func (ndjson) Begin(w io.Writer) (Encoder, error) {
	return &lines{w: w, of: func(e Entry) (any, error) { return e.Item, nil }}, nil
}

// lines writes a line of JSON for each item.
type lines struct {
	w   io.Writer
	buf bytes.Buffer
	of  func(Entry) (any, error)
}

func (l *lines) Encode(e Entry) error {
	doc, err := l.of(e)
	if err != nil {
		return err
	}
	l.buf.Reset()
	enc := json.NewEncoder(&l.buf)
	enc.SetEscapeHTML(false)
	if err = enc.Encode(doc); err != nil {
		return err
	}
	_, err = l.w.Write(l.buf.Bytes())
	return err
}

func (l *lines) Close(bool) error { return nil }

// JSON is one document, in the form of [trail.Page]: {"items": [ … ]}, with an item on each line. "threadline search
// --json" has the same. If a limit has left something out, its last member is "truncated": true. Each file of several is a whole
// document.
func JSON() Format { return jsonDocument{} }

type jsonDocument struct{}

func (jsonDocument) Name() string      { return "json" }
func (jsonDocument) Version() int      { return 1 }
func (jsonDocument) Extension() string { return ".json" }

// CountRows implements [RowCounter]. The first line and the last one have the beginning and the end of the document.
func (jsonDocument) CountRows(r io.Reader) (int64, error) {
	lines, err := countLines(r, false)
	return lines - 2, err
}

func (jsonDocument) Begin(w io.Writer) (Encoder, error) {
	_, err := io.WriteString(w, `{"items":[`)
	d := &document{w: w}
	d.lines = lines{w: &d.line, of: func(e Entry) (any, error) { return e.Item, nil }}
	return d, err
}

type document struct {
	w     io.Writer
	lines lines
	line  bytes.Buffer
	any   bool
}

func (d *document) Encode(e Entry) error {
	d.line.Reset()
	if d.any {
		d.line.WriteByte(',')
	}
	d.line.WriteByte('\n')
	if err := d.lines.Encode(e); err != nil {
		return err
	}
	d.any = true
	_, err := d.w.Write(bytes.TrimSuffix(d.line.Bytes(), []byte("\n")))
	return err
}

func (d *document) Close(truncated bool) error {
	end := "\n]}\n"
	if truncated {
		end = "\n],\"truncated\":true}\n"
	}
	_, err := io.WriteString(d.w, end)
	return err
}
