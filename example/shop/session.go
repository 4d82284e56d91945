package shop

import (
	"crypto/rand"
	"net/http"
	"sync"
)

// SessionHeader carries the token of a session.
const SessionHeader = "X-Shop-Session"

// Session is a login.
type Session struct {
	// User is who is logged in: a customer's number or a staff name.
	User string
	// Name is how to call the user.
	Name string
	// Staff may refund and change prices.
	Staff bool
	// Customer is whose cart and orders are handled: the user's own, or for
	// staff those of the customer who is being helped, or 0.
	Customer int64
}

// Sessions keeps the logins in memory. It is safe for concurrent use.
type Sessions struct {
	mu      sync.Mutex
	byToken map[string]Session
}

// NewSessions returns an empty store.
func NewSessions() *Sessions { return &Sessions{byToken: map[string]Session{}} }

// Open starts a session and returns its token.
func (s *Sessions) Open(session Session) string {
	token := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byToken[token] = session
	return token
}

// Of returns the session of a request.
func (s *Sessions) Of(r *http.Request) (Session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	session, ok := s.byToken[r.Header.Get(SessionHeader)]
	return session, ok
}
