package dbtest

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy stands between a driver and a PostgreSQL server, over TCP, without
// TLS. It passes on everything until a statement comes for which a [Fault] was
// set; see [Proxy.Next].
//
// Its methods may be called concurrently.
type Proxy struct {
	listener net.Listener
	server   string
	delay    atomic.Int64
	trips    atomic.Int64
	dark     atomic.Pointer[Trap] // a BlackHole that has happened
	ending   chan struct{}
	wg       sync.WaitGroup

	mu      sync.Mutex
	next    *Trap
	watches []*Watch
	links   map[*link]struct{}
	left    map[string]bool // by the key that cancels: connections that were stranded
	closed  bool
}

// Fault is what happens to a statement on its way.
type Fault int

const (
	// CutBefore closes the connection before the statement reaches the server.
	CutBefore Fault = iota
	// CutAnswer lets the server execute the statement, and closes the
	// connection before its answer reaches the driver.
	CutAnswer
	// CutWithinAnswer lets the server execute a query of several statements, and closes the
	// connection when all their answers but the last have reached the driver.
	CutWithinAnswer
	// HoldAnswer lets the server execute the statement, and keeps its answer
	// until the release.
	HoldAnswer
	// HoldStatement keeps the statement from the server until the release.
	HoldStatement
	// Strand closes the driver's side, and keeps the statement until the
	// release, when it still reaches the server: the transaction stays in
	// progress though its client is gone. The driver's request to cancel the
	// statement is lost, as it could come late and undo what is stranded.
	Strand
	// BlackHole holds the statement and all that comes after it, on any
	// connection, also a new one, until the release: the network is gone, and
	// says nothing.
	BlackHole
)

// Trap is one fault that was set, for one statement.
type Trap struct {
	fault   Fault
	match   func(query string) bool
	sprung  chan struct{}
	release chan struct{}
	done    chan struct{}
	once    sync.Once
}

// Sprung is closed when the statement has come and the fault has happened: for
// CutAnswer, CutWithinAnswer and HoldAnswer, when the server has answered.
func (t *Trap) Sprung() <-chan struct{} { return t.sprung }

// Release lets a held statement or answer go on. It may be called twice.
func (t *Trap) Release() { t.once.Do(func() { close(t.release) }) }

// Done is closed when the server has answered a stranded statement.
func (t *Trap) Done() <-chan struct{} { return t.done }

// NewProxy starts a proxy before the server at a TCP address. It ends with the
// test.
func NewProxy(tb testing.TB, server string) *Proxy {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{listener: l, server: server, ending: make(chan struct{}), links: map[*link]struct{}{}, left: map[string]bool{}}
	p.wg.Add(1)
	go p.accept()
	tb.Cleanup(p.close)
	return p
}

// Addr returns the address to connect to; see [Via].
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Delay makes each round trip longer by d: each query, or each batch of the
// extended protocol, waits that long before it goes to the server.
func (p *Proxy) Delay(d time.Duration) { p.delay.Store(int64(d)) }

// Trips returns how many round trips there were: queries, and batches of the
// extended protocol. Pings are not counted: pgx sends one when a connection has
// not been used for a second.
func (p *Proxy) Trips() int64 { return p.trips.Load() }

// Watch are the queries of a kind that have come, on any connection.
type Watch struct {
	match func(query string) bool

	mu      sync.Mutex
	queries []string
}

// Queries returns them in their order. Each execution of a prepared statement is one.
func (w *Watch) Queries() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.queries)
}

// Watch notes the queries that match holds for, from now on.
func (p *Proxy) Watch(match func(query string) bool) *Watch {
	w := &Watch{match: match}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watches = append(p.watches, w)
	return w
}

// seen notes that query has come.
func (p *Proxy) seen(query string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.watches {
		if w.match(query) {
			w.mu.Lock()
			w.queries = append(w.queries, query)
			w.mu.Unlock()
		}
	}
}

// Next sets a fault for the next statement that match holds for, such as
// [IsCommit], on any connection. It replaces a fault that has not happened.
func (p *Proxy) Next(fault Fault, match func(query string) bool) *Trap {
	t := &Trap{
		fault: fault, match: match,
		sprung: make(chan struct{}), release: make(chan struct{}), done: make(chan struct{}),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = t
	return t
}

// trap returns the trap that query springs, if any, and disarms it.
func (p *Proxy) trap(query string) *Trap {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.next
	if t == nil || !t.match(query) {
		return nil
	}
	p.next = nil
	return t
}

// DropAll closes all connections now.
func (p *Proxy) DropAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.cut()
	}
}

func (p *Proxy) accept() {
	defer p.wg.Done()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Add(1)
		go p.serve(client)
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer p.wg.Done()
	defer client.Close()
	if !p.awaitLight() {
		return
	}
	server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.server)
	if err != nil {
		return // the driver sees the closed connection, as without a proxy
	}
	defer server.Close()
	l := &link{
		proxy: p, client: client, server: server, closing: make(chan struct{}),
		statements: map[string]string{}, portals: map[string]string{},
	}
	if !p.add(l) {
		return
	}
	defer p.remove(l)
	if !l.startup() {
		return
	}
	answers := make(chan struct{})
	go func() {
		defer close(answers)
		l.pumpAnswers()
		l.cut()
	}()
	l.pumpRequests()
	l.cut()
	<-answers
}

