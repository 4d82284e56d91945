package driver

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// namesLast is how long a connection believes what it knows of a name: other
// sessions may rename tables, or make views and triggers.
const namesLast = time.Minute

// maxNames is how many names a connection keeps.
const maxNames = 1000

// catalog caches what the database's catalog says of the names in a connection's
// statements.
type catalog struct {
	own     *querier
	tx      interface{ Open() bool }
	session *session
	dialect catalogDialect
	is      *facts
	rules   *Rules
	key     string // the key's column
	access  *access
	notify  func(hooks.Notice)

	found map[lex.Table]*relation // replaced rather than emptied: jobs hold on to it
	// permanent are names of which only that is known, yet: no temporary table has them. What
	// changes that is this connection's, as temporary tables are.
	permanent map[lex.Table]bool
	stale     map[lex.Table]*relation // expired: used only where the catalog cannot be asked
	since     time.Time               // when found was begun
	plans     map[seen]*relation
	// dirty: the transaction may have changed what names mean, so that its end, or
	// a ROLLBACK TO, drops them again.
	dirty bool
}

// access is what has been found out about a database's catalog, once for all connections.
type access struct {
	checked atomic.Bool // the rules, against the tables
	mute    atomic.Bool // it cannot be asked
}

// catalogDialect is how a database's catalog is asked.
type catalogDialect interface {
	naming
	// ask asks the catalog what a name stands for, and returns nil if it cannot be asked now.
	// With temporaryOnly it looks for temporary tables alone. catalogFailed returns an error
	// of ask if the app is to get it, because its statement could only fail, too.
	ask(ctx context.Context, k *catalog, t lex.Table, temporaryOnly bool) (*relation, error)
	catalogFailed(k *catalog, err error) error
	// answers reports whether the catalog can be asked at all. It is called once a database.
	answers(ctx context.Context, k *catalog) bool
	// tables returns those of the named tables that exist, and perhaps others.
	tables(ctx context.Context, k *catalog, named []tableName) ([]tableName, error)
}

// checkFirst checks the rules, and whether the catalog can be asked, before the first query
// to it. With checksLate this is not done when a connection is opened, because opening one
// must not hang or fail by a query that the app has not asked for. In a transaction a
// savepoint keeps an error from ending it.
func (k *catalog) checkFirst(ctx context.Context) {
	switch {
	case k.access.checked.Load() || !k.is.checksLate:
	case !k.tx.Open():
		k.checkRules(ctx)
	case k.own.simple(ctx, guardSet) == nil:
		k.checkRules(ctx)
		_ = k.own.simple(ctx, guardBack+"; "+guardDrop) // if it fails, so does what the app does next
	}
}

// ask looks up the names in m's statements that are not known, and that can be
// asked for at this moment.
func (k *catalog) ask(ctx context.Context, m *meanings, at moment, temporaryOnly bool) error {
	if k.found != nil && (time.Since(k.since) > namesLast || len(k.found)+len(k.permanent) > maxNames) {
		k.stale, k.found, k.permanent = k.found, nil, nil
	}
	one := func(i int, t lex.Table) error {
		if m.split < len(m.stmts)-1 && m.moment(i, t) != at {
			return nil
		}
		return k.askOne(ctx, t, temporaryOnly)
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

func (k *catalog) askOne(ctx context.Context, t lex.Table, temporaryOnly bool) error {
	if r := k.found[t]; r != nil && !r.missing && (k.tx.Open() || !r.partial) {
		return nil
	}
	if s, known := k.own.status(); k.access.mute.Load() || known && s == stateAborted || isBusy(k.own.conn) {
		return nil
	}
	r, err := k.dialect.ask(ctx, k, t, temporaryOnly)
	if err != nil {
		return k.dialect.catalogFailed(k, err)
	}
	if r == nil {
		return nil
	}
	k.begin()
	k.found[apart(t)] = r
	return nil
}

// begin begins a cache, if there is none.
func (k *catalog) begin() {
	if k.found == nil {
		k.found, k.since = make(map[lex.Table]*relation), time.Now()
	}
}

// isPermanent keeps that no temporary table has a name.
func (k *catalog) isPermanent(t lex.Table) {
	k.begin()
	if k.permanent == nil {
		k.permanent = make(map[lex.Table]bool)
	}
	k.permanent[apart(t)] = true
}

// apart is a name apart from the app's query, which need not be kept.
func apart(t lex.Table) lex.Table {
	return lex.Table{Schema: strings.Clone(t.Schema), Name: strings.Clone(t.Name)}
}

// forget drops the cached names, whose meaning may have changed.
func (k *catalog) forget() {
	k.found, k.permanent, k.stale = nil, nil, nil
	k.dirty = k.dirty || k.tx.Open()
}

// moved drops the cached names after statements that may have changed their
// meaning; unprepared says that the session's prepared statements are certainly gone.
func (k *catalog) moved(unprepared bool) {
	k.forget()
	if unprepared {
		k.plans = nil
	}
}

// movedBack drops the cached names after the end of a transaction that may have
// changed their meaning, or a ROLLBACK TO in it.
func (k *catalog) movedBack(ended bool) {
	if k.dirty {
		k.forget()
		k.dirty = !ended
	}
}

// asWritten is what a name means as far as it says so itself.
func (k *catalog) asWritten(t lex.Table) *relation {
	t = k.dialect.placed(k.session, t)
	return &relation{steps: []step{{Table: t, temporary: k.dialect.isTemporary(t.Schema)}}}
}
