package parquet

import (
	"errors"
	"io"
)

// keptBytes is how many bytes a tail has at least, if the file is as long. A file says at its end where its columns are: some 10 kB for
// each group of rows.
const keptBytes = 32 << 20

var errTooFar = errors.New("parquet: the part that says where the columns are is too long")

// tail has the first bytes of what is written to it, which name the format, and the last ones.
type tail struct {
	head         []byte
	before, last []byte // adjacent: the end of last is that of the file
	size         int64
}

func (t *tail) Write(p []byte) (int, error) {
	if missing := 4 - len(t.head); missing > 0 {
		t.head = append(t.head, p[:min(missing, len(p))]...)
	}
	for rest := p; len(rest) > 0; {
		if len(t.last) == keptBytes {
			t.before, t.last = t.last, t.before[:0]
		}
		n := min(len(rest), keptBytes-len(t.last))
		t.last = append(t.last, rest[:n]...)
		rest = rest[n:]
	}
	t.size += int64(len(p))
	return len(p), nil
}

// ReadAt implements [io.ReaderAt] for the bytes that it has.
func (t *tail) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && err == nil {
		var part []byte
		part, err = t.from(off + int64(n))
		n += copy(p[n:], part)
	}
	return n, err
}

// from returns bytes from a place on, at least one.
func (t *tail) from(at int64) ([]byte, error) {
	last := t.size - int64(len(t.last))
	before := last - int64(len(t.before))
	switch {
	case at >= t.size:
		return nil, io.EOF
	case at >= last:
		return t.last[at-last:], nil
	case at >= before:
		return t.before[at-before:], nil
	case at < int64(len(t.head)):
		return t.head[at:], nil
	}
	return nil, errTooFar
}
