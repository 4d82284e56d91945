package txn

import (
	"slices"

	"github.com/go-aftercommit/aftercommit/driver/internal/lex"
	"github.com/go-aftercommit/aftercommit/hooks"
)

// Changes is what the connection has to follow, where something unseen has
// happened.
type Changes struct {
	TakenBack []TakenBack   // by each ROLLBACK TO, while the transaction went on
	Lost      []hooks.Event // which cannot be written any more
	Ended     bool          // a transaction has ended
	Discard   bool          // the connection can no longer be used
}

// Progress is how far a string of several statements was executed.
type Progress int8

// How far.
const (
	Whole   Progress = iota // to its end
	Failed                  // one of them has failed; which, is not known
	NotEnds                 // one that is no COMMIT has failed: the error is none of a COMMIT's
)

// Suspect notes that something may have changed the transaction unseen: stmts, or
// anything if it is nil.
func (t *Tracker) Suspect(stmts []lex.Statement) { t.suspect, t.unseen = true, stmts }

// Suspected reports whether the server is to be asked before the next use.
func (t *Tracker) Suspected() bool { return t.suspect }

// Trust ends the suspicion, and returns what it was about.
func (t *Tracker) Trust() []lex.Statement {
	stmts := t.unseen
	t.suspect, t.unseen = false, nil
	return stmts
}

// Believe ends the suspicion by what the server has said. start is for a transaction that
// is open without having been seen to begin; likewise below.
func (t *Tracker) Believe(start Start, w Witness) Changes {
	var did Changes
	stmts, broken := t.Trust(), t.broken
	if w != Same && t.open && len(t.items) > 0 {
		t.mayBeOver(&did, stmts, w)
	}
	if t.open {
		t.doubtStmts(stmts)
	}
	t.agree(&did, start, w)
	if t.open {
		t.broken = broken
	}
	return did
}

// Ran follows a string of several statements that control transactions. What was
// pending was written before it, as far as it could be.
func (t *Tracker) Ran(start Start, stmts []lex.Statement, how Progress, w Witness) Changes {
	var did Changes
	switch {
	case w == Same:
		if how == Whole {
			t.walk(&did, start, stmts, false)
		}
	case how == Whole:
		t.walk(&did, start, stmts, true)
	case t.open && BeginsOrEnds(stmts):
		t.endHalfway(&did, stmts, how, w)
	}
	if how != Whole && t.open {
		t.doubtStmts(stmts)
	}
	t.agree(&did, start, w)
	return did
}

// RollbackToDoubtful follows a ROLLBACK TO of a savepoint that may be another than
// the one that was seen. What came before that is certainly kept, so it is pending
// again where needed; of what came after it, the rows decide.
func (t *Tracker) RollbackToDoubtful(name string) {
	t.attest(name)
	t.giveUp()
	t.unknown(t.takeBehind(name))
}

// ReleaseDoubtful follows a RELEASE of such a savepoint.
func (t *Tracker) ReleaseDoubtful(name string) { t.attest(name) }

// Agree makes the tracker believe the server about being in a transaction.
func (t *Tracker) Agree(start Start, w Witness) Changes {
	var did Changes
	t.agree(&did, start, w)
	return did
}

func (t *Tracker) agree(did *Changes, start Start, w Witness) {
	switch w {
	case Idle:
		if t.open {
			t.endUnseen(did, hooks.Unknown)
		}
	case Other, Aborted, Same:
		if !t.open {
			t.Begin(start)
		}
		t.Wrote = true // whatever it did unseen
	case Lost:
		if t.open {
			t.endUnseen(did, hooks.Unknown)
		}
		did.Discard = true
	}
}

func (t *Tracker) endUnseen(did *Changes, outcome hooks.Outcome) {
	t.End(outcome)
	did.Ended = true
}

// endHalfway doubts the transaction after a string that failed somewhere beyond,
// or before, the statement that ends it. If nothing proves that it goes on, the
// rows decide; but a read-only transaction has none.
func (t *Tracker) endHalfway(did *Changes, stmts []lex.Statement, how Progress, w Witness) {
	if t.ReadOnly {
		first := stmts[slices.IndexFunc(stmts, func(s lex.Statement) bool { return beginsOrEnds(s.Kind) })]
		pending := t.TakePending()
		if first.Kind == lex.Commit && (w == Idle || w == Other) && how == NotEnds {
			t.Late(pending)
		} else {
			did.Lost = pending
		}
	}
	t.mayBeOver(did, stmts, w)
}

