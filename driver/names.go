package driver

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// namesLast is how long a connection believes what it knows of a name: other
// sessions may rename tables, or make views and triggers.
const namesLast = time.Minute

// maxNames is how many names a connection keeps.
const maxNames = 1000

// names caches what the catalog says of the names in a connection's statements.
type names struct {
	found map[lex.Table]*relation // replaced rather than emptied: jobs hold on to it
	stale map[lex.Table]*relation // expired: used only where the catalog cannot be asked
	since time.Time               // when found was begun
	plans map[seen]*relation
	// moved: the transaction may have changed what names mean, so that its end, or
	// a ROLLBACK TO, drops them again.
	moved bool
}

// lookUp finds out what the names in j's statements stand for, before they are
// executed. An error is the app's: the transaction has failed with it.
func (c *conn) lookUp(ctx context.Context, j *job) error {
	j.names = meanings{c: c, stmts: j.stmts, split: firstMove(j.stmts), bare: !c.tx.Open() && c.runsBare(j.stmts)}
	if c.db.reg.cfg.rules == nil && !c.mayBeWriteFree() || c.mode() == hooks.Off {
		return nil
	}
	var err error
	if !j.copying && !j.blind {
		c.checkFirst(ctx)
		err = c.ask(ctx, &j.names, before, c.tx.Open())
	}
	j.names.early = c.names.found
	return err
}

// checkFirst checks the rules, and whether the catalog can be asked, before the
// first question of a database, where it was not when a connection was opened, as
// what the app itself has not asked for must neither hang nor fail then. In a
// transaction a savepoint keeps an error from it.
func (c *conn) checkFirst(ctx context.Context) {
	switch {
	case c.db.checked.Load() || !c.is.checksLate:
	case !c.tx.Open():
		c.checkRules(ctx)
	case c.own.simple(ctx, guardSet) == nil:
		c.checkRules(ctx)
		_ = c.own.simple(ctx, guardBack+"; "+guardDrop) // if it fails, so does what the app does next
	}
}

// lookAfter looks up, once the statements have been executed, the names that
// lookUp left out: those behind a statement that may change what names mean and,
// inside a transaction on SQLite, all but temporary tables. There a query before
// the first write to another would start a read transaction, whose first write
// fails with SQLITE_BUSY where it would have waited.
//
// unread says that the app has yet to read j's rows: some SQLite drivers execute a
// statement only then, so that it is too early to ask.
func (c *conn) lookAfter(ctx context.Context, j *job, unread bool) error {
	if c.db.reg.cfg.rules == nil || c.mode() == hooks.Off || j.copying {
		return nil
	}
	late := j.names.split < len(j.stmts)-1
	if late {
		c.forgetNames()
	}
	if !c.db.dialect.asksAfter(j, late, unread) {
		return nil
	}
	if j.blind && !unread {
		c.checkFirst(ctx)
	}
	at := before
	if late {
		at = after
	}
	err := c.ask(ctx, &j.names, at, c.mayBeWriteFree())
	if !late {
		j.names.early = c.names.found
	}
	j.names.late = c.names.found
	return err
}

// ask looks up the names in m's statements that are not known, and that can be
// asked for at this moment.
func (c *conn) ask(ctx context.Context, m *meanings, at moment, temporaryOnly bool) error {
	n := &c.names
	if n.found != nil && (time.Since(n.since) > namesLast || len(n.found) > maxNames) {
		n.stale, n.found = n.found, nil
	}
	one := func(i int, t lex.Table) error {
		if m.split < len(m.stmts)-1 && m.moment(i, t) != at {
			return nil
		}
		return c.askOne(ctx, t, temporaryOnly)
	}
	for i := range m.stmts {
		s := &m.stmts[i]
		if s.Kind == lex.Write || s.Kind == lex.Schema && aboutRelations(s) {
			for _, t := range s.Tables {
				if err := one(i, t); err != nil {
					return err
				}
			}
		}
		if s.On.Name != "" {
			if err := one(i, s.On); err != nil {
				return err
			}
		}
		for _, t := range s.Also {
			if err := one(i, t.Table); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *conn) askOne(ctx context.Context, t lex.Table, temporaryOnly bool) error {
	n := &c.names
	if r := n.found[t]; r != nil && !r.missing && (c.tx.Open() || !r.partial) {
		return nil
	}
	if s, known := c.own.status(); c.db.mute.Load() || known && s == stateAborted || isBusy(c.own.conn) {
		return nil
	}
	r, err := c.db.dialect.ask(ctx, c, t, temporaryOnly)
	if err != nil {
		return c.db.dialect.catalogFailed(ctx, c, err)
	}
	if r == nil {
		return nil
	}
	if n.found == nil {
		n.found, n.since = make(map[lex.Table]*relation), time.Now()
	}
	// The name is a part of the app's query, which need not be kept.
	n.found[lex.Table{Schema: strings.Clone(t.Schema), Name: strings.Clone(t.Name)}] = r
	return nil
}

// aboutRelations reports whether the names of a Schema statement are those of
// tables, views and the like.
func aboutRelations(s *lex.Statement) bool {
	switch s.Verb {
	case "GRANT", "REVOKE", "COMMENT", "SELECT INTO":
		return true
	}
	for _, kind := range []string{" TABLE", " VIEW", " INDEX", " SEQUENCE"} {
		if strings.HasSuffix(s.Verb, kind) {
			return true
		}
	}
	return false
}

// forgetNames drops the cached names, whose meaning may have changed.
func (c *conn) forgetNames() {
	c.names.found, c.names.stale = nil, nil
	c.names.moved = c.names.moved || c.tx.Open()
}

// moved drops the cached names after statements that may have changed their
// meaning; unprepared says that the session's prepared statements are certainly gone.
func (c *conn) moved(unprepared bool) {
	c.forgetNames()
	if unprepared {
		c.names.plans = nil
	}
}

// movedBack drops the cached names after the end of a transaction that may have
// changed their meaning, or a ROLLBACK TO in it.
func (c *conn) movedBack(ended bool) {
	if c.names.moved {
		c.forgetNames()
		c.names.moved = !ended
	}
}

// unprepares reports whether a statement drops what the session has prepared.
func unprepares(stmts []lex.Statement) bool {
	return slices.ContainsFunc(stmts, func(s lex.Statement) bool { return s.Unprepares })
}
