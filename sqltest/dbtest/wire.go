package dbtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"regexp"
)

// What follows is as much of PostgreSQL's protocol as the proxy needs
// (PostgreSQL manual, section 55.7, "Message Formats").

const (
	cancelRequest = 80877102
	sslRequest    = 80877103
	gssRequest    = 80877104
)

// backendKey is the kind of the message that tells the driver what to cancel by.
const backendKey = 'K'

var errLength = errors.New("dbtest: not a message of PostgreSQL's protocol")

// packet is a message of the startup phase, whole.
type packet []byte

func (p packet) code() uint32 { return binary.BigEndian.Uint32(p[4:]) }

func readPacket(r io.Reader) (packet, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 8 || n > 1<<16 {
		return nil, errLength
	}
	p := make(packet, n)
	copy(p, size[:])
	_, err := io.ReadFull(r, p[4:])
	return p, err
}

// message is a message after the startup phase.
type message struct {
	kind byte
	raw  []byte // with kind and length
}

func newMessage(kind byte, body []byte) message {
	raw := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))
	return message{kind: kind, raw: append(raw, body...)}
}

func readMessage(r io.Reader) (message, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return message{}, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || n > 1<<30 {
		return message{}, errLength
	}
	raw := make([]byte, n+1)
	copy(raw, head[:])
	_, err := io.ReadFull(r, raw[5:])
	return message{kind: head[0], raw: raw}, err
}

func (m message) writeTo(w io.Writer) error {
	_, err := w.Write(m.raw)
	return err
}

// endsBatch reports whether the driver waits for an answer after m.
func (m message) endsBatch() bool { return m.kind == 'Q' || m.kind == 'S' }

// isPing reports whether m is what pgx asks whether a connection is alive.
func (m message) isPing() bool { return m.kind == 'Q' && m.texts(1)[0] == "-- ping" }

// texts returns the first n strings of the body.
func (m message) texts(n int) []string {
	parts := bytes.SplitN(m.raw[5:], []byte{0}, n+1)
	out := make([]string, n)
	for i := range out {
		if i < len(parts) {
			out[i] = string(parts[i])
		}
	}
	return out
}

// executes returns the text that m makes the server execute, if it does, and
// keeps the names by which later messages refer to texts.
func (l *link) executes(m message) (query string, ok bool) {
	switch m.kind {
	case 'Q':
		return m.texts(1)[0], true
	case 'P': // Parse: statement, query
		t := m.texts(2)
		l.statements[t[0]] = t[1]
	case 'B': // Bind: portal, statement
		t := m.texts(2)
		l.portals[t[0]] = l.statements[t[1]]
	case 'E': // Execute: portal
		return l.portals[m.texts(1)[0]], true
	}
	return "", false
}

// allButLast returns the messages of an answer up to that which completes the last
// statement but one.
func allButLast(answer []message) []message {
	var ends []int // behind each CommandComplete
	for i, m := range answer {
		if m.kind == 'C' {
			ends = append(ends, i+1)
		}
	}
	if len(ends) < 2 {
		return nil
	}
	return answer[:ends[len(ends)-2]]
}

var commitForm = regexp.MustCompile(`(?is)(^|;)\s*(/\*.*?\*/\s*)*(commit|end)\s*(work|transaction)?\s*(;|$)`)

// IsCommit reports whether a query commits: COMMIT or END, alone or as one of
// its statements. COMMIT PREPARED is none.
func IsCommit(query string) bool { return commitForm.MatchString(query) }
