package driver

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// A witness is a setting that lasts as long as the transaction does. If it is
// still there after something that may have ended the transaction unseen, then
// it is the same one. A savepoint would do on SQLite too, but its RELEASE would
// take the app's own savepoints along.
const (
	witnessSet  = "SET LOCAL aftercommit.witness = '%d'"
	witnessTest = guardStrict + "SELECT 1 WHERE pg_catalog.current_setting('aftercommit.witness', true) OPERATOR(pg_catalog.=) '%d'"
)

// witness is what became of the transaction meanwhile.
type witness int8

const (
	witnessLost    witness = iota // the connection does not answer
	witnessSame                   // the same transaction, healthy
	witnessOther                  // another transaction, or this one taken back before the witness
	witnessIdle                   // none
	witnessAborted                // a failed one; which, cannot be told
)

// beforeUnseen writes what is buffered, so that the database itself keeps it or
// drops it, and sets the witness. An error means that strict mode forbids to go
// on.
func (c *conn) beforeUnseen(ctx context.Context) error {
	if !c.open || c.mysql() { // where nothing can be written before
		return nil
	}
	ctx, cancel := c.unhurried(ctx)
	defer cancel()
	t := &c.tx
	if events := t.events(t.flushed); len(events) > 0 && t.mode != hooks.Off {
		if err := c.flushEarly(ctx, events); err != nil {
			return err
		}
	}
	if len(t.items) > 0 && c.postgres() {
		err := c.simple(ctx, fmt.Sprintf(witnessSet, t.signature()))
		if err != nil && stateOf(err) != stateAborted && stateOf(err) != stateIdle {
			return err
		}
	}
	return nil
}

// flushEarly writes events before the end. A read-only transaction keeps them
// buffered.
func (c *conn) flushEarly(ctx context.Context, events []hooks.Event) error {
	keep := c.tx.mode == hooks.BestEffort
	state, err := c.flush(ctx, events, flushing{keep: keep})
	if state == flushLate {
		keep = true
		if state, err = c.insist(ctx); state == flushLate {
			return nil
		}
	}
	if state == flushFailed {
		if c.tx.mode == hooks.Strict {
			return err
		}
		c.lose(c.takeUnflushed(), err)
	}
	if state == flushProven && c.postgres() && keep {
		return c.simple(ctx, guardDrop)
	}
	return nil
}

// beforeReadOnly writes what is buffered before a statement that may make the
// transaction read-only, if it has written: afterwards it would be too late. One
// that has not keeps its events for the time after its COMMIT.
func (c *conn) beforeReadOnly(ctx context.Context) error {
	t := &c.tx
	if !c.open || !t.wrote || t.mode == hooks.Off || c.mysql() { // where nothing can be written before
		return nil
	}
	events := t.events(t.flushed)
	if len(events) == 0 {
		return nil
	}
	ctx, cancel := c.unhurried(ctx)
	defer cancel()
	return c.flushEarly(ctx, events)
}

// testimony reports whether this is still the transaction in which the witness was
// set. Where none was set, it reports whether there is a transaction at all.
func (c *conn) testimony(ctx context.Context) witness {
	ctx, cancel := c.unhurried(ctx)
	defer cancel()
	if c.open && len(c.tx.items) > 0 && c.postgres() && c.own.execs() {
		res, err := c.own.exec(ctx, fmt.Sprintf(witnessTest, c.tx.signature()), nil)
		if err != nil {
			return witnessOf(stateOf(err))
		}
		if n, err := res.RowsAffected(); err == nil && n == 1 {
			return witnessSame
		}
		return witnessOther
	}
	return witnessOf(c.probe(ctx))
}

func witnessOf(s state) witness {
	switch s {
	case stateOpen:
		return witnessOther
	case stateIdle:
		return witnessIdle
	case stateAborted:
		return witnessAborted
	default:
		return witnessLost
	}
}

// unseen runs a string of several statements of which some control
// transactions.
func (c *conn) unseen(ctx context.Context, j job) (answer, error) {
	stmts := append([]lex.Statement(nil), j.stmts...)
	if err := c.goBack(ctx, stmts); err != nil {
		return answer{}, err
	}
	if err := c.beforeUnseen(ctx); err != nil {
		return answer{}, err
	}
	c.uncaptured(countWrites(stmts), "several_statements")
	a, err := j.do(ctx)
	c.forgetNames()
	if err == nil && a.rows != nil {
		// The server may still be executing while rows are read, so it is
		// asked before the next use.
		c.askBeforeUse(stmts)
		return a, nil
	}
	c.follow(ctx, stmts, err)
	c.deliver(ctx)
	return a, err
}