// awaitLight waits for the release of a BlackHole, if there is one, and reports
// whether the proxy is still there.
func (p *Proxy) awaitLight() bool {
	t := p.dark.Load()
	if t == nil {
		return true
	}
	select {
	case <-t.release:
		return true
	case <-p.ending:
		return false
	}
}

func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

// leave makes the proxy lose the requests to cancel what l does.
func (p *Proxy) leave(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left[l.key] = true
}

func (p *Proxy) hasLeft(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left[key]
}

func (p *Proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	close(p.ending)
	_ = p.listener.Close() // its error would say that it is closed
	p.DropAll()
	p.wg.Wait()
}

// link is one connection through the proxy.
type link struct {
	proxy   *Proxy
	client  net.Conn
	server  net.Conn
	once    sync.Once
	closing chan struct{}
	key     string // cancels what the connection does; under proxy.mu
	// answering is the trap whose answer is awaited; the requests' pump sets
	// it before the statement goes to the server.
	answering atomic.Pointer[Trap]

	// For the requests' pump alone: the texts of prepared statements, and of
	// portals, by name.
	statements map[string]string
	portals    map[string]string
}

func (l *link) cut() {
	l.once.Do(func() {
		close(l.closing)
		_ = l.client.Close()
		_ = l.server.Close()
	})
}

// pumpRequests passes messages from the driver to the server until either is
// gone or a fault ends the connection.
func (l *link) pumpRequests() {
	for {
		msg, err := readMessage(l.client)
		if err != nil {
			return
		}
		if query, ok := l.executes(msg); ok {
			l.proxy.seen(query)
			if t := l.proxy.trap(query); t != nil && !l.spring(t, msg) {
				return
			}
		}
		if msg.endsBatch() {
			if !msg.isPing() {
				l.proxy.trips.Add(1)
			}
			if !l.sleep(time.Duration(l.proxy.delay.Load())) {
				return
			}
		}
		if t := l.proxy.dark.Load(); t != nil && !l.await(t) {
			return
		}
		if err := msg.writeTo(l.server); err != nil {
			return
		}
	}
}

// spring does what must happen before the statement goes to the server, and
// reports whether it is to go.
func (l *link) spring(t *Trap, msg message) bool {
	switch t.fault {
	case CutBefore:
		l.cut()
		close(t.sprung)
		return false
	case CutAnswer, CutWithinAnswer, HoldAnswer:
		l.answering.Store(t)
		return true
	case HoldStatement:
		close(t.sprung)
		return l.await(t)
	case BlackHole:
		l.proxy.dark.Store(t)
		close(t.sprung)
		return l.await(t)
	default: // Strand
		l.strand(t, msg)
		return false
	}
}

// await waits for the release and reports whether the link is still there.
func (l *link) await(t *Trap) bool {
	select {
	case <-t.release:
		return true
	case <-l.closing:
		return false
	}
}

// strand leaves the server alone with the statement.
func (l *link) strand(t *Trap, msg message) {
	l.answering.Store(t)
	l.proxy.leave(l)
	_ = l.client.Close()
	close(t.sprung)
	if !l.await(t) || msg.writeTo(l.server) != nil {
		return
	}
	if !msg.endsBatch() && newMessage('S', nil).writeTo(l.server) != nil {
		return
	}
	select {
	case <-t.done:
	case <-l.closing:
	}
}

// pumpAnswers passes messages from the server to the driver. Once a statement
// has sprung a trap, its whole answer is collected first.
func (l *link) pumpAnswers() {
	var held []message
	for {
		msg, err := readMessage(l.server)
		if err != nil {
			return
		}
		if msg.kind == backendKey {
			l.setKey(string(msg.raw[5:]))
		}
		t := l.answering.Load()
		if t == nil {
			if msg.writeTo(l.client) != nil {
				return
			}
			continue
		}
		held = append(held, msg)
		if msg.kind != 'Z' {
			continue
		}
		if !l.answered(t, held) {
			return
		}
		l.answering.Store(nil)
		for _, m := range held {
			if m.writeTo(l.client) != nil {
				return
			}
		}
		held = nil
	}
}

func (l *link) setKey(key string) {
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	l.key = key
}

// answered reports whether the answer may go to the driver.
func (l *link) answered(t *Trap, answer []message) bool {
	switch t.fault {
	case CutWithinAnswer:
		for _, m := range allButLast(answer) {
			_ = m.writeTo(l.client) // the driver may be gone
		}
		l.cut()
		close(t.sprung)
		return false
	case HoldAnswer:
		close(t.sprung)
		return l.await(t)
	case Strand:
		close(t.done)
		return false
	default: // CutAnswer
		l.cut()
		close(t.sprung)
		return false
	}
}

// sleep lengthens a round trip and reports whether the link is still there.
func (l *link) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-l.closing:
		return false
	}
}

// startup passes on what comes before typed messages, refuses encryption, and
// reports whether typed messages follow.
func (l *link) startup() bool {
	for {
		packet, err := readPacket(l.client)
		if err != nil {
			return false
		}
		switch packet.code() {
		case sslRequest, gssRequest:
			if _, err := l.client.Write([]byte{'N'}); err != nil {
				return false
			}
		case cancelRequest:
			if l.proxy.hasLeft(string(packet[8:])) {
				return false
			}
			if _, err := l.server.Write(packet); err == nil {
				// The server closes the connection when it has sent the signal.
				_, _ = io.Copy(io.Discard, l.server)
			}
			return false
		default:
			_, err := l.server.Write(packet)
			return err == nil
		}
	}
}
