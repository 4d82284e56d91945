package relay

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/go-aftercommit/aftercommit/internal/lent"
)

// loan is a connector whose one connection belongs to the lender. within says that it is
// in a transaction of the lender's, which the borrower cannot end.
type loan struct {
	within  bool
	take    func(context.Context) (driver.Conn, func(Leftover), error) // gets base for its first use, if set
	changed atomic.Bool                                                // whether a statement may have left something behind
	kept    atomic.Bool                                                // whether later statements may need the session of one
	uses    *lent.Uses

	// mu guards what follows; base does not change during a use.
	mu       sync.Mutex
	base     driver.Conn
	giveBack func(Leftover) // nil for a base that the lender has
	starved  error          // why none was taken
}

func newLoan(within bool) *loan {
	return &loan{within: within, uses: &lent.Uses{}}
}

var (
	errNoTurn = errors.New("relay: no connection became free before the call's time was up: calls of forwarders hold all that they may have")
	errOver   = errors.New("relay: the connection was lent only until the call returned: open a separate database for later work")
)

// Connect implements driver.Connector.
func (l *loan) Connect(ctx context.Context) (driver.Conn, error) {
	l.mu.Lock()
	base := l.base
	l.mu.Unlock()
	if base != nil {
		return l.conn(), l.Enter()
	}
	ctx, cancel := l.uses.Until(ctx)
	defer cancel()
	base, giveBack, err := l.take(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.starved = err
		return nil, err
	}
	if err = l.Enter(); err != nil {
		giveBack(NothingLeft)
		return nil, err
	}
	l.base, l.giveBack = base, giveBack
	return l.conn(), nil
}

func (l *loan) conn() *lent.Conn { return &lent.Conn{Owner: l, Uses: l.uses, Within: l.within} }

// Driver implements driver.Connector.
func (l *loan) Driver() driver.Driver { return nil }

// run calls f, takes the connection back, and returns what f has left behind on it.
func (l *loan) run(f Borrower) (left Leftover, err error) {
	db := sql.OpenDB(l)
	db.SetMaxOpenConns(1)
	if l.take != nil {
		db.SetMaxIdleConns(0) // so that it is given back between two uses
	}
	running := f(db)
	l.mu.Lock()
	l.uses.End()
	base, giveBack := l.base, l.giveBack
	l.mu.Unlock()
	if base == nil {
		return NothingLeft, db.Close()
	}
	alone := l.uses.Acquire(returnTime)
	if !alone || running || db.Stats().InUse > 0 {
		left = StillOpen
	}
	if alone {
		if left == StillOpen {
			l.close()
		}
		l.uses.Release()
	}
	err = db.Close() // closes statements
	if alone {       // and not while a statement is being closed
		if l.uses.Acquire(returnTime) {
			defer l.uses.Release()
		} else {
			left = StillOpen
		}
	}
	l.uses.Return()
	if left == NothingLeft && l.changed.Load() {
		left = SessionChanged
	}
	if giveBack != nil {
		giveBack(left)
	}
	return left, err
}

// returnTime is how long a call on the connection may take to notice that its context
// has ended. A driver that does not is cut off: its connection is closed under it.
const returnTime = 2 * time.Second

// close closes what the borrower has left open, which on SQLite would keep its locks even
// after the connection is closed.
func (l *loan) close() {
	l.uses.CloseRows()
	if l.within {
		return // the lender's transaction is its own to end
	}
	if e, ok := l.base.(driver.ExecerContext); ok {
		_, _ = e.ExecContext(context.Background(), "ROLLBACK", nil) // fails outside a transaction
	}
}

// look notes what query may leave behind, and whether later statements may need its session.
func (l *loan) look(query string) {
	if leaves(query, l.within) {
		l.changed.Store(true)
	}
	if l.take != nil && !reads(query) { // else it is kept in any case
		l.kept.Store(true)
	}
}

// reads reports whether query only reads, so that no later statement can depend on having the
// same session, as lastval() or an unlock does. It does not see what other functions do.
func reads(query string) bool {
	query = strings.ToLower(strings.TrimSpace(query))
	if !strings.HasPrefix(query, "select") || strings.Contains(query, ";") {
		return false
	}
	if lent.MentionsSession(query) {
		return false
	}
	for _, word := range []string{"nextval", "setval", " into"} {
		if strings.Contains(query, word) {
			return false
		}
	}
	return true
}

// leaves reports whether query may leave something other than data behind on its connection:
// a transaction, a setting, a temporary table. It does not see what a function does.
//
// It does not parse, so words and a ';' in a string literal look like a statement's. That may
// only cost a connection; the driver, which refuses such statements, parses them. A sink in
// the same database writes such literals in each call, so within a transaction only the first
// word is looked at.
func leaves(query string, within bool) bool {
	if !within && lent.MentionsSession(query) {
		return true
	}
	for stmt := range strings.SplitSeq(query, ";") {
		word, rest := firstWord(stmt)
		if word == "" {
			continue
		}
		switch strings.ToUpper(word) {
		case "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "WITH", "VALUES", "TABLE", "COPY":
		case "SAVEPOINT", "RELEASE":
			if !within { // on SQLite it begins a transaction
				return true
			}
		case "SET":
			if second, _ := firstWord(rest); !strings.EqualFold(second, "LOCAL") {
				return true
			}
		default:
			return true
		}
		if within {
			break
		}
	}
	return false
}

// firstWord returns the first word of text, which may be long, and what follows.
func firstWord(text string) (word, rest string) {
	text = strings.TrimLeftFunc(text, unicode.IsSpace)
	end := strings.IndexFunc(text, unicode.IsSpace)
	if end < 0 {
		end = len(text)
	}
	return text[:end], text[end:]
}