// goBack goes back to a savepoint before the string that begins by that and then
// ends the transaction: what is written before it would be undone by it, or, if
// the transaction has failed, could not be written. The savepoint is set again
// for the string to find.
func (c *conn) goBack(ctx context.Context, stmts []lex.Statement) error {
	s := &stmts[0]
	if !c.open || s.Kind != lex.RollbackTo || !ends(stmts) || len(c.tx.items) == 0 || c.tx.doubtful(s.Name) || c.releasesAll(s.Name) {
		return nil
	}
	ctx, cancel := c.unhurried(ctx)
	defer cancel()
	name := `"` + strings.ReplaceAll(s.Name, `"`, `""`) + `"`
	if err := c.word(ctx, "ROLLBACK TO SAVEPOINT "+name+"; RELEASE SAVEPOINT "+name); err != nil {
		return err
	}
	c.applySavepoint(s)
	c.tx.release(s.Name)
	if err := c.beforeUnseen(ctx); err != nil {
		return err
	}
	if err := c.word(ctx, "SAVEPOINT "+name); err != nil {
		return err
	}
	c.tx.savepoint(s.Name)
	return nil
}

// follow brings the connection's state in line after a string that was, or was
// not, executed to its end.
func (c *conn) follow(ctx context.Context, stmts []lex.Statement, err error) {
	if c.leaves() {
		return
	}
	w := c.testimony(ctx)
	whole := err == nil
	switch {
	case w == witnessSame:
		if whole {
			c.walk(ctx, stmts, false)
		}
	case whole:
		c.walk(ctx, stmts, true)
	case c.open && ends(stmts):
		c.endHalfway(stmts, w, err)
	}
	if !whole && c.open {
		c.tx.doubt(stmts)
	}
	c.agree(ctx, w)
}

// endHalfway doubts the transaction after a string that failed somewhere beyond,
// or before, the word that ends it. If nothing proves that it goes on, the rows
// decide; but a read-only transaction has none.
func (c *conn) endHalfway(stmts []lex.Statement, w witness, err error) {
	if c.tx.readOnly {
		first := stmts[slices.IndexFunc(stmts, func(s lex.Statement) bool { return ends([]lex.Statement{s}) })]
		unsent := c.takeUnflushed()
		if first.Kind == lex.Commit && (w == witnessIdle || w == witnessOther) && judge(err) == hooks.RolledBack && !refuses(err) {
			c.late = append(c.late, unsent...)
		} else {
			c.lose(unsent, err)
		}
	}
	c.mayBeOver(stmts, w)
}

// mayBeOver keeps what a transaction holds that may be over, until a savepoint
// of it is seen again, or its end.
func (c *conn) mayBeOver(stmts []lex.Statement, w witness) {
	healthy := w != witnessAborted
	if w == witnessLost || w == witnessIdle || healthy && len(c.tx.events(c.tx.flushed)) > 0 {
		c.end(hooks.Unknown)
		return
	}
	var reset []string
	ended := false
	for i := range stmts {
		ended = ended || ends(stmts[i:i+1])
		if ended && stmts[i].Kind == lex.Savepoint {
			reset = append(reset, stmts[i].Name)
		}
	}
	c.doubtAll(reset)
}

// refuses reports whether err may be that of a COMMIT: an integrity constraint
// that was deferred, or a serialization failure.
func refuses(err error) bool {
	state := hooks.SQLState(err)
	return strings.HasPrefix(state, "23") || strings.HasPrefix(state, "40")
}

// walk applies the control words of a string that was executed whole.
func (c *conn) walk(ctx context.Context, stmts []lex.Statement, endings bool) {
	healthy := false
	for i := range stmts {
		s := &stmts[i]
		switch s.Kind {
		case lex.Savepoint, lex.Release, lex.RollbackTo:
			healthy = healthy || s.Kind == lex.RollbackTo
			c.walkSavepoint(ctx, s, endings)
		case lex.Begin:
			if endings && !c.open {
				c.start(ctx)
			}
		case lex.Commit, lex.Rollback, lex.Prepare:
			if endings && c.open {
				began := c.tx.ctx
				c.walkEnd(s, healthy)
				if s.Chain {
					c.start(began)
				}
			}
		}
	}
}

