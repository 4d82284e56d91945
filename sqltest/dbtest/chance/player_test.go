package chance_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-aftercommit/aftercommit/hooks"
	"github.com/go-aftercommit/aftercommit/sqltest/dbtest"
)

// player is one of the apps. It makes mistakes and has bad luck, but it does
// what every app must do: whatever fails halfway, it takes back.
type player struct {
	w    *world
	name string
	r    *rand.Rand
	made int      // keys
	open []string // savepoints of the transaction
	past past
}

// session is what a *sql.Tx and *sql.Conn share.
type session interface {
	hooks.Handle
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

var (
	errHalf = errors.New("something failed halfway")
	errOver = errors.New("the transaction is over")
)

func (p *player) key() string {
	p.made++
	key := fmt.Sprintf("%s-%d", p.name, p.made)
	p.past.of(key)
	return key
}

// one reports true once in n times.
func (p *player) one(n int) bool { return p.r.IntN(n) == 0 }

// patience returns a context that now and then ends early: before it is used,
// or at some time.
func (p *player) patience(parent context.Context, n int) (context.Context, context.CancelFunc) {
	c, cancel := context.WithCancel(parent)
	switch {
	case !p.one(n):
	case p.one(4):
		cancel()
	default:
		t := time.AfterFunc(time.Duration(p.r.IntN(1000))*time.Microsecond, cancel)
		return c, func() { t.Stop(); cancel() }
	}
	return c, cancel
}

// play is one transaction.
func (p *player) play() {
	defer func() {
		if v := recover(); v != nil && v != any(errHalf) {
			panic(v)
		}
	}()
	p.open = p.open[:0]
	p.past.begin()
	if p.w.proxy != nil && p.one(20) {
		fault := dbtest.CutBefore
		if p.one(2) {
			fault = dbtest.CutAnswer
		}
		p.w.proxy.Next(fault, dbtest.IsCommit)
	}
	switch p.r.IntN(10) {
	case 0:
		p.playAlone()
	case 1, 2, 3:
		p.playRaw()
	default:
		p.playTx()
	}
}

// playAlone does without a transaction.
func (p *player) playAlone() {
	c, cancel := p.patience(ctx(), 10)
	defer cancel()
	if p.one(3) {
		// There is no row to judge by.
		_ = hooks.Record(c, p.w.db, hooks.Event{Action: "auto.added", Target: hooks.Target{Type: "auto", ID: p.key()}})
		return
	}
	_ = p.book(c, traced{p.w.db, &p.past})
}

// playTx uses database/sql's transactions, as most apps do.
func (p *player) playTx() {
	c, cancel := p.patience(ctx(), 20)
	defer cancel()
	tx, err := p.w.db.BeginTx(c, nil)
	p.past.add("BeginTx", err)
	if err != nil {
		return
	}
	defer func() { p.past.add("Rollback", tx.Rollback()) }()
	err = p.steps(c, traced{tx, &p.past})
	switch {
	case errors.Is(err, errHalf):
		return
	case p.one(20):
		panic(errHalf)
	case p.one(8):
		return
	case p.one(30):
		p.raw(c, traced{tx, &p.past}, p.choose("COMMIT", "ROLLBACK", "END"))
	}
	p.past.add("Commit", tx.Commit())
}

// playRaw controls the transaction by statements.
func (p *player) playRaw() {
	own, err := p.w.db.Conn(ctx())
	if err != nil {
		return
	}
	defer own.Close()
	conn := traced{own, &p.past}
	defer func() {
		// Never hand a connection back inside a transaction. That there is none
		// is an error on SQLite only.
		_, err := conn.ExecContext(ctx(), "ROLLBACK")
		if err != nil && p.w.e.Dialect == hooks.Postgres {
			_ = own.Raw(func(any) error { return sqldriver.ErrBadConn })
		}
	}()
	c, cancel := p.patience(ctx(), 20)
	defer cancel()
	if _, err := conn.ExecContext(c, p.choose("BEGIN", "BEGIN; SELECT 1", "/* x */ begin")); err != nil {
		return
	}
	if err := p.steps(c, conn); errors.Is(err, errHalf) || p.one(5) {
		return
	}
	p.raw(c, conn, p.choose("COMMIT", "COMMIT", "COMMIT", "END", "COMMIT; SELECT 1", "SELECT 1; COMMIT"))
}

func (p *player) choose(choices ...string) string { return choices[p.r.IntN(len(choices))] }

func (p *player) raw(c context.Context, s session, query string) {
	_, _ = s.ExecContext(c, query)
}

// steps is what happens inside a transaction. errHalf says that it must be
// rolled back.
func (p *player) steps(c context.Context, s session) error {
	for range p.r.IntN(8) {
		err := p.step(c, s)
		switch {
		case err == nil:
		case errors.Is(err, errOver):
			return nil
		default:
			// What failed is taken back, as far as there is a savepoint.
			if len(p.open) == 0 || p.one(2) || p.back(c, s) != nil {
				return errHalf
			}
		}
	}
	return nil
}

func (p *player) step(c context.Context, s session) error {
	c, cancel := p.patience(c, 100)
	defer cancel()
	switch p.r.IntN(12) {
	case 0, 1, 2:
		return p.note(c, s)
	case 3, 4:
		return p.book(c, s)
	case 5, 6:
		return p.savepoint(c, s)
	case 7:
		return p.release(c, s)
	case 8:
		if len(p.open) == 0 {
			return nil
		}
		return p.back(c, s)
	case 9:
		_, err := s.ExecContext(c, p.choose("SELECT 1", "INSERT INTO others (id) VALUES ('x')", "SELECT 1; SELECT 2"))
		return err
	case 10:
		return p.mistake(c, s)
	default:
		return p.several(c, s)
	}
}

// note records an event and writes its row.
func (p *player) note(c context.Context, s session) error {
	key := p.key()
	insert := func() error {
		_, err := s.ExecContext(c, p.w.e.Rebind("INSERT INTO notes (id) VALUES (?)"), key)
		return err
	}
	record := func() error {
		return hooks.Record(c, s, hooks.Event{Action: "note.added", Target: hooks.Target{Type: "note", ID: key}})
	}
	first, second := insert, record
	if p.one(2) {
		first, second = record, insert
	}
	if err := first(); err != nil {
		return err
	}
	if p.one(3) {
		if err := hooks.OnCommit(c, s, p.w.calls.onCommit(key)); err != nil {
			return err
		}
	}
	if p.one(3) {
		if err := hooks.OnRollback(c, s, p.w.calls.onRollback(key)); err != nil {
			return err
		}
	}
	return second()
}

// book writes a row that is captured.
func (p *player) book(c context.Context, s session) error {
	key := p.key()
	query := p.w.e.Rebind("INSERT INTO books (id, title) VALUES (?, 'x')")
	switch p.r.IntN(5) {
	case 0:
		return s.QueryRowContext(c, query+" RETURNING title", key).Scan(new(string))
	case 1:
		rows, err := s.QueryContext(c, query+" RETURNING title", key)
		if err != nil {
			return err
		}
		if err := rows.Close(); err != nil { // unread
			return err
		}
		return rows.Err()
	case 2:
		stmt, err := s.PrepareContext(c, query)
		if err != nil {
			return err
		}
		defer stmt.Close()
		_, err = stmt.ExecContext(c, key)
		return err
	case 3:
		_, err := s.ExecContext(c, "INSERT INTO books (id, title) VALUES ('"+key+"', 'x')")
		return err
	default:
		_, err := s.ExecContext(c, query, key)
		return err
	}
}

func (p *player) savepoint(c context.Context, s session) error {
	name := p.choose("s", "t", "S", "\"long name\"")
	if _, err := s.ExecContext(c, "SAVEPOINT "+name); err != nil {
		return err
	}
	p.open = append(p.open, name)
	return nil
}

// release releases one of the savepoints. That goes wrong for PostgreSQL only
// if there is none of that name; then the transaction is aborted.
func (p *player) release(c context.Context, s session) error {
	if len(p.open) == 0 {
		return nil
	}
	name := p.open[p.r.IntN(len(p.open))]
	if _, err := s.ExecContext(c, "RELEASE SAVEPOINT "+name); err != nil {
		return err
	}
	p.forget(name, false)
	return nil
}

// back goes back to one of the savepoints.
func (p *player) back(c context.Context, s session) error {
	name := p.open[p.r.IntN(len(p.open))]
	if _, err := s.ExecContext(c, p.choose("ROLLBACK TO ", "ROLLBACK TO SAVEPOINT ")+name); err != nil {
		return err
	}
	p.forget(name, true)
	return nil
}

// forget drops the newest savepoint of that name and those after it; or those
// after it alone.
func (p *player) forget(name string, keep bool) {
	for i := len(p.open) - 1; i >= 0; i-- {
		if p.open[i] == name {
			if keep {
				i++
			}
			p.open = p.open[:i]
			return
		}
	}
}

// mistake is a statement that fails. It aborts a transaction of PostgreSQL's,
// and none of SQLite's.
func (p *player) mistake(c context.Context, s session) error {
	_, err := s.ExecContext(c, p.choose("SELECT nothing FROM nowhere", "NONSENSE",
		"INSERT INTO notes (id) VALUES ('0')", "INSERT INTO notes (id) VALUES ('1'), ('0')", "ROLLBACK TO nowhere"))
	if err != nil && p.w.e.Dialect == hooks.Postgres && c.Err() == nil && p.one(3) {
		return errOver // it tries to commit what is aborted
	}
	return err
}

// several is a string of statements that ends the transaction and begins
// another one, or does neither, or fails before or behind that.
func (p *player) several(c context.Context, s session) error {
	query := p.choose("ROLLBACK; BEGIN", "COMMIT; BEGIN", "SELECT 1; ROLLBACK; BEGIN; SELECT 2",
		"SAVEPOINT u; INSERT INTO others (id) VALUES ('y'); ROLLBACK TO u; RELEASE u",
		"INSERT INTO notes (id) VALUES ('0'); ROLLBACK; BEGIN", "INSERT INTO notes (id) VALUES ('0'); COMMIT; BEGIN",
		"ROLLBACK; BEGIN; INSERT INTO notes (id) VALUES ('0')", "COMMIT; BEGIN; SAVEPOINT u; INSERT INTO notes (id) VALUES ('0')")
	if _, err := s.ExecContext(c, query); err != nil {
		return errHalf
	}
	if query[:9] != "SAVEPOINT" {
		p.open = p.open[:0]
	}
	return nil
}
