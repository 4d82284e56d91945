package journal

import "sync"

// maxKept is how large a buffer may be to be used again, in bytes. Most flushes need far less.
const maxKept = 256 << 10

// buffers are those in which documents are made.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// text returns what f appends as a string, and reuses the buffer.
func text(f func(b []byte) ([]byte, error)) (string, error) {
	buffer := buffers.Get().(*[]byte)
	b, err := f((*buffer)[:0])
	s := string(b)
	if cap(b) <= maxKept {
		*buffer = b
		buffers.Put(buffer)
	}
	return s, err
}