// walkSavepoint applies a savepoint word, which on SQLite may begin or end the
// transaction.
func (c *conn) walkSavepoint(ctx context.Context, s *lex.Statement, endings bool) {
	switch {
	case c.open && s.Kind == lex.Release && c.releasesAll(s.Name):
		c.walkEnd(s, false)
	case c.open:
		c.applySavepoint(s)
	case endings && c.sqlite() && s.Kind == lex.Savepoint:
		c.startBySavepoint(ctx, s.Name)
	}
}

// walkEnd ends the transaction by a word in a string. A COMMIT there is not
// believed: on a failed transaction it rolls back, and nobody says so. Where a
// ROLLBACK TO came before it, the transaction was healthy, and what that took
// back although it is older than the savepoint is written afterwards.
func (c *conn) walkEnd(s *lex.Statement, healthy bool) {
	if s.Kind == lex.Rollback {
		c.end(hooks.RolledBack)
		return
	}
	if c.tx.readOnly || healthy && s.Kind == lex.Commit {
		c.late = append(c.late, c.takeUnflushed()...)
	}
	if p := c.end(hooks.Unknown); p != nil {
		p.prepared = s.Kind == lex.Prepare
	}
}

// agree makes the connection believe the server about being in a transaction.
func (c *conn) agree(ctx context.Context, w witness) {
	switch w {
	case witnessIdle:
		if c.open {
			c.end(hooks.Unknown)
		}
	case witnessOther, witnessAborted, witnessSame:
		if !c.open {
			c.start(ctx)
		}
		if w != witnessSame {
			c.doubtToken()
		}
		c.tx.wrote = true // whatever it did unseen
	case witnessLost:
		if c.open {
			c.end(hooks.Unknown)
		}
		c.discard()
	}
}

// askBeforeUse notes that something may have happened out of sight, by stmts if
// they are known, so that the server is asked before the next use.
func (c *conn) askBeforeUse(stmts []lex.Statement) {
	c.behind, c.alert, c.unsure = true, true, stmts
}

// lookBehind is called before the next use of a connection that was out of
// sight.
func (c *conn) lookBehind(ctx context.Context) {
	if !c.leaves() {
		c.look(ctx)
	}
}

// look is lookBehind in every mode.
func (c *conn) look(ctx context.Context) {
	if !c.behind {
		return
	}
	if c.mysql() {
		c.behind, c.alert, c.unsure = false, true, nil
		c.settle(ctx, false, nil)
		c.deliver(ctx)
		return
	}
	c.believe(ctx, c.testimony(ctx))
}

// believe brings the connection's state in line with what the server said of it.
func (c *conn) believe(ctx context.Context, w witness) {
	stmts, broken := c.unsure, c.tx.broken
	c.behind, c.alert, c.unsure = false, c.bad, nil
	c.forgetNames()
	if w != witnessSame && c.open && len(c.tx.items) > 0 {
		c.mayBeOver(stmts, w)
	}
	if c.open {
		c.tx.doubt(stmts)
	}
	c.agree(ctx, w)
	if c.open {
		c.tx.broken = broken
	}
	c.deliver(ctx)
}

func ends(stmts []lex.Statement) bool {
	for i := range stmts {
		switch stmts[i].Kind {
		case lex.Begin, lex.Commit, lex.Rollback, lex.Prepare:
			return true
		}
	}
	return false
}

func countWrites(stmts []lex.Statement) int {
	n := 0
	for i := range stmts {
		switch stmts[i].Kind {
		case lex.Write, lex.Schema, lex.Opaque:
			n++
		}
	}
	return n
}

// uncaptured tells of writes that capture cannot see into.
func (c *conn) uncaptured(n int, reason string) {
	if n > 0 && c.db.reg.cfg.rules != nil && c.mode() != hooks.Off {
		c.db.notify(hooks.Notice{Kind: hooks.NoticeUncaptured, Count: n, Reason: reason})
	}
}