// mayBeOver keeps what a transaction holds that may be over, until a savepoint
// of it is seen again, or its end.
func (t *Tracker) mayBeOver(did *Changes, stmts []lex.Statement, w Witness) {
	if w == Lost || w == Idle || w != Aborted && len(t.Pending()) > 0 {
		t.endUnseen(did, hooks.Unknown)
		return
	}
	if t.maybe > 0 && (len(t.items) > t.maybe || len(t.savepoints) > t.maybeSavepoints) {
		t.giveUp()
	}
	t.maybe, t.maybeSavepoints = len(t.items), len(t.savepoints)
	ended := false
	for i := range stmts {
		ended = ended || beginsOrEnds(stmts[i].Kind)
		if ended && stmts[i].Kind == lex.Savepoint {
			t.doubt.reset = append(t.doubt.reset, stmts[i].Name)
		}
	}
}

// walk applies the control statements of a string that was executed whole. With
// over, those that end a transaction have done so.
func (t *Tracker) walk(did *Changes, start Start, stmts []lex.Statement, over bool) {
	healthy := false
	for i := range stmts {
		s := &stmts[i]
		switch s.Kind {
		case lex.Savepoint, lex.Release, lex.RollbackTo:
			healthy = healthy || s.Kind == lex.RollbackTo
			t.walkSavepoint(did, start, s, over)
		case lex.Begin:
			if over && !t.open {
				t.Begin(start)
			}
		case lex.Commit, lex.Rollback, lex.Prepare:
			if over && t.open {
				began := t.ctx
				t.walkEnd(did, s, healthy)
				if s.Chain {
					t.Begin(Start{Ctx: began, Mode: start.Mode})
				}
			}
		}
	}
}

// walkSavepoint applies a savepoint statement, which on SQLite may begin or end the
// transaction.
func (t *Tracker) walkSavepoint(did *Changes, start Start, s *lex.Statement, over bool) {
	switch {
	case !t.open && (!over || !t.cfg.SavepointBegins || s.Kind != lex.Savepoint):
	case !t.open:
		t.BeginBySavepoint(start, s.Name)
	case s.Kind == lex.Savepoint:
		t.Savepoint(s.Name)
	case s.Kind == lex.RollbackTo:
		did.TakenBack = append(did.TakenBack, t.RollbackTo(s.Name))
	case t.ReleaseCommits(s.Name):
		t.walkEnd(did, s, false)
	default:
		t.Release(s.Name)
	}
}

// walkEnd ends the transaction by a statement in a string. A COMMIT there is not
// believed: on a failed transaction it rolls back, and nothing says so. Where a
// ROLLBACK TO came before it, the transaction was healthy, and what that took
// back although it is older than the savepoint is written afterwards.
func (t *Tracker) walkEnd(did *Changes, s *lex.Statement, healthy bool) {
	did.Ended = true
	if s.Kind == lex.Rollback {
		t.End(hooks.RolledBack)
		return
	}
	if t.ReadOnly || healthy && s.Kind == lex.Commit {
		t.Late(t.TakePending())
	}
	t.end(hooks.Unknown, s.Kind == lex.Prepare)
}

// GoesBackFirst reports whether a string begins by going back to a savepoint and
// then ends the transaction: what is written before it would be undone by it.
func (t *Tracker) GoesBackFirst(stmts []lex.Statement) bool {
	s := &stmts[0]
	return t.open && s.Kind == lex.RollbackTo && BeginsOrEnds(stmts) && len(t.items) > 0 && !t.Doubtful(s.Name) && !t.ReleaseCommits(s.Name)
}

// BeginsOrEnds reports whether a statement among stmts ends a transaction, or begins one.
func BeginsOrEnds(stmts []lex.Statement) bool {
	return slices.ContainsFunc(stmts, func(s lex.Statement) bool { return beginsOrEnds(s.Kind) })
}

func beginsOrEnds(k lex.Kind) bool {
	return k == lex.Begin || k == lex.Commit || k == lex.Rollback || k == lex.Prepare
}
